#include "integration/postgres_support.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "agent/config/extension_files.h"
#include "agent/config/render.h"
#include "base/clock.h"
#include "base/text.h"
#include "http/certificates.h"
#include "os/file.h"
#include "pg/scram.h"
#include "places.h"

namespace howdah::test {
namespace {

constexpr Duration kStartTimeout = std::chrono::seconds(60);

std::string user_name(uid_t uid) {
    const passwd* entry = getpwuid(uid);  // NOLINT(concurrency-mt-unsafe): one thread
    return entry == nullptr ? "" : entry->pw_name;
}

/// A port nobody listens on at this moment.
int free_port() {
    const os::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    if (::bind(fd.get(), any, length) != 0 || ::getsockname(fd.get(), any, &length) != 0) return 0;
    return ntohs(address.sin_port);
}

Status must_succeed(const os::Command& command) {
    HD_TRY(const os::Finished finished, os::run(command));
    if (finished.succeeded()) return ok_status();
    return Error{.code = ErrorCode::internal,
                 .message = command.arguments[0] + ": " + finished.error_output};
}

}  // namespace

std::string engine_folder() {
    std::string newest;
    int newest_major = 0;
    const auto majors = os::list_folder("/usr/lib/postgresql");
    if (!majors.ok()) return {};
    for (const std::string& name : *majors) {
        const std::string folder = "/usr/lib/postgresql/" + name;
        const auto major = parse_integer(name, 1, 99);
        if (!major.ok() || *major < newest_major || !os::exists(folder + "/bin/initdb")) continue;
        newest_major = static_cast<int>(*major);
        newest = folder;
    }
    return newest;
}

Result<std::unique_ptr<PostgresServer>> PostgresServer::start(
    std::map<std::string, std::string> parameters) {
    std::unique_ptr<PostgresServer> server(new PostgresServer);
    server->spec_.server_name = "orders";
    server->spec_.major = engine_folder().substr(std::string("/usr/lib/postgresql/").size());
    server->spec_.administrator_login = kAdministrator;
    server->spec_.vcores = 1;
    server->spec_.memory_mb = 512;
    server->spec_.parameters = std::move(parameters);
    HD_CHECK(server->prepare());
    HD_CHECK(server->make_tls());
    HD_CHECK(server->configure());
    HD_CHECK(server->launch());
    HD_CHECK(server->bootstrap());
    return server;
}

void PostgresServer::stop() {
    if (pid_ <= 0) return;
    if (auto process = os::ProcessHandle::open(pid_); process.ok()) {
        (void)process->signal(SIGINT);
        if (!process->wait_exit(std::chrono::seconds(20))) (void)process->signal(SIGQUIT);
        (void)process->wait_exit(std::chrono::seconds(20));
    }
    os::reap({pid_});
    pid_ = 0;
}

PostgresServer::~PostgresServer() {
    stop();
    if (!folder_.empty()) (void)os::remove_tree(folder_);
}

Status PostgresServer::prepare() {
    std::array<char, 64> name{"/tmp/howdah-privileges-XXXXXX"};
    if (::mkdtemp(name.data()) == nullptr) return Error{.message = "mkdtemp failed"};
    folder_ = name.data();
    port_ = free_port();
    if (os::is_root()) {
        HD_TRY(user_, os::find_user("postgres"));
    }
    for (const char* each : {"data", "config", "socket", "log"}) {
        HD_CHECK(os::make_folders(folder(each), 0700));
    }
    if (user_) HD_CHECK(os::change_owner_tree(folder_, user_->uid, user_->gid));
    return must_succeed({.arguments = {engine_folder() + "/bin/initdb", "--username=howdah",
                                       "--data-checksums", "--no-sync", "--encoding=UTF8",
                                       "--locale=C.UTF-8", "--auth=reject", "-D", folder("data")},
                         .user = user_});
}

Status PostgresServer::make_tls() {
    const Timestamp now = SystemClock().wall();
    HD_TRY(const auto authority, http::CertificateAuthority::create("test", now));
    HD_TRY(const auto leaf,
           authority.issue({.common_name = "orders", .dns_names = {"localhost"}}, now));
    HD_CHECK(os::write_file_atomic(folder("config/ca.crt"), authority.certificate_pem(), 0600));
    HD_CHECK(os::write_file_atomic(folder("config/server.crt"), leaf.certificate_pem, 0600));
    return os::write_file_atomic(folder("config/server.key"), leaf.key_pem.reveal(), 0600);
}

Status PostgresServer::configure() {
    HD_TRY(const auto modules, os::list_folder(engine_folder() + "/lib"));
    std::vector<std::string> libraries;
    for (const std::string& each : modules) {
        if (each.ends_with(".so")) libraries.push_back(each.substr(0, each.size() - 3));
    }
    // The build folder may be closed to the server's user; an installation is not.
    const std::string guard = folder("howdah_guard.so");
    HD_TRY(const std::string module,
           os::read_file(fmt::format("{}/howdah_guard-{}.so", test::bin_dir(), spec_.major)));
    HD_CHECK(os::write_file_atomic(guard, module, 0755));
    const agent::RenderInput input{.spec = spec_,
                                   .data_folder = folder("data"),
                                   .config_folder = folder("config"),
                                   .socket_folder = folder("socket"),
                                   .log_folder = folder("log"),
                                   .certificate_path = folder("config/server.crt"),
                                   .key_path = folder("config/server.key"),
                                   .backend_port = port_,
                                   .guard_path = guard,
                                   .libraries = libraries,
                                   .agent_user = user_name(::geteuid()),
                                   .gateway_sources = {"127.0.0.1"}};
    const auto write = [this](const std::string& name, const std::string& text) {
        return os::write_file_atomic(folder("config/" + name), text, 0600);
    };
    HD_CHECK(write("postgresql.conf", agent::postgresql_conf(input)));
    HD_CHECK(write("pg_hba.conf", agent::pg_hba_conf(input)));
    HD_CHECK(write("pg_ident.conf", agent::pg_ident_conf(input)));
    HD_CHECK(agent::write_extension_scripts(folder("config"), std::nullopt));
    if (user_) HD_CHECK(os::change_owner_tree(folder_, user_->uid, user_->gid));
    return ok_status();
}

Status PostgresServer::launch() {
    HD_TRY(pid_,
           os::start_daemon({.arguments = {engine_folder() + "/bin/postgres", "-D", folder("data"),
                                           "-c", "config_file=" + folder("config/postgresql.conf")},
                             .user = user_,
                             .log_path = folder("log/start.log")}));
    const SystemClock clock;
    const Instant deadline = clock.now() + kStartTimeout;
    while (clock.now() < deadline) {
        const auto session = pg::Connection::open(
            {.host = folder("socket"), .port = port_, .user = std::string(agent::kSuperuser)});
        if (session.ok()) return ok_status();
        if (auto process = os::ProcessHandle::open(pid_); process.ok()) {
            // Returns early if the server ends.
            if (process->wait_exit(std::chrono::milliseconds(50))) break;
        }
    }
    return Error{.code = ErrorCode::timeout,
                 .message = "the server did not start: " +
                            os::read_file(folder("log/start.log")).value_or("no log")};
}

Status PostgresServer::bootstrap() {
    HD_TRY(auto session,
           pg::Connection::open(
               {.host = folder("socket"), .port = port_, .user = std::string(agent::kSuperuser)}));
    const auto major = parse_integer(spec_.major, 1, 99);
    for (const std::string& each : agent::bootstrap_statements(static_cast<int>(*major))) {
        HD_CHECK(session.execute(each));
    }
    HD_TRY(auto maintenance, as_superuser());
    HD_TRY(const std::string verifier, pg::scram_verifier(Secret(kPassword), "0123456789abcdef"));
    return maintenance.execute(agent::administrator_sql(kAdministrator, verifier));
}

Status PostgresServer::reconfigure(std::map<std::string, std::string> parameters) {
    spec_.parameters = std::move(parameters);
    HD_CHECK(configure());
    HD_TRY(auto session, as_superuser());
    HD_TRY(const auto errors,
           session.query("SELECT name, error FROM pg_file_settings WHERE error IS NOT NULL"));
    if (!errors.rows.empty()) {
        return Error{.message = errors.at(0, 0) + ": " + errors.at(0, 1)};
    }
    return session.execute("SELECT pg_reload_conf()");
}

Status PostgresServer::restart(std::map<std::string, std::string> parameters) {
    stop();
    spec_.parameters = std::move(parameters);
    HD_CHECK(configure());
    return launch();
}

Result<pg::Connection> PostgresServer::as_superuser(const std::string& database) const {
    return pg::Connection::open({.host = folder("socket"),
                                 .port = port_,
                                 .database = database,
                                 .user = std::string(agent::kSuperuser)});
}

Result<pg::Connection> PostgresServer::as_user(const std::string& user, const std::string& password,
                                               const std::string& database,
                                               const std::string& ssl_mode) const {
    return pg::Connection::open({.host = "127.0.0.1",
                                 .port = port_,
                                 .database = database,
                                 .user = user,
                                 .password = Secret(password),
                                 .ssl_mode = ssl_mode,
                                 .ssl_root_certificate = folder("config/ca.crt")});
}

Result<pg::Connection> PostgresServer::as_administrator(const std::string& database) const {
    return as_user(kAdministrator, kPassword, database);
}

Result<os::Finished> PostgresServer::psql(const std::string& database,
                                          const std::string& file) const {
    const std::string passwords = folder("passwords");
    HD_CHECK(os::write_file_atomic(passwords,
                                   fmt::format("*:*:*:{}:{}\n", kAdministrator, kPassword), 0600));
    return os::run({.arguments = {engine_folder() + "/bin/psql", "-X", "-q", "-v",
                                  "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", std::to_string(port_),
                                  "-U", kAdministrator, "-d", database, "-f", file},
                    .environment = {"PGPASSFILE=" + passwords, "PGSSLMODE=require"},
                    .timeout = std::chrono::seconds(120)});
}

}  // namespace howdah::test
