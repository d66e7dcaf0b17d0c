// ad, role, lock, activity-log and server logs against an API that behaves as Azure's does.

#include <gmock/gmock.h>

#include "base/text.h"
#include "cli/cli_support.h"
#include "os/file.h"

namespace howdah::cli {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::string kSub = std::string("/subscriptions/") + kSubscription;
const std::string kTeam = kSub + "/resourceGroups/team";
const std::string kServer = kTeam + "/providers/Microsoft.DBforPostgreSQL/flexibleServers/orders";
const std::string kAuthorization = "/providers/Microsoft.Authorization";
constexpr const char* kReader = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
constexpr const char* kObject = "44444444-4444-4444-8444-444444444444";
constexpr const char* kApp = "55555555-5555-4555-8555-555555555555";
constexpr const char* kNewSecret = "a-secret-that-is-shown-once";

http::Response ok(const Json& body, int status = 200) { return {status, {}, to_text(body)}; }

class AccessVerbs : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_NO_FATAL_FAILURE(user.log_in(arm));
        arm.forget_requests();
    }
    Ran run(const std::string& line) { return user.run(words(line)); }
    void answer(const std::string& path, const Json& body, int status = 200) {
        arm.answer_once(path, ok(body, status));
    }
    // Not a Json: whether one in braces is copied or wrapped is up to the compiler.
    static Json list(const std::vector<Json>& values) { return {{"value", values}}; }
    static Json principal() { return {{"id", kObject}, {"appId", kApp}, {"displayName", "ci"}}; }
    void answer_roles(const std::string& scope) {
        answer(scope + kAuthorization + "/roleDefinitions",
               list({{{"id", kSub + kAuthorization + "/roleDefinitions/" + kReader},
                      {"type", "Microsoft.Authorization/roleDefinitions"},
                      {"name", kReader},
                      {"properties",
                       {{"roleName", "Reader"},
                        {"type", "BuiltInRole"},
                        {"description", "Sees everything."}}}}}));
    }
    static Json assignment() {
        return {{"id", kTeam + kAuthorization + "/roleAssignments/a1"},
                {"name", "a1"},
                {"type", "Microsoft.Authorization/roleAssignments"},
                {"properties",
                 {{"roleDefinitionId", kSub + kAuthorization + "/roleDefinitions/" + kReader},
                  {"principalId", kObject},
                  {"scope", kTeam}}}};
    }

    FakeArm arm;
    User user;
};

// ---- ad sp ------------------------------------------------------------------------------------

TEST_F(AccessVerbs, a_service_principal_is_made_with_a_secret_that_is_shown_once) {
    const std::string application = std::string("/v1.0/applications/") + kApp;
    answer_roles(kTeam);
    answer("/v1.0/applications", list(Json::array()));
    answer("/v1.0/applications", {{"id", kApp}, {"appId", kApp}, {"displayName", "ci"}}, 201);
    answer("/v1.0/servicePrincipals", principal(), 201);
    answer(application + "/addPassword", {{"keyId", "new"}, {"secretText", kNewSecret}});
    const Ran ran = run("ad sp create-for-rbac -n ci -o json --role Reader --scopes " + kTeam);
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json shown = parse_json(ran.out, "out").value();
    EXPECT_EQ(shown["appId"], kApp);
    EXPECT_EQ(shown["displayName"], "ci");
    EXPECT_EQ(shown["password"], kNewSecret);
    EXPECT_EQ(shown["tenant"], kTenant);
    EXPECT_THAT(ran.err, Not(HasSubstr(kNewSecret)));
    EXPECT_THAT(arm.requests(),
                Contains(AllOf(StartsWith("PUT " + kTeam + kAuthorization + "/roleAssignments/"),
                               HasSubstr(kObject), HasSubstr(kReader))));
}

TEST_F(AccessVerbs, half_a_service_principal_is_taken_back) {
    answer("/v1.0/applications", list(Json::array()));
    answer("/v1.0/applications", {{"id", kApp}, {"appId", kApp}, {"displayName", "ci"}}, 201);
    const Ran ran = run("ad sp create-for-rbac -n ci");
    EXPECT_NE(ran.code, 0);
    EXPECT_THAT(arm.requests(),
                Contains(StartsWith(std::string("DELETE /v1.0/applications/") + kApp)));
}

