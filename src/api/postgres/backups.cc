#include <nlohmann/json.hpp>

#include "api/paging.h"
#include "api/postgres/handlers.h"
#include "api/postgres/view.h"
#include "base/text.h"
#include "model/json.h"
#include "store/keys.h"

// The backups of a server, as its agent saw them in the repository a while ago.

namespace howdah::api::postgres {
namespace {

constexpr std::string_view kType = "backups";

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

Result<std::vector<model::BackupEntry>> backups_of(const Call& call,
                                                   const model::ResourceId& server) {
    HD_TRY(const ServerRecord record, load_server(call, server));
    const std::string host = record.status ? record.status->host : "";
    HD_TRY(const auto entry, call.context.store.get(store::keys::report(server.key(), host)));
    if (!entry) return std::vector<model::BackupEntry>();
    HD_TRY(const auto report, model::from_json<model::InstanceReport>(entry->value));
    if (report.incarnation != record.spec.incarnation || !report.backups)
        return std::vector<model::BackupEntry>();
    return report.backups->backups;
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
    const model::ResourceId server = server_id(call);
    const std::string& name = call.parameter("backupName");
    HD_TRY(const auto backups, backups_of(call, server));
    for (const model::BackupEntry& each : backups)
        if (iequals(each.name, name)) return json_answer(200, backup_json(server, each));
    return child_not_found(server.child(std::string(kType), name));
}

}  // namespace howdah::api::postgres
