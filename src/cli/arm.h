#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/json.h"
#include "cli/profile.h"
#include "cli/progress.h"
#include "cli/world.h"
#include "http/client.h"

namespace howdah::cli {

inline constexpr std::string_view kPostgresVersion = "2025-08-01";
inline constexpr std::string_view kResourcesVersion = "2021-04-01";
inline constexpr std::string_view kRolesVersion = "2022-04-01";
inline constexpr std::string_view kLocksVersion = "2016-09-01";
inline constexpr std::string_view kActivityVersion = "2015-04-01";
inline constexpr std::string_view kPlatformVersion = "2026-11-01";
/// Microsoft Graph, below /v1.0, looks at no version.
inline constexpr std::string_view kGraphVersion = "1.0";
inline constexpr std::size_t kPagesMax = 1000;
/// How long an operation is followed before the command gives up waiting (it goes on).
inline constexpr Duration kOperationWaitMax = std::chrono::hours(1);
/// How long the API may be away while an operation is followed.
inline constexpr Duration kOutageMax = std::chrono::seconds(60);
inline constexpr Duration kPollPauseMin = std::chrono::milliseconds(50);
inline constexpr Duration kPollPauseMax = std::chrono::seconds(1);

/// An answer of the API that is not an error.
struct Reply {
    int status = 0;
    http::Headers headers;
    Json body;  ///< null if it was empty
};

/// A long-running request that was accepted.
struct Begun {
    Json body;
    std::string url;           ///< of its Azure-AsyncOperation; empty: nothing to follow
    std::string location_url;  ///< of its Location, for those that have only this
};

/// Errors of the API as values: the code's own word stands in the message, in brackets. The code
/// is `not_found` for every 404 and `unauthenticated` for every 401.
Error error_of(int status, std::string_view body);

/// The API as a logged-in client sees it: tokens, api-versions, pages and operations. Paths begin
/// with '/'. Not thread-safe.
class Arm {
  public:
    Arm(World& world, ProfileStore profiles, Profile profile);

    const Profile& profile() const { return profile_; }
    std::string subscription() const { return "/subscriptions/" + profile_.subscription_id; }
    /// Of the group; the name is percent-encoded.
    std::string group(std::string_view name) const;
    std::string postgres(std::string_view rest) const;  ///< below the subscription's provider
    std::string server(std::string_view group, std::string_view name) const;

    Result<Json> get(const std::string& path, std::string_view version = kPostgresVersion);
    /// All elements of all pages, or the first `count_max` of them.
    Result<Json> list(const std::string& path, std::string_view version = kPostgresVersion,
                      std::size_t count_max = SIZE_MAX);
    Result<Json> post(const std::string& path, const Json& body,
                      std::string_view version = kPostgresVersion);
    /// Begins a request that may take long. `body` null: none.
    Result<Begun> begin(std::string_view method, const std::string& path, const Json& body,
                        std::string_view version = kPostgresVersion);
    /// Follows it to its end. Its failure is an error.
    Status finish(const Begun& begun, Progress& progress);

    /// Bytes [offset, offset + count) of what a link of the API leads to; the link itself is the
    /// right to read it, and no token goes with it. Empty at the end of the file.
    Result<std::string> read_link(const std::string& link, std::int64_t offset, std::size_t count);

    /// A token that is valid for some minutes; from the cache, or a new one.
    Result<Token> token();
    /// From now on this one, until it ends.
    void use(Token token) { token_ = std::move(token); }
    /// Asks the authority for a token: the check of a login.
    Result<Token> new_token() { return new_token_for(profile_.api_url); }
    /// A new token for another resource than the API; not kept.
    Result<Token> new_token_for(const std::string& resource);

  private:
    std::string token_form(const std::string& resource) const;
    Result<Reply> call(std::string_view method, const std::string& url, const Json& body);
    Result<http::Response> send(std::string_view method, const std::string& url, const Json& body);
    std::string url(const std::string& path, std::string_view version) const;
    /// The state of an operation; none while the API is away for a moment.
    Result<std::optional<Reply>> look(const std::string& url, Instant& last_seen);
    /// A link of the API, at the address that we use: a token goes to no other host.
    std::string here(const std::string& link) const;

    World& world_;
    ProfileStore profiles_;
    Profile profile_;
    http::Client client_;
    std::optional<Token> token_;
};

}  // namespace howdah::cli
