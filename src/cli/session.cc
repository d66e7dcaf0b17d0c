#include "cli/session.h"

#include <fmt/core.h>

#include <iostream>
#include <iterator>

#include "base/text.h"
#include "os/file.h"

namespace howdah::cli {
namespace {

constexpr std::size_t kSecretBytesMax = 64 << 10;

}  // namespace

void Session::doing(std::string_view verb_given, std::string_view present_given,
                    std::string_view what) {
    verb = fmt::format("{} {}", verb_given, what);
    present = fmt::format("{} {}", present_given, what);
}

Result<Arm*> Session::arm() {
    if (!arm_) {
        HD_TRY(Profile profile, profiles.load());
        if (!common.subscription.empty()) profile.subscription_id = common.subscription;
        arm_.emplace(world, profiles, std::move(profile));
    }
    return &*arm_;
}

Status Session::change(std::string_view method, const std::string& path, const Json& body,
                       bool no_wait, std::string_view version) {
    HD_TRY(Arm* const arm, this->arm());
    HD_TRY(const Begun begun, arm->begin(method, path, body, version));
    return follow(begun, no_wait);
}

Status Session::follow(const Begun& begun, bool no_wait) {
    HD_TRY(Arm* const arm, this->arm());
    const std::string& link = begun.url.empty() ? begun.location_url : begun.url;
    if (no_wait) {
        if (!link.empty()) note(fmt::format("it goes on; howdah operation show --id {}", link));
        return ok_status();
    }
    Progress progress(world, present, common.only_show_errors);
    return arm->finish(begun, progress);
}

Result<Json> Session::change_and_get(std::string_view method, const std::string& path,
                                     const Json& body, bool no_wait, std::string_view version) {
    HD_CHECK(change(method, path, body, no_wait, version));
    HD_TRY(Arm* const arm, this->arm());
    return arm->get(path, version);
}

Status Session::confirm(const std::string& question, bool yes) {
    if (yes) return ok_status();
    if (!world.in_is_terminal) {
        return usage_error("--yes", "this has to be confirmed, and nobody can be asked",
                           "add --yes");
    }
    world.err << question << " (y/n): " << std::flush;
    std::string answer;
    std::getline(world.in, answer);
    answer = to_lower(trim(answer));
    if (answer == "y" || answer == "yes") return ok_status();
    return Error{ErrorCode::cancelled, "it was not confirmed", {}, "answer y, or add --yes"};
}

void Session::note(const std::string& text) {
    if (!common.only_show_errors) world.err << text << "\n" << std::flush;
}

CLI::App& Commands::noun(const std::string& name, const std::string& what) {
    return noun(root, name, what);
}

CLI::App& Commands::noun(CLI::App& parent, const std::string& name, const std::string& what) {
    CLI::App& app = *parent.add_subcommand(name, what);
    app.require_subcommand(1);
    return app;
}

CLI::App& Commands::verb(CLI::App& parent, const std::string& name, const std::string& what,
                         Action action) {
    CLI::App& app = *parent.add_subcommand(name, what);
    app.callback([this, action = std::move(action)] { chosen = action; });
    constexpr const char* kGroup = "Common options";
    app.add_option("-o,--output", common.output, "table, json, tsv or none")->group(kGroup);
    app.add_option("--query", common.query, "Not supported: use --output json and jq")
        ->group(kGroup);
    app.add_option("--subscription", common.subscription, "Id of another subscription")
        ->group(kGroup);
    app.add_flag("--only-show-errors", common.only_show_errors, "No progress, no notes")
        ->group(kGroup);
    return app;
}

Error usage_error(const std::string& option, const std::string& message, const std::string& hint) {
    return {ErrorCode::invalid_argument, message, option, hint};
}

Result<Secret> read_secret_file(World& world, const std::string& option, const std::string& path) {
    std::string text;
    if (path == "-") {
        char c = 0;
        while (text.size() < kSecretBytesMax && world.in.get(c)) text += c;
    } else {
        auto content = os::read_file(path, kSecretBytesMax);
        if (!content.ok()) {
            return usage_error(option, content.error().message, "name a file that can be read");
        }
        text = std::move(content).value();
    }
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    if (text.empty()) return usage_error(option, fmt::format("there is nothing in '{}'", path));
    return Secret(std::move(text));
}

}  // namespace howdah::cli
