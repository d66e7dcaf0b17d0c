#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/session.h"
#include "cli/values.h"

// howdah server: flexible servers.

namespace howdah::cli {
namespace {

constexpr Column kColumns[] = {{"Name", "name"},
                               {"Resource Group", kGroupOfId},
                               {"Location", "location"},
                               {"Version", "properties/version"},
                               {"Storage Size(GiB)", "properties/storage/storageSizeGB"},
                               {"Tier", "sku/tier"},
                               {"SKU", "sku/name"},
                               {"State", "properties/state"},
                               {"Host", "properties/fullyQualifiedDomainName"}};
/// Of one server: also what there is of a standby.
constexpr Column kShowColumns[] = {
    {"Name", "name"},
    {"Resource Group", kGroupOfId},
    {"Location", "location"},
    {"Version", "properties/version"},
    {"Storage Size(GiB)", "properties/storage/storageSizeGB"},
    {"Tier", "sku/tier"},
    {"SKU", "sku/name"},
    {"State", "properties/state"},
    {"HA Mode", "properties/highAvailability/mode"},
    {"HA State", "properties/highAvailability/state"},
    {"Zone", "properties/availabilityZone"},
    {"Standby Zone", "properties/highAvailability/standbyAvailabilityZone"},
    {"Host", "properties/fullyQualifiedDomainName"}};
constexpr Column kSkuColumns[] = {{"SKU", "name"},
                                  {"Tier", "tier"},
                                  {"VCores", "vCores"},
                                  {"Memory", "memory"},
                                  {"Max IOPS", "maxIops"}};

constexpr std::string_view kDefaultSku = "Standard_D2ds_v5";
constexpr std::string_view kDefaultAdmin = "dba";
constexpr int kDefaultStorageGb = 32;

struct ServerOptions {
    std::string group;
    std::string name;
    std::string location;
    std::string sku;
    std::string tier;
    int storage_gb = 0;
    std::string storage_auto_grow;
    std::string version;
    std::string admin_user;
    std::string admin_password;
    std::string admin_password_file;
    std::string public_access;
    std::string database;
    std::vector<std::string> tags;
    bool has_tags = false;
    int backup_retention = 0;
    std::string geo_redundant_backup;
    std::string high_availability;
    std::string zone;
    std::string standby_zone;
    std::string maintenance_window;
    std::string failover;
    bool planned = false;
    bool forced = false;
    std::string query_text;
    bool interactive = false;
    bool pooled = false;
    bool yes = false;
    bool no_wait = false;
};

std::string what(const ServerOptions& options) { return "server " + options.name; }

std::string not_found_hint(const ServerOptions& options) {
    return "run: howdah server list -g " + options.group;
}

/// The server as the API has it; a missing one is said in the words of the command line.
Result<Json> find(Session& session, const ServerOptions& options) {
    HD_TRY(Arm* const arm, session.arm());
    auto server = arm->get(arm->server(options.group, options.name));
    if (server.ok() || server.error().code != ErrorCode::not_found) return server;
    Error error = server.error();
    if (error.hint.empty()) error.hint = not_found_hint(options);
    return error;
}

Result<std::string> location_of_group(Arm& arm, const std::string& group) {
    HD_TRY(const Json json, arm.get(arm.group(group), kResourcesVersion));
    return text_at(json, "location");
}

/// {"name":"Standard_B1ms","tier":"Burstable",...} for each size, from the capabilities.
std::vector<Json> sku_rows(const Json& capabilities) {
    std::vector<Json> rows;
    for (const Json& capability : capabilities) {
        for (const Json& edition : at(capability, "supportedServerEditions")) {
            for (const Json& sku : at(edition, "supportedServerSkus")) {
                const long long vcores =
                    parse_integer(text_at(sku, "vCores"), 1, 1 << 20).value_or(1);
                const long long memory_mb =
                    parse_integer(text_at(sku, "supportedMemoryPerVcoreMb"), 0, 1 << 30)
                        .value_or(0) *
                    vcores;
                rows.push_back({{"name", text_at(sku, "name")},
                                {"tier", text_at(edition, "name")},
                                {"vCores", text_at(sku, "vCores")},
                                {"memory", fmt::format("{} GiB", memory_mb / 1024)},
                                {"maxIops", text_at(sku, "supportedIops")}});
            }
        }
    }
    return rows;
}

Result<Json> capabilities_of(Arm& arm, const std::string& location) {
    return arm.list(arm.postgres("locations/" + http::url_encode(location) + "/capabilities"));
}

/// The newest version of PostgreSQL that a location offers.
Result<std::string> default_version(const Json& capabilities, const std::string& location) {
    std::vector<std::string> versions;
    for (const Json& capability : capabilities) {
        for (const Json& each : at(capability, "supportedServerVersions")) {
            versions.push_back(text_at(each, "name"));
        }
    }
    const std::string version = newest_version(versions);
    if (!version.empty()) return version;
    return Error{ErrorCode::invalid_state,
                 fmt::format("the location '{}' offers no version of PostgreSQL", location),
                 {},
                 "start howdah-agent on a machine with PostgreSQL, or give --version"};
}

/// az's default size where the machines are large enough for it, else the first that they offer.
std::string default_sku(const Json& capabilities) {
    const std::vector<Json> offered = sku_rows(capabilities);
    for (const Json& each : offered) {
        if (text_at(each, "name") == kDefaultSku) return std::string(kDefaultSku);
    }
    return offered.empty() ? std::string(kDefaultSku) : text_at(offered.front(), "name");
}

Status name_is_free(Arm& arm, const std::string& location, const std::string& name) {
    const Json body = {{"name", name}, {"type", "Microsoft.DBforPostgreSQL/flexibleServers"}};
    HD_TRY(const Json answer, arm.post(arm.postgres("locations/" + http::url_encode(location) +
                                                    "/checkNameAvailability"),
                                       body));
    if (at(answer, "nameAvailable") == Json(true)) return ok_status();
    const bool exists = text_at(answer, "reason") == "AlreadyExists";
    return Error{exists ? ErrorCode::already_exists : ErrorCode::invalid_argument,
                 text_at(answer, "message"), exists ? std::string() : "--name",
                 exists ? "choose another name, or change the server with: howdah server update"
                        : "choose another name"};
}

/// The administrator's password: given, or made up (`generated`).
struct Password {
    Secret text;
    bool generated = false;
};

Result<Password> password_of(Session& session, const ServerOptions& options) {
    if (!options.admin_password.empty() && !options.admin_password_file.empty()) {
        return usage_error("--admin-password", "the password is given twice",
                           "use --admin-password or --admin-password-file");
    }
    if (!options.admin_password.empty()) return Password{Secret(options.admin_password)};
    if (!options.admin_password_file.empty()) {
        HD_TRY(Secret text, read_secret_file(session.world, "--admin-password-file",
                                             options.admin_password_file));
        return Password{std::move(text)};
    }
    return Password{generate_password(session.world.ids), true};
}

/// --high-availability and --standby-zone.
void add_availability(const ServerOptions& options, Json& properties) {
    if (!options.high_availability.empty()) {
        properties["highAvailability"]["mode"] = options.high_availability;
    }
    if (!options.standby_zone.empty()) {
        properties["highAvailability"]["standbyAvailabilityZone"] = options.standby_zone;
    }
}

Json body_of_create(const ServerOptions& options, const PublicAccess& access,
                    const Password& password) {
    Json properties = {
        {"createMode", "Default"},
        {"administratorLogin", options.admin_user},
        {"administratorLoginPassword", password.text.reveal()},
        {"version", options.version},
        {"storage", {{"storageSizeGB", options.storage_gb}}},
        {"network", {{"publicNetworkAccess", access.enabled ? "Enabled" : "Disabled"}}}};
    if (!options.storage_auto_grow.empty()) {
        properties["storage"]["autoGrow"] = options.storage_auto_grow;
    }
    if (options.backup_retention > 0) {
        properties["backup"]["backupRetentionDays"] = options.backup_retention;
    }
    if (!options.geo_redundant_backup.empty()) {
        properties["backup"]["geoRedundantBackup"] = options.geo_redundant_backup;
    }
    add_availability(options, properties);
    if (!options.zone.empty()) properties["availabilityZone"] = options.zone;
    return {{"location", options.location},
            {"sku", {{"name", options.sku}, {"tier", options.tier}}},
            {"properties", properties}};
}

/// Fills in what the user left open; az's defaults where Azure has one.
Status complete(Arm& arm, ServerOptions& options) {
    if (options.location.empty()) {
        HD_TRY(options.location, location_of_group(arm, options.group));
    }
    if (options.sku.empty() || options.version.empty()) {
        HD_TRY(const Json capabilities, capabilities_of(arm, options.location));
        if (options.sku.empty()) options.sku = default_sku(capabilities);
        if (options.version.empty()) {
            HD_TRY(options.version, default_version(capabilities, options.location));
        }
    }
    if (options.tier.empty()) options.tier = tier_of(options.sku);
    if (options.tier.empty()) {
        return usage_error("--tier", "the tier does not follow from the size " + options.sku,
                           "add --tier; howdah server list-skus shows all");
    }
    if (options.storage_gb == 0) options.storage_gb = kDefaultStorageGb;
    if (options.admin_user.empty()) options.admin_user = kDefaultAdmin;
    return ok_status();
}

/// What comes after the server itself: a firewall rule, a database.
Status create_children(Session& session, Arm& arm, const ServerOptions& options,
                       const PublicAccess& access) {
    const std::string server = arm.server(options.group, options.name);
    if (!access.start_ip.empty()) {
        const std::string time = format_iso8601(session.world.clock.wall()).substr(0, 19);
        std::string name = (access.start_ip == "0.0.0.0" ? "AllowAll_" : "FirewallIPAddress_");
        for (const char c : time) name += c == 'T' ? '_' : c == ':' ? '-' : c;
        HD_CHECK(session.change(
            "PUT", server + "/firewallRules/" + name,
            {{"properties",
              {{"startIpAddress", access.start_ip}, {"endIpAddress", access.end_ip}}}}));
    }
    if (!options.database.empty()) {
        HD_CHECK(session.change("PUT", server + "/databases/" + http::url_encode(options.database),
                                {{"properties", Json::object()}}));
    }
    return ok_status();
}

Result<Output> create(Session& session, const ServerOptions& given) {
    ServerOptions options = given;
    session.doing("create", "creating", what(options));
    HD_TRY(const PublicAccess access,
           public_access_of(options.public_access.empty() ? "none" : options.public_access));
    HD_TRY(const Json tags, tags_of(options.tags));
    HD_TRY(const Password password, password_of(session, options));
    if (options.no_wait && (!access.start_ip.empty() || !options.database.empty())) {
        return usage_error("--no-wait",
                           "a firewall rule or a database is made after the server, so this waits",
                           "leave --no-wait out, or make them later");
    }
    HD_TRY(Arm* const arm, session.arm());
    HD_CHECK(complete(*arm, options));
    HD_CHECK(name_is_free(*arm, options.location, options.name));
    Json body = body_of_create(options, access, password);
    if (!tags.empty()) body["tags"] = tags;
    const std::string path = arm->server(options.group, options.name);
    HD_TRY(const Begun begun, arm->begin("PUT", path, body));
    if (password.generated) {
        // Said before the waiting: a server whose creation is not watched to its end is not lost.
        session.world.err << fmt::format(
            "administrator '{}', password (made up, and kept nowhere): {}\n", options.admin_user,
            password.text.reveal());
    }
    HD_CHECK(session.follow(begun, options.no_wait));
    HD_CHECK(create_children(session, *arm, options, access));
    HD_TRY(Json value, arm->get(path));
    if (password.generated) {
        // In az's words, at az's place.
        value["username"] = options.admin_user;
        value["password"] = password.text.reveal();
    }
    if (access.enabled && access.start_ip.empty()) {
        session.note(
            fmt::format("nobody may connect yet; howdah firewall-rule create -g {} -n {} -r NAME "
                        "--start-ip-address IP",
                        options.group, options.name));
    }
    return Output{std::move(value), kColumns};
}

Result<Output> list(Session& session, const ServerOptions& options) {
    session.doing("list", "listing", "servers");
    HD_TRY(Arm* const arm, session.arm());
    const std::string path =
        options.group.empty()
            ? arm->postgres("flexibleServers")
            : arm->group(options.group) + "/providers/Microsoft.DBforPostgreSQL/flexibleServers";
    HD_TRY(Json all, arm->list(path));
    return Output{std::move(all), kColumns};
}

Result<Output> show(Session& session, const ServerOptions& options) {
    session.doing("show", "showing", what(options));
    HD_TRY(Json value, find(session, options));
    return Output{std::move(value), kShowColumns};
}

Result<Json> body_of_update(Session& session, const ServerOptions& options) {
    Json body = Json::object();
    Json properties = Json::object();
    if (!options.sku.empty()) {
        const std::string tier = options.tier.empty() ? tier_of(options.sku) : options.tier;
        body["sku"] = {{"name", options.sku}};
        if (!tier.empty()) body["sku"]["tier"] = tier;
    } else if (!options.tier.empty()) {
        return usage_error("--tier", "a tier is not enough", "add --sku-name");
    }
    if (options.has_tags) {
        HD_TRY(body["tags"], tags_of(options.tags));
    }
    if (!options.admin_password.empty() || !options.admin_password_file.empty()) {
        HD_TRY(const Password password, password_of(session, options));
        properties["administratorLoginPassword"] = password.text.reveal();
    }
    if (options.storage_gb > 0) properties["storage"]["storageSizeGB"] = options.storage_gb;
    if (!options.storage_auto_grow.empty()) {
        properties["storage"]["autoGrow"] = options.storage_auto_grow;
    }
    if (options.backup_retention > 0) {
        properties["backup"]["backupRetentionDays"] = options.backup_retention;
    }
    add_availability(options, properties);
    if (!options.maintenance_window.empty()) {
        HD_TRY(properties["maintenanceWindow"], maintenance_window_of(options.maintenance_window));
    }
    if (!options.public_access.empty()) {
        if (!iequals(options.public_access, "enabled") &&
            !iequals(options.public_access, "disabled")) {
            return usage_error("--public-access", "an existing server is Enabled or Disabled",
                               "for addresses use: howdah firewall-rule create");
        }
        HD_TRY(const PublicAccess access, public_access_of(options.public_access));
        properties["network"]["publicNetworkAccess"] = access.enabled ? "Enabled" : "Disabled";
    }
    if (!properties.empty()) body["properties"] = std::move(properties);
    if (body.empty()) return usage_error("--name", "there is nothing to change", "add --help");
    return body;
}

Result<Output> update(Session& session, const ServerOptions& options) {
    session.doing("update", "updating", what(options));
    HD_TRY(const Json body, body_of_update(session, options));
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(Json value, session.change_and_get("PATCH", arm->server(options.group, options.name),
                                              body, options.no_wait));
    return Output{std::move(value), kColumns};
}

/// start, stop and restart.
Result<Output> post(Session& session, const ServerOptions& options, const std::string& verb,
                    const std::string& present, const Json& body) {
    session.doing(verb, present, what(options));
    HD_TRY(Arm* const arm, session.arm());
    HD_CHECK(session.change("POST", arm->server(options.group, options.name) + "/" + verb, body,
                            options.no_wait));
    return Output{};
}

Result<Output> restart(Session& session, const ServerOptions& options) {
    Json body = {{"restartWithFailover", !options.failover.empty()}};
    if (!options.failover.empty()) body["failoverMode"] = options.failover + "Failover";
    return post(session, options, "restart", "restarting", body);
}

/// What the other member did, and where the server is now.
Result<Output> fail_over(Session& session, const ServerOptions& options) {
    if (options.planned && options.forced) {
        return usage_error("--forced", "a failover is planned or forced",
                           "give --planned or --forced");
    }
    const Json body = {{"restartWithFailover", true},
                       {"failoverMode", options.forced ? "ForcedFailover" : "PlannedFailover"}};
    session.doing("failover", "failing over", what(options));
    HD_TRY(Arm* const arm, session.arm());
    const std::string path = arm->server(options.group, options.name);
    HD_CHECK(session.change("POST", path + "/restart", body, options.no_wait));
    if (options.no_wait) return Output{};
    HD_TRY(const Json server, arm->get(path));
    const std::string zone = text_at(server, "properties/availabilityZone");
    session.note(fmt::format("the other member is the primary now{}; high availability: {}",
                             zone.empty() ? "" : ", in zone " + zone,
                             text_at(server, "properties/highAvailability/state")));
    return Output{};
}

Result<Output> remove(Session& session, const ServerOptions& options) {
    session.doing("delete", "deleting", what(options));
    HD_TRY(Arm* const arm, session.arm());
    HD_CHECK(session.confirm("Delete the server '" + options.name + "' in the resource group '" +
                                 options.group + "' and all its data?",
                             options.yes));
    HD_CHECK(session.change("DELETE", arm->server(options.group, options.name), Json(),
                            options.no_wait));
    return Output{};
}

/// The libpq connection string of a server. Its host name is what the certificate is made out to;
/// where the gateway can be reached, the API says in properties.howdah.
std::string conninfo_of(const Json& server, const std::string& port, const std::string& user,
                        const std::string& database, const std::string& ca_path) {
    const std::string address = text_at(server, "properties/howdah/address");
    std::vector<std::string> parts = {
        "host=" + conninfo_quote(text_at(server, "properties/fullyQualifiedDomainName"))};
    if (!address.empty()) parts.push_back("hostaddr=" + conninfo_quote(address));
    parts.push_back("port=" + (port.empty() ? "5432" : conninfo_quote(port)));
    parts.push_back("user=" + conninfo_quote(user));
    parts.push_back("dbname=" + conninfo_quote(database));
    parts.emplace_back("sslmode=verify-full");
    if (!ca_path.empty()) parts.push_back("sslrootcert=" + conninfo_quote(ca_path));
    return join(parts, " ");
}

Result<Output> connect(Session& session, const ServerOptions& options) {
    session.doing("connect", "connecting", "to " + what(options));
    HD_TRY(const Json server, find(session, options));
    const std::string state = text_at(server, "properties/state");
    if (state == "Stopped") {
        return Error{
            ErrorCode::invalid_state,
            "the server is stopped",
            {},
            fmt::format("run: howdah server start -g {} -n {}", options.group, options.name)};
    }
    const std::string port = text_at(
        server, options.pooled ? "properties/howdah/poolerPort" : "properties/howdah/gatewayPort");
    if (options.pooled && port.empty()) {
        return Error{ErrorCode::invalid_state,
                     "the server's connections are not pooled",
                     {},
                     fmt::format("run: howdah parameter set -g {} -s {} -n pgbouncer.enabled -v on",
                                 options.group, options.name)};
    }
    HD_TRY(Arm* const arm, session.arm());
    const std::string user = options.admin_user.empty()
                                 ? text_at(server, "properties/administratorLogin")
                                 : options.admin_user;
    const std::string database = options.database.empty() ? "postgres" : options.database;
    Successor psql{
        {"psql", "--dbname",
         conninfo_of(server, port, user, database, session.profiles.ca_path(arm->profile()))},
        {}};
    if (!options.query_text.empty()) {
        psql.arguments.insert(psql.arguments.end(), {"--command", options.query_text});
    }
    if (!options.admin_password.empty() || !options.admin_password_file.empty()) {
        HD_TRY(const Password password, password_of(session, options));
        psql.password_file = Secret("*:*:*:*:" + passfile_quote(password.text.reveal()) + "\n");
    }
    HD_CHECK(session.world.become(psql));
    return Output{};
}

Result<Output> list_skus(Session& session, const ServerOptions& options) {
    session.doing("list", "listing", "the sizes of " + options.location);
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(Json value, capabilities_of(*arm, options.location));
    return Output{std::move(value), kSkuColumns, sku_rows};
}

/// The options of one server's verbs; each verb takes those that it needs.
class Builder {
  public:
    explicit Builder(Commands& commands)
        : commands_(commands),
          noun_(commands.noun("server", "PostgreSQL servers")),
          options_(std::make_shared<ServerOptions>()) {}

