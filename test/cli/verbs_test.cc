// Every verb against an API that behaves as Azure Resource Manager does: what is sent, what is
// shown, and how it fails.

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "cli/cli_support.h"
#include "os/file.h"

namespace howdah::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kGroup =
    "/subscriptions/22222222-2222-4222-8222-222222222222/resourceGroups/team";
const std::string kServers =
    std::string(kGroup) + "/providers/Microsoft.DBforPostgreSQL/flexibleServers";
const std::string kOrders = kServers + "/orders";
const std::string kLocation =
    "/subscriptions/22222222-2222-4222-8222-222222222222/providers/Microsoft.DBforPostgreSQL/"
    "locations/local";

class Verbs : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_NO_FATAL_FAILURE(user.log_in(arm));
        arm.put(kGroup,
                {{"location", "local"}, {"properties", {{"provisioningState", "Succeeded"}}}});
        arm.put(kLocation + "/capabilities/default",
                {{"supportedServerVersions", {{{"name", "13"}}, {{"name", "15"}}}},
                 {"supportedServerEditions",
                  {{{"name", "Burstable"},
                    {"supportedServerSkus",
                     {{{"name", "Standard_B1ms"},
                       {"vCores", 1},
                       {"supportedIops", 640},
                       {"supportedMemoryPerVcoreMb", 2048}}}}}}}});
        arm.forget_requests();
    }

    void add_server(const std::string& name = "orders") {
        arm.put(kServers + "/" + name,
                {{"location", "local"},
                 {"sku", {{"name", "Standard_B1ms"}, {"tier", "Burstable"}}},
                 {"properties",
                  {{"state", "Ready"},
                   {"version", "15"},
                   {"administratorLogin", "dba"},
                   {"storage", {{"storageSizeGB", 32}}},
                   {"fullyQualifiedDomainName", name + ".postgres.howdah.local"},
                   {"howdah", {{"address", "127.0.0.1"}, {"gatewayPort", 6000}}}}}});
    }

    Ran run(const std::string& line, const std::string& input = {}) {
        return user.run(words(line), input);
    }

    FakeArm arm;
    User user;
};

// ---- login ------------------------------------------------------------------------------------

TEST(login, a_credentials_file_is_enough_and_what_is_kept_is_private) {
    FakeArm arm;
    User user;
    const std::string ca = user.write("ca.pem", arm.ca_pem());
    const std::string file = user.write("credentials.json", arm.credentials_json(ca));
    const Ran ran = user.run({"login", "--credentials", file});
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr(kSubscription));
    EXPECT_THAT(ran.out, Not(HasSubstr(kSecretText)));
    int files = 0;
    for (const auto& each : std::filesystem::directory_iterator(user.folder + "/config")) {
        struct stat facts {};
        ASSERT_EQ(stat(each.path().c_str(), &facts), 0);
        EXPECT_EQ(facts.st_mode & 07777, 0600U) << each.path();
        ++files;
    }
    EXPECT_EQ(files, 3);
}

TEST(login, the_api_is_trusted_by_its_own_authority_and_under_its_own_name) {
    FakeArm arm;
    const FakeArm stranger;
    User user;
    const std::string ca = user.write("ca.pem", arm.ca_pem());
    const std::string other = user.write("other.pem", stranger.ca_pem());
    const auto log_in = [&](const std::string& users, const std::string& api,
                            const std::string& name) {
        Json credentials = parse_json(arm.credentials_json(users), "credentials").value();
        credentials["api_ca_path"] = api;
        credentials["api_name"] = name;
        return user
            .run({"login", "--credentials", user.write("credentials.json", to_text(credentials))})
            .code;
    };
    EXPECT_EQ(log_in(ca, other, FakeArm::kName), 1);
    EXPECT_EQ(log_in(ca, ca, "howdahd"), 1) << "right for the address, and not enough";
    EXPECT_EQ(arm.tokens_given(), 0);
    EXPECT_EQ(log_in(other, ca, FakeArm::kName), 0);
    EXPECT_EQ(user.run({"account", "show"}).code, 0) << "it was kept";
    EXPECT_EQ(os::read_file(user.folder + "/config/ca.pem").value(), stranger.ca_pem())
        << "for psql";
    EXPECT_EQ(
        user.run({"login", "--credentials", user.folder + "/credentials.json", "--ca-file", other})
            .code,
        1)
        << "what is given by option counts";
}

