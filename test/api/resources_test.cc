#include <fmt/core.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "api/api_support.h"
#include "api/router.h"
#include "base/text.h"
#include "http/client.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api {
namespace {

constexpr const char* kGroup = "{S}/resourcegroups/rg1";

Reply manage(World& world, const std::string& method, const std::string& path,
             const Body& body = nullptr) {
    return world.call(method, path, body, kManagerVersion);
}

TEST(groups, are_made_read_changed_and_listed) {
    World world;
    EXPECT_EQ(manage(world, "HEAD", kGroup).status, 404);
    const Reply made =
        manage(world, "PUT", kGroup, {{"location", "Local"}, {"tags", {{"a", "b"}}}});
    ASSERT_EQ(made.status, 201) << made.text;
    const Body expected = {{"id", world.expand("{S}/resourceGroups/rg1")},
                           {"name", "rg1"},
                           {"type", "Microsoft.Resources/resourceGroups"},
                           {"location", "local"},
                           {"tags", {{"a", "b"}}},
                           {"properties", {{"provisioningState", "Succeeded"}}}};
    EXPECT_EQ(made.body, expected);
    const Reply head = manage(world, "HEAD", kGroup);
    EXPECT_EQ(head.status, 204);
    EXPECT_TRUE(head.text.empty());
    EXPECT_EQ(manage(world, "GET", "{S}/resourceGroups/RG1").body, expected);
    EXPECT_EQ(manage(world, "PATCH", kGroup, {{"tags", {{"c", "d"}}}}).body["tags"],
              Body::parse(R"({"c":"d"})"));
    EXPECT_EQ(manage(world, "PUT", kGroup, {{"location", "local"}}).status, 200);
    EXPECT_TRUE(manage(world, "GET", kGroup).body["tags"].empty());
    EXPECT_EQ(manage(world, "GET", "{S}/resourcegroups").body["value"].size(), 1U);
}

TEST(groups, are_filtered_by_their_tags) {
    World world;
    manage(world, "PUT", kGroup, {{"location", "local"}, {"tags", {{"Team", "blue"}}}});
    manage(world, "PUT", "{S}/resourceGroups/other", {{"location", "local"}});
    const auto count = [&](const std::string& filter) {
        const Reply reply = world.call(
            "GET", "{S}/resourceGroups?api-version=2021-04-01&$filter=" + http::url_encode(filter));
        return reply.status == 200 ? static_cast<int>(reply.body["value"].size()) : -reply.status;
    };
    EXPECT_EQ(count(""), 2);
    EXPECT_EQ(count("tagname eq 'team'"), 1);
    EXPECT_EQ(count("tagName eq 'team' and tagValue eq 'blue'"), 1);
    EXPECT_EQ(count("tagname eq 'team' and tagvalue eq 'Blue'"), 0);
    EXPECT_EQ(count("tagname eq 'tea'"), 0);
    EXPECT_EQ(count("tagvalue eq 'blue'"), 0) << "a value without its name";
    EXPECT_EQ(count("tagname ne 'team'"), -400);
    EXPECT_EQ(count("location eq 'local'"), -400);
}

TEST(groups, bad_requests_are_refused) {
    World world;
    const std::tuple<std::string, std::string, std::string> cases[] = {
        {"rg1", "{}", "LocationRequired"},
        {"rg1", R"({"location":"mars"})", "LocationNotAvailableForResourceType"},
        {"rg1", R"({"location":"local","colour":1})", "InvalidRequestContent"},
        {"rg1", R"({"location":"local","name":"other"})", "InvalidRequestContent"},
        {"rg1", R"({"location":"local","tags":{"a>":""}})", "InvalidParameterValue"},
        {"rg1", "", "InvalidRequestContent"},
        {"ends.", R"({"location":"local"})", "InvalidResourceName"},
        {"a%20b", R"({"location":"local"})", "InvalidResourceName"},
        {std::string(91, 'a'), R"({"location":"local"})", "InvalidResourceName"},
    };
    for (const auto& [name, body, code] : cases)
        EXPECT_EQ(
            world.call_text("PUT", "{S}/resourcegroups/" + name, body, kManagerVersion).code(),
            code)
            << name << body;
    EXPECT_EQ(manage(world, "PATCH", kGroup, Body::object()).code(), "ResourceGroupNotFound");
    EXPECT_EQ(manage(world, "DELETE", kGroup).code(), "ResourceGroupNotFound");
    EXPECT_EQ(manage(world, "GET", "{S}/resourcegroups?api-version=2021-04-01&$filter=x").code(),
              "InvalidParameterValue");
}

TEST(groups, are_deleted_in_the_background) {
    World world;
    world.make_group();
    const Reply deleted = manage(world, "DELETE", kGroup);
    ASSERT_EQ(deleted.status, 202);
    EXPECT_EQ(deleted.headers.at("retry-after"), "1");
    const std::string link = deleted.headers.at("location");
    const std::string prefix = "https://localhost:8443";
    ASSERT_TRUE(link.starts_with(prefix + world.expand("{S}/operationresults/"))) << link;
    const std::string path = link.substr(prefix.size());
    const std::string id = path.substr(path.rfind('/') + 1, 36);
    const model::Operation operation = world.operations.find(id).value();
    EXPECT_EQ(operation.kind, "DeleteGroup");
    EXPECT_TRUE(operation.server_key.empty());
    EXPECT_EQ(operation.resource_id, world.expand("{S}/resourceGroups/rg1"));
    EXPECT_EQ(manage(world, "GET", kGroup).body["properties"]["provisioningState"], "Deleting");
    EXPECT_EQ(manage(world, "GET", path).status, 202);
    EXPECT_EQ(manage(world, "DELETE", kGroup).headers.at("location"), link);
    EXPECT_EQ(manage(world, "PUT", kGroup, {{"location", "local"}}).code(),
              "ResourceGroupBeingDeleted");
    EXPECT_EQ(world.call("PUT", "{P}/flexibleServers/pg1", World::server_body()).code(),
              "ResourceGroupBeingDeleted");
    model::Operation ended = operation;
    ended.status = "Succeeded";
    store::Transaction txn;
    txn.put(store::keys::operation(id), model::to_json(ended));
    txn.remove(store::keys::group(model::ResourceId::group(world.boot.subscription_id, "rg1")));
    ASSERT_TRUE(world.store->commit(txn).ok());
    EXPECT_EQ(manage(world, "GET", path).status, 200);
    EXPECT_EQ(manage(world, "HEAD", kGroup).status, 404);
}

TEST(subscriptions, are_shown_with_their_tenant_and_location) {
    World world;
    const Reply list = manage(world, "GET", "/subscriptions");
    ASSERT_EQ(list.body["value"].size(), 1U);
    EXPECT_EQ(list.body["value"][0]["displayName"], "Howdah");
    EXPECT_EQ(list.body["value"][0]["state"], "Enabled");
    EXPECT_EQ(manage(world, "GET", "{S}").body["tenantId"], world.boot.tenant_id);
    EXPECT_EQ(manage(world, "GET", "{S}/locations").body["value"][0]["name"], "local");
    EXPECT_EQ(manage(world, "GET", "/tenants").body["value"][0]["tenantId"], world.boot.tenant_id);
}

TEST(providers, are_registered) {
    World world;
    const Reply one = manage(world, "GET", "{S}/providers/microsoft.dbforpostgresql");
    EXPECT_EQ(one.body["registrationState"], "Registered");
    EXPECT_EQ(one.body["namespace"], "Microsoft.DBforPostgreSQL");
    bool found = false;
    for (const Body& type : one.body["resourceTypes"]) {
        if (type["resourceType"] != "flexibleServers") continue;
        found = true;
        EXPECT_EQ(type["apiVersions"][0], "2025-08-01");
    }
    EXPECT_TRUE(found);
    EXPECT_EQ(manage(world, "POST", "{S}/providers/Microsoft.DBforPostgreSQL/register").status,
              200);
    std::set<std::string> names;
    const Reply all = manage(world, "GET", "{S}/providers");
    for (const Body& each : all.body["value"]) names.insert(each["namespace"]);
    EXPECT_EQ(names, (std::set<std::string>{"Howdah.Platform", "Microsoft.Authorization",
                                            "Microsoft.DBforPostgreSQL", "Microsoft.Insights",
                                            "Microsoft.Resources"}));
    const Reply locks = manage(world, "GET", "{S}/providers/Microsoft.Authorization");
    EXPECT_EQ(locks.body["resourceTypes"].back()["apiVersions"][0], "2022-04-01") << "no preview";
    EXPECT_EQ(manage(world, "GET", "{S}/providers/Microsoft.Nope").code(),
              "InvalidResourceNamespace");
}

TEST(query_options, that_a_request_does_not_honour_are_refused) {
    World world;
    world.make_group();
    world.make_server();
    std::size_t asked = 0;
    for (const Route& route : all_routes()) {
        if (route.method != "GET" || route.handler == nullptr || route.versions->supported.empty())
            continue;
        std::string path;
        for (const std::string& each : split(route.pattern.substr(1), '/'))
            path += "/" + (each == "{subscriptionId}"      ? world.boot.subscription_id
                           : each == "{resourceGroupName}" ? "rg1"
                           : each == "{serverName}"        ? "pg1"
                           : each == "{scope}" ? "subscriptions/" + world.boot.subscription_id
                           : each[0] == '{'    ? "x"
                                               : each);
        path += "?api-version=" + std::string(route.versions->supported.back());
        for (const char* option : {"$orderby=name", "$skip=3", "$expand=secrets", "$top=0",
                                   "$top=x", "$filter=frobnicate%20eq%20%27x%27"}) {
            const Reply reply = world.call("GET", path + "&" + option);
            EXPECT_EQ(reply.status, 400) << path << option << reply.text;
            EXPECT_EQ(reply.code(), "InvalidParameterValue") << path << option;
            ++asked;
        }
    }
    EXPECT_GT(asked, 200U);
}

TEST(query_options, of_azures_clients_are_honoured) {
    World world;
    world.make_group();
    for (const char* name : {"aaa", "bbb", "ccc"}) world.make_server(name);
    const auto names = [](const Reply& reply) {
        std::set<std::string> out;
        for (const Body& each : reply.body["value"]) out.insert(each["name"]);
        return out;
    };
    for (const char* list :
         {"{S}/resources", "{S}/resourceGroups/rg1/resources",
          "{S}/providers/Microsoft.DBforPostgreSQL/flexibleServers", "{P}/flexibleServers"}) {
        const std::string version =
            std::string(list).ends_with("resources") ? kManagerVersion : kNewVersion;
        std::string path = std::string(list) + "?api-version=" + version + "&$top=2";
        const Reply first = world.call("GET", path);
        ASSERT_EQ(first.status, 200) << path << first.text;
        EXPECT_EQ(names(first), (std::set<std::string>{"aaa", "bbb"})) << path;
        const std::string next = first.body.value("nextLink", "");
        EXPECT_NE(next.find("top=2"), std::string::npos) << next;
        const Reply second =
            world.call("GET", next.substr(std::string("https://localhost:8443").size()));
        EXPECT_EQ(names(second), std::set<std::string>{"ccc"}) << next << second.text;
        EXPECT_FALSE(second.body.contains("nextLink"));
    }
    // As az resource list and Terraform's azurerm send it.
    const Reply expanded = world.call(
        "GET",
        "{S}/resources?$filter=resourceGroup%20eq%20%27rg1%27&$expand=createdTime%2CchangedTime%2C"
        "provisioningState&api-version=2021-04-01");
    ASSERT_EQ(expanded.body["value"].size(), 3U) << expanded.text;
    for (const char* field : {"createdTime", "changedTime", "provisioningState"})
        EXPECT_TRUE(expanded.body["value"][0].contains(field)) << field;
    EXPECT_EQ(manage(world, "GET", "{S}/resourceGroups?api-version=2021-04-01&$top=1").status, 200);
    EXPECT_EQ(
        manage(world, "GET", "{S}/providers?api-version=2021-04-01&$expand=resourceTypes%2Faliases")
            .status,
        200);
}

TEST(providers, have_every_type_that_is_served) {
    World world;
    const auto types_of = [&](const std::string& ns) {
        std::set<std::string> names;
        const Reply provider = manage(world, "GET", "{S}/providers/" + ns);
        for (const Body& type : provider.body["resourceTypes"]) names.insert(type["resourceType"]);
        return names;
    };
    EXPECT_EQ(types_of("Microsoft.Authorization"),
              (std::set<std::string>{"denyAssignments", "locks", "permissions", "roleAssignments",
                                     "roleDefinitions"}));
    const auto own = types_of("Microsoft.Resources");
    for (const char* each :
         {"tenants", "subscriptions", "subscriptions/resourceGroups", "resourceGroups",
          "subscriptions/locations", "subscriptions/providers", "providers", "resources",
          "deployments", "deployments/operations", "deployments/operationStatuses",
          "calculateTemplateHash", "subscriptions/operationresults"})
        EXPECT_TRUE(own.contains(each)) << each;
    const auto postgres = types_of("Microsoft.DBforPostgreSQL");
    for (const char* each :
         {"flexibleServers", "flexibleServers/databases", "flexibleServers/firewallRules",
          "flexibleServers/configurations", "locations/capabilities", "operations",
          "locations/checkNameAvailability", "checkNameAvailability", "getPrivateDnsZoneSuffix",
          "locations/azureAsyncOperation", "locations/operationResults"})
        EXPECT_TRUE(postgres.contains(each)) << each;
    for (const auto& all : {own, postgres})
        for (const std::string& each : all)
            for (const char* action : {"restart", "validate", "register", "v1.0", "{"})
                EXPECT_EQ(each.find(action), std::string::npos) << each;
    // Not one of them is missing that a route has.
    const Reply providers = manage(world, "GET", "{S}/providers");
    for (const Route& route : all_routes()) {
        if (route.handler == nullptr || route.method != "PUT" || route.versions->supported.empty())
            continue;
        const auto segments = split(route.pattern, '/');
        const std::string& type = segments[segments.size() - 2];
        const std::string last = "/" + type;
        bool found = false;
        for (const Body& each : providers.body["value"])
            for (const Body& has : each["resourceTypes"])
                found = found || ("/" + has["resourceType"].get<std::string>()).ends_with(last);
        EXPECT_TRUE(found) << route.pattern;
    }
}

/// Writes servers into the store without the api, as fast as that goes.
void put_servers(World& world, int count) {
    for (int i = 0; i < count; ++i) {
        model::ServerSpec spec;
        spec.name = fmt::format("pg{:05}", i);
        spec.id = world.server_id(spec.name).to_string();
        spec.incarnation = "life";
        model::ServerStatus status;
        status.server_id = world.server_id(spec.name).key();
        status.incarnation = "life";
        status.state = i % 2 == 0 ? "Ready" : "Stopped";
        store::Transaction txn;
        txn.put(store::keys::server(world.server_id(spec.name)), model::to_json(spec));
        if (i % 3 != 0) txn.put(store::keys::status(status.server_id), model::to_json(status));
        ASSERT_TRUE(world.store->commit(txn).ok());
    }
}

std::set<std::string> follow_pages(World& world, std::string path, std::size_t pages,
                                   const std::string& version) {
    std::set<std::string> names;
    path += "?api-version=" + version;
    for (std::size_t page = 0; page < pages; ++page) {
        const Reply reply = world.call("GET", path);
        EXPECT_EQ(reply.status, 200) << reply.text;
        EXPECT_LE(reply.body["value"].size(), 100U);
        for (const Body& each : reply.body["value"]) names.insert(each["name"]);
        if (page + 1 == pages) {
            EXPECT_FALSE(reply.body.contains("nextLink"));
            break;
        }
        const std::string next = reply.body.value("nextLink", "");
        EXPECT_TRUE(next.starts_with("https://localhost:8443/")) << next;
        if (next.empty()) break;
        path = next.substr(std::string("https://localhost:8443").size());
    }
    return names;
}

TEST(paging, every_server_is_on_one_page) {
    World world;
    world.make_group();
    put_servers(world, 250);
    EXPECT_EQ(follow_pages(world, "{P}/flexibleServers", 3, kNewVersion).size(), 250U);
    EXPECT_EQ(follow_pages(world, "{S}/providers/Microsoft.DBforPostgreSQL/flexibleServers", 3,
                           kOldVersion)
                  .size(),
              250U);
    EXPECT_EQ(follow_pages(world, "{S}/resources", 3, kManagerVersion).size(), 250U);
    EXPECT_EQ(follow_pages(world, "{S}/resourceGroups/rg1/resources", 3, kManagerVersion).size(),
              250U);
}

TEST(paging, every_server_of_a_page_has_its_own_status) {
    World world;
    world.make_group();
    put_servers(world, 30);
    const Reply reply = world.call("GET", "{P}/flexibleServers");
    ASSERT_EQ(reply.body["value"].size(), 30U);
    for (std::size_t i = 0; i < 30; ++i) {
        const std::string expected = i % 3 == 0 ? "Provisioning" : i % 2 == 0 ? "Ready" : "Stopped";
        EXPECT_EQ(reply.body["value"][i]["properties"]["state"], expected) << i;
    }
}

TEST(paging, a_token_that_is_not_ours_is_refused) {
    World world;
    world.make_group();
    put_servers(world, 101);
    const std::string next = world.call("GET", "{P}/flexibleServers").body.value("nextLink", "");
    ASSERT_FALSE(next.empty());
    const std::string token = next.substr(next.find("$skiptoken=") + 11);
    std::string changed = token;
    changed[token.size() / 2] = changed[token.size() / 2] == 'A' ? 'B' : 'A';
    const std::string version = std::string("?api-version=") + kNewVersion + "&$skiptoken=";
    for (const std::string& bad :
         {changed, std::string("x"), std::string("%00"), std::string(5000, 'A'), token + "A"})
        EXPECT_EQ(world.call("GET", "{P}/flexibleServers" + version + bad).target(), "$skiptoken")
            << bad.substr(0, 40);
    EXPECT_EQ(world
                  .call("GET",
                        "{S}/providers/Microsoft.DBforPostgreSQL/flexibleServers" + version + token)
                  .target(),
              "$skiptoken")
        << "a token of another list";
    EXPECT_EQ(world.call("GET", "{P}/flexibleServers" + version + token).status, 200);
}

TEST(resources, are_filtered_as_az_does) {
    World world;
    world.make_group();
    world.make_server();
    const auto count = [&](const std::string& filter) {
        const Reply reply = world.call(
            "GET", "{S}/resources?api-version=2021-04-01&$expand=createdTime&$filter=" + filter);
        return reply.status == 200 ? static_cast<int>(reply.body["value"].size()) : -reply.status;
    };
    EXPECT_EQ(count("resourceGroup%20eq%20%27RG1%27"), 1);
    EXPECT_EQ(count("resourceGroup%20eq%20%27other%27"), 0);
    EXPECT_EQ(count("resourceType%20eq%20%27Microsoft.KeyVault%2Fvaults%27"), 0);
    EXPECT_EQ(count("resourceType%20eq%20%27microsoft.dbforpostgresql%2Fflexibleservers%27%20and%20"
                    "name%20eq%20%27pg1%27"),
              1);
    EXPECT_EQ(count("name%20eq%20%27pg2%27"), 0);
    EXPECT_EQ(count("location%20eq%20%27Local%27"), 1);
    EXPECT_EQ(count("location%20eq%20%27eastus%27"), 0);
    ASSERT_EQ(world.call("PATCH", "{P}/flexibleServers/pg1", {{"tags", {{"a", "b"}}}}).status, 202);
    EXPECT_EQ(count("tagname%20eq%20%27a%27%20and%20tagvalue%20eq%20%27b%27"), 1);
    EXPECT_EQ(count("tagname%20eq%20%27a%27%20and%20tagvalue%20eq%20%27c%27"), 0);
    for (const char* bad : {"x", "name%20ne%20%27a%27", "name%20eq%20a", "name%20eq%20%27a%27%20or",
                            "name%20eq%20%27a%27%20and%20"})
        EXPECT_EQ(count(bad), -400) << bad;
    EXPECT_EQ(manage(world, "GET", "{S}/resourceGroups/none/resources").code(),
              "ResourceGroupNotFound");
}

TEST(concurrency, changes_of_one_server_queue_and_merge) {
    World world;
    world.make_group();
    world.make_server();
    constexpr int kThreads = 20;
    std::vector<std::thread> threads;
    std::atomic<int> good{0};
    for (int i = 0; i < kThreads; ++i)
        threads.emplace_back([&, i] {
            const Body body = {
                {"properties", {{"startIpAddress", "10.0.0.1"}, {"endIpAddress", "10.0.0.1"}}}};
            const Reply rule = world.call(
                "PUT", fmt::format("{{P}}/flexibleServers/pg1/firewallRules/rule{}", i), body);
            const Reply database = world.call(
                "PUT", fmt::format("{{P}}/flexibleServers/pg1/databases/db{}", i), Body::object());
            if (rule.status == 202 && database.status == 202) ++good;
        });
    for (std::thread& each : threads) each.join();
    EXPECT_EQ(good, kThreads);
    EXPECT_EQ(world.spec().firewall_rules.size(), 20U);
    EXPECT_EQ(world.spec().generation, 1 + kThreads);
    EXPECT_EQ(world.call("GET", "{P}/flexibleServers/pg1/databases").body["value"].size(), 21U);
}

TEST(concurrency, one_name_is_given_to_one_server) {
    World world;
    constexpr int kThreads = 8;
    for (int i = 0; i < kThreads; ++i) world.make_group(fmt::format("group{}", i));
    std::vector<std::thread> threads;
    std::atomic<int> made{0};
    std::atomic<int> refused{0};
    for (int i = 0; i < kThreads; ++i)
        threads.emplace_back([&, i] {
            const std::string path = fmt::format(
                "{{S}}/resourceGroups/group{}/providers/Microsoft.DBforPostgreSQL/"
                "flexibleServers/pg1",
                i);
            const Reply reply = world.call("PUT", path, World::server_body());
            made += reply.status == 202;
            refused += reply.code() == "ServerNameAlreadyExists";
        });
    for (std::thread& each : threads) each.join();
    EXPECT_EQ(made, 1);
    EXPECT_EQ(refused, kThreads - 1);
}

/// A store that lets a rival change the watched key just before each of the first commits.
class RivalStore final : public store::Store {
  public:
    RivalStore(store::Store& real, int rounds) : real_(real), rounds_(rounds) {}
    std::function<void()> rival;