TEST_F(AccessVerbs, the_object_id_of_a_foreign_identity_is_computed_without_asking_anybody) {
    const Ran ran = run("ad issuer-object-id --issuer https://a.example --subject alice-1 -o tsv");
    ASSERT_EQ(ran.code, 0) << ran.err;
    // The same as in test/api/foreign_issuers_test.cc.
    EXPECT_EQ(ran.out, "201cabf3-f08f-58a1-bc52-43ba97f21c12\talice-1\thttps://a.example\n");
    EXPECT_TRUE(arm.requests().empty());
    for (const char* line :
         {"ad issuer-object-id --issuer http://a.example --subject x",
          "ad issuer-object-id --issuer a.example --subject x",
          "ad issuer-object-id --issuer https://a.example", "ad issuer-object-id --subject x"})
        EXPECT_EQ(run(line).code, kExitUsage) << line;
}

TEST_F(AccessVerbs, who_is_logged_in_sees_the_own_id_and_issuer) {
    answer("/v1.0/me",
           {{"id", kObject},
            {"userPrincipalName", "alice"},
            {"identities", {{{"signInType", "federated"}, {"issuer", "https://a.example"}}}}});
    const Ran ran = run("ad signed-in-user show -o json");
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json shown = parse_json(ran.out, "out").value();
    EXPECT_EQ(shown["id"], kObject);
    EXPECT_EQ(shown["issuer"], "https://a.example");
}

/// Parts of a token, as far as the command line looks into it.
std::string token_until(long second) {
    const std::string payload = "{\"exp\":" + std::to_string(second) + "}";
    return "e30." + base64url_encode(payload) + ".c2ln";
}

TEST_F(AccessVerbs, a_token_of_another_issuer_logs_in_until_it_ends) {
    const long now =
        std::chrono::floor<std::chrono::seconds>(user.clock.wall()).time_since_epoch().count();
    const std::string token = token_until(now + 3600);
    arm.accept_token(token);
    const Json me = {{"id", kObject}, {"userPrincipalName", "alice"}};
    answer("/v1.0/me", me);
    Ran ran = user.run({"login", "--access-token-stdin", "-o", "none"}, token + "\n");
    ASSERT_EQ(ran.code, 0) << ran.err;
    const int given = arm.tokens_given();
    answer("/v1.0/me", me);
    EXPECT_EQ(run("ad signed-in-user show").code, 0);
    user.clock.advance(std::chrono::hours(2));
    ran = run("ad signed-in-user show");
    EXPECT_EQ(ran.code, kExitError);
    EXPECT_THAT(ran.err, HasSubstr("--access-token-stdin"));
    EXPECT_EQ(arm.tokens_given(), given) << "the secret of the login before was used";
}

TEST_F(AccessVerbs, a_bad_token_leaves_the_login_before_alone) {
    for (const std::string& bad :
         {std::string("garbage"), std::string("a.b.c"), std::string(), token_until(253402300700)}) {
        EXPECT_NE(user.run({"login", "--access-token-stdin"}, bad + "\n").code, 0) << bad;
        answer("/v1.0/me", {{"id", kObject}, {"userPrincipalName", "x"}});
        EXPECT_EQ(run("ad signed-in-user show").code, 0) << bad;
    }
}

TEST_F(AccessVerbs, a_role_without_scopes_is_a_mistake_before_anything_is_made) {
    for (const char* line : {"ad sp create-for-rbac -n ci --role Reader",
                             "ad sp create-for-rbac -n ci --scopes /subscriptions/x"}) {
        EXPECT_EQ(run(line).code, kExitUsage) << line;
        EXPECT_TRUE(arm.requests().empty());
    }
}

TEST_F(AccessVerbs, a_name_that_is_taken_is_said_with_what_to_do) {
    answer("/v1.0/applications", list({{{"id", kApp}, {"appId", kApp}, {"displayName", "ci"}}}));
    const Ran ran = run("ad sp create-for-rbac -n ci");
    EXPECT_EQ(ran.code, kExitError);
    EXPECT_THAT(ran.err, HasSubstr(std::string("credential reset --id ") + kApp));
}

TEST_F(AccessVerbs, service_principals_are_listed_shown_and_deleted) {
    answer("/v1.0/servicePrincipals", list({principal()}));
    const Ran listed = run("ad sp list -o table");
    ASSERT_EQ(listed.code, 0) << listed.err;
    EXPECT_THAT(listed.out, AllOf(HasSubstr("ci"), HasSubstr(kApp)));
    answer(std::string("/v1.0/servicePrincipals/") + kApp, principal());
    const Ran shown = run(std::string("ad sp show --id ") + kApp + " -o json");
    ASSERT_EQ(shown.code, 0) << shown.err;
    EXPECT_EQ(parse_json(shown.out, "out").value(), principal());
    answer("/v1.0/servicePrincipals", list({principal()}));
    const Ran deleted = run("ad sp delete --id ci");
    EXPECT_EQ(deleted.code, 0) << deleted.err;
    EXPECT_THAT(arm.requests(),
                Contains(StartsWith(std::string("DELETE /v1.0/servicePrincipals/") + kObject)));
}