TEST(login, a_service_principal_gives_its_secret_by_argument_file_input_or_terminal) {
    FakeArm arm;
    for (const std::string how : {"argument", "file", "input", "terminal"}) {
        User user;
        const std::string ca = user.write("ca.pem", arm.ca_pem());
        std::vector<std::string> arguments = {
            "login", "--service-principal", "-u",      kClient,     "--tenant",
            kTenant, "--api-url",           arm.url(), "--ca-file", ca};
        std::string input;
        if (how == "argument") arguments.insert(arguments.end(), {"-p", kSecretText});
        if (how == "file") {
            arguments.insert(
                arguments.end(),
                {"--password-file", user.write("secret", std::string(kSecretText) + "\n")});
        }
        if (how == "input") {
            arguments.emplace_back("--password-stdin");
            input = std::string(kSecretText) + "\n";
        }
        if (how == "terminal") {
            user.terminal = true;
            user.typed = kSecretText;
        }
        const Ran ran = user.run(arguments, input);
        EXPECT_EQ(ran.code, 0) << how << ": " << ran.err;
        EXPECT_EQ(user.run({"account", "show"}).code, 0) << how;
    }
}

TEST(login, a_wrong_secret_is_refused_and_leaves_the_earlier_login_alone) {
    FakeArm arm;
    User user;
    ASSERT_NO_FATAL_FAILURE(user.log_in(arm));
    const std::string ca = user.write("ca.pem", arm.ca_pem());
    const Ran ran = user.run({"login", "-u", kClient, "-t", kTenant, "--api-url", arm.url(),
                              "--ca-file", ca, "-p", "wrong-secret"});
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, HasSubstr("cannot log in"));
    EXPECT_THAT(ran.err, HasSubstr("AADSTS7000215"));
    EXPECT_THAT(ran.err, HasSubstr("what to do: "));
    EXPECT_THAT(ran.err, Not(HasSubstr("wrong-secret")));
    EXPECT_EQ(user.run({"account", "show"}).code, 0);
}

TEST(login, what_is_missing_is_named_as_a_mistake_of_usage) {
    User user;
    EXPECT_EQ(user.run({"login"}).code, 2);
    EXPECT_THAT(user.run({"login", "-u", "x"}).err, HasSubstr("--api-url"));
    EXPECT_THAT(user.run({"login", "-u", "x", "--api-url", "https://localhost:1"}).err,
                HasSubstr("--tenant"));
    EXPECT_THAT(user.run({"login", "-u", "x", "--api-url", "https://localhost:1", "-t", "t"}).err,
                HasSubstr("--password-stdin"));
    EXPECT_EQ(user.run({"login", "--credentials", "/nowhere"}).code, 2);
    EXPECT_EQ(user.run({"login", "--credentials", user.write("x.json", "{}")}).code, 2);
}

std::vector<std::string> by_device_code(const FakeArm& arm, const User& user) {
    return {"login", "--api-url", arm.url(), "--ca-file", user.write("ca.pem", arm.ca_pem())};
}

TEST(login, without_a_secret_a_code_is_shown_that_a_person_enters_on_a_page) {
    FakeArm arm;
    User user;
    const Instant begin = user.clock.now();
    const Ran ran = user.run(by_device_code(arm, user));
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(arm.url() + "/devicelogin"));
    EXPECT_THAT(ran.err, HasSubstr("BCDF-GHJK"));
    EXPECT_THAT(ran.out, HasSubstr(kSubscription));
    // Two polls of five seconds, and one more after "slow_down".
    EXPECT_EQ(user.clock.now() - begin, std::chrono::seconds(5 + 5 + 10));
    for (const std::string& text : {ran.out, ran.err})
        EXPECT_THAT(text, Not(HasSubstr(arm.refresh_token())));
    const Ran shown = user.run({"account", "show", "-o", "json"});
    EXPECT_THAT(shown.out, HasSubstr("\"user\""));
    EXPECT_THAT(shown.out, HasSubstr(kTenant));
}

