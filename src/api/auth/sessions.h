#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/auth/device_logins.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "base/secret.h"
#include "store/secret_box.h"
#include "store/store.h"

namespace howdah::api {

/// Logins that go on without the person, by refresh tokens. A refresh token is an opaque text; the
/// store has its fingerprint only. Each use gives the next token; the old one goes out of use when
/// the next one is used, so that an answer that was lost costs nothing. Whoever shows a token that
/// is out of use ends the login: there are two who have it.
///
/// A login ends when it idles for kIdle or is older than kLifetime, and when the principal or the
/// secret that it began with is gone or has expired. Thread-safe; blocks on the store.
class Sessions {
  public:
    static constexpr Duration kIdle = std::chrono::hours(24 * 14);
    static constexpr Duration kLifetime = std::chrono::hours(24 * 90);
    static constexpr std::size_t kPerPrincipalMax = 50;  ///< beyond, the one unused longest ends
    /// Two programs of one person may use a token at the same moment: the second gets an access
    /// token alone, and nobody is suspected.
    static constexpr Duration kGrace = std::chrono::seconds(60);
    static constexpr std::size_t kRetiredMax = 8;  ///< that are remembered for one login

    Sessions(store::Store& store, const store::SecretBox& secrets, const Clock& clock,
             IdSource& ids)
        : store_(store), secrets_(secrets), clock_(clock), ids_(ids) {}

    /// A first refresh token for the program `app_id`.
    Result<Secret> begin(const Identity& identity, std::string_view app_id);

    struct Used {
        Identity identity;
        std::optional<Secret> next;  ///< none: go on with the one that was used
    };
    /// Errors: unauthenticated, always in the same words; of the store.
    Result<Used> use(const Secret& token, std::string_view app_id);

  private:
    struct Record;
    struct Parts;
    static std::string to_text(const Record& record);
    static Result<Record> from_text(std::string_view text);
    Result<std::optional<Used>> try_use(const Parts& parts, std::string_view app_id);
    Result<Identity> still_valid(const Record& record, std::string_view client_id);
    Status make_room(std::string_view client_id);
    std::string print(std::string_view session_id, const Secret& secret) const;
    Secret new_secret() const;

    store::Store& store_;
    const store::SecretBox& secrets_;
    const Clock& clock_;
    IdSource& ids_;
};

}  // namespace howdah::api
