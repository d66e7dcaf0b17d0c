#include "agent/machine.h"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "base/log.h"
#include "base/text.h"
#include "core/sizing/pooling.h"
#include "model/json.h"
#include "os/file.h"
#include "os/process.h"

namespace howdah::agent {
namespace {

constexpr std::int64_t kMegabyte = 1 << 20;
constexpr std::int64_t kGigabyte = 1 << 30;
constexpr std::size_t kGuardBytesMax = 16 << 20;

std::string name_of_user(uid_t user) {
    std::array<char, 4096> buffer{};
    passwd entry{};
    passwd* found = nullptr;
    if (getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
        return "";
    return entry.pw_name;
}

std::string guard_name(const std::string& major) { return "howdah_guard-" + major + ".so"; }

std::string host_name() {
    std::array<char, 256> buffer{};
    return gethostname(buffer.data(), buffer.size() - 1) == 0 ? buffer.data() : "";
}

bool has_pgbouncer() { return access("/usr/sbin/pgbouncer", X_OK) == 0; }

}  // namespace

Machine::Machine(MachineOptions options)
    : options_(std::move(options)), engines_(find_engines()), user_name_(name_of_user(geteuid())) {
    if (options_.host_name.empty()) options_.host_name = host_name();
    install_guards();
    keeps_backups_ = options_.repository.kind != core::backup::RepositoryPlace::Kind::none &&
                     os::exists(std::string(kPgBackRest));
    install_archive_program();
    auto detected = os::Cgroups::detect("howdah");
    if (detected.ok())
        cgroups_ = std::move(*detected);
    else
        cgroups_reason_ = detected.error().describe();
    for (const model::Capability& each : capabilities()) {
        if (!each.available) {
            log::warn("this machine lacks a capability",
                      {{"capability", each.name}, {"reason", each.reason}});
        }
    }
}

const InstalledEngine* Machine::engine(const std::string& major) const {
    for (const InstalledEngine& each : engines_) {
        if (each.major == major) return &each;
    }
    return nullptr;
}

void Machine::install_guards() const {
    const Layout& layout = options_.layout;
    for (const InstalledEngine& each : engines_) {
        const auto module =
            os::read_file(options_.guard_folder + "/" + guard_name(each.major), kGuardBytesMax);
        if (options_.guard_folder.empty() || !module.ok()) continue;
        const std::string copy = layout.guards() + "/" + guard_name(each.major);
        if (os::read_file(copy, kGuardBytesMax).value_or("") == *module) continue;
        Status installed = os::make_folders(layout.guards(), 0711);
        if (installed.ok()) installed = os::write_file_atomic(copy, *module, 0644);
        if (!installed.ok()) {
            log::error("the guard cannot be installed",
                       {{"path", copy}, {"reason", installed.error().describe()}});
        }
    }
}

/// A copy, like the guards: every server's user runs it.
void Machine::install_archive_program() const {
    if (!keeps_backups()) return;
    const std::string copy = options_.layout.archive_program();
    const auto program = os::read_file(options_.archive_program, kGuardBytesMax);
    Status installed = program.ok() ? ok_status() : Status(program.error());
    if (installed.ok() && os::read_file(copy, kGuardBytesMax).value_or("") == *program) return;
    if (installed.ok()) installed = os::make_folders(options_.layout.root() + "/bin", 0711);
    if (installed.ok()) installed = os::write_file_atomic(copy, *program, 0755);
    if (!installed.ok())
        log::error("the program that keeps WAL cannot be installed",
                   {{"path", copy}, {"reason", installed.error().describe()}});
}

std::string Machine::guard_path(const std::string& major) const {
    std::string path = options_.layout.guards() + "/" + guard_name(major);
    return os::exists(path) ? path : "";
}

std::vector<model::Capability> Machine::capabilities() const {
    std::vector<model::Capability> all;
    const auto add = [&](const char* name, bool available, const std::string& reason) {
        all.push_back({name, available, available ? "" : reason});
    };
    add("engines", !engines_.empty(),
        "no PostgreSQL is installed: install the package postgresql-15");
    add("backups", keeps_backups(),
        options_.repository.kind == core::backup::RepositoryPlace::Kind::none
            ? "no repository was given to the agent"
            : "pgBackRest is not installed: install the package pgbackrest");
    add("cgroup-limits", cgroups_.has_value(), cgroups_reason_);
    if (cgroups_) {
        const Status io = cgroups_->io_support(options_.layout.root());
        add("io-limits", io.ok(), io.ok() ? "" : io.error().describe());
    } else {
        add("io-limits", false, cgroups_reason_);
    }
    add("per-server-users", os::is_root(),
        "the agent does not run as root: all servers run as its own user");
    bool guarded = !engines_.empty();
    for (const InstalledEngine& each : engines_)
        guarded = guarded && !guard_path(each.major).empty();
    add("reserved-role-guard", guarded,
        "howdah_guard-<major>.so is missing beside the programs: build with "
        "postgresql-server-dev-<major>");
    add("pooling", has_pgbouncer(), "PgBouncer is not installed: install the package pgbouncer");
    add("client-addresses", false,
        "PostgreSQL sees the gateway's address; the gateway's session log tells whose session it "
        "is");
    return all;
}

/// What the gateway of pooled servers says of itself; 0: there is none yet.
std::int64_t Machine::pooler_port() const {
    const auto text = os::read_file(options_.layout.pooled_gateway_status(), 1 << 20);
    if (!text.ok()) return 0;
    const auto status = model::from_json<model::GatewayStatus>(*text);
    return status.ok() ? status->port : 0;
}

model::HostReport Machine::report(std::vector<model::Engine> surveys) const {
    model::HostReport report{.host = options_.host_id,
                             .name = options_.host_name,
                             .zone = options_.zone,
                             .address = options_.gateway_address,
                             .gateway_port = options_.gateway_port};
    report.cpus = static_cast<std::int64_t>(std::thread::hardware_concurrency());
    report.memory_mb = sysconf(_SC_PHYS_PAGES) / (kMegabyte / sysconf(_SC_PAGESIZE));
    const auto space = os::disk_space(options_.layout.root());
    if (space.ok()) {
        report.disk_gb = space->total_bytes / kGigabyte;
        report.disk_free_gb = space->free_bytes / kGigabyte;
    }
    report.pooler_port = pooler_port();
    for (model::Engine& each : surveys) {
        if (guard_path(each.major).empty()) continue;
        if (has_pgbouncer() && parse_integer(each.major, core::kPoolingMajorMin, 99).ok())
            for (model::ParameterInfo& parameter : core::pooling_parameters())
                each.parameters.push_back(std::move(parameter));
        report.engines.push_back(std::move(each));
    }
    report.capabilities = capabilities();
    return report;
}

}  // namespace howdah::agent