TEST(login, a_person_stays_logged_in_by_refresh_tokens_that_change) {
    FakeArm arm;
    User user;
    ASSERT_EQ(user.run(by_device_code(arm, user)).code, 0);
    for (int i = 0; i < 3; ++i) {
        const std::string before = arm.refresh_token();
        user.clock.advance(std::chrono::hours(2));
        ASSERT_NE(user.run({"account", "show", "--subscription", "other"}).code, 0);
        const Ran ran = user.run({"account", "show"});
        EXPECT_EQ(ran.code, 0) << "another subscription for one command is not kept: " << ran.err;
        EXPECT_NE(arm.refresh_token(), before);
    }
    arm.revoke_refresh_token();
    user.clock.advance(std::chrono::hours(2));
    const Ran ran = user.run({"account", "show"});
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, HasSubstr("howdah login"));
    EXPECT_EQ(user.run({"login"}).code, 0) << "where it was last";
}

TEST(login, a_login_by_code_that_is_refused_or_forgotten_leaves_the_earlier_one_alone) {
    FakeArm arm;
    User user;
    ASSERT_NO_FATAL_FAILURE(user.log_in(arm));
    for (const char* error : {"authorization_declined", "expired_token", "authorization_pending"}) {
        arm.end_device_login_with(error);
        const Instant begin = user.clock.now();
        const Ran ran = user.run(by_device_code(arm, user));
        EXPECT_EQ(ran.code, 1) << error;
        EXPECT_LE(user.clock.now() - begin, std::chrono::minutes(16));
        EXPECT_THAT(ran.err, HasSubstr("cannot log in"));
    }
    EXPECT_EQ(user.run({"account", "show"}).code, 0);
}

TEST(login, a_certificate_of_a_stranger_is_refused) {
    FakeArm arm;
    const FakeArm stranger;
    User user;
    const std::string ca = user.write("ca.pem", stranger.ca_pem());
    const Ran ran = user.run({"login", "-u", kClient, "-t", kTenant, "--api-url", arm.url(),
                              "--ca-file", ca, "-p", kSecretText});
    EXPECT_EQ(ran.code, 1);
    EXPECT_EQ(arm.tokens_given(), 0);
}

TEST(login, without_it_every_command_says_so) {
    User user;
    for (const char* line : {"group list", "server list", "account show"}) {
        const Ran ran = user.run(words(line));
        EXPECT_EQ(ran.code, 1) << line;
        EXPECT_THAT(ran.err, HasSubstr("nobody is logged in"));
        EXPECT_THAT(ran.err, HasSubstr("howdah login"));
    }
}

TEST_F(Verbs, logout_forgets_everything) {
    EXPECT_EQ(run("logout").code, 0);
    EXPECT_TRUE(std::filesystem::is_empty(user.folder + "/config"));
    EXPECT_EQ(run("group list").code, 1);
    EXPECT_EQ(run("logout").code, 0);
}

// ---- tokens -----------------------------------------------------------------------------------

TEST_F(Verbs, one_token_serves_many_commands_until_it_ends) {
    const int before = arm.tokens_given();
    for (int i = 0; i < 3; ++i) ASSERT_EQ(run("group list").code, 0);
    EXPECT_EQ(arm.tokens_given(), before);
    user.clock.advance(std::chrono::minutes(59));
    ASSERT_EQ(run("group list").code, 0);
    EXPECT_EQ(arm.tokens_given(), before + 1);
}

TEST_F(Verbs, a_token_that_was_made_void_is_renewed_once) {
    const int before = arm.tokens_given();
    arm.revoke_tokens();
    EXPECT_EQ(run("group list").code, 0);
    EXPECT_EQ(arm.tokens_given(), before + 1);
}

TEST_F(Verbs, the_token_can_be_printed_for_other_tools) {
    EXPECT_THAT(run("account get-access-token -o tsv").out, StartsWith("token-"));
}

// ---- account and group ------------------------------------------------------------------------

TEST_F(Verbs, account_shows_lists_and_chooses_subscriptions) {
    EXPECT_THAT(run("account list -o tsv").out, HasSubstr(std::string("Howdah\t") + kSubscription));
    EXPECT_EQ(run(std::string("account set --subscription ") + kSubscription).code, 0);
    EXPECT_EQ(run("account set --subscription Howdah").code, 0);
    EXPECT_EQ(run("account set --subscription other").code, 3);
    EXPECT_EQ(run("account set").code, 2);
}

