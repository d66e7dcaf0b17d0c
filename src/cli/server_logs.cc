#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/text.h"
#include "cli/children.h"
#include "os/file.h"

// howdah server logs (az: server-logs): the log files of a server.

namespace howdah::cli {
namespace {

constexpr std::string_view kType = "logFiles";
constexpr std::size_t kPieceBytes = 8 << 20;
constexpr int kHoursDefault = 72;
constexpr Column kColumns[] = {{"Name", "name"},
                               {"LastModifiedTime", "properties/lastModifiedTime"},
                               {"SizeInKb", "properties/sizeInKb"}};
constexpr Column kFileColumns[] = {{"Name", "name"}, {"File", "file"}, {"Bytes", "bytes"}};

struct LogOptions {
    ChildOptions server;
    std::vector<std::string> names;
    std::string contains;
    int hours = kHoursDefault;
    std::int64_t size_max = INT64_MAX;  ///< kB
};

Result<Json> all_files(Session& session, const LogOptions& options) {
    HD_TRY(Arm* const arm, session.arm());
    return arm->list(child_path(*arm, options.server, kType, false));
}

Result<Output> list(Session& session, const LogOptions& options) {
    session.doing("list", "listing", "log files" + options.server.of_server());
    HD_TRY(const Json all, all_files(session, options));
    const Timestamp oldest = session.world.clock.wall() - std::chrono::hours(options.hours);
    Json shown = Json::array();
    for (const Json& each : all) {
        const auto modified = parse_iso8601(text_at(each, "properties/lastModifiedTime"));
        const auto size = parse_integer(text_at(each, "properties/sizeInKb"), 0, INT64_MAX);
        if (modified.ok() && *modified < oldest) continue;
        if (size.ok() && *size > options.size_max) continue;
        if (text_at(each, "name").find(options.contains) == std::string::npos) continue;
        shown.push_back(each);
    }
    if (all.empty())
        session.note(
            "no log files; they are listed within a minute after: howdah parameter set -s " +
            options.server.server + " -g " + options.server.group +
            " -n logfiles.download_enable --value on");
    return Output{std::move(shown), kColumns};
}

/// Writes the file beside its name first, so that half a download is not taken for a whole one.
Result<std::int64_t> download_one(Arm& arm, const std::string& link, const std::string& name) {
    const std::string half = name + ".part";
    const os::Fd fd(
        ::open(half.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.valid())
        return Error{ErrorCode::io, "the file '" + half + "' cannot be written", "",
                     "go to a folder where you may write"};
    const auto bring = [&]() -> Result<std::int64_t> {
        for (std::int64_t offset = 0;;) {
            HD_TRY(const std::string piece, arm.read_link(link, offset, kPieceBytes));
            HD_CHECK(os::write_at(fd, offset, piece));
            offset += static_cast<std::int64_t>(piece.size());
            if (piece.size() < kPieceBytes) return offset;
        }
    };
    auto brought = bring();
    if (brought.ok() && ::rename(half.c_str(), name.c_str()) != 0)
        brought = Error{ErrorCode::io, "the file '" + name + "' cannot be written"};
    if (!brought.ok()) ::unlink(half.c_str());
    return brought;
}

Result<Output> download(Session& session, const LogOptions& options) {
    session.doing("download", "downloading", "log files" + options.server.of_server());
    HD_TRY(const Json all, all_files(session, options));
    HD_TRY(Arm* const arm, session.arm());
    Json done = Json::array();
    for (const std::string& name : options.names) {
        const auto found = std::find_if(all.begin(), all.end(), [&](const Json& each) {
            return text_at(each, "name") == name;
        });
        if (found == all.end() || name.find('/') != std::string::npos)
            return Error{ErrorCode::not_found, "there is no log file '" + name + "'", "",
                         "see what there is with: howdah server logs list"};
        HD_TRY(const std::int64_t bytes,
               download_one(*arm, text_at(*found, "properties/url"), name));
        done.push_back({{"name", name}, {"file", name}, {"bytes", bytes}});
    }
    return Output{std::move(done), kFileColumns};
}

}  // namespace

void add_server_logs(Commands& commands) {
    CLI::App& noun = commands.noun(*commands.root.get_subcommand("server"), "logs",
                                   "Log files of a server (az: server-logs)");
    auto options = std::make_shared<LogOptions>();
    const auto verb = [&](const char* name, const char* about, auto action) -> CLI::App& {
        CLI::App& app = commands.verb(noun, name, about, [options, action](Session& session) {
            return action(session, *options);
        });
        app.add_option("-g,--resource-group", options->server.group, "Resource group")->required();
        app.add_option("-s,--server-name", options->server.server, "Server")->required();
        return app;
    };
    CLI::App& list_verb = verb("list", "List the log files", list);
    list_verb.add_option("--filename-contains", options->contains, "Part of the name");
    list_verb.add_option("--file-last-written", options->hours,
                         "Written within so many hours (72)");
    list_verb.add_option("--max-file-size", options->size_max, "At most so many kB");
    verb("download", "Download log files into this folder", download)
        .add_option("-n,--name", options->names, "Names of log files")
        ->required();
}

}  // namespace howdah::cli
