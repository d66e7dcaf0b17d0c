#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/id.h"
#include "base/text.h"
#include "cli/directory_names.h"
#include "cli/roles.h"
#include "cli/session.h"
#include "os/file.h"

// howdah role: what roles there are, and who has which where.

namespace howdah::cli {
namespace {

constexpr std::size_t kRoleBytesMax = 1 << 20;
constexpr std::string_view kProvider = "/providers/Microsoft.Authorization/";
constexpr Column kAssignmentColumns[] = {
    {"Principal", "principalName"}, {"Role", "roleDefinitionName"}, {"Scope", "scope"}};
constexpr Column kRoleColumns[] = {
    {"Name", "roleName"}, {"Type", "roleType"}, {"Description", "description"}};

struct AssignmentOptions {
    std::string assignee;
    std::string assignee_object_id;
    std::string principal_type;
    std::string role;
    std::string scope;
    std::string group;
    std::string description;
    std::vector<std::string> ids;
    bool all = false;
    bool inherited = false;
    bool yes = false;
};

struct RoleOptions {
    std::string name;
    std::string scope;
    std::string group;
    std::string definition;
    bool custom_only = false;
};

std::string below(const std::string& scope, std::string_view what, const std::string& id = {}) {
    std::string path = (scope == "/" ? "" : scope) + std::string(kProvider) + std::string(what);
    if (!id.empty()) path += "/" + http::url_encode(id);
    return path;
}

std::string last_word(const std::string& id) { return id.substr(id.rfind('/') + 1); }

/// The object id of whom the options name; "" if nobody is named.
Result<std::string> principal_of(Arm& arm, const AssignmentOptions& options) {
    if (!options.assignee_object_id.empty()) return options.assignee_object_id;
    if (options.assignee.empty()) return std::string();
    HD_TRY(const Json principal, find_service_principal(arm, "--assignee", options.assignee));
    return text_at(principal, "id");
}

/// What the options want of all assignments at a scope.
struct Wanted {
    std::string scope;
    std::string principal_id;
    std::string role_id;
};

Result<Wanted> wanted_of(Arm& arm, const AssignmentOptions& options) {
    Wanted wanted;
    wanted.scope = scope_of(arm, options.scope, options.group);
    if (wanted.scope.empty()) wanted.scope = arm.subscription();
    HD_TRY(wanted.principal_id, principal_of(arm, options));
    if (!options.role.empty()) {
        HD_TRY(const Json role, find_role(arm, wanted.scope, options.role));
        wanted.role_id = text_at(role, "name");
    }
    return wanted;
}

/// As the API shows them. Without `inherited` and `all`: those of the very scope.
Result<std::vector<Json>> assignments(Arm& arm, const AssignmentOptions& options) {
    HD_TRY(const Wanted wanted, wanted_of(arm, options));
    std::string path = below(wanted.scope, "roleAssignments");
    if (!options.all) path += "?$filter=" + http::url_encode("atScope()");
    HD_TRY(const Json all, arm.list(path, kRolesVersion));
    const auto is_wanted = [&](const Json& each) {
        const bool is_here = iequals(text_at(each, "properties/scope"), wanted.scope);
        if (!is_here && !options.all && !options.inherited) return false;
        const std::string role = last_word(text_at(each, "properties/roleDefinitionId"));
        if (!wanted.role_id.empty() && !iequals(role, wanted.role_id)) return false;
        return wanted.principal_id.empty() ||
               iequals(text_at(each, "properties/principalId"), wanted.principal_id);
    };
    std::vector<Json> found;
    std::copy_if(all.begin(), all.end(), std::back_inserter(found), is_wanted);
    return found;
}

/// With the names of roles and principals, which the API does not tell.
Result<Json> with_names(Arm& arm, const std::vector<Json>& assignments) {
    Json shown = Json::array();
    if (assignments.empty()) return shown;
    HD_TRY(const Json roles, arm.list(below(arm.subscription(), "roleDefinitions"), kRolesVersion));
    // Who may not read the directory sees ids.
    const auto principals = arm.list("/v1.0/servicePrincipals", kGraphVersion);
    for (const Json& each : assignments) {
        Json row = flattened(each);
        const std::string role_id = last_word(text_at(row, "roleDefinitionId"));
        row["roleDefinitionName"] = role_id;
        row["principalName"] = text_at(row, "principalId");
        for (const Json& role : roles)
            if (iequals(text_at(role, "name"), role_id))
                row["roleDefinitionName"] = text_at(role, "properties/roleName");
        for (const Json& principal : principals.ok() ? *principals : Json::array())
            if (iequals(text_at(principal, "id"), text_at(row, "principalId")))
                row["principalName"] = text_at(principal, "displayName");
        shown.push_back(std::move(row));
    }
    return shown;
}

Result<Output> create_assignment(Session& session, const AssignmentOptions& options) {
    session.doing("create", "creating", "a role assignment");
    HD_TRY(Arm* const arm, session.arm());
    const std::string scope = scope_of(*arm, options.scope, options.group);
    if (scope.empty())
        return usage_error("--scope", "it is not said where the role holds",
                           "add --scope ID, or -g GROUP");
    HD_TRY(const std::string principal, principal_of(*arm, options));
    if (principal.empty())
        return usage_error("--assignee", "it is not said who gets the role",
                           "add --assignee with an application id, object id or name");
    HD_TRY(const Json role, find_role(*arm, scope, options.role));
    HD_TRY(const Json made, assign_role(session, role,
                                        {.scope = scope,
                                         .principal_id = principal,
                                         .principal_type = options.principal_type,
                                         .description = options.description}));
    HD_TRY(Json shown, with_names(*arm, {made}));
    return Output{std::move(shown[0]), kAssignmentColumns};
}

Result<Output> list_assignments(Session& session, const AssignmentOptions& options) {
    session.doing("list", "listing", "role assignments");
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(const auto found, assignments(*arm, options));
    HD_TRY(Json shown, with_names(*arm, found));
    return Output{std::move(shown), kAssignmentColumns};
}

Result<Output> delete_assignments(Session& session, const AssignmentOptions& options) {
    session.doing("delete", "deleting", "role assignments");
    HD_TRY(Arm* const arm, session.arm());
    std::vector<std::string> ids = options.ids;
    const bool is_named = !options.assignee.empty() || !options.assignee_object_id.empty() ||
                          !options.role.empty() || !options.scope.empty() || !options.group.empty();
    if (ids.empty() == !is_named)
        return usage_error("--ids", "it is not said which",
                           "give --ids, or one of --assignee, --role, --scope and -g");
    if (ids.empty()) {
        HD_TRY(const auto found, assignments(*arm, options));
        for (const Json& each : found) ids.push_back(text_at(each, "id"));
        if (ids.empty())
            return Error{ErrorCode::not_found, "there is no such role assignment", "",
                         "see what there is with: howdah role assignment list --all"};
    }
    HD_CHECK(session.confirm(
        fmt::format("Delete {} role assignment{}?", ids.size(), ids.size() == 1 ? "" : "s"),
        options.yes || ids.size() == 1));
    for (const std::string& id : ids) HD_CHECK(arm->begin("DELETE", id, Json(), kRolesVersion));
    return Output{};
}

/// The JSON of --role-definition: text, or @FILE or the name of a file.
Result<Json> read_definition(const std::string& given) {
    std::string text = given;
    if (!given.empty() && given.front() != '{') {
        const std::string path = given.front() == '@' ? given.substr(1) : given;
        auto content = os::read_file(path, kRoleBytesMax);
        if (!content.ok())
            return usage_error("--role-definition", content.error().message, "give JSON, or @FILE");
        text = std::move(*content);
    }
    auto json = parse_json(text, "the role definition");
    if (!json.ok() || !json->is_object())
        return usage_error("--role-definition", "the role definition is not a JSON object",
                           "write it as in: az role definition create --help");
    return json;
}

/// Azure's form of a file ("Name", "Actions", "AssignableScopes") and of its answers ("roleName",
/// "permissions") are both taken.
Json properties_of(const Json& given, const Json& before) {
    const auto value = [&](const char* file, const char* answer, Json fallback) -> Json {
        if (!at(given, file).is_null()) return at(given, file);
        return at(given, answer).is_null() ? fallback : at(given, answer);
    };
    const Json none = Json::array();
    const Json& permissions = at(given, "permissions");
    const Json first = permissions.is_array() && !permissions.empty() ? permissions[0] : Json();
    const Json& old = at(before, "properties");
    const Json old_permissions =
        at(old, "permissions").is_array() && !at(old, "permissions").empty()
            ? at(old, "permissions")[0]
            : Json();
    const auto actions = [&](const char* file, const char* answer) -> Json {
        if (!at(given, file).is_null()) return at(given, file);
        if (!at(first, answer).is_null()) return at(first, answer);
        return at(old_permissions, answer).is_null() ? none : at(old_permissions, answer);
    };
    return {{"roleName", value("Name", "roleName", at(old, "roleName"))},
            {"description", value("Description", "description", text_at(old, "description"))},
            {"type", "CustomRole"},
            {"assignableScopes",
             value("AssignableScopes", "assignableScopes", at(old, "assignableScopes"))},
            {"permissions",
             Json::array({{{"actions", actions("Actions", "actions")},
                           {"notActions", actions("NotActions", "notActions")},
                           {"dataActions", actions("DataActions", "dataActions")},
                           {"notDataActions", actions("NotDataActions", "notDataActions")}}})}};
}

Result<Output> put_role(Session& session, const std::string& id, const Json& properties) {
    HD_TRY(Arm* const arm, session.arm());
    const Json& scopes = at(properties, "assignableScopes");
    if (!scopes.is_array() || scopes.empty() || !scopes[0].is_string())
        return usage_error("--role-definition", "it has no AssignableScopes",
                           "add \"AssignableScopes\": [\"" + arm->subscription() + "\"]");
    const std::string path = below(text_at(scopes[0], ""), "roleDefinitions", id);
    HD_TRY(const Begun begun, arm->begin("PUT", path, {{"properties", properties}}, kRolesVersion));
    return Output{flattened(begun.body), kRoleColumns};
}

Result<Output> create_role(Session& session, const RoleOptions& options) {
    session.doing("create", "creating", "a role");
    HD_TRY(const Json given, read_definition(options.definition));
    return put_role(session, session.world.ids.uuid(), properties_of(given, Json()));
}

Result<Output> update_role(Session& session, const RoleOptions& options) {
    session.doing("update", "updating", "a role");
    HD_TRY(Arm* const arm, session.arm());
    HD_TRY(const Json given, read_definition(options.definition));
    // The id finds it, so that it can be renamed; in the form of a file it is "Id" or "id".
    std::string which;
    for (const char* field : {"Id", "id", "name", "Name", "roleName"})
        if (which.empty()) which = last_word(text_at(given, field));
    HD_TRY(const Json before, find_role(*arm, arm->subscription(), which));
    Json changed = given;
    // "name" beside an "id" is the id in Azure's answers, never the role's name.
    changed.erase("name");
    return put_role(session, text_at(before, "name"), properties_of(changed, before));
}

Result<Output> list_roles(Session& session, const RoleOptions& options) {
    session.doing("list", "listing", "roles");
    HD_TRY(Arm* const arm, session.arm());
    std::string scope = scope_of(*arm, options.scope, options.group);
    if (scope.empty()) scope = arm->subscription();
    HD_TRY(const Json all, arm->list(below(scope, "roleDefinitions"), kRolesVersion));
    Json shown = Json::array();
    for (const Json& each : all) {
        const bool is_custom = text_at(each, "properties/type") == "CustomRole";
        if (options.custom_only && !is_custom) continue;
        const bool is_named = iequals(text_at(each, "properties/roleName"), options.name) ||
                              iequals(text_at(each, "name"), options.name);
        if (options.name.empty() || is_named) shown.push_back(flattened(each));
    }
    return Output{std::move(shown), kRoleColumns};
}

Result<Output> delete_role(Session& session, const RoleOptions& options) {
    session.doing("delete", "deleting", "role " + options.name);
    HD_TRY(Arm* const arm, session.arm());
    std::string scope = scope_of(*arm, options.scope, options.group);
    if (scope.empty()) scope = arm->subscription();
    HD_TRY(const Json role, find_role(*arm, scope, options.name));
    HD_CHECK(arm->begin("DELETE", below(scope, "roleDefinitions", text_at(role, "name")), Json(),
                        kRolesVersion));
    return Output{};
}

void add_assignment(Commands& commands, CLI::App& role) {
    CLI::App& noun = commands.noun(role, "assignment", "Who has which role where");
    auto options = std::make_shared<AssignmentOptions>();
    const auto verb = [&](const char* name, const char* about, auto action) -> CLI::App& {
        CLI::App& app = commands.verb(noun, name, about, [options, action](Session& session) {
            return action(session, *options);
        });
        app.add_option("--assignee", options->assignee,
                       "Application id, object id or display name");
        app.add_option("--assignee-object-id", options->assignee_object_id,
                       "Object id, not looked up");
        app.add_option("--role", options->role, "Role, by name or id");
        app.add_option("--scope", options->scope, "Where it holds: an id");
        app.add_option("-g,--resource-group", options->group, "Or a resource group");
        return app;
    };
    CLI::App& create = verb("create", "Give somebody a role", create_assignment);
    create.get_option("--role")->required();
    create.add_option("--assignee-principal-type", options->principal_type, "ServicePrincipal");
    create.add_option("--description", options->description, "Why");
    CLI::App& list = verb("list", "List role assignments", list_assignments);
    list.add_flag("--all", options->all, "Also those above and below");
    list.add_flag("--include-inherited", options->inherited, "Also those above");
    CLI::App& remove = verb("delete", "Take roles away", delete_assignments);
    remove.add_option("--ids", options->ids, "Ids of role assignments");
    remove.add_flag("-y,--yes", options->yes, "Do not ask");
}

void add_definition(Commands& commands, CLI::App& role) {
    CLI::App& noun = commands.noun(role, "definition", "What roles there are");
    auto options = std::make_shared<RoleOptions>();
    const auto verb = [&](const char* name, const char* about, auto action) -> CLI::App& {
        return commands.verb(noun, name, about, [options, action](Session& session) {
            return action(session, *options);
        });
    };
    const auto where = [&](CLI::App& app, bool needs_name) {
        auto* name = app.add_option("-n,--name", options->name, "Role, by name or id");
        if (needs_name) name->required();
        app.add_option("--scope", options->scope, "Where it can be assigned: an id");
        app.add_option("-g,--resource-group", options->group, "Or a resource group");
    };
    CLI::App& list = verb("list", "List the roles", list_roles);
    where(list, false);
    list.add_flag("--custom-role-only", options->custom_only, "Without the built-in ones");
    constexpr const char* kAbout = "JSON, or @FILE, in az's form";
    verb("create", "Make a role of your own", create_role)
        .add_option("--role-definition", options->definition, kAbout)
        ->required();
    verb("update", "Change a role of your own", update_role)
        .add_option("--role-definition", options->definition, kAbout)
        ->required();
    where(verb("delete", "Delete a role of your own", delete_role), true);
}

}  // namespace

Json flattened(const Json& resource) {
    Json flat =
        at(resource, "properties").is_object() ? at(resource, "properties") : Json::object();
    // A role's own "type" is whether it is built in.
    if (flat.contains("roleName")) flat["roleType"] = flat["type"];
    for (const auto& [name, value] : resource.items())
        if (name != "properties") flat[name] = value;
    return flat;
}

std::string scope_of(const Arm& arm, const std::string& scope, const std::string& group) {
    if (!scope.empty()) return scope;
    return group.empty() ? std::string() : arm.group(group);
}

Result<Json> find_role(Arm& arm, const std::string& scope, const std::string& role) {
    HD_TRY(const Json all, arm.list(below(scope, "roleDefinitions"), kRolesVersion));
    for (const Json& each : all)
        if (iequals(text_at(each, "properties/roleName"), role) ||
            iequals(text_at(each, "name"), last_word(role)))
            return each;
    return Error{ErrorCode::not_found, fmt::format("there is no role '{}'", role), "",
                 "see what there is with: howdah role definition list"};
}

Result<Json> assign_role(Session& session, const Json& role, const Grant& grant) {
    HD_TRY(Arm* const arm, session.arm());
    Json properties = {{"roleDefinitionId", text_at(role, "id")},
                       {"principalId", grant.principal_id}};
    if (!grant.principal_type.empty()) properties["principalType"] = grant.principal_type;
    if (!grant.description.empty()) properties["description"] = grant.description;
    HD_TRY(Begun begun,
           arm->begin("PUT", below(grant.scope, "roleAssignments", session.world.ids.uuid()),
                      {{"properties", properties}}, kRolesVersion));
    return std::move(begun.body);
}

void add_role(Commands& commands) {
    CLI::App& role = commands.noun("role", "Who may do what");
    add_assignment(commands, role);
    add_definition(commands, role);
}

}  // namespace howdah::cli