TEST_F(Verbs, cloud_export_writes_what_az_registers) {
    arm.put("/metadata/endpoints",
            {{"resourceManager", arm.url()},
             {"suffixes", {{"postgresqlServerEndpoint", ".postgres.howdah.local"}}}});
    const std::string cloud = user.folder + "/cloud.json";
    const std::string ca = user.folder + "/ca.pem";
    ASSERT_EQ(run("cloud export --file " + cloud + " --ca-file " + ca).code, 0);
    EXPECT_EQ(os::read_file(ca).value(), arm.ca_pem());
    const Json config = parse_json(os::read_file(cloud).value(), cloud).value();
    EXPECT_EQ(config["endpoints"]["resourceManager"], arm.url());
    EXPECT_EQ(config["endpoints"]["activeDirectory"], arm.url() + "/adfs");
    EXPECT_EQ(config["suffixes"]["postgresqlServerEndpoint"], ".postgres.howdah.local");
    EXPECT_NE(run("cloud export --file " + user.folder + "/no/folder/cloud.json").code, 0);
}

TEST_F(Verbs, group_create_list_show_delete) {
    ASSERT_EQ(run("group create -n apps -l local --tags a=b c=d").code, 0);
    EXPECT_EQ(to_text(arm.body_of_last("PUT")), R"({"location":"local","tags":{"a":"b","c":"d"}})");
    EXPECT_EQ(run("group list -o table").out,
              "Name  Location  Status\n----  --------  ---------\n"
              "apps  local     Succeeded\nteam  local     Succeeded\n");
    EXPECT_EQ(run("group show -g apps -o tsv").out, "apps\tlocal\tSucceeded\n");
    ASSERT_EQ(run("group delete -n apps --yes").code, 0);
    const Ran gone = run("group show -n apps");
    EXPECT_EQ(gone.code, 3);
    EXPECT_THAT(gone.err, HasSubstr("error: cannot show resource group apps\n  why: "));
    EXPECT_THAT(gone.err,
                HasSubstr("(ResourceGroupNotFound)\n  what to do: run: howdah group list"));
}

// ---- server -----------------------------------------------------------------------------------

TEST_F(Verbs, server_create_sends_what_az_sends_and_shows_the_server) {
    const Ran ran = run(
        "server create -g team -n orders -l local -u boss -p Pa55w0rd! --sku-name Standard_B1ms "
        "--storage-size 64 --version 14 --backup-retention 9 --tags a=b --public-access none "
        "--yes -o tsv");
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(to_text(arm.body_of_last("PUT")),
              R"({"location":"local","sku":{"name":"Standard_B1ms","tier":"Burstable"},)"
              R"("properties":{"createMode":"Default","administratorLogin":"boss",)"
              R"("administratorLoginPassword":"Pa55w0rd!","version":"14",)"
              R"("storage":{"storageSizeGB":64},"network":{"publicNetworkAccess":"Enabled"},)"
              R"("backup":{"backupRetentionDays":9}},"tags":{"a":"b"}})");
    EXPECT_EQ(ran.out, "orders\tteam\tlocal\t14\t64\tBurstable\tStandard_B1ms\t\t\n");
    EXPECT_THAT(ran.err, Not(HasSubstr("Pa55w0rd!")));
    EXPECT_THAT(ran.err, HasSubstr("nobody may connect yet"));
}

TEST_F(Verbs, server_create_fills_in_location_version_size_and_password) {
    const Ran ran = run("server create -g team -n orders -o json");
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json body = arm.body_of_last("PUT");
    EXPECT_EQ(text_at(body, "location"), "local");
    EXPECT_EQ(text_at(body, "properties/version"), "15");
    EXPECT_EQ(text_at(body, "sku/name"), "Standard_B1ms") << "the only one that is offered";
    EXPECT_EQ(text_at(body, "sku/tier"), "Burstable");
    EXPECT_EQ(text_at(body, "properties/administratorLogin"), "dba");
    const std::string password = text_at(body, "properties/administratorLoginPassword");
    EXPECT_EQ(password.size(), 24U);
    EXPECT_THAT(ran.err, HasSubstr("password (made up, and kept nowhere): " + password));
    EXPECT_THAT(ran.out, HasSubstr(password));
}

TEST_F(Verbs, server_create_makes_the_firewall_rule_and_the_database) {
    const std::string password = user.write("password", "Pa55 word!\n");
    const Ran ran =
        run("server create -g team -n orders --public-access 10.0.0.1-10.0.0.9 "
            "-d app --admin-password-file " +
            password);
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(text_at(arm.resource(kOrders), "properties/administratorLoginPassword"),
              "Pa55 word!");
    EXPECT_TRUE(arm.has(kOrders + "/databases/app"));
    EXPECT_EQ(run("firewall-rule list -g team -n orders -o tsv").out.substr(0, 18),
              "FirewallIPAddress_");
    EXPECT_THAT(run("firewall-rule list -g team -n orders -o tsv").out,
                HasSubstr("\t10.0.0.1\t10.0.0.9\n"));
}

