#include "api/postgres/server_source.h"

#include <fmt/core.h>

#include <algorithm>

#include "api/postgres/replicas.h"
#include "api/postgres/server_errors.h"
#include "api/postgres/view.h"
#include "base/clock.h"
#include "base/text.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api::postgres {
namespace {

constexpr std::string_view kRestore = "PointInTimeRestore";
constexpr std::string_view kRevive = "ReviveDropped";
constexpr std::string_view kReplica = "Replica";
constexpr std::string_view kSource = "properties.sourceServerResourceId";
constexpr std::string_view kTime = "properties.pointInTimeUTC";

/// Where the data come from.
struct Source {
    model::ServerSpec spec;
    std::string time;  ///< empty: the newest
};

bool has_source(const ServerBody& body) {
    return body.create_mode == kRestore || body.create_mode == kRevive ||
           body.create_mode == kReplica;
}

/// What the request leaves open is as the source has it; what it says otherwise about the data
/// itself is refused.
void inherit(const model::ServerSpec& source, ServerBody& body) {
    const auto take = [](auto& field, const auto& value) {
        if (!field) field = value;
    };
    take(body.sku_name, source.sku.name);
    take(body.sku_tier, source.sku.tier);
    take(body.version, source.version);
    take(body.administrator_login, source.administrator_login);
    if (source.administrator_login.empty()) body.administrator_login.reset();
    take(body.storage.size_gb, source.storage.size_gb);
    take(body.storage.auto_grow, source.storage.auto_grow);
    take(body.backup_retention_days, source.backup.retention_days);
    take(body.public_network_access, source.network.public_access);
    take(body.password_auth, source.auth.password);
    take(body.active_directory_auth, source.auth.active_directory);
}

Result<Timestamp> parse_time(const std::string& text) {
    auto time = parse_iso8601(text);
    if (time.ok()) return time;
    return bad_value(kTime, fmt::format("'{}' is no time", text.substr(0, 64)),
                     "write it as 2026-11-23T04:05:06Z");
}

/// What is behind the newest time that can be restored, and not in the future: its WAL comes to the
/// repository in a moment, and the restore waits for it. Not if it has not come for long.
bool is_on_its_way(const model::ServerStatus& source, Timestamp time, Timestamp now) {
    constexpr std::chrono::minutes kArchivedMax{10};
    if (source.state != "Ready" || source.restorable.empty() || time > now) return false;
    const auto newest = parse_iso8601(source.restorable.back().to);
    return newest.ok() && time > *newest && now - *newest <= kArchivedMax;
}

/// A server that is there. All that is needed for the time is in its repository, or comes there at
/// once.
Result<Source> source_there(const Call& call, const model::ResourceId& id, const ServerBody& body) {
    HD_TRY(const ServerRecord server, load_server(call, id));
    if (!body.point_in_time) return missing(kTime);
    HD_TRY(const Timestamp time, parse_time(*body.point_in_time));
    const std::string text = format_iso8601(time);
    const model::ServerStatus status = server.status.value_or(model::ServerStatus());
    if (!is_on_its_way(status, time, call.context.clock.wall()))
        HD_CHECK(check_restorable(status.restorable, text, kTime));
    return Source{server.spec, text};
}

/// A server that is there, and is to be followed from now on.
Result<Source> source_followed(const Call& call, const model::ResourceId& id,
                               const ServerBody& body) {
    HD_TRY(const ServerRecord server, load_server(call, id));
    if (body.point_in_time)
        return bad_value(kTime, "a read replica has no time of its own",
                         "leave the field out, or set createMode to 'PointInTimeRestore'");
    if (body.administrator_password)
        return bad_value("properties.administratorLoginPassword",
                         "a read replica has its source's administrator", "leave the field out");
    if (body.high_availability_mode && body.high_availability_mode != "Disabled")
        return bad_value("properties.highAvailability.mode",
                         "a read replica cannot be highly available",
                         "set the mode to 'Disabled', or leave the field out");
    if (!iequals(id.subscription, call.subscription()))
        return bad_value(kSource, "the source is in another subscription",
                         "make the replica in the subscription of its source");
    HD_CHECK(check_may_have_replica(call, id, server.spec));
    return Source{server.spec, ""};
}

/// The life that a time is about, of all that servers of this name had: the first that ended behind
/// it, or the last one; likewise for no time. None: there was no life with backups.
Result<std::optional<model::DroppedServer>> dropped_life(const Call& call,
                                                         const model::ResourceId& id,
                                                         const std::string& time) {
    HD_TRY(const auto entries, call.context.store.list(store::keys::dropped_lives(id.key())));
    std::vector<model::DroppedServer> lives;
    for (const store::Entry& each : entries) {
        HD_TRY(auto life, model::from_json<model::DroppedServer>(each.value));
        lives.push_back(std::move(life));
    }
    if (lives.empty()) return std::optional<model::DroppedServer>();
    std::sort(lives.begin(), lives.end(),
              [](const auto& a, const auto& b) { return a.dropped_at < b.dropped_at; });
    const auto behind = std::find_if(lives.begin(), lives.end(), [&](const auto& each) {
        return !time.empty() && time <= each.dropped_at;
    });
    return std::optional(behind == lives.end() ? lives.back() : *behind);
}

/// A server that was deleted. Clients of Azure name the present time for its newest.
Result<Source> source_dropped(const Call& call, const model::ResourceId& id,
                              const ServerBody& body) {
    std::string text;
    if (body.point_in_time) {
        HD_TRY(const Timestamp time, parse_time(*body.point_in_time));
        text = format_iso8601(time);
    }
    HD_TRY(const auto dropped, dropped_life(call, id, text));
    if (!dropped)
        return Error{
            ErrorCode::not_found,
            fmt::format("there is no deleted server '{}' that can be brought back", id.name()),
            std::string(kSource),
            "a deleted server can be brought back for seven days, if it had a backup; a "
            "server that is there is restored with 'PointInTimeRestore'"};
    Source source{dropped->spec, ""};
    if (text.empty()) return source;
    // What was archived at its very end is not among them yet.
    const bool is_newest = !dropped->restorable.empty() && text > dropped->restorable.back().to;
    if (is_newest) return source;
    HD_CHECK(check_restorable(dropped->restorable, text, kTime));
    source.time = text;
    return source;
}

Result<Source> source_of(const Call& call, const model::ResourceId& id, const ServerBody& body) {
    if (body.create_mode == kReplica) return source_followed(call, id, body);
    return body.create_mode == kRevive ? source_dropped(call, id, body)
                                       : source_there(call, id, body);
}

}  // namespace

