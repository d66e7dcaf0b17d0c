#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/children.h"
#include "http/signed_report.h"

// howdah server prove: backups are restored to see that it works. howdah server proof: what was
// found, and whether a report is genuine.

namespace howdah::cli {
namespace {

constexpr std::string_view kType = "howdahProofs";
constexpr Column kColumns[] = {{"Name", "name"},
                               {"Outcome", "properties/outcome"},
                               {"Restored To", "properties/restoredTime"},
                               {"Backup", "properties/backup"},
                               {"Restore (ms)", "properties/restoreMilliseconds"},
                               {"Check (ms)", "properties/checkMilliseconds"},
                               {"Tables", "properties/tables/total"},
                               {"Same", "properties/tables/same"},
                               {"Changed", "properties/tables/changedMeanwhile"},
                               {"Not Read", "properties/tables/notRead"},
                               {"Indexes", "properties/indexesChecked"},
                               {"Not Checked", "properties/notChecked"},
                               {"Ended", "properties/endTime"},
                               {"Reason", "properties/reason"}};
constexpr Column kReportColumns[] = {{"Signed By", "signedBy"}, {"Server", "server_id"},
                                     {"Outcome", "outcome"},    {"Restored To", "time"},
                                     {"Backup", "backup"},      {"Tables", "tables"},
                                     {"Same", "same"},          {"Changed", "changed"},
                                     {"Ended", "ended_at"},     {"Reason", "reason"}};

struct ProofOptions {
    ChildOptions child;
    std::string time;
    std::string file;
    std::string authority;
};

Result<Output> prove(Session& session, const ProofOptions& options) {
    session.doing("prove", "trying", "the backups" + options.child.of_server());
    HD_TRY(Arm* const arm, session.arm());
    Json body = Json::object();
    if (!options.time.empty()) body["restoreTime"] = options.time;
    HD_TRY(const Begun begun,
           arm->begin("POST", child_path(*arm, options.child, "howdahProve", false), body));
    HD_CHECK(session.follow(begun, options.child.no_wait));
    if (options.child.no_wait) return Output{begun.body, kColumns};
    ChildOptions proof = options.child;
    proof.name = text_at(begun.body, "name");
    HD_TRY(Json report, arm->get(child_path(*arm, proof, kType)));
    if (text_at(report, "properties/outcome") != "Failed")
        return Output{std::move(report), kColumns};
    return Error{ErrorCode::invalid_state,
                 "the backups are not proved: " + text_at(report, "properties/reason"),
                 {},
                 "howdah server proof show -g " + options.child.group + " -s " +
                     options.child.server + " -n " + proof.name + " -o json tells all"};
}

Result<Output> list(Session& session, const ProofOptions& options) {
    session.doing("list", "listing", "proofs" + options.child.of_server());
    return list_children(session, options.child, kType, kColumns);
}

Result<Output> show(Session& session, const ProofOptions& options) {
    session.doing("show", "showing", "proof " + options.child.name + options.child.of_server());
    if (!options.child.name.empty()) return show_child(session, options.child, kType, kColumns);
    HD_TRY(Output all, list_children(session, options.child, kType, kColumns));
    if (all.value.empty())
        return Error{ErrorCode::not_found,
                     "the server's backups were not tried yet",
                     {},
                     "howdah server prove tries them"};
    return Output{all.value[0], kColumns};
}

/// A file has the report alone, or the proof as it is shown.
Result<std::string> read_report(Session& session, const std::string& file) {
    HD_TRY(const Secret text, read_secret_file(session.world, "--file", file));
    const std::string token(trim(text.reveal()));
    if (!token.starts_with('{')) return token;
    HD_TRY(const Json proof, parse_json(token, file));
    return text_at(proof, "properties/signedReport");
}

/// Without the API: whoever has the report and the authorities' certificates can tell.
Result<Output> verify(Session& session, const ProofOptions& options) {
    session.doing("verify", "verifying", "the report " + options.file);
    HD_TRY(const std::string token, read_report(session, options.file));
    std::string authorities;
    if (options.authority.empty()) {
        HD_TRY(const Profile profile, session.profiles.load());
        authorities = profile.api_ca_pem + "\n" + profile.ca_pem;
    } else {
        HD_TRY(const Secret text,
               read_secret_file(session.world, "--authority", options.authority));
        authorities = text.reveal();
    }
    HD_TRY(const http::VerifiedReport report, http::verify_report(token, authorities));
    HD_TRY(Json json, parse_json(report.json, "the report"));
    if (text_at(json, "host_id") != report.signer)
        return Error{ErrorCode::unauthenticated,
                     "the report is not genuine: another machine than the one it names has signed "
                     "it",
                     {},
                     "do not believe it"};
    json["signedBy"] = report.signer;
    return Output{std::move(json), kReportColumns};
}

}  // namespace

void add_server_proofs(Commands& commands) {
    CLI::App& server = *commands.root.get_subcommand("server");
    CLI::App& noun = commands.noun(server, "proof", "What was found when backups were tried");
    auto options = std::make_shared<ProofOptions>();
    const auto add = [&](CLI::App& parent, const char* name, const char* about,
                         auto action) -> CLI::App& {
        return commands.verb(parent, name, about, [options, action](Session& session) {
            return action(session, *options);
        });
    };
    const auto of_server = [&](CLI::App& app) -> CLI::App& {
        app.add_option("-g,--resource-group", options->child.group, "Resource group")->required();
        app.add_option("-s,--server-name", options->child.server, "Server")->required();
        return app;
    };
    CLI::App& prove_verb = of_server(add(
        server, "prove", "Restore a copy beside a server, and compare it with the server", prove));
    prove_verb.add_option("--restore-time", options->time,
                          "Like 2026-11-23T04:05:06Z; such a copy is read, but not compared (now)");
    prove_verb.add_flag("--no-wait", options->child.no_wait, "Do not wait for the end");
    of_server(add(noun, "list", "List the proofs, the newest first", list));
    of_server(add(noun, "show", "Show a proof; its signed report is in -o json", show))
        .add_option("-n,--name", options->child.name, "Name of the proof (the newest)");
    CLI::App& verify_verb =
        add(noun, "verify", "Tell whether a signed report is genuine; asks nobody", verify);
    verify_verb
        .add_option("--file", options->file,
                    "File with a signed report, or what proof show -o json prints (- for input)")
        ->required();
    verify_verb.add_option("--authority", options->authority,
                           "File with Howdah's certificate authorities (those of the login)");
}

}  // namespace howdah::cli