TEST_F(AccessVerbs, a_name_that_several_have_is_not_guessed) {
    answer("/v1.0/servicePrincipals", list({principal(), principal()}));
    const Ran ran = run("ad sp show --id ci");
    EXPECT_EQ(ran.code, kExitUsage);
    EXPECT_THAT(ran.err, HasSubstr("application id"));
    EXPECT_EQ(run(std::string("ad sp show --id ") + kObject).code, kExitNotFound);
}

TEST_F(AccessVerbs, resetting_makes_the_new_secret_before_it_ends_the_old) {
    const std::string application = std::string("/v1.0/applications/") + kApp;
    answer(std::string("/v1.0/servicePrincipals/") + kApp, principal());
    Json body = principal();
    body["passwordCredentials"] = {{{"keyId", "old"}}};
    answer(application, body);
    answer(application + "/addPassword", {{"keyId", "new"}, {"secretText", kNewSecret}});
    answer(application + "/removePassword", Json(), 204);
    const Ran ran = run(std::string("ad sp credential reset --id ") + kApp + " -o json");
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json shown = parse_json(ran.out, "out").value();
    EXPECT_EQ(shown["password"], kNewSecret);
    EXPECT_EQ(shown["appId"], kApp);
    EXPECT_EQ(shown["tenant"], kTenant);
    EXPECT_THAT(ran.err, AllOf(HasSubstr("only now"), Not(HasSubstr(kNewSecret))));
    const auto requests = arm.requests();
    ASSERT_GE(requests.size(), 2U);
    EXPECT_THAT(requests[requests.size() - 2], HasSubstr("/addPassword"));
    EXPECT_THAT(requests.back(), AllOf(HasSubstr("/removePassword"), HasSubstr("old")));
}

// ---- role -------------------------------------------------------------------------------------

TEST_F(AccessVerbs, a_role_is_given_by_names) {
    answer("/v1.0/servicePrincipals", list({principal()}));
    answer_roles(kTeam);
    (void)run(
        "role assignment create --assignee ci --role reader -g team --description why "
        "--assignee-principal-type ServicePrincipal");
    const Json sent = arm.body_of_last("PUT")["properties"];
    EXPECT_EQ(sent["description"], "why");
    EXPECT_EQ(sent["principalType"], "ServicePrincipal");
    EXPECT_THAT(arm.requests(),
                Contains(AllOf(StartsWith("PUT " + kTeam + kAuthorization + "/roleAssignments/"),
                               HasSubstr(kObject), HasSubstr(kReader))));
}

TEST_F(AccessVerbs, an_id_without_its_slash_leads_to_no_other_host) {
    (void)run("role assignment list --scope .example.com/subscriptions/x");
    (void)run("lock delete --ids @example.com/locks/keep");
    EXPECT_THAT(arm.requests(), Contains(StartsWith("GET /.example.com/subscriptions/x/")));
    EXPECT_THAT(arm.requests(), Contains(StartsWith("DELETE /@example.com/locks/keep")));
}

TEST_F(AccessVerbs, roles_that_are_not_there_are_not_found) {
    answer("/v1.0/servicePrincipals", list({principal()}));
    answer_roles(kTeam);
    const Ran ran = run("role assignment create --assignee ci --role Wizard -g team");
    EXPECT_EQ(ran.code, kExitNotFound);
    EXPECT_THAT(ran.err, HasSubstr("role definition list"));
}

TEST_F(AccessVerbs, an_assignment_needs_a_scope_and_somebody) {
    EXPECT_EQ(run("role assignment create --assignee ci --role Reader").code, kExitUsage);
    EXPECT_EQ(run("role assignment create --role Reader -g team").code, kExitUsage);
    EXPECT_EQ(run("role assignment delete").code, kExitUsage);
}

