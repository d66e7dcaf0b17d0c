#pragma once

#include <map>
#include <optional>
#include <string>

#include "api/arm_json.h"
#include "base/result.h"
#include "base/secret.h"

namespace howdah::api::postgres {

/// What a request says about a server; what it does not say is absent. Types and ranges that need
/// no knowledge of the machine or of the server are checked.
struct ServerBody {
    std::optional<std::string> location;
    std::optional<std::map<std::string, std::string>> tags;
    std::optional<std::string> sku_name;
    std::optional<std::string> sku_tier;

    std::optional<std::string> administrator_login;
    std::optional<Secret> administrator_password;
    std::optional<std::string> version;
    std::optional<std::string> availability_zone;
    std::optional<std::string> create_mode;
    std::optional<std::string> source_server;  ///< ARM id
    std::optional<std::string> point_in_time;  ///< ISO-8601

    struct Storage {
        std::optional<std::int64_t> size_gb;
        std::optional<std::string> tier;
        std::optional<std::int64_t> iops;
        std::optional<std::string> type;
        std::optional<std::string> auto_grow;
    } storage;
    std::optional<std::int64_t> backup_retention_days;
    std::optional<std::string> geo_redundant_backup;
    std::optional<std::string> public_network_access;
    std::optional<std::string> auth_tenant_id;
    std::optional<std::string> password_auth;
    std::optional<std::string> active_directory_auth;

    std::optional<std::string> high_availability_mode;
    std::optional<std::string> standby_availability_zone;

    std::optional<std::string> replication_role;
    struct Replica {
        std::optional<std::string> role;  ///< None: it is promoted
        std::optional<std::string> promote_mode;
        std::optional<std::string> promote_option;
    } replica;

    struct Maintenance {
        std::optional<std::string> custom_window;
        std::optional<std::int64_t> day_of_week;
        std::optional<std::int64_t> start_hour;
        std::optional<std::int64_t> start_minute;
    } maintenance;
};

/// Reads the body of PUT or PATCH of a server. `name` is the one in the path: a body that names
/// another is refused. Every field is used, refused, or set by the service alone (then ignored as
/// Azure Resource Manager does).
Result<ServerBody> read_server_body(const Json& body, const std::string& id,
                                    const std::string& name);

/// At most 50 tags, names to 512 and values to 256 characters, none of <>%&\?/ in names.
Status check_tags(const std::map<std::string, std::string>& tags);

}  // namespace howdah::api::postgres
