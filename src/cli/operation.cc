#include <CLI/CLI.hpp>

#include "cli/session.h"

// howdah operation: what became of a request that takes long.

namespace howdah::cli {
namespace {

constexpr Column kColumns[] = {
    {"Name", "name"},           {"Status", "status"},   {"Progress", "properties/progress"},
    {"StartTime", "startTime"}, {"EndTime", "endTime"}, {"Error", "error/message"}};

struct OperationOptions {
    std::string id;
    std::string location = "local";
};

/// "https://host/subscriptions/.../azureAsyncOperation/UUID?api-version=..." -> its path.
std::string path_of(const std::string& link) {
    const std::size_t begin = link.find("/subscriptions/");
    if (begin == std::string::npos) return {};
    return link.substr(begin, link.find('?') - begin);
}

Result<Output> show(Session& session, const OperationOptions& options) {
    session.doing("show", "showing", "operation " + options.id);
    HD_TRY(Arm* const arm, session.arm());
    std::string path = path_of(options.id);
    if (path.empty()) {
        path = arm->postgres("locations/" + http::url_encode(options.location) +
                             "/azureAsyncOperation/" + http::url_encode(options.id));
    }
    HD_TRY(Json value, arm->get(path));
    return Output{std::move(value), kColumns};
}

}  // namespace

void add_operation(Commands& commands) {
    CLI::App& noun = commands.noun("operation", "Requests that take long");
    auto options = std::make_shared<OperationOptions>();
    CLI::App& app = commands.verb(noun, "show", "Show what became of a request",
                                  [options](Session& s) { return show(s, *options); });
    app.add_option("-n,--name,--id", options->id,
                   "Id of the operation, or the whole address that --no-wait printed")
        ->required();
    app.add_option("-l,--location", options->location, "Location (local)");
}

}  // namespace howdah::cli
