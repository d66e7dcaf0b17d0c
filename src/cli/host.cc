#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "cli/session.h"

// howdah host: the machines that servers run on.

namespace howdah::cli {
namespace {

constexpr std::string_view kHosts = "/providers/Howdah.Platform/hosts";

constexpr Column kColumns[] = {{"Host", "properties/hostName"},
                               {"Zone", "properties/availabilityZone"},
                               {"State", "properties/state"},
                               {"CPUs", "properties/cpus"},
                               {"MemoryMB", "properties/memoryMB"},
                               {"DiskFreeGB", "properties/diskFreeGB"},
                               {"Id", "name"}};
constexpr Column kAddColumns[] = {{"OnTheNewMachine", "command"}};

struct HostOptions {
    std::string name;
    std::string zone = "1";
};

Result<Output> list(Session& session, const HostOptions&) {
    session.doing("list", "listing", "hosts");
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(Json all, arm->list(std::string(kHosts), kPlatformVersion));
    return Output{std::move(all), kColumns};
}

/// The ticket is a secret: the command reads it from standard input, so that no list of processes
/// shows it.
Result<Output> add(Session& session, const HostOptions& options) {
    session.doing("add", "adding", "host " + options.name);
    HD_TRY(Arm* const arm, session.arm());
    const std::string path = std::string(kHosts) + "/" + http::url_encode(options.name) + "/invite";
    HD_TRY(Json invited, arm->post(path, {{"properties", {{"availabilityZone", options.zone}}}},
                                   kPlatformVersion));
    const Json& properties = invited["properties"];
    const std::string ticket = properties.value("ticket", "");
    return Output{{{"name", options.name},
                   {"availabilityZone", options.zone},
                   {"expiresAt", properties.value("expiresAt", "")},
                   {"ticket", ticket},
                   {"command",
                    fmt::format("howdah-host --address ITS-IP-ADDRESS --ticket - <<< {}", ticket)}},
                  kAddColumns};
}

}  // namespace

void add_host(Commands& commands) {
    CLI::App& noun = commands.noun("host", "The machines that servers run on");
    auto options = std::make_shared<HostOptions>();
    commands.verb(noun, "list", "List the machines",
                  [options](Session& session) { return list(session, *options); });
    CLI::App& add_verb =
        commands.verb(noun, "add", "Make a ticket with which another machine joins within the hour",
                      [options](Session& session) { return add(session, *options); });
    add_verb.add_option("-n,--name,name", options->name, "Its name")->required();
    add_verb.add_option("-z,--zone", options->zone, "Its availability zone")->capture_default_str();
}

}  // namespace howdah::cli
