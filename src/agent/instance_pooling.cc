// An instance whose clients also come through a pooler (howdah-pooler).

#include <fmt/core.h>

#include "agent/config/render.h"
#include "agent/instance.h"
#include "base/log.h"
#include "core/sizing/pooling.h"
#include "os/file.h"
#include "pg/scram.h"

namespace howdah::agent {
namespace {

constexpr Duration kRoleMax = std::chrono::seconds(30);
/// How long transactions may go on that the pooler lets end.
constexpr Duration kDrainMax = std::chrono::seconds(3);
/// By then a pooler that lives has read that the route is not open any more.
constexpr Duration kDrainMin = std::chrono::milliseconds(30);
constexpr Duration kDrainLook = std::chrono::milliseconds(3);
constexpr std::size_t kSaltBytes = 16;

/// The sessions of pooled clients: those that come from where only a pooler comes from.
constexpr std::string_view kCountPooled =
    "SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_stat_activity "
    "WHERE backend_type = 'client backend' AND client_addr = $1::pg_catalog.inet";

}  // namespace

bool Instance::is_pooled() const {
    return state_.spec.running && core::wants_pooling(state_.spec.parameters);
}

/// Both the agent and the pooler make the password from the server's key, which both can read: so
/// that nobody has to be told, and every member of a server has the same.
Status Instance::set_pooler_role() {
    HD_TRY(const std::string pem, os::read_file(paths_.tls()));
    const Secret key(pem);
    const std::string salt =
        pg::derived_password(key, "howdah pooler salt").reveal().substr(0, kSaltBytes);
    HD_TRY(const std::string verifier,
           pg::scram_verifier(pg::derived_password(key, model::kPoolerPassword), salt));
    HD_TRY(auto session, connect(std::string(kMaintenanceDatabase)));
    HD_CHECK(quiet(session));
    HD_CHECK(change(session, pooler_role_sql(verifier), kRoleMax));
    return session.execute(pooler_databases_sql(), kRoleMax);
}

/// PgBouncer asks for a verifier in the database that the client wants, also where its owner lets
/// only some roles in. Customers make databases with SQL too, so this is looked at again and again.
void Instance::let_pooler_in() {
    if (!is_pooled() || !is_primary() || !postmaster_->is_ready()) return;
    auto session = connect(std::string(kMaintenanceDatabase));
    const Status done =
        session.ok() ? session->execute(pooler_databases_sql(), kRoleMax) : session.error();
    if (!done.ok())
        log::warn("a pooler may not be let into every database",
                  {{"server", state_.spec.server_id}, {"reason", done.error().describe()}});
}

void Instance::set_draining(bool is_draining) {
    bool is_news = false;
    {
        const std::lock_guard lock(mutex_);
        is_draining_ = is_draining;
        is_news = compose_locked();
    }
    if (is_news) changed_();
}

/// Before PostgreSQL is ended in an orderly way: the pooler is told by the route, lets no new
/// transaction begin, and closes its sessions as theirs end. What takes too long is broken off.
/// REQUIRES: the route is not open any more.
void Instance::wait_for_pooler() {
    auto session = connect(std::string(kMaintenanceDatabase));
    if (!session.ok()) return;
    const std::vector<pg::Value> source = {std::string(model::kPoolerSource)};
    const Instant begin = clock_.now();
    for (Instant now = begin; now - begin < kDrainMax; now = clock_.now()) {
        const auto count = session->query(kCountPooled, source, kDrainMax - (now - begin));
        if (!count.ok()) return;
        if (count->at(0, 0) == "0" && clock_.now() - begin >= kDrainMin) return;
        std::this_thread::sleep_for(kDrainLook);
    }
    log::warn("pooled transactions did not end in time and are broken off",
              {{"server", state_.spec.server_id}});
}

}  // namespace howdah::agent