    Result<std::optional<store::Entry>> get(std::string_view key) override {
        return real_.get(key);
    }
    Result<std::vector<store::Entry>> list(std::string_view prefix,
                                           const store::ListOptions& options) override {
        return real_.list(prefix, options);
    }
    Result<store::Revision> commit(const store::Transaction& transaction) override {
        // Lines of the activity log are of the request itself.
        const auto& changes = transaction.changes();
        const bool of_log = changes.size() == 1 && changes[0].key.starts_with("/activity/");
        if (!of_log && rounds_-- > 0) rival();
        return real_.commit(transaction);
    }
    Result<store::Revision> revision() override { return real_.revision(); }
    Result<std::unique_ptr<store::Watch>> watch(std::string_view prefix,
                                                store::Revision after) override {
        return real_.watch(prefix, after);
    }
    Result<store::LeaseId> grant_lease(Duration time_to_live) override {
        return real_.grant_lease(time_to_live);
    }
    Status keep_alive(store::LeaseId lease) override { return real_.keep_alive(lease); }
    Status revoke(store::LeaseId lease) override { return real_.revoke(lease); }

  private:
    store::Store& real_;
    int rounds_;
};

class Rivals : public testing::TestWithParam<int> {
  protected:
    Rivals() {
        world.make_group();
        world.make_server();
    }
    int put_rule_against(int rounds) {
        RivalStore rivals(*world.store, rounds);
        rivals.rival = [&] {
            model::ServerSpec spec = world.spec();
            spec.tags["rival"] = std::to_string(++spec.generation);
            store::Transaction txn;
            txn.put(store::keys::server(world.server_id()), model::to_json(spec));
            ASSERT_TRUE(world.store->commit(txn).ok());
        };
        control::Operations operations(rivals, world.clock, world.ids);
        world.api = std::make_unique<Api>(ApiContext{.store = rivals,
                                                     .operations = operations,
                                                     .secrets = world.secrets,
                                                     .clock = world.clock,
                                                     .ids = world.ids,
                                                     .signing_keys = *world.signing_keys,
                                                     .tenant_id = world.boot.tenant_id,
                                                     .base_url = "https://localhost:8443"});
        const Body body = {
            {"properties", {{"startIpAddress", "10.0.0.1"}, {"endIpAddress", "10.0.0.1"}}}};
        const int status =
            world.call("PUT", "{P}/flexibleServers/pg1/firewallRules/r", body).status;
        world.api.reset();
        return status;
    }
    World world;
};

TEST_F(Rivals, who_write_first_are_merged_with) {
    EXPECT_EQ(put_rule_against(15), 202);
    EXPECT_EQ(world.spec().generation, 17);
    EXPECT_TRUE(world.spec().tags.contains("rival"));
    EXPECT_EQ(world.spec().firewall_rules.size(), 1U);
}

TEST_F(Rivals, who_never_stop_end_the_request) { EXPECT_EQ(put_rule_against(16), 503); }

}  // namespace
}  // namespace howdah::api
