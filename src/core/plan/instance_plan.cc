#include "core/plan/instance_plan.h"

namespace howdah::core {

std::string_view to_string(InstanceStep step) {
    constexpr std::string_view kNames[] = {
        "claim", "configure", "restore", "stop",          "restart",
        "start", "load",      "promote", "administrator", "token_administrators",
        "join",  "leave",     "follow",  "done"};
    return kNames[static_cast<int>(step)];
}

std::string_view describe(InstanceStep step) {
    constexpr std::string_view kTexts[] = {"taking a prepared data directory",
                                           "writing the configuration",
                                           "restoring the data",
                                           "stopping PostgreSQL",
                                           "restarting PostgreSQL",
                                           "starting PostgreSQL",
                                           "loading the configuration",
                                           "making it a server of its own",
                                           "setting up the administrator",
                                           "setting up the Microsoft Entra administrators",
                                           "joining the members of the server",
                                           "leaving the members of the server",
                                           "finding the server's primary",
                                           "done"};
    return kTexts[static_cast<int>(step)];
}

InstanceStep next_step(const InstanceFacts& facts) {
    if (!facts.has_directory) return InstanceStep::claim;
    if (!facts.is_configured) return InstanceStep::configure;
    if (!facts.wants_running) {
        const bool is_still = !facts.is_running && !facts.is_begun;
        return is_still ? InstanceStep::done : InstanceStep::stop;
    }
    if (facts.wants_restore) return InstanceStep::restore;
    // A new standby has no data of its own to start with.
    if (facts.wants_member && !facts.is_member && !facts.is_founder) return InstanceStep::join;
    if (facts.is_member && !facts.is_begun) return InstanceStep::follow;
    if (facts.is_follower) {
        if (!facts.wants_member) return InstanceStep::leave;
        if (!facts.is_loaded) return InstanceStep::load;
        return facts.is_restart_due ? InstanceStep::restart : InstanceStep::done;
    }
    if (!facts.is_running || !facts.is_ready)
        return facts.is_member || facts.is_begun ? InstanceStep::follow : InstanceStep::start;
    if (!facts.is_loaded) return InstanceStep::load;
    if (facts.is_restart_due) return InstanceStep::restart;
    if (facts.is_replica) return facts.wants_promotion ? InstanceStep::promote : InstanceStep::done;
    if (facts.wants_member != facts.is_member)
        return facts.wants_member ? InstanceStep::join : InstanceStep::leave;
    if (!facts.has_administrator) return InstanceStep::administrator;
    if (!facts.has_token_administrators) return InstanceStep::token_administrators;
    return InstanceStep::done;
}

}  // namespace howdah::core
