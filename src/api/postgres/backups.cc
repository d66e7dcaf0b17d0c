#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/paging.h"
#include "api/postgres/change.h"
#include "api/postgres/handlers.h"
#include "api/postgres/server_source.h"
#include "api/postgres/view.h"
#include "base/text.h"
#include "core/plan/drills.h"
#include "model/json.h"
#include "store/keys.h"

// The backups of a server, as its agent saw them in the repository a while ago, and what was found
// when they were tried.

namespace howdah::api::postgres {
namespace {

constexpr std::string_view kType = "backups";
constexpr std::string_view kProofsType = "howdahProofs";
constexpr std::size_t kNameMax = 128;
constexpr std::size_t kOnDemandMax = 7;  ///< as on Azure
constexpr std::string_view kOwnPrefix = "backup_";

Json backup_json(const model::ResourceId& server, const model::BackupEntry& backup) {
    const model::ResourceId id = server.child(std::string(kType), backup.name);
    return {{"id", id.to_string()},
            {"name", backup.name},
            {"type", id.type()},
            {"properties",
             {{"backupType", backup.on_demand ? "Customer On-Demand" : "Full"},
              {"completedTime", backup.completed_at},
              {"source", backup.on_demand ? "Customer Initiated" : "Automatic"},
              // Azure has no words for these.
              {"howdah",
               {{"kind", as_word(backup.kind)},
                {"startedTime", backup.started_at},
                {"databaseBytes", backup.bytes},
                {"repositoryBytes", backup.repository_bytes}}}}}};
}

/// None: nothing is known of its backups.
Result<std::optional<model::BackupReport>> told_of(const Call& call,
                                                   const model::ResourceId& server,
                                                   const ServerRecord& record) {
    const std::string host = record.status ? record.status->host : "";
    HD_TRY(const auto entry, call.context.store.get(store::keys::report(server.key(), host)));
    if (!entry) return std::optional<model::BackupReport>();
    HD_TRY(auto report, model::from_json<model::InstanceReport>(entry->value));
    if (report.incarnation != record.spec.incarnation) report.backups.reset();
    return std::move(report.backups);
}

Result<std::vector<model::BackupEntry>> backups_of(const Call& call,
                                                   const model::ResourceId& server) {
    HD_TRY(const ServerRecord record, load_server(call, server));
    HD_TRY(auto told, told_of(call, server, record));
    return told ? std::move(told->backups) : std::vector<model::BackupEntry>();
}

model::ResourceId backup_id(const Call& call) {
    return server_id(call).child(std::string(kType), call.parameter("backupName"));
}

Status check_backup_name(const std::string& name) {
    bool good = !name.empty() && name.size() <= kNameMax;
    for (const char c : name)
        good = good && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.');
    if (good && !to_lower(name).starts_with(kOwnPrefix)) return ok_status();
    return Error{ErrorCode::invalid_resource_name,
                 fmt::format("'{}' cannot be the name of a backup", name.substr(0, kNameMax)),
                 "name",
                 fmt::format("use 1 to {} letters, digits, underscores, hyphens and dots, and do "
                             "not begin with '{}'",
                             kNameMax, kOwnPrefix)};
}

const model::BackupEntry* find(const model::BackupReport& told, const std::string& name) {
    for (const model::BackupEntry& each : told.backups)
        if (iequals(each.name, name)) return &each;
    return nullptr;
}

Result<model::Operation> try_make(const Call& call, const model::ResourceId& id, bool& overtaken) {
    const model::ResourceId server = id.parent();
    HD_TRY(const ServerRecord record, load_server(call, server));
    HD_CHECK(check_server_can_change(record, "backups"));
    HD_TRY(const auto told, told_of(call, server, record));
    if (!told)
        return Error{ErrorCode::invalid_state,
                     fmt::format("no backups are kept of the server '{}' (yet)", server.name()),
                     server.to_string(),
                     "look at its conditions: 'howdah server show' has them under howdah"};
    if (find(*told, id.name()) != nullptr)
        return Error{ErrorCode::already_exists,
                     fmt::format("there is a backup '{}' already", id.name()), id.to_string(),
                     "choose another name, or delete that backup first"};
    const auto count = std::count_if(told->backups.begin(), told->backups.end(),
                                     [](const auto& each) { return each.on_demand; });
    HD_TRY(const auto pending, pending_operations(call, server.key()));
    const auto coming =
        std::count_if(pending.begin(), pending.end(),
                      [](const model::Operation& each) { return each.kind == "CreateBackup"; });
    if (static_cast<std::size_t>(count + coming) >= kOnDemandMax)
        return Error{ErrorCode::quota_exceeded,
                     fmt::format("the server '{}' has {} backups on demand, which is the most it "
                                 "can have",
                                 server.name(), kOnDemandMax),
                     id.to_string(), "delete one of them first"};
    store::Transaction txn;
    const auto operation = call.context.operations.begin(
        txn, draft_for_action(call, "CreateBackup", record, id.to_string(), txn));
    HD_CHECK(commit_attempt(call, txn, overtaken));
    return operation;
}

/// None: there is no such backup.
Result<std::optional<model::Operation>> try_drop(const Call& call, const model::ResourceId& id,
                                                 bool& overtaken) {
    const model::ResourceId server = id.parent();
    HD_TRY(const ServerRecord record, load_server(call, server));
    HD_TRY(const auto told, told_of(call, server, record));
    if (told && told->is_unknown)
        return Error{ErrorCode::unavailable,
                     fmt::format("the repository of the server '{}' has not answered since its "
                                 "howdah-agent began",
                                 server.name()),
                     id.to_string(), "try again when the condition BackedUp is well"};
    const model::BackupEntry* const backup = told ? find(*told, id.name()) : nullptr;
    if (backup == nullptr) return std::optional<model::Operation>();
    if (!backup->on_demand)
        return Error{ErrorCode::invalid_state,
                     fmt::format("the backup '{}' was made by the schedule, and goes when no "
                                 "second of the retention needs it",
                                 backup->name),
                     id.to_string(), "only backups on demand can be deleted"};
    HD_CHECK(check_server_can_change(record, "backups"));
    store::Transaction txn;
    // By its own name: the path may have other letter cases.
    const std::string own = server.child(std::string(kType), backup->name).to_string();
    auto operation = call.context.operations.begin(
        txn, draft_for_action(call, "DeleteBackup", record, own, txn));
    HD_CHECK(commit_attempt(call, txn, overtaken));
    return std::optional<model::Operation>(std::move(operation));
}

}  // namespace

/// Oldest first. There are so few that they fit one page.
Answer list_backups(Call& call) {
    const model::ResourceId server = server_id(call);
    HD_TRY(const auto backups, backups_of(call, server));
    Json values = Json::array();
    for (const model::BackupEntry& each : backups) values.push_back(backup_json(server, each));
    return json_answer(200, list_body(std::move(values)));
}

Answer get_backup(Call& call) {
    const model::ResourceId id = backup_id(call);
    HD_TRY(const auto backups, backups_of(call, id.parent()));
    for (const model::BackupEntry& each : backups)
        if (iequals(each.name, id.name())) return json_answer(200, backup_json(id.parent(), each));
    return child_not_found(id);
}

/// The request has no body; what clients send is not read.
Answer put_backup(Call& call) {
    const model::ResourceId id = backup_id(call);
    HD_CHECK(check_backup_name(id.name()));
    HD_TRY(const model::Operation operation, with_retries(call, id.parent(), [&](bool& overtaken) {
               return try_make(call, id, overtaken);
           }));
    return with_operation(call, http::Response{202, {}, ""}, operation);
}

Answer delete_backup(Call& call) {
    const model::ResourceId id = backup_id(call);
    HD_TRY(const auto operation, with_retries(call, id.parent(), [&](bool& overtaken) {
               return try_drop(call, id, overtaken);
           }));
    if (!operation) return empty_answer(204);
    return with_operation(call, http::Response{202, {}, ""}, *operation);
}

// ---------------------------------------------------------------------------------------------
// Proofs: restores that are made to see that they work

namespace {

Json proof_json(const model::ResourceId& server, const model::SignedProof& found) {
    const model::Proof& proof = found.proof;
    const model::ResourceId id = server.child(std::string(kProofsType), proof.name);
    Json properties = {{"outcome", as_word(proof.outcome)},
                       {"restoredTime", proof.time},
                       {"backup", proof.backup},
                       {"host", proof.host},
                       {"startTime", proof.started_at},
                       {"endTime", proof.ended_at},
                       {"restoreMilliseconds", proof.restore_ms},
                       {"checkMilliseconds", proof.check_ms},
                       {"databases", proof.databases},
                       {"tables",
                        {{"total", proof.tables},
                         {"same", proof.same},
                         {"sameRows", proof.same_rows},
                         {"changedMeanwhile", proof.changed},
                         {"notRead", proof.unread}}},
                       {"indexesChecked", proof.indexes},
                       {"notChecked", proof.unchecked}};
    if (!proof.reason.empty()) properties["reason"] = proof.reason;
    if (!proof.different.empty()) properties["different"] = proof.different;
    if (!proof.damages.empty()) properties["damages"] = proof.damages;
    if (!found.token.empty()) properties["signedReport"] = found.token;
    return {{"id", id.to_string()},
            {"name", proof.name},
            {"type", id.type()},
            {"properties", std::move(properties)}};
}

Result<std::vector<model::SignedProof>> proofs_of(const Call& call,
                                                  const model::ResourceId& server) {
    HD_TRY(const ServerRecord record, load_server(call, server));
    HD_TRY(auto told, told_of(call, server, record));
    return told ? std::move(told->proofs) : std::vector<model::SignedProof>();
}

/// The time to restore to; empty: now.
Result<std::string> read_proof_body(const Call& call) {
    if (trim(call.request.body).empty()) return std::string();
    HD_TRY(const Json json, parse_body(call.request.body));
    Reader::Problem problem;
    Reader body(json, "", problem);
    const std::string text = body.text("restoreTime").value_or("");
    body.finish();
    if (problem) return *problem;
    if (text.empty()) return text;
    const auto time = parse_iso8601(text);
    if (time.ok()) return format_iso8601(*time);
    return Error{ErrorCode::invalid_argument, fmt::format("'{}' is no time", text.substr(0, 64)),
                 "restoreTime", "write it as 2026-11-23T04:05:06Z, or leave it out"};
}

Result<model::Operation> try_prove(const Call& call, const std::string& time, bool& overtaken) {
    const model::ResourceId server = server_id(call);
    HD_TRY(const ServerRecord record, load_server(call, server));
    HD_CHECK(check_server_can_change(record, "backups"));
    const auto restorable = record.status.value_or(model::ServerStatus{}).restorable;
    if (restorable.empty())
        return Error{
            ErrorCode::invalid_state,
            fmt::format("the server '{}' has no backup that could be tried (yet)", server.name()),
            server.to_string(),
            "look at its conditions: 'howdah server show' has them under howdah"};
    if (!time.empty()) HD_CHECK(check_restorable(restorable, time, "restoreTime"));
    HD_TRY(const auto pending, pending_operations(call, server.key()));
    for (const model::Operation& each : pending)
        if (each.kind == "ProveBackups")
            return Error{ErrorCode::conflict,
                         fmt::format("the backups of the server '{}' are being tried already",
                                     server.name()),
                         server.to_string(), "wait until that has ended"};
    const std::string name = core::drill_name(call.context.clock.wall());
    store::Transaction txn;
    control::OperationDraft draft =
        draft_for_action(call, "ProveBackups", record,
                         server.child(std::string(kProofsType), name).to_string(), txn);
    draft.restore_time = time;
    auto operation = call.context.operations.begin(txn, draft);
    HD_CHECK(commit_attempt(call, txn, overtaken));
    return operation;
}

}  // namespace

/// What comes of it stands under howdahProofs, by the name that the operation's resource has.
Answer prove_backups(Call& call) {
    HD_TRY(const std::string time, read_proof_body(call));
    HD_TRY(const model::Operation operation,
           with_retries(call, server_id(call),
                        [&](bool& overtaken) { return try_prove(call, time, overtaken); }));
    const auto id = model::ResourceId::parse(operation.resource_id);
    HD_TRY(http::Response response,
           json_answer(202, {{"id", operation.resource_id},
                             {"name", id.ok() ? id->name() : std::string()},
                             {"type", id.ok() ? id->type() : std::string()}}));
    return with_operation(call, std::move(response), operation);
}

/// Newest first. There are so few that they fit one page.
Answer list_proofs(Call& call) {
    const model::ResourceId server = server_id(call);
    HD_TRY(const auto proofs, proofs_of(call, server));
    Json values = Json::array();
    for (auto each = proofs.rbegin(); each != proofs.rend(); ++each)
        values.push_back(proof_json(server, *each));
    return json_answer(200, list_body(std::move(values)));
}

Answer get_proof(Call& call) {
    const model::ResourceId server = server_id(call);
    const std::string& name = call.parameter("proofName");
    HD_TRY(const auto proofs, proofs_of(call, server));
    for (const model::SignedProof& each : proofs)
        if (iequals(each.proof.name, name)) return json_answer(200, proof_json(server, each));
    return child_not_found(server.child(std::string(kProofsType), name));
}

}  // namespace howdah::api::postgres