TEST_F(Verbs, server_create_refuses_a_name_that_is_taken_before_it_changes_anything) {
    add_server();
    const Ran ran = run("server create -g team -n orders");
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, HasSubstr("already used"));
    EXPECT_TRUE(arm.body_of_last("PUT").is_null());
}

TEST_F(Verbs, server_create_in_a_group_that_is_missing_is_not_found) {
    const Ran ran = run("server create -g nowhere -n orders");
    EXPECT_EQ(ran.code, 3);
    EXPECT_THAT(ran.err, HasSubstr("'nowhere' could not be found"));
}

TEST_F(Verbs, an_operation_that_fails_is_told_in_three_parts) {
    arm.fail_next_operation("ResourceExhausted", "No machine has room.");
    const Ran ran = run("server create -g team -n orders -p Pa55w0rd!");
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, HasSubstr("error: cannot create server orders\n"
                                   "  why: No machine has room. (ResourceExhausted)\n"));
}

TEST_F(Verbs, a_refused_field_is_named) {
    arm.answer_once(kOrders, {400,
                              {},
                              R"({"error":{"code":"InvalidParameterValue",)"
                              R"("message":"Too small.","target":"properties.storage"}})"});
    const Ran ran = run("server create -g team -n orders -p Pa55w0rd!");
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, HasSubstr("  why: Too small. (InvalidParameterValue)\n"
                                   "  where: properties.storage\n"));
}

TEST_F(Verbs, server_list_reads_every_page) {
    for (const char* name : {"a", "b", "c", "d", "e"}) add_server(name);
    const std::string expected = "a b c d e ";
    for (const char* line : {"server list -g team", "server list"}) {
        const auto json = parse_json(run(line).out, line);
        ASSERT_TRUE(json.ok());
        std::string names;
        for (const Json& each : *json) names += text_at(each, "name") + " ";
        EXPECT_EQ(names, expected) << line;
    }
}

TEST_F(Verbs, server_show_gives_the_resource_and_a_table_of_it) {
    add_server();
    EXPECT_EQ(parse_json(run("server show -g team -n orders").out, "x").value(),
              arm.resource(kOrders));
    EXPECT_EQ(run("server show -g team -n orders -o table").out,
              "Name    Resource Group  Location  Version  Storage Size(GiB)  Tier       SKU"
              "            State  HA Mode  HA State  Zone  Standby Zone  Host\n"
              "------  --------------  --------  -------  -----------------  ---------  "
              "-------------  -----  -------  --------  ----  ------------  "
              "----------------------------\n"
              "orders  team            local     15       32                 Burstable  "
              "Standard_B1ms  Ready                                         "
              "orders.postgres.howdah.local\n");
    EXPECT_EQ(run("server show -g team -n other").code, 3);
}

TEST_F(Verbs, server_update_asks_for_high_availability) {
    add_server();
    const Ran ran =
        run("server update -g team -n orders --high-availability ZoneRedundant --standby-zone 2");
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(to_text(arm.body_of_last("PATCH")),
              R"({"properties":{"highAvailability":{"mode":"ZoneRedundant",)"
              R"("standbyAvailabilityZone":"2"}}})");
}

TEST_F(Verbs, server_update_sends_only_what_was_given) {
    add_server();
    const auto patch = [&](const std::string& options) {
        const Ran ran = run("server update -g team -n orders " + options);
        EXPECT_EQ(ran.code, 0) << ran.err;
        return to_text(arm.body_of_last("PATCH"));
    };
    EXPECT_EQ(patch("--sku-name Standard_D4s_v3"),
              R"({"sku":{"name":"Standard_D4s_v3","tier":"GeneralPurpose"}})");
    EXPECT_EQ(patch("--storage-size 64 --maintenance-window Mon:3:30"),
              R"({"properties":{"storage":{"storageSizeGB":64},"maintenanceWindow":)"
              R"({"customWindow":"Enabled","dayOfWeek":1,"startHour":3,"startMinute":30}}})");
    EXPECT_EQ(patch("-p NewPa55w0rd"),
              R"({"properties":{"administratorLoginPassword":"NewPa55w0rd"}})");
    EXPECT_EQ(patch("--public-access Disabled"),
              R"({"properties":{"network":{"publicNetworkAccess":"Disabled"}}})");
    const Ran ran = user.run({"server", "update", "-g", "team", "-n", "orders", "--tags", ""});
    EXPECT_EQ(ran.code, 0);
    EXPECT_EQ(to_text(arm.body_of_last("PATCH")), R"({"tags":{}})");
    EXPECT_EQ(run("server update -g team -n orders").code, 2);
}

