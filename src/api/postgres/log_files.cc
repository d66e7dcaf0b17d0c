#include <nlohmann/json.hpp>

#include "api/paging.h"
#include "api/postgres/handlers.h"
#include "api/postgres/log_links.h"
#include "api/postgres/view.h"
#include "core/sizing/parameters.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api::postgres {
namespace {

constexpr std::int64_t kBytesPerKb = 1024;

Json log_file_json(const Call& call, const model::ResourceId& server, const model::ServerSpec& spec,
                   const model::LogFile& file) {
    const model::ResourceId id = server.child("logFiles", file.name);
    const LogLink link{server.key(), spec.incarnation, file.name};
    return {{"id", id.to_string()},
            {"name", file.name},
            {"type", id.type()},
            {"properties",
             {{"createdTime", file.created},
              {"lastModifiedTime", file.modified},
              {"sizeInKb", (file.bytes + kBytesPerKb - 1) / kBytesPerKb},
              {"type", "LOG"},
              {"url", log_link(call.context.secrets, call.context.base_url, link,
                               call.context.clock.wall())}}}};
}

}  // namespace

/// None while the parameter logfiles.download_enable is off, as in Azure.
Answer list_log_files(Call& call) {
    const model::ResourceId server = server_id(call);
    HD_TRY(const ServerRecord record, load_server(call, server));
    Json values = Json::array();
    const std::string host = record.status ? record.status->host : "";
    HD_TRY(const auto entry, call.context.store.get(store::keys::report(server.key(), host)));
    if (core::offers_logs(record.spec.parameters) && entry) {
        HD_TRY(const auto report, model::from_json<model::InstanceReport>(entry->value));
        if (report.incarnation == record.spec.incarnation) {
            for (const model::LogFile& file : report.logs)
                values.push_back(log_file_json(call, server, record.spec, file));
        }
    }
    return json_answer(200, list_body(std::move(values)));
}

}  // namespace howdah::api::postgres