    template <typename Do>
    Builder& verb(const std::string& name, const std::string& about, Do action) {
        app_ = &commands_.verb(noun_, name, about, [options = options_, action](Session& session) {
            return action(session, *options);
        });
        return *this;
    }
    Builder& group(bool required = true) {
        app_->add_option("-g,--resource-group", options_->group, "Resource group")
            ->required(required);
        return *this;
    }
    Builder& name() {
        app_->add_option("-n,--name", options_->name, "Name of the server")->required();
        return *this;
    }
    Builder& location(bool required) {
        app_->add_option("-l,--location", options_->location,
                         required ? "Location" : "Location (that of the group)")
            ->required(required);
        return *this;
    }
    Builder& size() {
        app_->add_option("--sku-name", options_->sku, "Compute size, as in list-skus");
        app_->add_option("--tier", options_->tier,
                         "Burstable, GeneralPurpose or MemoryOptimized (that of the size)");
        app_->add_option("--storage-size", options_->storage_gb, "Storage in GiB")
            ->check(CLI::PositiveNumber);
        app_->add_option("--storage-auto-grow", options_->storage_auto_grow, "Enabled or Disabled");
        app_->add_option("--backup-retention", options_->backup_retention, "Days, 7 to 35")
            ->check(CLI::PositiveNumber);
        app_->add_option("--high-availability", options_->high_availability,
                         "Disabled, SameZone or ZoneRedundant");
        app_->add_option("--standby-zone", options_->standby_zone,
                         "Availability zone of the standby (any that fits)");
        app_->add_option("--tags", options_->tags, "Tags: key=value ...; \"\" removes all")
            ->each([options = options_](const std::string&) { options->has_tags = true; });
        return *this;
    }
    Builder& password(const std::string& about) {
        app_->add_option("-p,--admin-password", options_->admin_password, about);
        app_->add_option("--admin-password-file", options_->admin_password_file,
                         "File with the password; - is standard input");
        return *this;
    }
    Builder& option(const std::string& names, std::string ServerOptions::*field,
                    const std::string& about) {
        app_->add_option(names, (*options_).*field, about);
        return *this;
    }
    Builder& flag(const std::string& names, bool ServerOptions::*field, const std::string& about) {
        app_->add_flag(names, (*options_).*field, about);
        return *this;
    }
    Builder& yes() { return flag("-y,--yes", &ServerOptions::yes, "Do not ask"); }
    Builder& no_wait() {
        return flag("--no-wait", &ServerOptions::no_wait, "Do not wait for the end");
    }

