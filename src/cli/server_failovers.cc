#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/text.h"
#include "cli/children.h"

// howdah server timeline: what happened in each failover. howdah server drill: failovers that are
// made to see that they work.

namespace howdah::cli {
namespace {

constexpr std::string_view kFailovers = "howdahFailovers";
constexpr std::string_view kDrills = "howdahDrills";
constexpr std::string_view kSchedule = "howdahDrillSchedules/default";
constexpr Column kTimelineColumns[] = {{"Name", "name"},
                                       {"Kind", "properties/kind"},
                                       {"Drill", "properties/drill"},
                                       {"Old Primary", "properties/oldPrimary"},
                                       {"New Primary", "properties/newPrimary"},
                                       {"Opened", "properties/openedTime"},
                                       {"Writes Out (ms)", "properties/writesOut/milliseconds"},
                                       {"Commits Lost", "properties/acknowledgedCommitsLost"},
                                       {"WAL Discarded (bytes)", "properties/discardedWalBytes"}};
constexpr Column kStepColumns[] = {{"Time", "time"}, {"Host", "host"},       {"Step", "kind"},
                                   {"Rule", "rule"}, {"WAL", "walPosition"}, {"What", "text"}};
constexpr Column kDrillColumns[] = {{"Name", "name"},
                                    {"Kind", "properties/kind"},
                                    {"Trigger", "properties/trigger"},
                                    {"Status", "properties/status"},
                                    {"Requested By", "properties/requestedBy"},
                                    {"Started", "properties/startTime"},
                                    {"Timeline", "properties/failover"},
                                    {"Writes Out (ms)", "properties/writesOutMilliseconds"},
                                    {"Error", "properties/error/message"}};
constexpr Column kScheduleColumns[] = {{"Recurrence", "properties/recurrence"},
                                       {"Kind", "properties/kind"},
                                       {"Next", "properties/nextTime"},
                                       {"Set By", "properties/setBy"},
                                       {"Set", "properties/setTime"}};
/// The report of a drill is finished within half a minute after its failover.
constexpr Duration kReportWaitMax = std::chrono::seconds(45);

struct FailoverOptions {
    ChildOptions child;
    std::string schedule;
    bool forced = false;
};

std::vector<Json> steps_of(const Json& timeline) {
    const Json& steps = at(timeline, "properties/steps");
    return {steps.begin(), steps.end()};
}

Result<Output> list_timelines(Session& session, const FailoverOptions& options) {
    session.doing("list", "listing", "failovers" + options.child.of_server());
    return list_children(session, options.child, kFailovers, kTimelineColumns);
}

Result<Output> show_timeline(Session& session, const FailoverOptions& options) {
    session.doing("show", "showing", "failover " + options.child.name + options.child.of_server());
    HD_TRY(Output shown, show_child(session, options.child, kFailovers, kStepColumns));
    shown.rows = steps_of;
    return shown;
}

/// What the members tell comes a little after the failover.
Result<Json> finished_report(Session& session, Arm& arm, const std::string& path) {
    const Instant deadline = session.world.clock.now() + kReportWaitMax;
    for (;;) {
        HD_TRY(Json report, arm.get(path));
        const bool is_finished = text_at(report, "properties/status") != "InProgress";
        if (is_finished || session.world.clock.now() > deadline) return report;
        session.world.pause(kPollPauseMax);
    }
}

Result<Output> set_schedule(Session& session, const FailoverOptions& options) {
    session.doing("schedule", "scheduling", "drills" + options.child.of_server());
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(const Begun begun, arm->begin("PUT", child_path(*arm, options.child, kSchedule, false),
                                         {{"properties",
                                           {{"recurrence", options.schedule},
                                            {"kind", options.forced ? "Forced" : "Planned"}}}}));
    return Output{begun.body, kScheduleColumns};
}

Result<Output> drill_failover(Session& session, const FailoverOptions& options) {
    if (!options.schedule.empty() && options.child.no_wait)
        return usage_error("--no-wait", "a schedule is set at once", "leave --no-wait out");
    if (!options.schedule.empty()) return set_schedule(session, options);
    session.doing("drill", "drilling a failover", options.child.of_server());
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(const Begun begun,
           arm->begin("POST", child_path(*arm, options.child, "howdahDrillFailover", false),
                      {{"kind", options.forced ? "Forced" : "Planned"}}));
    HD_CHECK(session.follow(begun, options.child.no_wait));
    if (options.child.no_wait) return Output{begun.body, kDrillColumns};
    ChildOptions drill = options.child;
    drill.name = text_at(begun.body, "name");
    HD_TRY(Json report, finished_report(session, *arm, child_path(*arm, drill, kDrills)));
    return Output{std::move(report), kDrillColumns};
}

Result<Output> list_drills(Session& session, const FailoverOptions& options) {
    session.doing("list", "listing", "drills" + options.child.of_server());
    return list_children(session, options.child, kDrills, kDrillColumns);
}

Result<Output> show_drill(Session& session, const FailoverOptions& options) {
    session.doing("show", "showing", "drill " + options.child.name + options.child.of_server());
    return show_child(session, options.child, kDrills, kDrillColumns);
}

Result<Output> show_schedule(Session& session, const FailoverOptions& options) {
    session.doing("show", "showing", "the schedule of drills" + options.child.of_server());
    return list_children(session, options.child, "howdahDrillSchedules", kScheduleColumns);
}

Result<Output> delete_schedule(Session& session, const FailoverOptions& options) {
    session.doing("delete", "deleting", "the schedule of drills" + options.child.of_server());
    HD_TRY(Arm* const arm, session.arm());
    HD_CHECK(session.change("DELETE", child_path(*arm, options.child, kSchedule, false), Json()));
    return Output{};
}

/// The verbs of one noun below "server", which have the server's options.
class Verbs {
  public:
    Verbs(Commands& commands, CLI::App& noun)
        : commands_(commands), noun_(noun), options_(std::make_shared<FailoverOptions>()) {}

