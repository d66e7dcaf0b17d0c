#include "api/postgres/server_rules.h"

#include <fmt/core.h>

#include <algorithm>

#include "api/postgres/replicas.h"
#include "api/postgres/server_errors.h"
#include "api/postgres/server_source.h"
#include "api/postgres/view.h"
#include "base/clock.h"
#include "base/text.h"
#include "core/placement/placement.h"
#include "core/sizing/pooling.h"
#include "pg/scram.h"
#include "store/keys.h"

namespace howdah::api::postgres {
namespace {

constexpr std::size_t kSaltBytes = 16;
constexpr std::int64_t kMajorMax = 999;

// The words that Azure does not allow as the name of a resource with a public endpoint.
constexpr std::string_view kReservedNames[] = {
    "access",     "azure",      "bing",      "bizspark", "biztalk",      "cortana",
    "directx",    "dotnet",     "dynamics",  "excel",    "exchange",     "forefront",
    "groove",     "hololens",   "hyperv",    "kinect",   "lync",         "msdn",
    "o365",       "office",     "office365", "onedrive", "onenote",      "outlook",
    "powerpoint", "sharepoint", "skype",     "visio",    "visualstudio", "localhost"};
constexpr std::string_view kReservedInside[] = {"microsoft", "windows"};
constexpr std::string_view kReservedStarts[] = {"login", "xbox"};

constexpr std::string_view kReservedLogins[] = {
    "azure_superuser", "azure_pg_admin", "azuresu",      "admin", "administrator", "root",
    "guest",           "public",         "replication",  "none",  "user",          "all",
    "current_user",    "session_user",   "current_role", "howdah"};
constexpr std::string_view kReservedLoginStarts[] = {"pg_", "azure_", "howdah_"};

std::string sku_names(const Offer& offer) {
    std::string names;
    for (const core::SkuInfo& each : offer.skus())
        names += fmt::format("{}{}", names.empty() ? "" : ", ", each.name);
    return names;
}

Status apply_sku(const Offer& offer, const ServerBody& body, model::Sku& sku) {
    if (!body.sku_name && !body.sku_tier) return ok_status();
    const std::string wanted = body.sku_name.value_or(sku.name);
    const core::SkuInfo* info = core::find_sku(wanted);
    if (info == nullptr)
        return bad_value("sku.name",
                         fmt::format("the sku '{}' does not exist", wanted.substr(0, 128)),
                         fmt::format("use one of: {}", sku_names(offer)));
    if (body.sku_tier && *body.sku_tier != info->tier)
        return bad_value("sku.tier",
                         fmt::format("the sku '{}' is of the tier '{}', not '{}'", info->name,
                                     info->tier, *body.sku_tier),
                         "make tier and name fit, or leave the tier out");
    const bool changes = sku.name != info->name;
    if (changes && !offer.fits(*info))
        return bad_value("sku.name",
                         fmt::format("no machine has the {} processors and {} MiB of memory of "
                                     "'{}'",
                                     info->vcores, info->memory_mb, info->name),
                         fmt::format("use one of: {}", sku_names(offer)));
    sku = {std::string(info->name), std::string(info->tier)};
    return ok_status();
}

/// Position of a performance tier among those of the sizes; none if there is no such tier.
std::optional<std::size_t> tier_rank(std::string_view tier) {
    std::size_t rank = 0;
    std::string_view last;
    for (const core::StorageSize& each : core::all_storage_sizes()) {
        if (each.tier == last) continue;
        if (!last.empty()) ++rank;
        last = each.tier;
        if (last == tier) return rank;
    }
    return std::nullopt;
}

std::int64_t tier_iops(std::string_view tier) {
    for (const core::StorageSize& each : core::all_storage_sizes())
        if (each.tier == tier) return each.iops;
    return 0;
}

const core::StorageSize* size_of(std::int64_t size_gb) {
    for (const core::StorageSize& each : core::all_storage_sizes())
        if (each.size_gb == size_gb) return &each;
    return nullptr;
}

Status check_size(const Offer& offer, std::int64_t wanted, std::int64_t current) {
    constexpr std::string_view kPath = "properties.storage.storageSizeGB";
    if (wanted == current) return ok_status();
    std::string sizes;
    bool offered = false;
    for (const core::StorageSize& each : offer.storage_sizes()) {
        sizes += fmt::format("{}{}", sizes.empty() ? "" : ", ", each.size_gb);
        offered = offered || each.size_gb == wanted;
    }
    if (wanted < current)
        return Error{ErrorCode::property_change_not_allowed,
                     fmt::format("storage cannot shrink from {} to {} GiB", current, wanted),
                     std::string(kPath), "storage can only grow"};
    if (size_of(wanted) == nullptr)
        return bad_value(kPath, fmt::format("{} GiB is not a storage size", wanted),
                         fmt::format("use one of: {}", sizes));
    if (!offered)
        return bad_value(kPath, fmt::format("no machine has room for {} GiB", wanted),
                         fmt::format("use one of: {}", sizes));
    return ok_status();
}

/// Below this size a disk can be given the performance of tiers up to P50, from it on up to P80.
constexpr std::int64_t kLargeDiskGb = 8192;

Status check_tier(std::string_view tier, const core::StorageSize& size) {
    constexpr std::string_view kPath = "properties.storage.tier";
    const auto rank = tier_rank(tier);
    const auto baseline = tier_rank(size.tier);
    const auto highest = size.size_gb >= kLargeDiskGb ? tier_rank("P80") : tier_rank("P50");
    if (rank && baseline && highest && *rank >= *baseline && *rank <= *highest) return ok_status();
    return bad_value(
        kPath,
        fmt::format("the performance tier '{}' is not possible with {} GiB", tier, size.size_gb),
        fmt::format("use '{}' or a higher tier up to '{}'", size.tier,
                    size.size_gb >= kLargeDiskGb ? "P80" : "P50"));
}

Status apply_storage(const Offer& offer, const ServerBody::Storage& body, bool is_new,
                     model::StorageSpec& storage) {
    const std::int64_t current = is_new ? 0 : storage.size_gb;
    const std::int64_t wanted = body.size_gb.value_or(storage.size_gb);
    HD_CHECK(check_size(offer, wanted, current));
    const core::StorageSize* size = size_of(wanted);
    const std::string shown_tier = storage.tier;
    const std::int64_t shown_iops = storage.iops;
    std::string tier = storage.tier;
    // A client that sends back the tier it has read does not ask for it.
    if (body.tier && (is_new || *body.tier != shown_tier)) {
        if (size != nullptr) HD_CHECK(check_tier(*body.tier, *size));
        tier = *body.tier;
    } else if (size != nullptr && (tier.empty() || tier_rank(tier) < tier_rank(size->tier))) {
        tier = size->tier;
    }
    const std::int64_t iops = tier_iops(tier);
    if (body.iops && *body.iops != 0 && *body.iops != iops && (is_new || *body.iops != shown_iops))
        return Error{ErrorCode::not_supported,
                     fmt::format("{} iops were given, but the tier '{}' has {}, and choosing them "
                                 "is not supported yet",
                                 *body.iops, tier, iops),
                     "properties.storage.iops", "leave the field out, or choose another tier"};
    storage.size_gb = wanted;
    storage.tier = tier;
    storage.iops = iops;
    if (body.type) storage.type = *body.type;
    if (body.auto_grow) storage.auto_grow = *body.auto_grow;
    return ok_status();
}

Status apply_maintenance(const ServerBody::Maintenance& body, model::MaintenanceWindow& window) {
    model::MaintenanceWindow wanted = window;
    if (body.custom_window) wanted.custom = *body.custom_window;
    if (wanted.custom == "Disabled") {
        const bool has_time = body.day_of_week.value_or(0) != 0 ||
                              body.start_hour.value_or(0) != 0 ||
                              body.start_minute.value_or(0) != 0;
        if (has_time)
            return bad_value("properties.maintenanceWindow.customWindow",
                             "a time was given for the maintenance window, but the window is "
                             "'Disabled'",
                             "set customWindow to 'Enabled', or leave the time out");
        window = model::MaintenanceWindow{};
        return ok_status();
    }
    wanted.day_of_week = body.day_of_week.value_or(wanted.day_of_week);
    wanted.start_hour = body.start_hour.value_or(wanted.start_hour);
    wanted.start_minute = body.start_minute.value_or(wanted.start_minute);
    window = wanted;
    return ok_status();
}

Result<std::string> chosen_major(const Offer& offer, const std::optional<std::string>& wanted) {
    const std::vector<std::string> majors = offer.majors();
    if (majors.empty())
        return Error{ErrorCode::unavailable, "no machine has a PostgreSQL that can be run", "",
                     "install a PostgreSQL server package on a machine"};
    if (!wanted) return majors.back();
    if (std::find(majors.begin(), majors.end(), *wanted) == majors.end())
        return bad_value(
            "properties.version",
            fmt::format("PostgreSQL '{}' is not installed on any machine", wanted->substr(0, 32)),
            fmt::format("use one of: {}", join(majors, ", ")));
    return *wanted;
}

Status apply_version(const Offer& offer, const ServerBody& body, const model::ServerSpec& spec) {
    constexpr std::string_view kPath = "properties.version";
    if (!body.version || *body.version == spec.version) return ok_status();
    const Result<long long> wanted = parse_integer(*body.version, 1, kMajorMax);
    const Result<long long> current = parse_integer(spec.version, 1, kMajorMax);
    if (wanted.ok() && current.ok() && *wanted < *current)
        return frozen(kPath, spec.version, *body.version, "a server's version can only go up");
    HD_CHECK(chosen_major(offer, body.version));
    return Error{ErrorCode::not_supported,
                 fmt::format("the server runs PostgreSQL {}, and upgrading it to {} is not "
                             "supported yet",
                             spec.version, *body.version),
                 std::string(kPath),
                 "create a server of the new version, and move the data with pg_dump"};
}

Result<std::string> sealed_verifier(const Call& call, const std::string& server_key,
                                    const Secret& password) {
    HD_TRY(std::string verifier,
           pg::scram_verifier(password, call.context.ids.random_bytes(kSaltBytes)));
    return call.context.secrets.seal(store::keys::seal_name_of_verifier(server_key),
                                     Secret(std::move(verifier)));
}

Status apply_password(const Call& call, const ServerBody& body, model::ServerSpec& spec) {
    if (!body.administrator_password) return ok_status();
    const Secret& password = *body.administrator_password;
    HD_CHECK(check_password(password, spec.administrator_login));
    HD_TRY(spec.sealed_verifier, sealed_verifier(call, to_lower(spec.id), password));
    spec.password_version = spec.generation + 1;
    return ok_status();
}

/// None where nobody asks for one: a zone that is shown but was not declared is a difference to
/// Terraform, and would be one again after every move of the server.
Result<std::string> chosen_zone(const Offer& offer, const std::optional<std::string>& wanted) {
    const std::vector<std::string> zones = offer.zones();
    if (!wanted) return std::string();
    if (std::find(zones.begin(), zones.end(), *wanted) == zones.end())
        return bad_value("properties.availabilityZone",
                         fmt::format("there is no availability zone '{}'", wanted->substr(0, 64)),
                         fmt::format("use one of: {}", join(zones, ", ")));
    return *wanted;
}

/// The zone where a member of a highly available server is; empty: that is not known.
std::string zone_of_host(const Offer& offer, const std::string& id) {
    const model::HostReport* host = offer.host(id);
    return host == nullptr ? "" : core::zone_of(*host);
}

/// A server without a declared zone can be declared to be in the only one there is. One that
/// failed over is where it is shown to be.
Result<std::string> changed_zone(const Offer& offer, const std::optional<std::string>& wanted,
                                 const std::optional<model::ServerStatus>& status,
                                 const model::ServerSpec& spec) {
    if (!wanted || *wanted == spec.availability_zone) return spec.availability_zone;
    if (status && core::wants_standby(spec) && zone_of_host(offer, status->host) == *wanted)
        return spec.availability_zone;
    const bool is_only = offer.zones() == std::vector<std::string>{*wanted};
    if (spec.availability_zone.empty() && is_only) return *wanted;
    return frozen("properties.availabilityZone", spec.availability_zone, *wanted);
}

/// The machines as the placement of members needs them.
Result<std::vector<core::HostView>> host_views(const Call& call, const Offer& offer) {
    const std::string prefix = store::keys::silent("");
    HD_TRY(const auto silent, call.context.store.list(prefix));
    std::vector<core::HostView> views;
    for (const model::HostReport& each : offer.hosts) {
        const bool is_silent = std::any_of(silent.begin(), silent.end(), [&](const auto& entry) {
            return entry.key == prefix + each.host;
        });
        views.push_back({each, is_silent});
    }
    return views;
}

/// The reconciler chooses; here is said at once that it cannot.
Status check_standby_host(const Call& call, const Offer& offer,
                          const std::optional<model::ServerStatus>& status,
                          const model::ServerSpec& spec) {
    HD_TRY(const auto hosts, host_views(call, offer));
    std::string primary = status ? status->host : "";
    if (primary.empty()) {
        const core::HostView* chosen = core::choose_host(spec, hosts);
        if (chosen == nullptr) return ok_status();
        primary = chosen->report.host;
    } else if (!status->standby_host.empty() &&
               core::are_members_placed(spec, hosts, primary, status->standby_host)) {
        return ok_status();
    }
    if (core::choose_standby_host(spec, hosts, primary) != nullptr) return ok_status();
    const std::string zone = zone_of_host(offer, primary);
    const bool is_same_zone = spec.high_availability_mode == "SameZone";
    if (!spec.standby_availability_zone.empty())
        return bad_value("properties.highAvailability.standbyAvailabilityZone",
                         fmt::format("the availability zone '{}' has no machine that can have the "
                                     "standby of a '{}' server in zone '{}'",
                                     spec.standby_availability_zone.substr(0, 64),
                                     spec.high_availability_mode, zone),
                         "choose another zone, or leave the field out");
    return bad_value(
        "properties.highAvailability.mode",
        is_same_zone
            ? fmt::format("the availability zone '{}' has no second machine that can have the "
                          "standby",
                          zone)
            : fmt::format("no machine outside the availability zone '{}' can have the standby",
                          zone),
        is_same_zone ? "use 'ZoneRedundant', or add a machine with PostgreSQL and room on its disk"
                     : "use 'SameZone', or add a machine with PostgreSQL in another zone");
}

Status check_high_availability(const model::ServerSpec& before, const model::ServerSpec& spec) {
    constexpr std::string_view kMode = "properties.highAvailability.mode";
    if (spec.sku.tier == "Burstable")
        return bad_value(
            kMode,
            fmt::format("high availability is not supported for the tier '{}'", spec.sku.tier),
            "use the tier 'GeneralPurpose' or 'MemoryOptimized', or the mode "
            "'Disabled'");
    if (!core::wants_standby(before) && !spec.running)
        return Error{
            ErrorCode::invalid_state,
            fmt::format("the server '{}' is stopped, and a standby cannot be created", spec.name),
            std::string(kMode), "start it first"};
    return ok_status();
}

Status apply_high_availability(const Call& call, const Offer& offer, const ServerBody& body,
                               const std::optional<model::ServerStatus>& status,
                               model::ServerSpec& spec) {
    constexpr std::string_view kZone = "properties.highAvailability.standbyAvailabilityZone";
    const model::ServerSpec before = spec;
    if (body.high_availability_mode) spec.high_availability_mode = *body.high_availability_mode;
    if (!core::wants_standby(spec)) {
        spec.standby_availability_zone.clear();
        if (!body.standby_availability_zone) return ok_status();
        return bad_value(kZone,
                         "a zone was given for the standby, but high availability is "
                         "'Disabled'",
                         "set the mode to 'ZoneRedundant', or leave the zone out");
    }
    HD_CHECK(check_high_availability(before, spec));
    const bool is_same_mode = before.high_availability_mode == spec.high_availability_mode;
    const std::string shown = status ? zone_of_host(offer, status->standby_host) : "";
    // A client that sends back the zone it has read does not ask for it.
    if (body.standby_availability_zone &&
        (!is_same_mode || *body.standby_availability_zone != shown))
        spec.standby_availability_zone = *body.standby_availability_zone;
    if (is_same_mode && before.standby_availability_zone == spec.standby_availability_zone)
        return ok_status();
    return check_standby_host(call, offer, status, spec);
}

void apply_plain(const ServerBody& body, model::ServerSpec& spec) {
    if (body.tags) spec.tags = *body.tags;
    if (body.backup_retention_days) spec.backup.retention_days = *body.backup_retention_days;
    if (body.geo_redundant_backup) spec.backup.geo_redundant = *body.geo_redundant_backup;
    if (body.public_network_access) spec.network.public_access = *body.public_network_access;
}

Status apply_auth(const Call& call, const ServerBody& body, model::AuthSpec& auth) {
    constexpr std::string_view kTenant = "properties.authConfig.tenantId";
    model::AuthSpec wanted = auth;
    if (body.password_auth) wanted.password = *body.password_auth;
    if (body.active_directory_auth) wanted.active_directory = *body.active_directory_auth;
    if (body.auth_tenant_id) wanted.tenant_id = *body.auth_tenant_id;
    if (wanted.password == "Disabled" && wanted.active_directory == "Disabled")
        return bad_value("properties.authConfig",
                         "password authentication and Microsoft Entra authentication cannot both "
                         "be disabled",
                         "enable one of them");
    if (wanted.active_directory == "Enabled") {
        if (wanted.tenant_id.empty()) wanted.tenant_id = call.context.tenant_id;
        if (!iequals(wanted.tenant_id, call.context.tenant_id))
            return bad_value(kTenant,
                             fmt::format("the tenant '{}' is not known here", wanted.tenant_id),
                             fmt::format("use '{}'", call.context.tenant_id));
    }
    auth = wanted;
    return ok_status();
}

/// An administrator with a password, which a server needs where passwords are taken.
Status apply_administrator(const ServerBody& body, model::ServerSpec& spec) {
    constexpr std::string_view kLogin = "properties.administratorLogin";
    if (!body.administrator_login) return ok_status();
    const std::string& login = *body.administrator_login;
    if (!spec.administrator_login.empty() && login != spec.administrator_login)
        return frozen(kLogin, spec.administrator_login, login);
    if (!spec.administrator_login.empty()) return ok_status();
    HD_CHECK(check_administrator_login(login));
    for (const model::TokenAdministrator& each : spec.token_administrators)
        if (each.role == login)
            return bad_value(kLogin,
                             fmt::format("'{}' is a Microsoft Entra administrator already", login),
                             "choose another name");
    spec.administrator_login = login;
    return ok_status();
}

/// Name and password come together, and are there where passwords are taken.
Status require_administrator(const ServerBody& body, const model::ServerSpec& spec) {
    const bool has_password = body.administrator_password || !spec.sealed_verifier.empty();
    const bool is_needed = spec.auth.password == "Enabled" || body.administrator_password ||
                           !spec.administrator_login.empty();
    if (is_needed && spec.administrator_login.empty())
        return missing("properties.administratorLogin");
    if (is_needed && !has_password) return missing("properties.administratorLoginPassword");
    return ok_status();
}

std::string normal_location(std::string_view location) {
    std::string out;
    for (const char c : to_lower(location))
        if (c != ' ') out += c;
    return out;
}

}  // namespace

Status check_pooling(const model::ServerSpec& spec, std::string_view field) {
    if (spec.sku.tier != "Burstable" || !core::wants_pooling(spec.parameters)) return ok_status();
    return bad_value(field,
                     fmt::format("PgBouncer is not supported for the tier '{}'", spec.sku.tier),
                     fmt::format("use the tier 'GeneralPurpose' or 'MemoryOptimized', or set the "
                                 "server parameter {} to 'off'",
                                 core::kPoolingEnabled));
}

bool is_our_location(const ApiContext& context, std::string_view location) {
    const std::string wanted = normal_location(location);
    return wanted == normal_location(context.location) ||
           wanted == normal_location(context.location_display_name);
}

Status check_location(const ApiContext& context, const std::optional<std::string>& location,
                      std::string_view resource_type) {
    if (!location)
        return Error{ErrorCode::location_required,
                     "the location property is required for this definition", "location",
                     fmt::format("set it to '{}'", context.location)};
    if (!is_our_location(context, *location))
        return Error{ErrorCode::location_not_available,
                     fmt::format("the provided location '{}' is not available for resource type "
                                 "'{}'. List of available regions for the resource type is '{}'",
                                 location->substr(0, 64), resource_type, context.location),
                     "location"};
    return ok_status();
}

Status check_server_name(std::string_view name) {
    constexpr std::size_t kShortest = 3;
    constexpr std::size_t kLongest = 63;
    bool good = name.size() >= kShortest && name.size() <= kLongest && name.front() != '-' &&
                name.back() != '-';
    for (const char c : name)
        good = good && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-');
    if (!good)
        return Error{ErrorCode::invalid_resource_name,
                     fmt::format("'{}' cannot be the name of a server", name.substr(0, 128)),
                     "name",
                     fmt::format("use {} to {} lower-case letters, digits and hyphens, with no "
                                 "hyphen at the ends",
                                 kShortest, kLongest)};
    const auto holds_word = [&](std::string_view word) {
        return name.find(word) != std::string_view::npos;
    };
    const bool reserved =
        std::find(std::begin(kReservedNames), std::end(kReservedNames), name) !=
            std::end(kReservedNames) ||
        std::any_of(std::begin(kReservedInside), std::end(kReservedInside), holds_word) ||
        std::any_of(std::begin(kReservedStarts), std::end(kReservedStarts),
                    [&](std::string_view word) { return name.starts_with(word); });
    if (reserved)
        return Error{ErrorCode::invalid_resource_name,
                     fmt::format("the name '{}' is reserved, or has a reserved word in it", name),
                     "name", "choose another name"};
    return ok_status();
}

bool is_reserved_role(std::string_view name) {
    const std::string lower = to_lower(name);
    return std::find(std::begin(kReservedLogins), std::end(kReservedLogins), lower) !=
               std::end(kReservedLogins) ||
           std::any_of(std::begin(kReservedLoginStarts), std::end(kReservedLoginStarts),
                       [&](std::string_view start) { return lower.starts_with(start); });
}

Status check_administrator_login(std::string_view login) {
    constexpr std::string_view kPath = "properties.administratorLogin";
    constexpr std::size_t kLongest = 63;
    const auto is_letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    bool good = !login.empty() && login.size() <= kLongest && is_letter(login.front());
    for (const char c : login) good = good && (is_letter(c) || (c >= '0' && c <= '9'));
    if (!good)
        return bad_value(
            kPath,
            fmt::format("'{}' cannot be the name of the administrator", login.substr(0, 128)),
            "use 1 to 63 letters, digits and underscores, and begin with a letter");
    if (is_reserved_role(login))
        return bad_value(kPath, fmt::format("the administrator cannot have the name '{}'", login),
                         "choose a name that PostgreSQL and the service do not use themselves");
    return ok_status();
}

Status check_password(const Secret& password, std::string_view login) {
    constexpr std::string_view kPath = "properties.administratorLoginPassword";
    constexpr std::size_t kShortest = 8;
    constexpr std::size_t kLongest = 128;
    constexpr int kClasses = 3;
    constexpr std::size_t kLoginMeaningful = 3;
    const std::string& text = password.reveal();
    const std::string rules = fmt::format(
        "use {} to {} printable ASCII characters of at least {} of these: capital letters, small "
        "letters, digits, other characters; and not the administrator's name",
        kShortest, kLongest, kClasses);
    bool classes[4] = {};
    bool printable = true;
    for (const char c : text) {
        printable = printable && c >= 0x20 && c < 0x7f;
        const int kind = c >= 'A' && c <= 'Z'   ? 0
                         : c >= 'a' && c <= 'z' ? 1
                         : c >= '0' && c <= '9' ? 2
                                                : 3;
        classes[kind] = true;
    }
    if (text.size() < kShortest || text.size() > kLongest || !printable)
        return bad_value(kPath,
                         "the password has a wrong length, or characters that are not "
                         "printable ASCII",
                         rules);
    if (std::count(std::begin(classes), std::end(classes), true) < kClasses)
        return bad_value(kPath, "the password is not complex enough", rules);
    if (login.size() >= kLoginMeaningful &&
        to_lower(text).find(to_lower(login)) != std::string::npos)
        return bad_value(kPath, "the password contains the administrator's name", rules);
    return ok_status();
}

Result<model::ServerSpec> new_server(const Call& call, const Offer& offer,
                                     const model::ResourceId& id, ServerBody body) {
    HD_CHECK(check_server_name(id.name()));
    HD_CHECK(check_location(call.context, body.location, kServerType));
    if (offer.is_empty())
        return Error{ErrorCode::unavailable, "no machine has reported to the control plane yet", "",
                     "start howdah-agent on a machine, and send the request again"};
    if (body.create_mode == "Update")
        return Error{ErrorCode::not_found,
                     fmt::format("the Resource '{}/{}' under resource group '{}' was not found",
                                 kServerType, id.name(), id.resource_group),
                     "properties.createMode", "use 'Create' for a server that is not there yet"};
    model::ServerSpec spec;
    HD_CHECK(apply_source(call, id.key(), body, spec));
    if (!body.sku_name) return missing("sku.name");
    if (!body.sku_tier) return missing("sku.tier");
    if (!body.version) return missing("properties.version");

    spec.id = id.to_string();
    spec.name = id.name();
    spec.location = call.context.location;
    HD_CHECK(apply_sku(offer, body, spec.sku));
    HD_TRY(spec.version, chosen_major(offer, body.version));
    HD_CHECK(apply_storage(offer, body.storage, /*is_new=*/true, spec.storage));
    HD_CHECK(apply_maintenance(body.maintenance, spec.maintenance));
    HD_TRY(spec.availability_zone, chosen_zone(offer, body.availability_zone));
    apply_plain(body, spec);
    HD_CHECK(apply_auth(call, body, spec.auth));
    HD_CHECK(apply_administrator(body, spec));
    HD_CHECK(require_administrator(body, spec));
    HD_CHECK(apply_high_availability(call, offer, body, std::nullopt, spec));
    HD_CHECK(check_pooling(spec, "sku.tier"));
    if (!is_replica(spec)) HD_CHECK(apply_replication(call, body, spec));
    spec.incarnation = call.context.ids.uuid();
    if (!body.administrator_password) return spec;
    HD_CHECK(check_password(*body.administrator_password, spec.administrator_login));
    HD_TRY(spec.sealed_verifier, sealed_verifier(call, id.key(), *body.administrator_password));
    return spec;
}

Status apply_body(const Call& call, const Offer& offer, const ServerBody& body,
                  const std::optional<model::ServerStatus>& status, model::ServerSpec& spec) {
    if (body.location && !is_our_location(call.context, *body.location))
        return Error{ErrorCode::location_conflict,
                     fmt::format("the resource '{}' already exists in location '{}'. A resource "
                                 "with the same name cannot be created in location '{}'",
                                 spec.name, spec.location, body.location->substr(0, 64)),
                     "location"};
    HD_CHECK(check_same_source(body, spec));
    HD_TRY(const std::string zone, changed_zone(offer, body.availability_zone, status, spec));
    HD_CHECK(apply_version(offer, body, spec));
    model::ServerSpec wanted = spec;
    HD_CHECK(apply_sku(offer, body, wanted.sku));
    HD_CHECK(apply_storage(offer, body.storage, /*is_new=*/false, wanted.storage));
    HD_CHECK(apply_maintenance(body.maintenance, wanted.maintenance));
    HD_CHECK(apply_auth(call, body, wanted.auth));
    HD_CHECK(apply_administrator(body, wanted));
    HD_CHECK(require_administrator(body, wanted));
    HD_CHECK(apply_password(call, body, wanted));
    apply_plain(body, wanted);
    wanted.availability_zone = zone;
    HD_CHECK(apply_high_availability(call, offer, body, status, wanted));
    HD_CHECK(check_pooling(wanted, "sku.tier"));
    HD_CHECK(check_replica_change(spec, wanted));
    HD_CHECK(apply_replication(call, body, wanted));
    spec = std::move(wanted);
    return ok_status();
}

}  // namespace howdah::api::postgres
