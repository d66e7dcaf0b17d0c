#pragma once

#include <span>
#include <string_view>

namespace howdah {

/// Named places where a test kills the process, to prove that a crash there is only a retry.
///
/// A failpoint does nothing unless the environment names a folder, HOWDAH_FAILPOINTS. When the
/// process passes failpoint `x` and that folder holds a file `x`, the file is renamed to `x.hit`
/// and the process kills itself with SIGKILL: once, so that the restarted process goes on.
/// Thread-safe. Without the variable the cost is one load.
///
/// All names stand in kFailpoints; using another name does not compile. The prefix names the
/// process in which the failpoint lies: `howdahd.`, `agent.` or `gateway.`.
inline constexpr std::string_view kFailpoints[] = {
    // The life of a request in the control plane, in its order.
    "howdahd.operation.before_commit",
    "howdahd.operation.after_commit",
    "howdahd.reconcile.before_commit",
    "howdahd.reconcile.after_commit",
    "howdahd.fleet.before_send",
    "howdahd.fleet.after_report",
    // A deployment of a template.
    "howdahd.deployment.after_step",
    "howdahd.deployment.before_commit",
    // An action in the agent, in its order.
    "agent.action.received",
    "agent.instance.claimed",
    "agent.instance.configured",
    "agent.instance.started",
    "agent.instance.bootstrapped",
    "agent.instance.before_restart",
    "agent.instance.after_restart",
    "agent.instance.before_stop",
    "agent.instance.after_stop",
    "agent.database.created",
    "agent.database.dropped",
    "agent.replica.promoted",
    "agent.password.changed",
    "agent.token_administrators.changed",
    "agent.instance.before_delete",
    "agent.instance.half_deleted",
    "agent.pool.half_prepared",
    "agent.action.before_journal",
    "agent.action.after_journal",
    "agent.routes.before_publish",
    "agent.routes.after_publish",
    // The gateway.
    "gateway.routes.loaded",
    "gateway.session.accepted",
};

/// The index of a name in kFailpoints; a compile-time error for any other text.
consteval std::size_t failpoint_index(std::string_view name) {
    std::size_t index = 0;
    for (const std::string_view each : kFailpoints) {
        if (each == name) return index;
        ++index;
    }
    throw "the failpoint is not in kFailpoints";
}

void pass_failpoint(std::size_t index);

}  // namespace howdah

#define HD_FAILPOINT(name) ::howdah::pass_failpoint(::howdah::failpoint_index(name))
