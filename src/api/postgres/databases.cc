#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "api/paging.h"
#include "api/postgres/change.h"
#include "api/postgres/handlers.h"
#include "base/text.h"
#include "model/json.h"
#include "store/keys.h"

// A database is shown if PostgreSQL has it, by the last report, or if it is being created. Users
// may create and drop databases with SQL too, so what exists counts, not what was asked for here.

namespace howdah::api::postgres {
namespace {

constexpr std::size_t kDatabasesMax = 500;
constexpr std::size_t kNameMax = 63;
constexpr std::string_view kSystemDatabases[] = {"postgres", "azure_maintenance", "azure_sys",
                                                 "template0", "template1"};
constexpr std::string_view kHiddenDatabases[] = {"template0", "template1"};
constexpr std::string_view kCharsets[] = {
    "UTF8",       "SQL_ASCII",  "LATIN1",     "LATIN2",     "LATIN3",       "LATIN4",  "LATIN5",
    "LATIN6",     "LATIN7",     "LATIN8",     "LATIN9",     "LATIN10",      "WIN1250", "WIN1251",
    "WIN1252",    "WIN1253",    "WIN1254",    "WIN1255",    "WIN1256",      "WIN1257", "WIN1258",
    "WIN866",     "WIN874",     "EUC_CN",     "EUC_JP",     "EUC_JIS_2004", "EUC_KR",  "EUC_TW",
    "ISO_8859_5", "ISO_8859_6", "ISO_8859_7", "ISO_8859_8", "KOI8R",        "KOI8U"};

template <std::size_t N>
bool is_one_of(const std::string_view (&words)[N], std::string_view name) {
    return std::any_of(std::begin(words), std::end(words),
                       [&](std::string_view word) { return iequals(word, name); });
}

Status check_database_name(const model::ResourceId& id) {
    const std::string& name = id.name();
    const auto is_letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    bool good = !name.empty() && name.size() <= kNameMax && is_letter(name.front());
    for (const char c : name) good = good && (is_letter(c) || (c >= '0' && c <= '9') || c == '-');
    if (!good)
        return Error{ErrorCode::invalid_resource_name,
                     fmt::format("'{}' cannot be the name of a database", name.substr(0, 128)),
                     "name",
                     fmt::format("use 1 to {} letters, digits, underscores and hyphens, and begin "
                                 "with a letter",
                                 kNameMax)};
    if (is_one_of(kSystemDatabases, name))
        return Error{ErrorCode::invalid_state,
                     fmt::format("'{}' is a system database and cannot be changed", name),
                     id.to_string(), "choose another name"};
    return ok_status();
}

/// "en_US.UTF-8" -> "en_us.utf8": systems spell the same locale in several ways.
std::string normal_locale(std::string_view name) {
    std::string out = to_lower(name);
    const std::size_t dot = out.find('.');
    if (dot != std::string::npos)
        out.erase(std::remove(out.begin() + static_cast<std::ptrdiff_t>(dot), out.end(), '-'),
                  out.end());
    return out;
}

Status check_collation(const model::Engine* engine, const model::DatabaseSpec& database) {
    constexpr std::string_view kPath = "properties.collation";
    const std::string wanted = normal_locale(database.collation);
    const std::size_t dot = wanted.find('.');
    if (dot != std::string::npos && database.charset != "SQL_ASCII") {
        const bool unicode = wanted.substr(dot) == ".utf8";
        if (unicode != (database.charset == "UTF8"))
            return Error{ErrorCode::invalid_argument,
                         fmt::format("the collation '{}' does not fit the charset '{}'",
                                     database.collation.substr(0, 64), database.charset),
                         std::string(kPath)};
    }
    if (engine == nullptr || engine->collations.empty()) return ok_status();
    for (const std::string& each : engine->collations)
        if (normal_locale(each) == wanted) return ok_status();
    return Error{ErrorCode::invalid_argument,
                 fmt::format("the machine does not have the collation '{}'",
                             database.collation.substr(0, 64)),
                 std::string(kPath), fmt::format("use one of: {}", join(engine->collations, ", "))};
}

Result<model::DatabaseSpec> read_database(const Call& call, const model::ResourceId& id) {
    HD_TRY(const Json json, parse_body(call.request.body));
    Reader::Problem problem;
    Reader body(json, "", problem);
    for (const std::string_view each : {"id", "name", "type", "systemData"}) body.read_only(each);
    model::DatabaseSpec database;
    database.id = id.to_string();
    database.name = id.name();
    if (std::optional<Reader> properties = body.object("properties")) {
        database.charset = properties->one_of("charset", kCharsets).value_or(database.charset);
        database.collation = properties->text("collation").value_or(database.collation);
        properties->finish();
    }
    body.finish();
    if (problem) return *problem;
    return database;
}

const model::DatabaseStatus* find_status(const ServerRecord& server, std::string_view name) {
    if (!server.status) return nullptr;
    const model::DatabaseStatus* other_case = nullptr;
    for (const model::DatabaseStatus& each : server.status->databases) {
        if (each.name == name) return &each;
        if (iequals(each.name, name)) other_case = &each;
    }
    return other_case;
}

/// How long after its creation a database is shown though no report has named it: reports and
/// results come by different ways.
constexpr std::chrono::seconds kReportGrace{15};

/// True while the database of this record is being created, or was created just now. A record
/// whose operation failed stands for nothing, and so does one whose database was dropped with SQL.
Result<bool> is_coming(const Call& call, const model::DatabaseSpec& database) {
    const auto operation = call.context.operations.find(database.operation_id);
    if (!operation.ok()) {
        if (operation.error().code == ErrorCode::not_found) return false;
        return operation.error();
    }
    if (operation->status == "InProgress") return true;
    if (operation->status != "Succeeded") return false;
    const auto end = parse_iso8601(operation->end_time);
    return end.ok() && call.context.clock.wall() < *end + kReportGrace;
}

struct StoredDatabase {
    std::optional<model::DatabaseSpec> spec;
    store::Revision modified = 0;
};

Result<StoredDatabase> load_database(const Call& call, const model::ResourceId& id) {
    HD_TRY(const auto entry, call.context.store.get(store::keys::database(id)));
    StoredDatabase stored;
    if (!entry) return stored;
    HD_TRY(stored.spec, model::from_json<model::DatabaseSpec>(entry->value));
    stored.modified = entry->modified;
    return stored;
}

/// Whether a drop of the database waits or goes on: what PostgreSQL has now is not what a creation
/// behind it will meet.
Result<bool> is_being_dropped(const Call& call, const model::ResourceId& id) {
    HD_TRY(const auto pending, pending_operations(call, id.parent().key()));
    return std::any_of(pending.begin(), pending.end(), [&](const model::Operation& each) {
        return each.kind == "DropDatabase" && iequals(each.resource_id, id.to_string());
    });
}

/// With a spec it is a creation. Requests for one database queue; the operation has the spec with
/// it, as a later request may write the record anew or remove it.
Result<model::Operation> begin(const Call& call, const ServerRecord& server,
                               const model::ResourceId& id,
                               std::optional<model::DatabaseSpec> database,
                               store::Transaction& txn) {
    control::OperationDraft draft = draft_for_action(
        call, database ? "CreateDatabase" : "DropDatabase", server, id.to_string(), txn);
    draft.database = std::move(database);
    return call.context.operations.begin(txn, draft);
}

Result<model::Operation> try_put(const Call& call, const model::ResourceId& server_key,
                                 const model::ResourceId& id, model::DatabaseSpec& database,
                                 bool& overtaken) {
    HD_TRY(const ServerRecord server, load_server(call, server_key));
    HD_CHECK(check_server_can_change(server, "databases"));
    HD_TRY(const auto offer, call.services.offers.current());
    const std::string host = server.status ? server.status->host : "";
    HD_CHECK(check_collation(offer->engine(server.spec.version, host), database));
    HD_TRY(const bool goes, is_being_dropped(call, id));
    const model::DatabaseStatus* there = goes ? nullptr : find_status(server, database.name);
    if (there != nullptr && (!iequals(there->charset, database.charset) ||
                             normal_locale(there->collation) != normal_locale(database.collation)))
        return Error{ErrorCode::property_change_not_allowed,
                     fmt::format("the database '{}' exists with charset '{}' and collation '{}', "
                                 "which cannot be changed",
                                 there->name, there->charset, there->collation),
                     id.to_string(), "drop it, and create it again"};
    if (there == nullptr && server.status && server.status->databases.size() >= kDatabasesMax)
        return Error{ErrorCode::quota_exceeded,
                     fmt::format("the server '{}' has {} databases, which is the most it can have",
                                 server.spec.name, kDatabasesMax),
                     server.spec.id};
    HD_TRY(const StoredDatabase stored, load_database(call, id));
    store::Transaction txn;
    HD_TRY(const model::Operation operation, begin(call, server, id, database, txn));
    database.operation_id = operation.id;
    txn.expect(store::keys::database(id), stored.modified);
    txn.put(store::keys::database(id), model::to_json(database));
    HD_CHECK(commit_attempt(call, txn, overtaken));
    return operation;
}

/// None: there is no such database.
Result<std::optional<model::Operation>> try_delete(const Call& call,
                                                   const model::ResourceId& server_key,
                                                   const model::ResourceId& id, bool& overtaken) {
    HD_TRY(const ServerRecord server, load_server(call, server_key));
    HD_TRY(const StoredDatabase stored, load_database(call, id));
    const bool exists = find_status(server, id.name()) != nullptr;
    if (!exists && !stored.spec) return std::optional<model::Operation>();
    HD_CHECK(check_server_can_change(server, "databases"));
    store::Transaction txn;
    HD_TRY(model::Operation operation, begin(call, server, id, std::nullopt, txn));
    if (stored.spec) {
        txn.expect(store::keys::database(id), stored.modified);
        txn.remove(store::keys::database(id));
    }
    HD_CHECK(commit_attempt(call, txn, overtaken));
    return std::optional<model::Operation>(std::move(operation));
}

model::ResourceId database_id(const Call& call) {
    return server_id(call).child("databases", call.parameter("databaseName"));
}

}  // namespace

Answer put_database(Call& call) {
    const model::ResourceId server = server_id(call);
    const model::ResourceId id = database_id(call);
    HD_CHECK(check_database_name(id));
    HD_TRY(model::DatabaseSpec database, read_database(call, id));
    HD_TRY(const model::Operation operation, with_retries(call, server, [&](bool& overtaken) {
               return try_put(call, server, id, database, overtaken);
           }));
    HD_TRY(http::Response response,
           json_answer(202,
                       database_json(server, database.name, database.charset, database.collation)));
    return with_operation(call, std::move(response), operation);
}

Answer get_database(Call& call) {
    const model::ResourceId server = server_id(call);
    const model::ResourceId id = database_id(call);
    HD_TRY(const ServerRecord record, load_server(call, server));
    const model::DatabaseStatus* there = find_status(record, id.name());
    if (there != nullptr && !is_one_of(kHiddenDatabases, there->name))
        return json_answer(200,
                           database_json(server, there->name, there->charset, there->collation));
    HD_TRY(const StoredDatabase stored, load_database(call, id));
    if (!stored.spec) return child_not_found(id);
    HD_TRY(const bool coming, is_coming(call, *stored.spec));
    if (!coming) return child_not_found(id);
    return json_answer(200, database_json(server, stored.spec->name, stored.spec->charset,
                                          stored.spec->collation));
}

Answer delete_database(Call& call) {
    const model::ResourceId server = server_id(call);
    const model::ResourceId id = database_id(call);
    HD_CHECK(check_database_name(id));
    HD_TRY(const auto operation, with_retries(call, server, [&](bool& overtaken) {
               return try_delete(call, server, id, overtaken);
           }));
    if (!operation) return empty_answer(204);
    return with_operation(call, http::Response{202, {}, ""}, *operation);
}

Answer list_databases(Call& call) {
    const model::ResourceId server = server_id(call);
    HD_TRY(const ServerRecord record, load_server(call, server));
    std::map<std::string, Json> shown;
    if (record.status)
        for (const model::DatabaseStatus& each : record.status->databases)
            if (!is_one_of(kHiddenDatabases, each.name))
                shown[each.name] = database_json(server, each.name, each.charset, each.collation);
    store::ListOptions options;
    options.limit = store::kListMax;
    HD_TRY(const auto entries,
           call.context.store.list(store::keys::databases_of(server.key()), options));
    for (const store::Entry& entry : entries) {
        HD_TRY(const auto spec, model::from_json<model::DatabaseSpec>(entry.value));
        if (shown.contains(spec.name)) continue;
        HD_TRY(const bool coming, is_coming(call, spec));
        if (coming)
            shown[spec.name] = database_json(server, spec.name, spec.charset, spec.collation);
    }
    Json values = Json::array();
    for (auto& [_, value] : shown) values.push_back(std::move(value));
    return json_answer(200, list_body(std::move(values)));
}

}  // namespace howdah::api::postgres
