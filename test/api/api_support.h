#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "api/api.h"
#include "base/clock.h"
#include "base/id.h"
#include "control/operations/operations.h"
#include "http/server.h"
#include "model/records.h"
#include "model/resource_id.h"
#include "store/secret_box.h"
#include "store/store.h"

namespace howdah::api {

using Body = nlohmann::ordered_json;

inline constexpr const char* kNewVersion = "2025-08-01";
inline constexpr const char* kOldVersion = "2022-12-01";
inline constexpr const char* kManagerVersion = "2021-04-01";

/// What came back, with its body as JSON.
struct Reply {
    int status = 0;
    http::Headers headers;
    std::string text;
    Body body;

    std::string code() const;    ///< of the error; "" without one
    std::string target() const;  ///< of the error
    std::string message() const;
};

/// A whole API over a store in memory, with one host that has PostgreSQL 15 and 17, and somebody
/// who is logged in. What the reconciler and the agents would do is done by finish_*.
class World {
  public:
    World();

    /// Sends a request with a good token. `path` may hold a query; "{S}" stands for
    /// "/subscriptions/<id>", "{P}" for
    /// "{S}/resourceGroups/rg1/providers/Microsoft.DBforPostgreSQL".
    Reply call(const std::string& method, const std::string& path, const Body& body = nullptr,
               const std::string& version = kNewVersion);
    Reply call_text(const std::string& method, const std::string& path, const std::string& body,
                    const std::string& version = kNewVersion);
    Reply send(http::Request request);
    http::Request request(const std::string& method, const std::string& path,
                          const std::string& body, const std::string& version) const;
    Reply login(const std::string& form, const std::string& path = "/adfs/oauth2/token");
    std::string form(const std::string& secret) const;
    std::string expand(std::string path) const;

    /// Another howdahd goes on with the same store.
    void restart();
    void make_group(const std::string& name = "rg1");
    /// The body of a good PUT of a server.
    static Body server_body();
    /// Creates it and makes it ready. Fails the test if that does not work.
    void make_server(const std::string& name = "pg1");
    /// As if the reconciler had brought about the newest generation: state Ready (or Stopped) and
    /// every pending operation Succeeded.
    void finish(const std::string& name = "pg1");
    void fail_operations(const std::string& name, const model::Failure& failure);
    /// As if the reconciler had deleted it without a trace.
    void remove_server(const std::string& name = "pg1");
    void set_status(const std::string& name, const model::ServerStatus& status);
    model::ServerStatus status(const std::string& name = "pg1");
    model::ServerSpec spec(const std::string& name = "pg1");
    model::ResourceId server_id(const std::string& name = "pg1") const;
    void put_host(const model::HostReport& host);
    static model::HostReport host();
    /// The last operation's id in a reply's Azure-AsyncOperation.
    static std::string operation_of(const Reply& reply);

    FakeClock clock;
    SystemIdSource ids;
    std::unique_ptr<store::Store> store;
    store::SecretBox secrets;
    control::Operations operations;
    Bootstrap boot;
    std::unique_ptr<SigningKeys> signing_keys;
    /// Taken by restart().
    std::vector<TrustedIssuer> trusted_issuers;
    std::unique_ptr<ForeignIssuers> foreign_issuers;
    std::unique_ptr<Api> api;
    std::string token;

  private:
    void end_operations(const std::string& name, const std::string& status,
                        const std::optional<model::Failure>& failure);
};

}  // namespace howdah::api
