#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/call.h"

namespace howdah::api {

/// The api-versions of a resource type.
struct Versions {
    std::span<const std::string_view> supported;  ///< previews, then oldest first
    /// A provider answers NoRegisteredProviderFound, Azure's own types InvalidApiVersionParameter.
    bool of_provider = false;
};

extern const Versions kResourceManagerVersions;
extern const Versions kPostgresVersions;
extern const Versions kAuthorizationVersions;
extern const Versions kInsightsVersions;
extern const Versions kPlatformVersions;  ///< of what is Howdah's own
extern const Versions kGraphVersions;     ///< none: the path has it

/// Those of a resource provider; nullptr for one that Howdah does not know.
const Versions* versions_of(std::string_view provider_namespace);

/// Who may send a request, beside somebody whose roles allow its action.
enum class Needs {
    role,  ///< nobody else
    /// Whoever has any role at, above or below the scope. Its lists show what the caller may read.
    any_role,
    login,  ///< whoever is logged in
};

enum class Pace {
    may_wait,
    at_once,  ///< reads a record or two and waits for nobody
};

/// One operation of the API.
struct Route {
    std::string_view method;
    /// "/subscriptions/{subscriptionId}/...": fixed words match in any letter case. A leading
    /// "{scope}" stands for any number of segments: "", a subscription, a group or a resource.
    std::string_view pattern;
    std::string_view group;      ///< as in Azure's SDKs: "servers"
    std::string_view operation;  ///< "createOrUpdate"
    const Versions* versions;
    Handler handler = nullptr;  ///< none: answers FeatureNotSupported
    /// What is not there yet: "backups are". With a handler: it tells that there is nothing.
    std::string_view missing = {};
    Needs needs = Needs::role;
    Pace pace = Pace::may_wait;
};

/// A resource of its own and no list: the route's path ends with a name.
bool is_of_named(const Route& route);

/// All routes, in the order of the documentation.
std::span<const Route> all_routes();

/// Finds the route of a request. Immutable; thread-safe.
class Router {
  public:
    explicit Router(std::span<const Route> routes);

    struct Match {
        const Route* route = nullptr;
        std::vector<std::pair<std::string_view, std::string>> parameters;
    };
    /// HEAD of something that has a name is its GET, where there is no route of its own.
    /// Errors: unknown_resource_type, unknown_namespace, method_not_allowed (its hint lists the
    /// methods).
    Result<Match> match(std::string_view method, const std::vector<std::string>& segments,
                        std::string_view api_version) const;

  private:
    struct Compiled {
        const Route* route;
        std::vector<std::string_view> segments;
    };
    static Match matched(const Compiled& found, const std::vector<std::string>& segments,
                         std::size_t from);
    std::vector<std::vector<Compiled>> by_length_;
    std::vector<Compiled> scoped_;  ///< those that begin with "{scope}", without it
};

inline constexpr std::size_t kPathBytesMax = 2048;
inline constexpr std::size_t kPathSegmentsMax = 24;

/// The segments of a path; empty ones are left out. ErrorCode::invalid_request beyond the bounds
/// above or for control characters.
Result<std::vector<std::string>> path_segments(std::string_view path);

/// Checks ?api-version= for a route. Errors in Azure's words, with the supported versions.
Status check_api_version(const Route& route, std::string_view version, std::string_view location);

}  // namespace howdah::api
