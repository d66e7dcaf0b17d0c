#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "http/server.h"
#include "model/foreign_identity.h"

namespace howdah::api {

/// Who sent a request, by the verified token.
struct Caller {
    std::string object_id;
    std::string app_id;  ///< of a foreign identity its object id: it has no other id that is ours
    std::string name;    ///< of a foreign identity "<issuer> <what the issuer calls it>"

    /// What the activity log and refusals call him.
    const std::string& shown() const { return is_foreign() ? name : app_id; }
    bool is_foreign() const { return model::is_foreign_object_id(object_id); }
};

/// Who a request is sent for that the API sends to itself.
struct OnBehalf {
    Caller caller;  ///< was authenticated before; what he may do is looked up anew
    std::string correlation_id;
    /// Deployments that the request comes from, one within the other.
    std::int64_t depth = 0;
    std::string parent = {};  ///< operation_id of the innermost of them
};

/// The API itself, for what goes on after a request was answered: everything but the token is
/// checked, and written to the activity log, as if the caller had sent the request. Thread-safe.
class InnerApi {
  public:
    virtual ~InnerApi() = default;
    virtual http::Response send(const OnBehalf& who, const std::string& method,
                                const std::string& path, const std::string& api_version,
                                std::string body) = 0;
    /// Whether the request would get as far as its handler: the route, its api-version and the
    /// caller's roles. Nothing is done.
    virtual Status check(const OnBehalf& who, const std::string& method, const std::string& path,
                         const std::string& api_version) = 0;
};

}  // namespace howdah::api