  private:
    Commands& commands_;
    CLI::App& noun_;
    std::shared_ptr<ServerOptions> options_;
    CLI::App* app_ = nullptr;
};

void add_create_and_update(Builder& build) {
    build.verb("create", "Create a server", create).group().name().location(false).size();
    build.password("Password of the administrator (made up and shown once)")
        .option("-u,--admin-user", &ServerOptions::admin_user, "Name of the administrator (dba)")
        .option("--version", &ServerOptions::version, "PostgreSQL major (the newest there is)")
        .option("--public-access", &ServerOptions::public_access,
                "Who may connect: none, all, an IP address or IP-IP (none)")
        .option("-d,--database-name", &ServerOptions::database, "Also create this database")
        .option("--geo-redundant-backup", &ServerOptions::geo_redundant_backup,
                "Enabled or Disabled")
        .option("-z,--zone", &ServerOptions::zone, "Availability zone")
        .yes()
        .no_wait();
    build.verb("update", "Change a server", update).group().name().size();
    build.password("New password of the administrator")
        .option("--maintenance-window", &ServerOptions::maintenance_window,
                "DAY:HOUR:MINUTE, like Mon:3:30, or Disabled")
        .option("--public-access", &ServerOptions::public_access, "Enabled or Disabled")
        .yes()
        .no_wait();
}

}  // namespace

void add_server(Commands& commands) {
    Builder build(commands);
    add_create_and_update(build);
    build.verb("list", "List the servers", list).group(false);
    build.verb("show", "Show a server", show).group().name();
    build
        .verb("start", "Start a stopped server",
              [](Session& session, const ServerOptions& options) {
                  return post(session, options, "start", "starting", Json());
              })
        .group()
        .name()
        .no_wait();
    build
        .verb("stop", "Stop a server; its data stay",
              [](Session& session, const ServerOptions& options) {
                  return post(session, options, "stop", "stopping", Json());
              })
        .group()
        .name()
        .no_wait();
    build.verb("restart", "Restart a server", restart)
        .group()
        .name()
        .option("--failover", &ServerOptions::failover, "Planned or Forced")
        .no_wait();
    build.verb("failover", "Make the standby the primary", fail_over)
        .group()
        .name()
        .flag("--planned", &ServerOptions::planned,
              "After the last commit was copied (the default)")
        .flag("--forced", &ServerOptions::forced, "At once, as if the primary had failed")
        .no_wait();
    build.verb("delete", "Delete a server and its data", remove).group().name().yes().no_wait();
    build.verb("connect", "Open psql on a server", connect)
        .group(true)
        .name()
        .option("-u,--admin-user", &ServerOptions::admin_user, "Role (the administrator)")
        .option("-d,--database-name", &ServerOptions::database, "Database (postgres)")
        .option("-q,--querytext", &ServerOptions::query_text, "Run this query and end")
        .flag("--interactive", &ServerOptions::interactive, "Open a session (the default)")
        .flag("--pooled", &ServerOptions::pooled, "Through PgBouncer (pgbouncer.enabled)")
        .password("Password (psql asks for it)");
    build.verb("list-skus", "List the compute sizes of a location", list_skus).location(true);
}

}  // namespace howdah::cli