TEST_F(AccessVerbs, assignments_are_listed_with_names) {
    answer(kTeam + kAuthorization + "/roleAssignments", list({assignment()}));
    answer_roles(kSub);
    answer("/v1.0/servicePrincipals", list({principal()}));
    const Ran ran = run("role assignment list -g team -o json");
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json shown = parse_json(ran.out, "out").value();
    ASSERT_EQ(shown.size(), 1U);
    EXPECT_EQ(shown[0]["principalName"], "ci");
    EXPECT_EQ(shown[0]["roleDefinitionName"], "Reader");
    EXPECT_EQ(shown[0]["scope"], kTeam);
    EXPECT_EQ(shown[0]["type"], "Microsoft.Authorization/roleAssignments");
}

TEST_F(AccessVerbs, what_holds_above_is_listed_only_when_asked_for) {
    answer(kServer + kAuthorization + "/roleAssignments", list({assignment()}));
    const Ran ran = run("role assignment list -o json --scope " + kServer);
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(parse_json(ran.out, "out").value().size(), 0U);
}

TEST_F(AccessVerbs, roles_are_listed_by_name) {
    answer_roles(kSub);
    const Ran ran = run("role definition list -n reader -o json");
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json shown = parse_json(ran.out, "out").value();
    ASSERT_EQ(shown.size(), 1U);
    EXPECT_EQ(shown[0]["roleName"], "Reader");
    EXPECT_EQ(shown[0]["roleType"], "BuiltInRole");
    answer_roles(kSub);
    EXPECT_EQ(run("role definition list --custom-role-only -o json").out, "[]\n");
}

TEST_F(AccessVerbs, a_role_is_made_of_a_file_in_azs_form) {
    const std::string file = user.write(
        "role.json",
        to_text({{"Name", "Restarter"},
                 {"Description", "Restarts."},
                 {"Actions", {"Microsoft.DBforPostgreSQL/flexibleServers/restart/action"}},
                 {"AssignableScopes", {kSub}}}));
    (void)run("role definition create --role-definition @" + file);
    const Json properties = arm.body_of_last("PUT")["properties"];
    EXPECT_EQ(properties["roleName"], "Restarter");
    EXPECT_EQ(properties["type"], "CustomRole");
    EXPECT_EQ(properties["assignableScopes"][0], kSub);
    EXPECT_EQ(properties["permissions"][0]["actions"].size(), 1U);
    EXPECT_EQ(properties["permissions"][0]["notActions"].size(), 0U);
    for (const char* bad : {"{}", "@/nowhere/role.json", "[1]", "{"}) {
        EXPECT_EQ(user.run({"role", "definition", "create", "--role-definition", bad}).code,
                  kExitUsage)
            << bad;
    }
}

// ---- lock -------------------------------------------------------------------------------------

TEST_F(AccessVerbs, locks_are_made_at_the_scope_that_is_named) {
    const std::pair<const char*, std::string> kCases[] = {
        {"", kSub},
        {" -g team", kTeam},
        {" -g team --resource orders --resource-type flexibleServers", kServer},
        {" -g team --resource-name orders --resource-type "
         "Microsoft.DBforPostgreSQL/flexibleServers",
         kServer},
    };
    for (const auto& [where, scope] : kCases) {
        arm.forget_requests();
        (void)run(std::string("lock create -n keep -t CanNotDelete --notes why") + where);
        EXPECT_THAT(arm.requests(),
                    Contains(AllOf(StartsWith("PUT " + scope + kAuthorization + "/locks/keep"),
                                   HasSubstr("CanNotDelete"), HasSubstr("why"))));
    }
    EXPECT_EQ(run("lock create -n keep -t ReadOnly --resource orders").code, kExitUsage);
    EXPECT_EQ(run("lock show").code, kExitUsage);
}

TEST_F(AccessVerbs, locks_are_listed_and_shown_on_one_level) {
    const Json lock = {{"id", kTeam + kAuthorization + "/locks/keep"},
                       {"name", "keep"},
                       {"properties", {{"level", "ReadOnly"}, {"notes", "why"}}}};
    answer(kTeam + kAuthorization + "/locks", list({lock}));
    const Ran listed = run("lock list -g team -o table");
    ASSERT_EQ(listed.code, 0) << listed.err;
    EXPECT_THAT(listed.out, AllOf(HasSubstr("keep"), HasSubstr("ReadOnly"), HasSubstr("why")));
    answer(kTeam + kAuthorization + "/locks/keep", lock);
    const Ran shown = run("lock show -g team -n keep -o json");
    ASSERT_EQ(shown.code, 0) << shown.err;
    EXPECT_EQ(parse_json(shown.out, "out").value()["level"], "ReadOnly");
    EXPECT_EQ(run("lock show -g team -n absent").code, kExitNotFound);
}

// ---- activity-log -----------------------------------------------------------------------------