Status check_restorable(const std::vector<model::RestorableSpan>& spans, const std::string& time,
                        std::string_view field) {
    const model::RestorableSpan* before = nullptr;
    const model::RestorableSpan* after = nullptr;
    for (const model::RestorableSpan& each : spans) {
        // ISO-8601 of one form is in the order of time.
        if (each.from <= time && time <= each.to) return ok_status();
        if (each.to < time) before = &each;
        if (each.from > time && after == nullptr) after = &each;
    }
    std::string hint = "The server has no backup yet; look again in a minute.";
    if (before != nullptr && after != nullptr)
        hint = fmt::format("The nearest times that can be restored are {} and {}.", before->to,
                           after->from);
    else if (before != nullptr)
        hint = fmt::format("The latest time that can be restored is {}.", before->to);
    else if (after != nullptr)
        hint = fmt::format("The earliest time that can be restored is {}.", after->from);
    return bad_value(field, fmt::format("the server cannot be restored to {}", time), hint);
}

Status take_verifier(const Call& call, const model::ServerSpec& source, const std::string& key,
                     model::ServerSpec& spec) {
    if (source.sealed_verifier.empty()) return ok_status();
    const auto id = model::ResourceId::parse(source.id);
    if (!id.ok()) return id.error();
    HD_TRY(const Secret verifier,
           call.context.secrets.unseal(store::keys::seal_name_of_verifier(id->key()),
                                       source.sealed_verifier));
    spec.sealed_verifier =
        call.context.secrets.seal(store::keys::seal_name_of_verifier(key), verifier);
    return ok_status();
}

Status apply_source(const Call& call, const std::string& key, ServerBody& body,
                    model::ServerSpec& spec) {
    if (!has_source(body)) {
        if (!body.source_server && !body.point_in_time) return ok_status();
        return bad_value(body.source_server ? kSource : kTime, "the field belongs to a restore",
                         "set properties.createMode to 'PointInTimeRestore' or 'Replica'");
    }
    if (!body.source_server) return missing(kSource);
    const auto id = model::ResourceId::parse(*body.source_server);
    if (!id.ok() || id->segments.size() != 1 || !iequals(id->type(), kServerType))
        return bad_value(kSource,
                         fmt::format("'{}' is no server's id", body.source_server->substr(0, 256)),
                         "give the whole id, as 'az postgres flexible-server show' prints it");
    if (!call.may_read(kServerType, id->to_string())) return server_not_found(*id);
    // Whoever restores has all of the data, with a password of their own choice.
    if (!call.access.allows(std::string(kServerType) + "/write", id->to_string()))
        return Error{
            ErrorCode::permission_denied,
            fmt::format("you may look at the server '{}', but not restore from it", id->name()),
            std::string(kSource),
            "ask for a role with Microsoft.DBforPostgreSQL/flexibleServers/write on it"};
    HD_TRY(Source source, source_of(call, *id, body));
    if (body.version && *body.version != source.spec.version)
        return frozen("properties.version", source.spec.version, *body.version,
                      "a restored server has the version of its source");
    const std::string& login = source.spec.administrator_login;
    if (body.administrator_login && *body.administrator_login != login)
        return frozen("properties.administratorLogin", login, *body.administrator_login);
    const std::int64_t size = source.spec.storage.size_gb;
    if (body.storage.size_gb.value_or(size) < size)
        return bad_value("properties.storage.storageSizeGB",
                         fmt::format("the source has {} GiB, and its data may need them", size),
                         "ask for no less, or leave the field out");
    inherit(source.spec, body);
    spec.parameters = source.spec.parameters;
    spec.parameter_spellings = source.spec.parameter_spellings;
    spec.maintenance = source.spec.maintenance;
    spec.storage = source.spec.storage;
    HD_CHECK(take_verifier(call, source.spec, key, spec));
    spec.restore = {.source_id = id->key(),
                    .source_incarnation = source.spec.incarnation,
                    .time = std::move(source.time),
                    .follows = body.create_mode == kReplica};
    return ok_status();
}

Status check_same_source(const ServerBody& body, const model::ServerSpec& spec) {
    if (!body.source_server && !body.point_in_time && !has_source(body)) return ok_status();
    const auto time = parse_iso8601(body.point_in_time.value_or(""));
    const bool is_same_time =
        spec.restore &&
        (spec.restore->time.empty() || (time.ok() && spec.restore->time == format_iso8601(*time)));
    if (is_same_time && iequals(spec.restore->source_id, body.source_server.value_or("")))
        return ok_status();
    return Error{ErrorCode::already_exists,
                 fmt::format("the server '{}' exists, and is not restored into", spec.name),
                 spec.id, "restore to a server of another name"};
}

}  // namespace howdah::api::postgres
