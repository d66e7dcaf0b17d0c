// An instance whose clients also come through a pooler (howdah-pooler).

#include <fmt/core.h>

#include "agent/config/render.h"
#include "agent/instance.h"
#include "base/log.h"
#include "core/sizing/pooling.h"
#include "os/file.h"
#include "os/server_users.h"
#include "pg/scram.h"

namespace howdah::agent {
namespace {

constexpr Duration kRoleMax = std::chrono::seconds(30);
/// How long transactions may go on that the pooler lets end.
constexpr Duration kDrainMax = std::chrono::seconds(3);
/// By then a pooler that lives has read that the route is not open any more.
constexpr Duration kDrainMin = std::chrono::milliseconds(30);
/// From one look to the next: this part of what was waited already. So there are few looks, and
/// little is waited in vain.
constexpr int kDrainPart = 5;
constexpr std::size_t kSaltBytes = 16;
constexpr mode_t kClosed = 0700;
constexpr mode_t kOpenToGroup = 0710;

/// The sessions of pooled clients: those that come through the socket and are not the agent's.
constexpr std::string_view kCountPooled =
    "SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_stat_activity "
    "WHERE backend_type = 'client backend' AND client_addr IS NULL AND usename IS DISTINCT FROM $1";

}  // namespace

bool Instance::is_pooled() const {
    return state_.spec.running && core::wants_pooling(state_.spec.parameters) && !follows();
}

/// The folder of the sockets is for PostgreSQL, and while the server is pooled for its PgBouncer,
/// which runs as a user of its own. Where all run as one user there is nobody to tell apart; that
/// no session of another server gets there is the guard's matter.
Status Instance::open_sockets() {
    HD_CHECK(os::make_folders(machine_.layout().sockets(), 0711));
    HD_CHECK(os::make_folders(paths_.socket_folder, kClosed));
    HD_TRY(const auto user, os::ServerUsers::find(state_.os_user));
    if (!user) return ok_status();
    os::Owner owner{user->uid, user->gid};
    const bool is_open = core::wants_pooling(state_.spec.parameters);
    if (is_open) {
        HD_TRY(const std::string name,
               os::ServerUsers::create(os::ServerUsers::pooler_id(state_.spec.server_id)));
        HD_TRY(const auto pooler, os::ServerUsers::find(name));
        if (pooler) owner.group = pooler->gid;
    }
    HD_TRY(const os::Owner before, os::owner_of(paths_.socket_folder));
    if (before != owner) {
        // Closed meanwhile: an old group may be somebody else's by now.
        HD_CHECK(os::change_mode(paths_.socket_folder, kClosed));
        HD_CHECK(os::change_owner(paths_.socket_folder, owner));
    }
    HD_CHECK(os::change_mode(paths_.socket_folder, is_open ? kOpenToGroup : kClosed));
    if (!is_open) return ok_status();
    // That of a PostgreSQL which an older version has started is its owner's alone.
    const std::string path =
        fmt::format("{}/.s.PGSQL.{}", paths_.socket_folder, state_.backend_port);
    const Status opened = os::let_everybody_connect(path);
    return !opened.ok() && opened.error().code == ErrorCode::not_found ? ok_status() : opened;
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
/// only some roles in. Customers make databases with SQL too, and PgBouncer's user may be another
/// one by now, so this is looked at again and again.
void Instance::let_pooler_in() {
    if (!is_pooled()) return;
    const Status opened = open_sockets();
    if (!opened.ok())
        log::warn("a pooler may not reach PostgreSQL",
                  {{"server", state_.spec.server_id}, {"reason", opened.error().describe()}});
    if (!is_primary() || !postmaster_->is_ready()) return;
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
    const std::vector<pg::Value> own = {std::string(kSuperuser)};
    const Instant begin = clock_.now();
    Duration waited = kDrainMin;
    std::this_thread::sleep_for(kDrainMin);
    while (waited < kDrainMax) {
        const auto count = session->query(kCountPooled, own, kDrainMax - waited);
        if (!count.ok() || count->at(0, 0) == "0") return;
        std::this_thread::sleep_for(waited / kDrainPart);
        waited = clock_.now() - begin;
    }
    log::warn("pooled transactions did not end in time and are broken off",
              {{"server", state_.spec.server_id}});
}

}  // namespace howdah::agent