TEST_F(Verbs, server_start_stop_restart_are_posts_that_are_waited_for) {
    add_server();
    for (const char* verb : {"start", "stop", "restart"}) {
        arm.forget_requests();
        const Ran ran = run(std::string("server ") + verb + " -g team -n orders");
        EXPECT_EQ(ran.code, 0) << ran.err;
        EXPECT_EQ(ran.out, "");
        ASSERT_EQ(arm.requests().size(), 1U);
        EXPECT_THAT(arm.requests()[0], StartsWith("POST " + kOrders + "/" + verb));
    }
    EXPECT_EQ(run("server start -g team -n other").code, 3);
}

TEST_F(Verbs, server_failover_is_planned_or_forced_and_says_how_it_ended) {
    add_server();
    Json server = arm.resource(kOrders);
    server["properties"]["availabilityZone"] = "2";
    server["properties"]["highAvailability"] = {
        {"mode", "ZoneRedundant"}, {"state", "ReplicatingData"}, {"standbyAvailabilityZone", "1"}};
    arm.put(kOrders, server);
    for (const auto& [option, mode] : {std::pair("", "PlannedFailover"),
                                       {" --planned", "PlannedFailover"},
                                       {" --forced", "ForcedFailover"}}) {
        const Ran ran = run(std::string("server failover -g team -n orders") + option);
        EXPECT_EQ(ran.code, 0) << ran.err;
        EXPECT_EQ(ran.out, "");
        EXPECT_THAT(ran.err, HasSubstr("the other member is the primary now, in zone 2; high "
                                       "availability: ReplicatingData"));
        const Json body = arm.body_of_last("POST");
        EXPECT_EQ(body["restartWithFailover"], true);
        EXPECT_EQ(body["failoverMode"], mode);
    }
    EXPECT_EQ(run("server failover -g team -n orders --planned --forced").code, 2);
    arm.fail_next_operation("OperationTimedOut", "The failover has not come about in time.");
    const Ran failed = run("server failover -g team -n orders");
    EXPECT_NE(failed.code, 0);
    EXPECT_THAT(failed.err, HasSubstr("has not come about in time"));
    EXPECT_THAT(run("server show -g team -n orders -o table").out,
                HasSubstr("ZoneRedundant  ReplicatingData  2     1"));
}

TEST_F(Verbs, server_delete_asks_first) {
    add_server();
    Ran ran = run("server delete -g team -n orders");
    EXPECT_EQ(ran.code, 2);
    EXPECT_THAT(ran.err, HasSubstr("add --yes"));
    user.terminal = true;
    ran = run("server delete -g team -n orders", "n\n");
    EXPECT_EQ(ran.code, 1);
    EXPECT_TRUE(arm.has(kOrders));
    ran = run("server delete -g team -n orders", "y\n");
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_FALSE(arm.has(kOrders));
    user.terminal = false;
    EXPECT_EQ(run("server delete -g team -n orders --yes").code, 0) << "a second time is harmless";
}

TEST_F(Verbs, server_connect_becomes_psql_with_verified_tls) {
    add_server();
    ASSERT_EQ(run("server connect -g team -n orders -d app").code, 0);
    ASSERT_EQ(user.became.arguments.size(), 3U);
    EXPECT_EQ(user.became.arguments[0], "psql");
    EXPECT_EQ(user.became.arguments[2],
              "host='orders.postgres.howdah.local' hostaddr='127.0.0.1' port='6000' user='dba' "
              "dbname='app' sslmode=verify-full sslrootcert='" +
                  user.folder + "/config/ca.pem'");
    EXPECT_TRUE(user.became.password_file.empty());

    ASSERT_EQ(run("server connect -g team -n orders -u it's -p a:b -q select").code, 0);
    EXPECT_THAT(user.became.arguments[2], HasSubstr("user='it\\'s'"));
    EXPECT_THAT(user.became.arguments, testing::Contains("--command"));
    EXPECT_EQ(user.became.password_file.reveal(), "*:*:*:*:a\\:b\n");
    for (const std::string& each : user.became.arguments) EXPECT_THAT(each, Not(HasSubstr("a:b")));
}

