#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "api/auth/foreign_issuers.h"
#include "api/auth/signing_keys.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "base/secret.h"
#include "control/operations/operations.h"
#include "http/server.h"
#include "store/secret_box.h"
#include "store/store.h"

namespace howdah::control {
class Joining;
}

namespace howdah::api {

/// What the API stands on. References are borrowed and must outlive the Api.
struct ApiContext {
    store::Store& store;
    control::Operations& operations;
    const store::SecretBox& secrets;
    const Clock& clock;
    IdSource& ids;
    const SigningKeys& signing_keys;
    std::string tenant_id;
    /// Where clients reach this API, without a slash at the end: "https://localhost:8443". All
    /// absolute links and the token issuer begin with it.
    std::string base_url;
    std::string location = "local";
    std::string location_display_name = "Local";
    /// Host names of servers are "<server>.<dns_suffix>".
    std::string dns_suffix = "postgres.howdah.local";
    std::string version;  ///< of Howdah, for the server header
    /// Whose tokens are taken besides Howdah's own; null: nobody's.
    ForeignIssuers* foreign_issuers = nullptr;
    control::Joining* joining = nullptr;  ///< null: no machine can join
};

/// The Azure-Resource-Manager-compatible API and its token service: one request in, one answer
/// out. It has no threads of its own; deployments go on in the one that calls run_deployments().
/// Thread-safe; handle() may block on the store.
///
/// Every failure is an answer in Azure's shape {"error":{"code","message","target"}}; nothing is
/// thrown. Bounds: bodies see arm_json.h, pages kPageSize entries.
class Api {
  public:
    explicit Api(ApiContext context);
    ~Api();
    Api(const Api&) = delete;
    Api& operator=(const Api&) = delete;

    http::Response handle(const http::Request& request);
    /// The same, if the request is one that is answered without waiting for anything but a short
    /// read of the store; else none, and nothing was done.
    std::optional<http::Response> handle_at_once(const http::Request& request);

    /// Brings deployments of templates about until it is told to stop. One thread at a time.
    void run_deployments(const std::stop_token& stop);
    /// One round of that, for tests. Not while run_deployments() runs.
    Status advance_deployments();

    /// The operations of the API as a Markdown table, from the table of routes:
    /// docs/reference/api.md holds it.
    static std::string operations_table();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

struct BootstrapOptions {
    std::string subscription_name = "Howdah";
    std::string principal_name = "howdah-admin";
};

/// Who and what there is from the first start on.
struct Bootstrap {
    std::string tenant_id;
    std::string subscription_id;
    std::string client_id;
    /// The administrator's secret; none once bootstrap_delivered was called.
    std::optional<Secret> client_secret;
};

/// The tenant, the subscription, the administrating service principal and the key that signs
/// tokens: made in one transaction if the store has none, else read. The administrator's secret
/// is kept as a salted hash; besides, sealed, until bootstrap_delivered says that it has been
/// written to its file, so that a crash in between does not lose it.
/// REQUIRES: one caller at a time.
Result<Bootstrap> bootstrap(store::Store& store, const store::SecretBox& secrets,
                            const Clock& clock, IdSource& ids,
                            const BootstrapOptions& options = {});
Status bootstrap_delivered(store::Store& store);

/// The way back when nobody can log in any more: the administrator of the first start, made again
/// if it was deleted, is Owner of everything and has one new secret; its others end. The next
/// bootstrap() gives the secret, in this or another run. For who may read the store's key anyway.
/// REQUIRES: as bootstrap(), which was called before.
Status reset_administrator(store::Store& store, const store::SecretBox& secrets, const Clock& clock,
                           IdSource& ids, const BootstrapOptions& options = {});

}  // namespace howdah::api
