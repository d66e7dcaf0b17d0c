#include "core/plan/instance_plan.h"

namespace howdah::core {

std::string_view to_string(InstanceStep step) {
    constexpr std::string_view kNames[] = {
        "claim", "configure", "stop",          "restart",
        "start", "load",      "administrator", "token_administrators",
        "done"};
    return kNames[static_cast<int>(step)];
}

std::string_view describe(InstanceStep step) {
    constexpr std::string_view kTexts[] = {"taking a prepared data directory",
                                           "writing the configuration",
                                           "stopping PostgreSQL",
                                           "restarting PostgreSQL",
                                           "starting PostgreSQL",
                                           "loading the configuration",
                                           "setting up the administrator",
                                           "setting up the Microsoft Entra administrators",
                                           "done"};
    return kTexts[static_cast<int>(step)];
}

InstanceStep next_step(const InstanceFacts& facts) {
    if (!facts.has_directory) return InstanceStep::claim;
    if (!facts.is_configured) return InstanceStep::configure;
    if (!facts.wants_running) return facts.is_running ? InstanceStep::stop : InstanceStep::done;
    if (!facts.is_running || !facts.is_ready) return InstanceStep::start;
    if (!facts.is_loaded) return InstanceStep::load;
    if (facts.is_restart_due) return InstanceStep::restart;
    if (!facts.has_administrator) return InstanceStep::administrator;
    if (!facts.has_token_administrators) return InstanceStep::token_administrators;
    return InstanceStep::done;
}

}  // namespace howdah::core