    template <typename Do>
    CLI::App& add(const char* name, const char* about, Do action) {
        CLI::App& app = commands_.verb(
            noun_, name, about,
            [options = options_, action](Session& session) { return action(session, *options); });
        app.add_option("-g,--resource-group", options_->child.group, "Resource group")->required();
        app.add_option("-s,--server-name", options_->child.server, "Server")->required();
        return app;
    }
    FailoverOptions& options() { return *options_; }

  private:
    Commands& commands_;
    CLI::App& noun_;
    std::shared_ptr<FailoverOptions> options_;
};

}  // namespace

void add_server_failovers(Commands& commands) {
    CLI::App& server = *commands.root.get_subcommand("server");
    Verbs timelines(
        commands, commands.noun(server, "timeline", "What happened in the failovers of a server"));
    timelines.add("list", "List the failovers, the newest first", list_timelines);
    timelines.add("show", "Show a failover step by step", show_timeline)
        .add_option("-n,--name", timelines.options().child.name, "Name of the failover: its term")
        ->required();

    CLI::App& drill = commands.noun(server, "drill", "Failovers that show that failovers work");
    Verbs drills(commands, drill);
    CLI::App& failover =
        drills.add("failover", "Fail over now or by a schedule, and keep a report", drill_failover);
    failover.add_flag("--forced", drills.options().forced,
                      "End the primary at once (the default is a planned failover)");
    failover.add_option("--schedule", drills.options().schedule,
                        "In the maintenance window instead: Weekly, or Monthly in the first one");
    failover.add_flag("--no-wait", drills.options().child.no_wait, "Do not wait for the end");
    drills.add("list", "List the reports, the newest first", list_drills);
    drills.add("show", "Show the report of a drill", show_drill)
        .add_option("-n,--name", drills.options().child.name, "Name of the drill")
        ->required();

    Verbs schedule(commands, commands.noun(drill, "schedule", "When drills are made"));
    schedule.add("show", "Show the schedule", show_schedule);
    schedule.add("delete", "Make no more drills by schedule", delete_schedule);
}

}  // namespace howdah::cli