TEST_F(Verbs, server_connect_to_a_stopped_server_says_how_to_start_it) {
    add_server();
    Json stopped = arm.resource(kOrders);
    stopped["properties"]["state"] = "Stopped";
    arm.put(kOrders, stopped);
    const Ran ran = run("server connect -g team -n orders");
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, HasSubstr("howdah server start -g team -n orders"));
    EXPECT_TRUE(user.became.arguments.empty());
}

TEST_F(Verbs, server_list_skus_is_a_table_of_sizes) {
    EXPECT_EQ(run("server list-skus -l local -o table").out,
              "SKU            Tier       VCores  Memory  Max IOPS\n"
              "-------------  ---------  ------  ------  --------\n"
              "Standard_B1ms  Burstable  1       2 GiB   640\n");
}

// ---- what belongs to a server -----------------------------------------------------------------

TEST_F(Verbs, db_create_list_show_delete) {
    add_server();
    ASSERT_EQ(run("db create -g team -s orders -d app --collation C --charset UTF8").code, 0);
    EXPECT_EQ(to_text(arm.body_of_last("PUT")),
              R"({"properties":{"charset":"UTF8","collation":"C"}})");
    EXPECT_EQ(run("db list -g team -s orders -o tsv").out, "app\tUTF8\tC\n");
    EXPECT_EQ(run("db show -g team -s orders -n app -o tsv").out, "app\tUTF8\tC\n");
    EXPECT_EQ(run("db delete -g team -s orders -d app").code, 2);
    ASSERT_EQ(run("db delete -g team -s orders -d app -y").code, 0);
    EXPECT_EQ(run("db show -g team -s orders -d app").code, 3);
}

TEST_F(Verbs, firewall_rule_takes_both_ways_of_naming_server_and_rule) {
    add_server();
    ASSERT_EQ(run("firewall-rule create -g team -n orders -r home --start-ip-address 1.2.3.4 "
                  "--end-ip-address 1.2.3.9")
                  .code,
              0);
    ASSERT_EQ(run("firewall-rule create -g team -s orders -n work --start-ip-address 5.6.7.8").code,
              0);
    EXPECT_EQ(run("firewall-rule list -g team -n orders -o tsv").out,
              "home\t1.2.3.4\t1.2.3.9\nwork\t5.6.7.8\t5.6.7.8\n");
    ASSERT_EQ(run("firewall-rule update -g team -n orders -r home --end-ip-address 1.2.3.5").code,
              0);
    EXPECT_EQ(run("firewall-rule show -g team -s orders -n home -o tsv").out,
              "home\t1.2.3.4\t1.2.3.5\n");
    ASSERT_EQ(run("firewall-rule delete -g team -n orders -r home --yes").code, 0);
    EXPECT_EQ(run("firewall-rule show -g team -n orders -r home").code, 3);
    EXPECT_EQ(run("firewall-rule show -g team -n orders").code, 2);
    EXPECT_EQ(run("firewall-rule list -g team").code, 2);
    EXPECT_EQ(run("firewall-rule create -g team -n orders -r home").code, 2);
}

TEST_F(Verbs, parameter_list_show_set_reset) {
    add_server();
    const std::string path = kOrders + "/configurations/work_mem";
    arm.put(path, {{"properties",
                    {{"value", "4096"},
                     {"defaultValue", "4096"},
                     {"source", "system-default"},
                     {"unit", "kB"},
                     {"isDynamicConfig", true},
                     {"isConfigPendingRestart", false}}}});
    EXPECT_EQ(run("parameter list -g team -s orders -o tsv").out,
              "work_mem\t4096\tkB\t4096\tsystem-default\ttrue\tfalse\n");
    ASSERT_EQ(run("parameter set -g team -s orders -n work_mem -v 8192").code, 0);
    EXPECT_EQ(to_text(arm.body_of_last("PATCH")),
              R"({"properties":{"value":"8192","source":"user-override"}})");
    EXPECT_EQ(text_at(arm.resource(path), "properties/value"), "8192");
    for (const char* line : {"parameter reset -g team -s orders -n work_mem",
                             "parameter set -g team -s orders -n work_mem"}) {
        ASSERT_EQ(run(line).code, 0);
        EXPECT_EQ(to_text(arm.body_of_last("PATCH")),
                  R"({"properties":{"value":"4096","source":"system-default"}})");
    }
    EXPECT_EQ(
        user.run({"parameter", "set", "-g", "team", "-s", "orders", "-n", "work_mem", "-v", ""})
            .code,
        0);
    EXPECT_EQ(text_at(arm.body_of_last("PATCH"), "properties/value"), "")
        << "an empty value is one";
    EXPECT_EQ(run("parameter show -g team -s orders -n nothing").code, 3);
}