TEST_F(AccessVerbs, the_activity_log_is_listed_as_in_az) {
    const std::string path = kSub + "/providers/Microsoft.Insights/eventtypes/management/values";
    const Json event = {{"eventTimestamp", "2026-11-21T15:00:00Z"},
                        {"caller", kApp},
                        {"operationName", {{"value", "Microsoft.Authorization/locks/write"}}},
                        {"status", {{"value", "Succeeded"}}},
                        {"resourceId", kTeam}};
    for (const char* words : {"activity-log list", "monitor activity-log list"}) {
        answer(path, list({event, event, event}));
        const Ran ran = run(std::string(words) + " --max-events 2 -o table");
        ASSERT_EQ(ran.code, 0) << ran.err;
        EXPECT_THAT(ran.out, AllOf(HasSubstr("locks/write"), HasSubstr("Succeeded")));
        EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 4) << ran.out;
    }
    for (const char* bad : {"--offset 6x", "--offset 6", "--start-time yesterday"})
        EXPECT_EQ(run(std::string("activity-log list ") + bad).code, kExitUsage) << bad;
}

// ---- server logs ------------------------------------------------------------------------------

class ServerLogVerbs : public AccessVerbs {
  protected:
    void SetUp() override {
        AccessVerbs::SetUp();
        before_ = std::filesystem::current_path();
        std::filesystem::current_path(user.folder);
    }
    void TearDown() override { std::filesystem::current_path(before_); }
    void answer_files(const std::string& modified = "2026-11-21T15:00:00Z") {
        answer(kServer + "/logFiles",
               list({{{"name", "postgresql-1.json"},
                      {"properties",
                       {{"lastModifiedTime", modified},
                        {"sizeInKb", 4},
                        {"url", arm.url() + "/serverlogs/i/postgresql-1.json?sig=x"}}}}}));
    }
    std::filesystem::path before_;
};

TEST_F(ServerLogVerbs, are_listed_by_age_size_and_name) {
    const auto shown = [&](const std::string& options) {
        answer_files(format_iso8601(user.clock.wall() - std::chrono::hours(80)));
        const Ran ran = run("server logs list -g team -s orders -o json " + options);
        EXPECT_EQ(ran.code, 0) << ran.err;
        return parse_json(ran.out, "out").value().size();
    };
    EXPECT_EQ(shown(""), 0U);
    EXPECT_EQ(shown("--file-last-written 100"), 1U);
    EXPECT_EQ(shown("--file-last-written 100 --max-file-size 3"), 0U);
    EXPECT_EQ(shown("--file-last-written 100 --filename-contains sql-1"), 1U);
    EXPECT_EQ(shown("--file-last-written 100 --filename-contains other"), 0U);
}

TEST_F(ServerLogVerbs, azs_words_are_understood) {
    answer_files(format_iso8601(user.clock.wall()));
    const Ran ran = run("postgres flexible-server server-logs list -g team -s orders -o table");
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("postgresql-1.json"));
}

TEST_F(ServerLogVerbs, a_file_is_downloaded_into_this_folder) {
    answer_files();
    arm.answer_once("/serverlogs/i/postgresql-1.json", {206, {}, "the log"});
    const Ran ran = run("server logs download -g team -s orders -n postgresql-1.json -o json");
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(os::read_file(user.folder + "/postgresql-1.json").value(), "the log");
    EXPECT_FALSE(os::exists(user.folder + "/postgresql-1.json.part"));
    EXPECT_EQ(parse_json(ran.out, "out").value()[0]["bytes"], 7);
}

TEST_F(ServerLogVerbs, a_download_that_fails_leaves_nothing_behind) {
    answer_files();
    arm.answer_once("/serverlogs/i/postgresql-1.json",
                    {403, {}, R"({"error":{"code":"AuthorizationFailed","message":"No."}})"});
    const Ran ran = run("server logs download -g team -s orders -n postgresql-1.json");
    EXPECT_EQ(ran.code, kExitError);
    EXPECT_THAT(ran.err, HasSubstr("AuthorizationFailed"));
    EXPECT_FALSE(os::exists(user.folder + "/postgresql-1.json"));
    EXPECT_FALSE(os::exists(user.folder + "/postgresql-1.json.part"));
}

TEST_F(ServerLogVerbs, only_what_is_listed_is_downloaded) {
    answer_files();
    EXPECT_EQ(run("server logs download -g team -s orders -n ../x").code, kExitNotFound);
}

}  // namespace
}  // namespace howdah::cli
