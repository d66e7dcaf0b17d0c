#include "api/auth/foreign_issuers.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "api/api_support.h"
#include "api/auth/principal.h"
#include "base/text.h"
#include "core/access/access.h"
#include "http/client.h"
#include "http/signing_issuer.h"
#include "model/foreign_identity.h"
#include "store/keys.h"

namespace howdah::api {
namespace {

using Json = nlohmann::json;
using http::IssuerKey;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr const char* kReaderRole = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
constexpr const char* kContributorRole = "b24988ac-6180-42a0-ab88-20f7382dd24c";
const std::string kOwnerRole(core::access::kOwnerRole);

const IssuerKey& key_a() {
    static const IssuerKey key = IssuerKey::rsa("key-1");
    return key;
}
/// Of the same name, as issuers like to count.
const IssuerKey& key_b() {
    static const IssuerKey key = IssuerKey::rsa("key-1");
    return key;
}
const IssuerKey& next_key_a() {
    static const IssuerKey key = IssuerKey::rsa("key-2");
    return key;
}

/// An issuer that answers what it is told to, and counts who asks.
struct Issuer {
    std::string url;
    std::vector<const IssuerKey*> keys;
    bool is_down = false;
    int asked = 0;

    Result<std::string> answer(const std::string& asked_url) {
        ++asked;
        if (is_down) return Error{ErrorCode::unavailable, "it is down"};
        if (asked_url == url + "/.well-known/openid-configuration")
            return Json{{"issuer", url}, {"jwks_uri", url + "/keys"}}.dump();
        EXPECT_EQ(asked_url, url + "/keys");
        std::vector<Json> all;
        for (const IssuerKey* each : keys) all.push_back(each->jwk());
        return http::key_set(all);
    }
    ForeignIssuers::Fetch fetch() {
        return [this](const std::string& where) { return answer(where); };
    }
};

class Foreign : public testing::Test {
  protected:
    Foreign() {
        world.trusted_issuers = {
            {.name = "a", .url = a.url, .audiences = {"api://howdah"}},
            {.name = "b", .url = b.url, .audiences = {"api://howdah"}},
        };
        world.restart();
    }

    void look() {
        world.foreign_issuers->step(0, a.fetch());
        world.foreign_issuers->step(1, b.fetch());
    }
    Json claims(const std::string& issuer, const std::string& subject = "alice-1") const {
        const auto now = std::chrono::floor<seconds>(world.clock.wall()).time_since_epoch().count();
        return {{"iss", issuer},
                {"aud", {"account", "api://howdah"}},
                {"sub", subject},
                {"preferred_username", "alice"},
                {"exp", now + 3600}};
    }
    std::string token(const std::string& subject = "alice-1") const {
        return key_a().sign(claims(a.url, subject));
    }
    /// One that outlives the next fetch of keys.
    std::string long_token() const {
        Json all = claims(a.url);
        all["exp"] = all["exp"].get<long>() + 7200;
        return key_a().sign(all);
    }
    Reply get(const std::string& token, const std::string& path = "/v1.0/me") {
        http::Request request = world.request("GET", path, "", kManagerVersion);
        request.headers["authorization"] = "Bearer " + token;
        return world.send(std::move(request));
    }
    int status(const std::string& token) { return get(token).status; }
    std::string id(const std::string& subject = "alice-1") const {
        return model::foreign_object_id(a.url, subject);
    }
    Reply assign(const std::string& principal, const std::string& role_id,
                 const std::string& scope = "{S}", const std::string& type = "") {
        Body properties = {
            {"roleDefinitionId",
             world.expand("{S}/providers/Microsoft.Authorization/roleDefinitions/" + role_id)},
            {"principalId", principal}};
        if (!type.empty()) properties["principalType"] = type;
        return world.call("PUT",
                          (scope == "/" ? "" : scope) +
                              "/providers/Microsoft.Authorization/roleAssignments/" +
                              world.ids.uuid(),
                          {{"properties", properties}}, "2022-04-01");
    }
    Reply put_group(const std::string& token, const std::string& name) {
        http::Request request = world.request("PUT", "{S}/resourceGroups/" + name,
                                              R"({"location":"local"})", kManagerVersion);
        request.headers["authorization"] = "Bearer " + token;
        return world.send(std::move(request));
    }

