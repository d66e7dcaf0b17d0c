#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "os/ports.h"
#include "os/server_users.h"
#include "pg/scram.h"
#include "pooler/pooler.h"

namespace howdah::pooler {
namespace {

/// PgBouncer cannot be told to hold a lock; what begins it does, and hands it on. A connection of
/// every client is two descriptors. The lock is the only file that PgBouncer's user can write.
constexpr const char* kBegin =
    "exec 9>>\"$1\" && flock -n 9 && echo $$ >\"$1\" && ulimit -n \"$(ulimit -Hn)\" && "
    "exec /usr/sbin/pgbouncer \"$2\"";
constexpr const char* kPortFile = "/port";
constexpr const char* kServerFile = "/server";
constexpr const char* kLifeFile = "/life";
constexpr const char* kLockFile = "/lock";
constexpr Duration kEndMax = std::chrono::seconds(2);
constexpr std::size_t kTlsBytesMax = 1 << 20;
/// PgBouncer logs each refused client; what is older is kept once.
constexpr std::int64_t kLogBytesMax = 4 << 20;
constexpr Duration kBeginPoll = std::chrono::milliseconds(10);
/// PgBouncer takes no TLS without an SSLRequest before it.
constexpr std::int64_t kMajorWithoutDirectTls = 16;

/// A resume and a pause that reach a busy PgBouncer together are carried out the other way round.
constexpr int kPauses = 5;

constexpr int kPause = SIGUSR1;
constexpr int kResume = SIGUSR2;
constexpr int kReload = SIGHUP;

/// ".../instances/<life>/config/server.pem"
std::string life_of(const std::string& tls_path) {
    const auto parts = split(tls_path, '/');
    return parts.size() < 3 ? "" : parts[parts.size() - 3];
}

/// Its number comes from a file that PgBouncer's user can write: nothing else is ever signalled.
bool is_pgbouncer(pid_t pid) {
    const auto facts = os::process_facts(pid);
    return facts && facts->executable.ends_with("/pgbouncer");
}

bool is_listened_on(std::uint16_t port) {
    const os::Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval limit{.tv_sec = 0, .tv_usec = 100'000};
    (void)setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

Bouncer::Bouncer(std::string server_id, const Places& places)
    : server_id_(std::move(server_id)),
      name_(os::ServerUsers::pooler_id(server_id_)),
      folder_(places.folder() + "/" + name_),
      log_path_(places.log("pooler-" + name_)) {
    files_.folder = folder_;
}

Status Bouncer::begin() {
    HD_TRY(const std::string user_name, os::ServerUsers::create(name_));
    HD_TRY(user_, os::ServerUsers::find(user_name));
    // Root's, for PgBouncer to read: one that was broken into cannot change what it is.
    if (user_) owner_ = os::Owner{0, user_->gid};
    HD_CHECK(os::make_folders(folder_, 0700));
    // First of all, so that whoever finds the folder knows whose it is.
    HD_CHECK(write(kServerFile, server_id_));
    // Whoever looked whether it is held would make it its own.
    const std::string lock = folder_ + kLockFile;
    if (!os::exists(lock)) HD_CHECK(os::replace_file(lock, "", 0600));
    if (owner_) {
        HD_CHECK(os::change_owner(folder_, *owner_));
        HD_CHECK(os::change_mode(folder_, 0750));
        HD_CHECK(os::change_owner(lock, *owner_));
        HD_CHECK(os::change_mode(lock, 0660));
    }
    return choose_port();
}

/// The port stays the same for as long as it can: a PgBouncer that runs still has it.
Status Bouncer::choose_port() {
    const auto text = os::read_file(folder_ + kPortFile, 64);
    const auto known = parse_integer(trim(text.value_or("")), 1, 65535);
    std::int64_t port = known.value_or(0);
    const bool runs = os::FileLock::try_lock(folder_ + kLockFile).ok() == false;
    if (port == 0 || (!runs && !os::is_port_free(port)))
        port = os::find_free_port(name_, os::kPoolerPorts);
    if (port == 0) return Error{ErrorCode::resource_exhausted, "no free port for PgBouncer"};
    files_.port = static_cast<std::uint16_t>(port);
    return write(kPortFile, std::to_string(port));
}

Status Bouncer::write(const char* file, const std::string& content) {
    const std::string path = folder_ + file;
    const auto present = os::read_file(path);
    const bool is_owned = !owner_ || os::owner_of(path).value_or(os::Owner{}) == *owner_;
    if (present.ok() && *present == content && is_owned) return ok_status();
    HD_CHECK(os::replace_file(path, content, owner_ ? 0640 : 0600, owner_));
    is_changed_ = true;
    return ok_status();
}

Status Bouncer::use_route(const model::Route& route) {
    // While the server cannot be reached, the way to it stays as it was.
    if (route.state == "open" || files_.backend_port == 0) {
        if (route.pooling->socket_folder.empty())
            return Error{ErrorCode::not_supported,
                         "the primary is on another machine, where poolers do not reach it yet"};
        if (route.pooling->socket_folder.find(',') != std::string::npos)
            return Error{ErrorCode::not_supported,
                         "PgBouncer takes the path '" + route.pooling->socket_folder +
                             "' for a list, because of its comma",
                         "", "Choose a home without a comma in its path."};
        files_.socket_folder = route.pooling->socket_folder;
        files_.backend_port = route.backend_port;
    }
    files_.require_tls = route.require_tls;
    files_.settings = route.pooling->settings;
    // Where the server's own file cannot be read now, the one of before still serves.
    auto read = os::read_file(route.pooling->tls_path, kTlsBytesMax);
    if (!read.ok()) read = os::read_file(folder_ + kTlsFile, kTlsBytesMax);
    HD_TRY(const std::string pem, std::move(read));
    HD_CHECK(write(kTlsFile, pem));
    HD_CHECK(
        write(kUsersFile, users_file(pg::derived_password(Secret(pem), model::kPoolerPassword))));
    HD_CHECK(write(kHbaFile, hba_file(files_)));
    return write(kIniFile, ini_file(files_));
}

Status Bouncer::follow(const model::Route& route) {
    const bool is_paused = route.state != "open";
    if (is_paused && !std::exchange(is_paused_, true)) {
        tell(kPause);
        pauses_left_ = kPauses;
    }
    HD_CHECK(end_former_life(route));
    HD_CHECK(use_route(route));
    route_ = route;
    if (begun_ && std::exchange(is_changed_, false)) tell(kReload);
    // PgBouncer handles signals that are there at once in the order of their numbers.
    if (!is_paused && std::exchange(is_paused_, false)) tell(kResume);
    return ok_status();
}

void Bouncer::bound_log() const {
    const Status bounded = os::bound_log(log_path_, kLogBytesMax);
    if (!bounded.ok())
        log::warn("the log of a pooler cannot be shortened",
                  {{"log", log_path_}, {"reason", bounded.error().describe()}});
}

Instant Bouncer::tend(Instant now) {
    if (!route_) return now + std::chrono::seconds(1);
    if (!process_) {
        const std::string lock = folder_ + kLockFile;
        process_.emplace(os::SupervisedDaemon{
            .name = "pgbouncer of " + route_->server_name,
            .daemon = {.arguments = {"/bin/sh", "-c", kBegin, "sh", lock, folder_ + kIniFile},
                       .environment = {},
                       .user = user_,
                       .log_path = log_path_},
            .lock_path = lock});
    }
    const Instant next = process_->step(now);
    if (begun_ && begun_ == process_->pid()) {
        if (is_paused_ && pauses_left_ > 0 && pauses_left_-- > 0) tell(kPause);
        return next;
    }
    begun_.reset();
    return has_begun() ? next : std::min(next, now + kBeginPoll);
}

/// Before it listens, a signal would end it. What it has missed is told then.
bool Bouncer::has_begun() {
    const auto pid = process_->pid();
    if (!pid || !is_listened_on(files_.port)) return false;
    begun_ = pid;
    tell(kReload);
    is_changed_ = false;
    // One that was adopted may have been paused.
    tell(is_paused_ ? kPause : kResume);
    return true;
}

void Bouncer::tell(int number) const {
    if (!begun_) return;
    const auto process = os::ProcessHandle::open(*begun_);
    if (process.ok() && is_pgbouncer(*begun_)) (void)process->signal(number);
}

/// A server that was deleted and made again has the same id: nobody who logged in to the one before
/// may go on in the new one. The folder of an instance is named after its life.
Status Bouncer::end_former_life(const model::Route& route) {
    const std::string life = life_of(route.pooling->tls_path);
    const auto known = os::read_file(folder_ + kLifeFile, 4096);
    if (known.ok() && *known == life) return ok_status();
    const auto pid = known.ok() ? running() : std::nullopt;
    const auto process = pid ? os::ProcessHandle::open(*pid) : Error{ErrorCode::not_found, ""};
    if (process.ok() && is_pgbouncer(*pid)) {
        log::info("a server has a new life, and its pooler begins anew",
                  {{"server", route.server_name}});
        (void)process->signal(SIGTERM);
        if (!process->wait_exit(kEndMax)) return Error{ErrorCode::timeout, "a pooler does not end"};
        begun_.reset();
    }
    return write(kLifeFile, life);
}

/// PgBouncer's process, also one that an earlier run has left.
std::optional<pid_t> Bouncer::running() const {
    const std::string lock = folder_ + kLockFile;
    if (os::FileLock::try_lock(lock).ok()) return std::nullopt;
    const auto text = os::read_file(lock, 64);
    const auto pid = parse_integer(trim(text.value_or("")), 2, 1 << 30);
    return pid.ok() ? std::optional(static_cast<pid_t>(*pid)) : std::nullopt;
}

bool Bouncer::remove() {
    if (process_ && process_->pid()) os::reap({*process_->pid()});
    if (const auto pid = running()) {
        const auto process = os::ProcessHandle::open(*pid);
        if (process.ok() && is_pgbouncer(*pid)) (void)process->signal(SIGTERM);
        return false;
    }
    // The folder last: it is what another run would find.
    Status removed =
        os::is_root() ? os::ServerUsers::remove("howdah-" + name_.substr(0, 8)) : ok_status();
    if (removed.ok()) removed = os::remove_tree(log_path_);
    if (removed.ok()) removed = os::remove_tree(log_path_ + std::string(os::kOlderLog));
    if (removed.ok()) removed = os::remove_tree(folder_);
    if (!removed.ok())
        log::error("the rest of a pooler cannot be removed",
                   {{"folder", folder_}, {"reason", removed.error().describe()}});
    return true;
}

std::optional<model::Route> Bouncer::route() const {
    if (!route_) return std::nullopt;
    model::Route route = *route_;
    route.port = 0;  // that one leads to PostgreSQL itself
    route.backend_address = "127.0.0.1";
    route.backend_port = files_.port;
    route.postmaster_pid = begun_.value_or(0);
    route.major = std::min(route.major, kMajorWithoutDirectTls);
    route.term = 0;
    route.pooling.reset();
    // Who comes while the server cannot be reached waits inside, but not for one that is stopped.
    if (!begun_) {
        route.state = "hold";
        route.reason = "the pooler is starting";
    } else if (route.state != "closed") {
        route.state = "open";
        route.reason.clear();
    }
    return route;
}

}  // namespace howdah::pooler
