#include <fmt/core.h>
#include <gtest/gtest.h>

#include "api/api_support.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api {
namespace {

constexpr const char* kServer = "{P}/flexibleServers/pg1";

std::string child(const std::string& path) { return std::string(kServer) + "/" + path; }

Body rule(const std::string& start, const std::string& end) {
    return {{"properties", {{"startIpAddress", start}, {"endIpAddress", end}}}};
}

std::vector<std::string> names_of(const Reply& reply) {
    std::vector<std::string> names;
    for (const Body& each : reply.body["value"]) names.push_back(each["name"]);
    return names;
}

class Children : public testing::Test {
  protected:
    Children() {
        world.make_group();
        world.make_server();
    }
    /// As if the agent had created or dropped databases, by SQL or by an action.
    void report_databases(const std::vector<model::DatabaseStatus>& databases) {
        model::ServerStatus status = world.status();
        status.databases = databases;
        world.set_status("pg1", status);
    }
    World world;
};

using FirewallRules = Children;
using Databases = Children;
using Configurations = Children;

TEST_F(FirewallRules, live_in_the_server_and_are_found_in_any_letter_case) {
    const Reply made =
        world.call("PUT", child("firewallRules/Office"), rule("10.0.0.1", "10.0.0.9"));
    ASSERT_EQ(made.status, 202) << made.text;
    EXPECT_EQ(made.body["id"], world.expand(child("firewallRules/Office")));
    EXPECT_EQ(made.body["type"], "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules");
    EXPECT_EQ(made.body["properties"]["endIpAddress"], "10.0.0.9");
    EXPECT_TRUE(made.headers.contains("azure-asyncoperation"));
    EXPECT_EQ(world.spec().generation, 2);
    const Reply changed =
        world.call("PUT", child("firewallRules/OFFICE"), rule("10.0.0.1", "10.0.0.1"));
    EXPECT_EQ(changed.status, 202);
    EXPECT_EQ(changed.body["name"], "Office");
    ASSERT_EQ(world.spec().firewall_rules.size(), 1U);
    EXPECT_EQ(world.call("GET", child("firewallrules/office")).body["properties"]["endIpAddress"],
              "10.0.0.1");
    world.finish();
    const Reply shown = world.call("GET", "{L}/operationResults/" + World::operation_of(changed));
    EXPECT_EQ(shown.body["name"], "Office");
    EXPECT_EQ(names_of(world.call("GET", child("firewallRules"))),
              std::vector<std::string>{"Office"});
    EXPECT_EQ(world.call("DELETE", child("firewallRules/office")).status, 202);
    EXPECT_TRUE(world.spec().firewall_rules.empty());
    EXPECT_EQ(world.call("DELETE", child("firewallRules/office")).status, 204);
    EXPECT_EQ(world.call("GET", child("firewallRules/office")).code(), "ResourceNotFound");
}

TEST_F(FirewallRules, with_bad_addresses_are_refused) {
    const std::tuple<std::string, std::string, std::string> cases[] = {
        {"1.2.3", "1.2.3.4", "properties.startIpAddress"},
        {"256.1.1.1", "1.2.3.4", "properties.startIpAddress"},
        {"::1", "::1", "properties.startIpAddress"},
        {"1.2.3.4/24", "1.2.3.4", "properties.startIpAddress"},
        {"", "1.2.3.4", "properties.startIpAddress"},
        {"01.2.3.4", "1.2.3.4", "properties.startIpAddress"},
        {"1.2.3.4 ", "1.2.3.4", "properties.startIpAddress"},
        {"0x7f.1.1.1", "1.2.3.4", "properties.startIpAddress"},
        {"+1.2.3.4", "1.2.3.4", "properties.startIpAddress"},
        {"1.2.3.4", "1.2.3.", "properties.endIpAddress"},
        {"1.2.3.4", "1.2.3.3", "properties.startIpAddress"},
    };
    for (const auto& [start, end, target] : cases) {
        const Reply reply = world.call("PUT", child("firewallRules/r"), rule(start, end));
        EXPECT_EQ(reply.code(), "InvalidParameterValue") << start << "-" << end << reply.text;
        EXPECT_EQ(reply.target(), target) << start << "-" << end;
    }
    EXPECT_EQ(world.call("PUT", child("firewallRules/r"), Body::object()).target(), "properties");
    EXPECT_EQ(world.call("PUT", child("firewallRules/r%20s"), rule("1.1.1.1", "1.1.1.1")).code(),
              "InvalidResourceName");
    EXPECT_EQ(world
                  .call("PUT", child("firewallRules/" + std::string(129, 'a')),
                        rule("1.1.1.1", "1.1.1.1"))
                  .code(),
              "InvalidResourceName");
    EXPECT_EQ(world.spec().generation, 1);
}

TEST_F(FirewallRules, are_bounded) {
    for (int i = 0; i < 128; ++i)
        ASSERT_EQ(
            world
                .call("PUT", child(fmt::format("firewallRules/r{}", i)), rule("1.1.1.1", "1.1.1.1"))
                .status,
            202);
    EXPECT_EQ(world.call("PUT", child("firewallRules/more"), rule("1.1.1.1", "1.1.1.1")).code(),
              "QuotaExceeded");
    EXPECT_EQ(world.call("PUT", child("firewallRules/r5"), rule("0.0.0.0", "0.0.0.0")).status, 202);
}

TEST_F(Databases, are_shown_while_they_come_and_when_they_are_there) {
    const Body body = Body::parse(R"({"properties":{"charset":"utf8","collation":"en_US.utf8"}})");
    const Reply made = world.call("PUT", child("databases/app"), body);
    ASSERT_EQ(made.status, 202) << made.text;
    EXPECT_EQ(made.body["properties"]["charset"], "UTF8");
    const model::Operation operation = world.operations.find(World::operation_of(made)).value();
    EXPECT_EQ(operation.kind, "CreateDatabase");
    EXPECT_FALSE(operation.action_id.empty());
    EXPECT_EQ(operation.generation, 0);
    EXPECT_EQ(world.spec().generation, 1) << "a database is no change of the server";
    EXPECT_EQ(world.call("GET", child("databases/app")).status, 200);
    EXPECT_EQ(names_of(world.call("GET", child("databases"))),
              (std::vector<std::string>{"app", "postgres"}));
    world.finish();
    EXPECT_EQ(world.call("GET", child("databases/app")).status, 200)
        << "created, and not in a report yet";
    report_databases({{"postgres", "UTF8", "en_US.utf8"}, {"app", "UTF8", "en_US.utf8"}});
    EXPECT_EQ(world.call("GET", child("databases/APP")).body["name"], "app");
    world.clock.advance(std::chrono::minutes(1));
    report_databases({{"postgres", "UTF8", "en_US.utf8"}});
    EXPECT_EQ(world.call("GET", child("databases/app")).status, 404) << "dropped with SQL";
    EXPECT_EQ(names_of(world.call("GET", child("databases"))),
              std::vector<std::string>{"postgres"});
}

TEST_F(Databases, whose_creation_failed_are_not_shown) {
    ASSERT_EQ(world.call("PUT", child("databases/app"), Body::object()).status, 202);
    world.fail_operations("pg1", {"PostgresError", "no", ""});
    EXPECT_EQ(world.call("GET", child("databases/app")).status, 404);
    EXPECT_EQ(names_of(world.call("GET", child("databases"))),
              std::vector<std::string>{"postgres"});
}

TEST_F(Databases, made_with_sql_are_shown_and_can_be_dropped) {
    report_databases({{"postgres", "UTF8", "en_US.utf8"},
                      {"template1", "UTF8", "en_US.utf8"},
                      {"mine", "UTF8", "C"}});
    EXPECT_EQ(names_of(world.call("GET", child("databases"))),
              (std::vector<std::string>{"mine", "postgres"}));
    EXPECT_EQ(world.call("GET", child("databases/template1")).status, 404);
    const Reply dropped = world.call("DELETE", child("databases/mine"));
    ASSERT_EQ(dropped.status, 202) << dropped.text;
    EXPECT_EQ(world.operations.find(World::operation_of(dropped))->kind, "DropDatabase");
    world.finish();
    EXPECT_EQ(world.call("GET", "{L}/operationResults/" + World::operation_of(dropped)).status,
              204);
    EXPECT_EQ(world.call("DELETE", child("databases/nothere")).status, 204);
}

TEST_F(Databases, are_dropped_and_created_again_by_requests_that_queue) {
    const auto key = store::keys::database(world.server_id().child("databases", "app"));
    const auto wanted = [](const char* collation) {
        return Body{{"properties", {{"charset", "UTF8"}, {"collation", collation}}}};
    };
    report_databases({{"postgres", "UTF8", "en_US.utf8"}, {"app", "UTF8", "en_US.utf8"}});
    const Reply first_drop = world.call("DELETE", child("databases/app"));
    ASSERT_EQ(first_drop.status, 202) << first_drop.text;
    const Reply creation = world.call("PUT", child("databases/app"), wanted("C"));
    ASSERT_EQ(creation.status, 202) << "another collation, as the old one goes" << creation.text;
    const auto record = model::from_json<model::DatabaseSpec>(world.store->get(key).value()->value);
    EXPECT_EQ(record->operation_id, World::operation_of(creation));
    EXPECT_EQ(record->collation, "C");
    const Reply last_drop = world.call("DELETE", child("databases/app"));
    ASSERT_EQ(last_drop.status, 202) << last_drop.text;
    EXPECT_FALSE(world.store->get(key).value().has_value()) << "the newest request has the say";
    const model::Operation operation = world.operations.find(World::operation_of(creation)).value();
    ASSERT_TRUE(operation.database.has_value()) << "its own, as the record is gone";
    EXPECT_EQ(operation.database->collation, "C");
    world.finish();
    report_databases({{"postgres", "UTF8", "en_US.utf8"}});
    EXPECT_EQ(world.call("GET", child("databases/app")).status, 404);
    EXPECT_EQ(world.call("DELETE", child("databases/app")).status, 204);
}

TEST_F(Databases, can_be_dropped_before_they_are_there) {
    ASSERT_EQ(world.call("PUT", child("databases/app"), Body::object()).status, 202);
    EXPECT_EQ(world.call("DELETE", child("databases/app")).status, 202);
    EXPECT_EQ(world.call("PUT", child("databases/app"), Body::object()).status, 202);
    EXPECT_EQ(world.call("GET", child("databases/app")).status, 200) << "it comes";
}

TEST_F(Databases, with_bad_names_or_properties_are_refused) {
    const std::tuple<std::string, std::string, std::string, std::string> cases[] = {
        {"a%20b", "{}", "InvalidResourceName", "name"},
        {"1a", "{}", "InvalidResourceName", "name"},
        {std::string(64, 'a'), "{}", "InvalidResourceName", "name"},
        {"app", R"({"properties":{"charset":"EBCDIC"}})", "InvalidParameterValue",
         "properties.charset"},
        {"app", R"({"properties":{"collation":"xx_XX.utf8"}})", "InvalidParameterValue",
         "properties.collation"},
        {"app", R"({"properties":{"charset":"LATIN1","collation":"en_US.utf8"}})",
         "InvalidParameterValue", "properties.collation"},
        {"app", R"({"properties":{"owner":"x"}})", "InvalidRequestContent", "properties.owner"},
        {"app", R"({"collation":"C"})", "InvalidRequestContent", "collation"},
    };
    for (const auto& [name, body, code, target] : cases) {
        const Reply reply = world.call_text("PUT", child("databases/" + name), body);
        EXPECT_EQ(reply.code(), code) << name << body << reply.text;
        EXPECT_EQ(reply.target(), target) << name << body;
    }
    const Reply unknown =
        world.call_text("PUT", child("databases/app"), R"({"properties":{"collation":"xx"}})");
    EXPECT_NE(unknown.message().find("en_US.utf8"), std::string::npos) << "lists what there is";
    for (const char* name : {"postgres", "azure_maintenance", "azure_sys", "template1"})
        for (const char* method : {"PUT", "DELETE"})
            EXPECT_EQ(world.call(method, child(std::string("databases/") + name)).code(),
                      "OperationNotAllowed")
                << method << name;
}

TEST_F(Databases, that_exist_cannot_get_another_collation) {
    report_databases({{"app", "UTF8", "en_US.UTF-8"}});
    EXPECT_EQ(world.call("PUT", child("databases/app"), Body::object()).status, 202)
        << "the same locale in another spelling";
    EXPECT_EQ(world.call_text("PUT", child("databases/app"), R"({"properties":{"collation":"C"}})")
                  .code(),
              "PropertyChangeNotAllowed");
}

TEST_F(Databases, of_a_stopped_server_cannot_change) {
    ASSERT_EQ(world.call("POST", child("stop")).status, 202);
    world.finish();
    EXPECT_EQ(world.call("PUT", child("databases/app"), Body::object()).code(),
              "OperationNotAllowed");
}

TEST_F(Configurations, show_what_is_in_force_and_where_it_comes_from) {
    const Reply list = world.call("GET", child("configurations"));
    ASSERT_EQ(list.status, 200) << list.text;
    const auto names = names_of(list);
    EXPECT_NE(std::find(names.begin(), names.end(), "work_mem"), names.end());
    EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
    const Reply one = world.call("GET", child("configurations/MAX_connections"));
    ASSERT_EQ(one.status, 200) << one.text;
    EXPECT_EQ(one.body["name"], "max_connections");
    const Body& properties = one.body["properties"];
    EXPECT_EQ(properties["source"], "system-default");
    EXPECT_EQ(properties["dataType"], "Integer");
    EXPECT_EQ(properties["isDynamicConfig"], false);
    EXPECT_EQ(properties["isConfigPendingRestart"], false);
    EXPECT_EQ(properties["value"], properties["defaultValue"]);
    EXPECT_EQ(world.call("GET", child("configurations/nothing")).code(), "ResourceNotFound");
}

TEST_F(Configurations, can_be_set_and_reset) {
    const Body set = Body::parse(R"({"properties":{"value":"200","source":"user-override"}})");
    const Reply reply = world.call("PATCH", child("configurations/max_connections"), set);
    ASSERT_EQ(reply.status, 202) << reply.text;
    EXPECT_EQ(world.spec().parameters.at("max_connections"), "200");
    model::ServerStatus status = world.status();
    status.pending_restart = {"max_connections"};
    world.set_status("pg1", status);
    const Body shown =
        world.call("GET", child("configurations/max_connections")).body["properties"];
    EXPECT_EQ(shown["value"], "200");
    EXPECT_EQ(shown["source"], "user-override");
    EXPECT_EQ(shown["isConfigPendingRestart"], true);
    const Body reset = {
        {"properties", {{"value", shown["defaultValue"]}, {"source", "system-default"}}}};
    ASSERT_EQ(world.call("PUT", child("configurations/max_connections"), reset).status, 202);
    EXPECT_TRUE(world.spec().parameters.empty());
}

TEST_F(Configurations, are_shown_as_they_were_written_and_kept_in_their_normal_form) {
    const auto set = [this](const char* value) {
        const Body body = {{"properties", {{"value", value}, {"source", "user-override"}}}};
        return world.call("PATCH", child("configurations/azure.extensions"), body).status;
    };
    const auto shown = [this] {
        return world.call("GET", child("configurations/azure.extensions"))
            .body["properties"]["value"];
    };
    ASSERT_EQ(set("PG_TRGM,HSTORE"), 202);
    EXPECT_EQ(shown(), "PG_TRGM,HSTORE");
    EXPECT_EQ(world.spec().parameters.at("azure.extensions"), "hstore,pg_trgm");
    ASSERT_EQ(set("pg_trgm"), 202);
    EXPECT_EQ(shown(), "pg_trgm");
    EXPECT_TRUE(world.spec().parameter_spellings.empty());
}

TEST_F(Configurations, what_was_read_can_be_sent_back) {
    const Body read = world.call("GET", child("configurations/work_mem")).body;
    EXPECT_EQ(world.call("PUT", child("configurations/work_mem"), read).status, 202);
}

TEST_F(Configurations, bad_values_are_refused) {
    const std::tuple<std::string, std::string, std::string, std::string> cases[] = {
        {"work_mem", R"({"properties":{"value":"much"}})", "InvalidParameterValue",
         "properties.value"},
        {"work_mem", R"({"properties":{"value":"1"}})", "InvalidParameterValue",
         "properties.value"},
        {"work_mem", R"({"properties":{"value":""}})", "InvalidParameterValue", "properties.value"},
        {"work_mem", R"({"properties":{}})", "InvalidParameterValue", "properties.value"},
        {"work_mem", R"({})", "InvalidParameterValue", "properties.value"},
        {"work_mem", R"({"properties":{"value":4096}})", "InvalidRequestContent",
         "properties.value"},
        {"work_mem", R"({"properties":{"value":"8192","source":"system-default"}})",
         "InvalidParameterValue", "properties.source"},
        {"work_mem", R"({"properties":{"value":"8192","source":"elsewhere"}})",
         "InvalidParameterValue", "properties.source"},
        {"work_mem", R"({"properties":{"value":"8192","colour":1}})", "InvalidRequestContent",
         "properties.colour"},
    };
    for (const auto& [name, body, code, target] : cases) {
        const Reply reply = world.call_text("PUT", child("configurations/" + name), body);
        EXPECT_EQ(reply.code(), code) << body << reply.text;
        EXPECT_EQ(reply.target(), target) << body << reply.text;
    }
    EXPECT_EQ(
        world.call_text("PUT", child("configurations/nothing"), R"({"properties":{"value":"1"}})")
            .code(),
        "ResourceNotFound");
    EXPECT_EQ(world.spec().generation, 1);
}

}  // namespace
}  // namespace howdah::api