TEST_F(Verbs, a_parameter_that_waits_for_a_restart_says_so) {
    add_server();
    arm.put(kOrders + "/configurations/max_connections",
            {{"properties", {{"value", "50"}, {"isConfigPendingRestart", true}}}});
    EXPECT_THAT(run("parameter set -g team -s orders -n max_connections -v 60").err,
                HasSubstr("howdah server restart -g team -n orders"));
}

// ---- long work --------------------------------------------------------------------------------

TEST_F(Verbs, progress_is_plain_lines_where_there_is_no_terminal) {
    add_server();
    EXPECT_EQ(run("server stop -g team -n orders").err,
              "stopping server orders\n"
              "stopping server orders: claiming a data directory\n"
              "stopping server orders: starting PostgreSQL\n");
    EXPECT_EQ(run("server stop -g team -n orders --only-show-errors").err, "");
}

TEST_F(Verbs, progress_is_one_line_on_a_terminal_and_is_gone_at_the_end) {
    add_server();
    user.terminal = true;
    const Ran ran = run("server stop -g team -n orders");
    EXPECT_THAT(ran.err, HasSubstr("\rstopping server orders: starting PostgreSQL (0.1 s)\033[K"));
    EXPECT_TRUE(ran.err.ends_with("\r\033[K"));
    EXPECT_EQ(ran.err.find('\n'), std::string::npos);
}

TEST_F(Verbs, no_wait_returns_at_once_and_the_operation_can_be_looked_at) {
    add_server();
    const Ran ran = run("server stop -g team -n orders --no-wait");
    ASSERT_EQ(ran.code, 0);
    EXPECT_THAT(ran.err, HasSubstr("howdah operation show --id https://localhost:"));
    const std::string id = ran.err.substr(ran.err.find("https://"));
    EXPECT_EQ(run("operation show -n op-1 -o tsv").out,
              "op-1\tInProgress\tclaiming a data directory\t2026-01-01T00:00:00Z\t\t\n");
    EXPECT_THAT(run("operation show --id " + id + " -o tsv").out, HasSubstr("starting PostgreSQL"));
    EXPECT_THAT(run("operation show -n op-1 -o tsv").out, HasSubstr("Succeeded"));
    EXPECT_EQ(run("operation show -n op-9").code, 3);
    EXPECT_EQ(run("server create -g team -n x -p Pa55w0rd! --public-access all --no-wait").code, 2);
}

TEST_F(Verbs, an_api_that_is_away_for_a_moment_is_waited_for) {
    add_server();
    arm.be_away_for(5);
    const Ran ran = run("server stop -g team -n orders");
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("the API is away; waiting for it"));
}

TEST_F(Verbs, an_api_that_stays_away_is_given_up) {
    add_server();
    arm.be_away_for(1 << 30);
    const Ran ran = run("server stop -g team -n orders");
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, HasSubstr("ServiceUnavailable"));
}

TEST_F(Verbs, an_api_that_is_not_there_is_named_with_what_to_do) {
    std::ostringstream nowhere;
    {
        const FakeArm other;
        nowhere << other.url();
    }
    const std::string ca = user.write("ca.pem", arm.ca_pem());
    const Ran ran = user.run({"login", "-u", kClient, "-t", kTenant, "--api-url", nowhere.str(),
                              "--ca-file", ca, "-p", kSecretText});
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, HasSubstr(nowhere.str() + " does not answer"));
    EXPECT_THAT(ran.err, HasSubstr("check that howdahd runs there"));
}

TEST_F(Verbs, an_answer_that_is_no_json_is_an_error_and_not_a_crash) {
    arm.answer_once(kGroup, {200, {}, "<html>proxy</html>"});
    EXPECT_EQ(run("group show -n team").code, 1);
    arm.answer_once(kGroup, {502, {}, "<html>proxy</html>"});
    const Ran ran = run("group show -n team");
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, HasSubstr("HTTP 502"));
}

}  // namespace
}  // namespace howdah::cli
