#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "cli/world.h"

namespace howdah::cli {

/// Who is logged in, where.
struct Profile {
    std::string api_url;    ///< without a slash at the end
    std::string authority;  ///< tokens come from {authority}/{tenant_id}/oauth2/v2.0/token
    std::string tenant_id;
    std::string subscription_id;
    std::string client_id;
    Secret client_secret;
    std::string ca_pem;         ///< empty: the system's certificate authorities
    std::string api_ca_pem;     ///< whom the API is trusted by; empty: ca_pem
    std::string api_name;       ///< what the API's certificate must be made out to; empty: its host
    Secret refresh_token = {};  ///< of a person who logged in by device code; then no client secret
};

/// An access token with its end, kept between commands.
struct Token {
    Secret text;
    Timestamp expires_at;
};

/// The folder of the command line: $HOWDAH_CONFIG_DIR, or $XDG_CONFIG_HOME/howdah, or
/// ~/.config/howdah. All files have mode 0600 and are replaced as a whole.
class ProfileStore {
  public:
    explicit ProfileStore(const World& world);

    /// ErrorCode::unauthenticated if nobody is logged in.
    Result<Profile> load() const;
    Status save(const Profile& profile) const;
    /// Replaces the refresh token alone, and forgets the access token.
    Status save_refresh_token(const Secret& token) const;
    /// Forgets profile, token and certificate; fine if there are none.
    Status clear() const;

    /// None if there is none, or it cannot be read.
    std::optional<Token> load_token() const;
    Status save_token(const Token& token) const;
    void clear_token() const;

    /// The file with the certificate authority, for psql; "" if the profile has none.
    std::string ca_path(const Profile& profile) const;

  private:
    std::string path(std::string_view name) const { return folder_ + "/" + std::string(name); }
    std::string folder_;
};

}  // namespace howdah::cli