    Issuer a{"https://a.example", {&key_a()}};
    Issuer b{"https://b.example/realms/x", {&key_b()}};
    World world;
};

TEST_F(Foreign, a_good_token_says_who_it_is_and_opens_nothing) {
    look();
    const Reply me = get(token());
    ASSERT_EQ(me.status, 200) << me.text;
    EXPECT_EQ(me.body["id"], id());
    EXPECT_EQ(me.body["userPrincipalName"], "alice");
    EXPECT_EQ(me.body["identities"][0]["issuer"], a.url);
    EXPECT_EQ(get(token(), "{S}/resourceGroups").status, 403);
    EXPECT_EQ(put_group(token(), "rg1").status, 403);
}

TEST_F(Foreign, a_role_opens_what_it_allows_and_no_more) {
    look();
    world.make_group();
    ASSERT_EQ(assign(id(), kReaderRole).status, 201);
    EXPECT_EQ(get(token(), "{S}/resourceGroups/rg1").status, 200);
    EXPECT_EQ(put_group(token(), "rg2").status, 403);
    EXPECT_EQ(get(token("bob-1"), "{S}/resourceGroups/rg1").status, 403);
    EXPECT_EQ(get(key_b().sign(claims(b.url)), "{S}/resourceGroups/rg1").status, 403);
}

TEST_F(Foreign, the_activity_log_names_issuer_and_person) {
    look();
    ASSERT_EQ(assign(id(), kContributorRole).status, 201);
    ASSERT_EQ(put_group(token(), "rg7").status, 201);
    const Reply log = world.call(
        "GET",
        "{S}/providers/microsoft.insights/eventtypes/management/values?api-version=2015-04-01&"
        "%24filter=resourceGroupName%20eq%20%27rg7%27");
    ASSERT_EQ(log.status, 200) << log.text;
    ASSERT_FALSE(log.body["value"].empty()) << log.text;
    for (const Body& each : log.body["value"]) {
        EXPECT_EQ(each["caller"], a.url + " alice");
        EXPECT_EQ(each["claims"]["iss"], a.url);
        EXPECT_EQ(each["claims"]["oid"], id());
    }
    const Reply refused = get(token("bob-1"), "{S}/resourceGroups/rg7");
    EXPECT_NE(refused.message().find(a.url + " alice"), std::string::npos) << refused.text;
    EXPECT_NE(refused.message().find(id("bob-1")), std::string::npos) << refused.text;
}

TEST_F(Foreign, a_name_cannot_disguise_its_issuer) {
    look();
    Json all = claims(a.url);
    all["preferred_username"] = "x\nhttps://b.example admin\u202e\u0007" + std::string(500, 'y');
    const Reply me = get(key_a().sign(all));
    ASSERT_EQ(me.status, 200) << me.text;
    const std::string name = me.body["displayName"];
    EXPECT_TRUE(name.starts_with("x?https://b.example admin??yyy")) << name;
    EXPECT_LE(name.size(), 130U);
    EXPECT_EQ(me.body["identities"][0]["issuer"], a.url);
    all["preferred_username"] = std::string(127, 'y') + "\u00e4\u00e4";
    EXPECT_EQ(get(key_a().sign(all)).status, 200);
}

TEST_F(Foreign, the_key_of_one_issuer_never_verifies_a_token_of_another) {
    look();
    EXPECT_EQ(status(key_a().sign(claims(a.url))), 200);
    EXPECT_EQ(status(key_b().sign(claims(b.url))), 200);
    EXPECT_EQ(status(key_b().sign(claims(a.url))), 401);
    EXPECT_EQ(status(key_a().sign(claims(b.url))), 401);
    EXPECT_EQ(status(key_a().sign(claims("https://c.example"))), 401);
    EXPECT_EQ(status(key_a().sign(claims(a.url + "/"))), 401);
}

TEST_F(Foreign, a_foreign_issuer_cannot_speak_for_a_principal_of_ours) {
    look();
    const std::string own = find_principal(*world.store, world.boot.client_id).value()->object_id;
    Json all = claims(a.url);
    for (const char* claim : {"oid", "sub", "appid", "azp", "tid", "preferred_username"})
        all[claim] = own;
    all["appid"] = all["azp"] = all["client_id"] = world.boot.client_id;
    all["tid"] = world.boot.tenant_id;
    const Reply me = get(key_a().sign(all));
    ASSERT_EQ(me.status, 200) << me.text;
    EXPECT_EQ(me.body["id"], model::foreign_object_id(a.url, own));
    EXPECT_NE(me.body["id"], own);
    EXPECT_EQ(get(key_a().sign(all), "{S}/resourceGroups").status, 403);
    // As if it were of our own authority: our keys decide.
    const std::string issuer = "https://localhost:8443/" + world.boot.tenant_id + "/v2.0";
    all["iss"] = issuer;
    all["aud"] = "https://localhost:8443";
    all["oid"] = all["sub"] = own;
    all["iat"] = all["nbf"] = 1;
    EXPECT_EQ(status(key_a().sign(all)), 401);
}

TEST_F(Foreign, our_own_tokens_go_on_and_their_strictness_too) {
    look();
    EXPECT_EQ(world.call("GET", "/subscriptions", nullptr, kManagerVersion).status, 200);
    EXPECT_EQ(world.call("GET", "/subscriptions", nullptr, kManagerVersion).status, 200);
    http::Claims own;
    own.issuer = "https://localhost:8443/" + world.boot.tenant_id + "/v2.0";
    own.audience = "api://howdah";  // good for a foreign issuer only
    own.app_id = world.boot.client_id;
    own.subject = find_principal(*world.store, world.boot.client_id).value()->object_id;
    own.tenant = world.boot.tenant_id;
    own.issued_at = own.not_before = world.clock.wall();
    own.expires_at = own.issued_at + hours(1);
    const auto signer = world.signing_keys->current()->signer(world.clock.wall());
    EXPECT_EQ(status(http::sign_jwt(own, signer).value()), 401);
    own.audience = "https://localhost:8443";
    EXPECT_EQ(status(http::sign_jwt(own, signer).value()), 200);
    own.issuer = a.url;
    own.audience = "api://howdah";
    EXPECT_EQ(status(http::sign_jwt(own, signer).value()), 401);
}

TEST_F(Foreign, refusals_say_nothing_and_expiry_says_so) {
    look();
    Json expired = claims(a.url);
    expired["exp"] = expired["exp"].get<long>() - 7200;
    EXPECT_EQ(get(key_a().sign(expired)).code(), "ExpiredAuthenticationToken");
    Json wrong = claims(a.url);
    wrong["aud"] = "api://other";
    const Reply reply = get(key_a().sign(wrong));
    EXPECT_EQ(reply.code(), "InvalidAuthenticationToken");
    EXPECT_EQ(reply.message(), get(key_b().sign(claims(a.url))).message());
    EXPECT_EQ(reply.message(), get("garbage").message());
    EXPECT_EQ(status(key_a().sign(claims(a.url), "none")), 401);
    EXPECT_EQ(status(key_a().sign(claims(a.url), "HS256")), 401);
}

TEST_F(Foreign, a_token_that_was_taken_once_is_refused_when_it_has_ended) {
    look();
    const std::string good = token();
    EXPECT_EQ(status(good), 200);
    EXPECT_EQ(status(good), 200);
    world.clock.advance(hours(1) + minutes(2));
    EXPECT_EQ(status(good), 401);
}

TEST_F(Foreign, unknown_keys_make_the_keys_be_fetched_once_in_a_while) {
    look();
    ASSERT_EQ(a.asked, 2);
    for (int round = 0; round < 3; ++round) {
        const int before = a.asked;
        for (int i = 0; i < 100; ++i) {
            EXPECT_EQ(status(key_a().sign(claims(a.url), "RS256",
                                          {{"kid", fmt::format("{}-{}", round, i)}})),
                      401);
            look();
        }
        EXPECT_EQ(a.asked, before) << "no second fetch within kUnknownKeyPause";
        world.clock.advance(kUnknownKeyPause);
        look();
        look();
        EXPECT_EQ(a.asked, before + 2) << "one fetch of two documents";
    }
    world.clock.advance(kUnknownKeyPause);
    const int before = a.asked;
    look();
    EXPECT_EQ(a.asked, before) << "nobody asked";
    EXPECT_EQ(b.asked, 2) << "another issuer is not asked";
}

TEST_F(Foreign, a_key_that_is_new_at_the_issuer_is_taken_after_one_refusal) {
    look();
    a.keys = {&key_a(), &next_key_a()};
    world.clock.advance(kUnknownKeyPause);
    const std::string next = next_key_a().sign(claims(a.url));
    EXPECT_EQ(status(next), 401);
    look();
    EXPECT_EQ(status(next), 200);
    EXPECT_EQ(status(token()), 200);
}

TEST_F(Foreign, a_key_that_the_issuer_withdrew_is_refused_even_for_tokens_taken_before) {
    look();
    const std::string good = long_token();
    EXPECT_EQ(status(good), 200);
    a.keys = {&next_key_a()};
    world.clock.advance(kIssuerKeysPeriod - seconds(1));
    look();
    EXPECT_EQ(status(good), 200) << "not fetched yet";
    world.clock.advance(seconds(1));
    look();
    EXPECT_EQ(status(good), 401);
}

TEST_F(Foreign, an_issuer_that_publishes_no_key_is_believed) {
    look();
    const std::string good = long_token();
    EXPECT_EQ(status(good), 200);
    a.keys.clear();
    world.clock.advance(kIssuerKeysPeriod);
    look();
    EXPECT_EQ(status(good), 401);
}

TEST_F(Foreign, the_last_good_keys_outlive_an_outage_and_a_restart_but_not_a_day) {
    look();
    a.is_down = true;
    world.clock.advance(kIssuerKeysAgeMax - minutes(1));
    look();
    EXPECT_EQ(status(token()), 200);
    world.restart();
    look();
    EXPECT_EQ(status(token()), 200);
    world.clock.advance(minutes(2));
    look();
    EXPECT_EQ(status(token()), 401);
    world.restart();
    look();
    EXPECT_EQ(status(token()), 401);
    a.is_down = false;
    world.clock.advance(kIssuerRetryMax);
    look();
    EXPECT_EQ(status(token()), 200);
}

TEST_F(Foreign, an_issuer_that_is_down_at_the_first_start_is_asked_again_ever_more_slowly) {
    a.is_down = true;
    Instant last = world.clock.now();
    std::vector<Duration> pauses;
    for (int i = 0; i < 12; ++i) {
        EXPECT_EQ(status(token()), 401);
        const Instant next = world.foreign_issuers->step(0, a.fetch());
        EXPECT_EQ(a.asked, i + 1);
        pauses.push_back(next - last);
        world.clock.advance(next - last);
        last = next;
    }
    EXPECT_EQ(pauses.front(), kIssuerRetryMin);
    EXPECT_EQ(pauses[1], 2 * kIssuerRetryMin);
    EXPECT_EQ(pauses.back(), kIssuerRetryMax);
    a.is_down = false;
    look();
    EXPECT_EQ(status(token()), 200);
}

TEST_F(Foreign, garbage_from_the_issuer_leaves_the_last_good_keys) {
    look();
    const std::string discovery = a.answer(a.url + "/.well-known/openid-configuration").value();
    for (const std::string& bad :
         {std::string(), std::string("<html>"), std::string("{\"keys\":[1]}"),
          http::key_set(std::vector<Json>(1000, key_b().jwk())), std::string(300'000, '[')}) {
        world.clock.advance(kIssuerKeysPeriod);
        world.foreign_issuers->step(0, [&](const std::string& where) -> Result<std::string> {
            return where == a.url + "/keys" ? bad : discovery;
        });
        EXPECT_EQ(status(token()), 200) << bad.substr(0, 20);
    }
    world.clock.advance(kIssuerKeysPeriod);
    world.foreign_issuers->step(
        0, [&](const std::string& where) { return b.answer(b.url + where.substr(a.url.size())); });
    EXPECT_EQ(status(token()), 200) << "the document of another issuer";
    EXPECT_EQ(status(key_b().sign(claims(a.url))), 401);
}

TEST_F(Foreign, a_clock_that_was_set_back_makes_the_keys_be_fetched) {
    look();
    store::Transaction txn;
    const std::string key = store::keys::issuer_keys(model::foreign_object_id(a.url, ""));
    std::string record = world.store->get(key).value()->value;
    record.replace(record.find("fetched_at") + 13, 4, "2999");
    txn.put(key, record);
    ASSERT_TRUE(world.store->commit(txn).ok());
    world.restart();
    EXPECT_EQ(status(token()), 401);
    look();
    EXPECT_EQ(status(token()), 200);
}

TEST_F(Foreign, a_record_that_was_damaged_is_fetched_anew) {
    look();
    const std::string key = store::keys::issuer_keys(model::foreign_object_id(a.url, ""));
    const std::string good = world.store->get(key).value()->value;
    std::string other = good;
    other.replace(other.find(a.url), a.url.size(), "https://c.example");
    for (const std::string& bad :
         {std::string(), std::string("{}"), good.substr(0, good.size() / 2), other}) {
        store::Transaction txn;
        txn.put(key, bad);
        ASSERT_TRUE(world.store->commit(txn).ok());
        world.restart();
        EXPECT_EQ(status(token()), 401);
        look();
        EXPECT_EQ(status(token()), 200);
    }
}

TEST_F(Foreign, an_issuer_that_is_removed_is_refused_and_forgotten) {
    look();
    ASSERT_EQ(assign(id(), kOwnerRole).status, 201);
    const std::string good = token();
    EXPECT_EQ(status(good), 200);
    const std::string key = store::keys::issuer_keys(model::foreign_object_id(a.url, ""));
    EXPECT_TRUE(world.store->get(key).value());
    world.trusted_issuers.erase(world.trusted_issuers.begin());
    world.restart();
    EXPECT_EQ(status(good), 401);
    EXPECT_FALSE(world.store->get(key).value());
    EXPECT_EQ(status(key_b().sign(claims(b.url))), 200) << "the other one's keys were kept";
    world.trusted_issuers.clear();
    world.restart();
    EXPECT_EQ(status(good), 401);
    EXPECT_EQ(status(key_b().sign(claims(b.url))), 401);
}

TEST_F(Foreign, a_deployment_goes_on_only_as_long_as_its_issuer_is_trusted) {
    look();
    world.make_group();
    world.make_server();
    ASSERT_EQ(assign(id(), kContributorRole).status, 201);
    const auto deploy = [&](const std::string& name) {
        const Body rule = {
            {"type", "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules"},
            {"apiVersion", kNewVersion},
            {"name", "pg1/" + name},
            {"properties", {{"startIpAddress", "10.0.0.1"}, {"endIpAddress", "10.0.0.1"}}}};
        const Body body = {
            {"properties",
             {{"mode", "Incremental"},
              {"template",
               {{"$schema",
                 "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"},
                {"contentVersion", "1.0.0.0"},
                {"resources", Body::array({rule})}}}}}};
        http::Request request = world.request(
            "PUT", "{S}/resourceGroups/rg1/providers/Microsoft.Resources/deployments/" + name,
            body.dump(), kManagerVersion);
        request.headers["authorization"] = "Bearer " + token();
        EXPECT_EQ(world.send(std::move(request)).status, 201);
    };
    const auto rule_status = [&](const std::string& name) {
        return world.call("GET", "{P}/flexibleServers/pg1/firewallRules/" + name).status;
    };
    deploy("first");
    ASSERT_TRUE(world.api->advance_deployments().ok());
    EXPECT_EQ(rule_status("first"), 200);
    world.finish();
    deploy("second");
    world.trusted_issuers.erase(world.trusted_issuers.begin());
    world.restart();
    ASSERT_TRUE(world.api->advance_deployments().ok());
    ASSERT_TRUE(world.api->advance_deployments().ok());
    EXPECT_EQ(rule_status("second"), 404);
    const Reply ended =
        world.call("GET", "{S}/resourceGroups/rg1/providers/Microsoft.Resources/deployments/second",
                   nullptr, kManagerVersion);
    EXPECT_EQ(ended.body["properties"]["provisioningState"], "Failed") << ended.text;
}

TEST_F(Foreign, roles_are_for_ids_that_an_issuer_can_vouch_for) {
    EXPECT_EQ(assign(id(), kReaderRole).body["properties"]["principalType"], "User");
    EXPECT_EQ(assign(id("ci"), kReaderRole, "{S}", "ServicePrincipal")
                  .body["properties"]["principalType"],
              "ServicePrincipal");
    EXPECT_EQ(assign(id("g"), kReaderRole, "{S}", "Group").code(), "FeatureNotSupported");
    EXPECT_EQ(assign(world.ids.uuid(), kReaderRole).code(), "PrincipalNotFound");
    world.trusted_issuers.clear();
    world.restart();
    EXPECT_EQ(assign(id("x"), kReaderRole).code(), "PrincipalNotFound");
}

TEST_F(Foreign, a_foreign_owner_is_not_the_one_who_keeps_everything) {
    const Reply made = assign(id(), kOwnerRole, "/");
    ASSERT_EQ(made.status, 201) << made.text;
    const Reply all = world.call("GET", "/providers/Microsoft.Authorization/roleAssignments",
                                 nullptr, "2022-04-01");
    ASSERT_EQ(all.body["value"].size(), 2U) << all.text;
    for (const Body& each : all.body["value"]) {
        const bool is_foreign = each["properties"]["principalId"] == id();
        if (is_foreign) continue;
        EXPECT_EQ(world.call("DELETE", each["id"], nullptr, "2022-04-01").status, 409);
    }
    EXPECT_EQ(world.call("DELETE", made.body["id"], nullptr, "2022-04-01").status, 200);
}

TEST_F(Foreign, the_object_id_is_the_one_that_everybody_computes) {
    // Role assignments hold it: this must never change.
    EXPECT_EQ(model::foreign_object_id("https://a.example", "alice-1"),
              "201cabf3-f08f-58a1-bc52-43ba97f21c12");
    EXPECT_TRUE(model::is_foreign_object_id(id()));
    EXPECT_FALSE(model::is_foreign_object_id(world.ids.uuid()));
    EXPECT_FALSE(model::is_foreign_object_id("5"));
    EXPECT_FALSE(model::is_foreign_object_id("00000000-0000-5000-0000-000000000000"));
    EXPECT_NE(model::foreign_object_id("https://a.example", "x"),
              model::foreign_object_id("https://a.example/", "x"));
}

std::string problem_of(const IssuerSection& section) {
    const auto result = trusted_issuers({section}, "https://127.0.0.1:8443");
    if (result.ok()) return "";
    EXPECT_FALSE(result.error().hint.empty()) << result.error().message;
    return result.error().message;
}

TEST(trusted_issuers, the_file_is_read_as_toml) {
    const auto sections = parse_issuer_file(
        "# who is trusted\n\n[one] # first\r\n"
        "  issuer = \"https://a.example/#x\"  # a comment\n"
        "audiences=[ 'a', \"b # c\", # more\n  'd',\n]\n[two-2]\n[three_3]\nissuer='x'");
    ASSERT_TRUE(sections.ok()) << sections.error().message;
    ASSERT_EQ(sections->size(), 3U);
    EXPECT_EQ(sections->at(0).name, "one");
    EXPECT_EQ(sections->at(0).values.at("issuer").at(0), "https://a.example/#x");
    EXPECT_EQ(sections->at(0).values.at("audiences"),
              (std::vector<std::string>{"a", "b # c", "d"}));
    EXPECT_TRUE(sections->at(1).values.empty());
    EXPECT_EQ(sections->at(2).values.at("issuer").at(0), "x");
    EXPECT_TRUE(parse_issuer_file("")->empty());
    EXPECT_TRUE(parse_issuer_file("# nothing")->empty());
}

TEST(trusted_issuers, nothing_in_the_file_is_guessed_at) {
    for (const char* bad : {"issuer = \"x\"",
                            "[a",
                            "[a]]",
                            "[[a]]",
                            "[a.b]",
                            "[]",
                            "[a b]",
                            "[a]\n[b]\n[a]",
                            "[a]\nissuer",
                            "[a]\nissuer \"x\"",
                            "[a]\nissuer =",
                            "[a]\nissuer = x",
                            "[a]\nissuer = \"x",
                            "[a]\nissuer = \"x\" y",
                            "[a]\nissuer = \"x\\ty\"",
                            "[a]\nissuer = \"x\"\nissuer = \"y\"",
                            "[a]\naudiences = [\"x\"\n[b]\n",
                            "[a]\naudiences = [\"x\" \"y\"]",
                            "[a]\naudiences = [\"x\",,]",
                            "[a]\naudiences = [",
                            "[a]\na.b = \"x\"",
                            "[a]\n= \"x\"",
                            "[a]\n\"issuer\" = \"x\"",
                            "[a]\nissuer = \"\"\"x\"\"\"",
                            "[a] issuer = \"x\"",
                            "[a]\nissuer = { x = 1 }"}) {
        const auto sections = parse_issuer_file(bad);
        ASSERT_FALSE(sections.ok()) << bad;
        EXPECT_FALSE(sections.error().hint.empty()) << bad;
    }
    EXPECT_TRUE(parse_issuer_file("[a]\n[b]\nissuer = x").error().message.starts_with("line 3: "));
    EXPECT_FALSE(parse_issuer_file(std::string_view("[a]\nissuer = \"x\"\0", 17)).ok());
}

TEST(trusted_issuers, a_whole_section_is_read) {
    const auto all = trusted_issuers({{.name = "kc",
                                       .values = {{"issuer", {"https://kc.example/realms/x"}},
                                                  {"audiences", {"one", "two"}},
                                                  {"ca-file", {"/etc/ca.pem"}},
                                                  {"subject-claim", {"sub"}},
                                                  {"tenant", {"t"}}},
                                       .ca_pem = "-----BEGIN CERTIFICATE-----\n"}},
                                     "https://127.0.0.1:8443");
    ASSERT_TRUE(all.ok()) << all.error().message;
    EXPECT_EQ(all->at(0).url, "https://kc.example/realms/x");
    EXPECT_EQ(all->at(0).audiences, (std::vector<std::string>{"one", "two"}));
    EXPECT_EQ(all->at(0).subject_claim, "sub");
    EXPECT_EQ(all->at(0).tenant, "t");
    EXPECT_TRUE(trusted_issuers({}, "https://127.0.0.1:8443")->empty());
}

TEST(trusted_issuers, every_mistake_is_named_with_what_to_do) {
    const IssuerSection good{
        "kc", {{"issuer", {"https://kc.example"}}, {"audiences", {"one"}}}, ""};
    EXPECT_EQ(problem_of(good), "");
    const auto with = [&](const std::string& name, std::vector<std::string> values) {
        IssuerSection section = good;
        section.values[name] = std::move(values);
        return problem_of(section);
    };
    EXPECT_EQ(with("issuer", {"http://kc.example"}),
              "the trusted issuer [kc] is not usable: issuer 'http://kc.example' is not taken: it "
              "begins with http://, and its host is not this machine");
    EXPECT_NE(with("issuer", {"https://127.0.0.1:8443/tenant/v2.0"}), "");
    EXPECT_NE(with("issuer", {"https://127.0.0.1:8443"}), "");
    EXPECT_NE(with("issuer", {"https://a", "https://b"}), "");
    EXPECT_NE(with("issuer", {""}), "");
    EXPECT_NE(with("audiences", {}), "");
    EXPECT_NE(with("audiences", {""}), "");
    EXPECT_NE(with("audiences", {"a b"}), "");
    EXPECT_NE(with("audiences", std::vector<std::string>(kAudiencesMax + 1, "a")), "");
    EXPECT_NE(with("audience", {"a"}), "");
    EXPECT_NE(with("tenant", {""}), "");
    EXPECT_NE(with("subject-claim", {"a", "b"}), "");
    EXPECT_NE(with("ca-file", {"/no/certificate"}), "");
    IssuerSection section = good;
    section.values.erase("audiences");
    EXPECT_NE(problem_of(section), "");
    section = good;
    section.values.erase("issuer");
    EXPECT_NE(problem_of(section), "");
    section = good;
    section.name = "a b";
    EXPECT_NE(problem_of(section), "");
    IssuerSection other = good;
    other.name = "other";
    EXPECT_FALSE(trusted_issuers({good, other}, "https://127.0.0.1:8443").ok()) << "same issuer";
    other.values["issuer"] = {"https://other.example"};
    EXPECT_TRUE(trusted_issuers({good, other}, "https://127.0.0.1:8443").ok());
    other.name = "kc";
    EXPECT_FALSE(trusted_issuers({good, other}, "https://127.0.0.1:8443").ok()) << "same name";
    std::vector<IssuerSection> many;
    for (std::size_t i = 0; i <= kTrustedIssuersMax; ++i) {
        IssuerSection each = good;
        each.name = fmt::format("i{}", i);
        each.values["issuer"] = {fmt::format("https://i{}.example", i)};
        many.push_back(std::move(each));
    }
    EXPECT_FALSE(trusted_issuers(many, "https://127.0.0.1:8443").ok());
}

}  // namespace
}  // namespace howdah::api
