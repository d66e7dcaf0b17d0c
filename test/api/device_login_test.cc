#include <fmt/core.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <thread>

#include "api/api_support.h"
#include "api/auth/device_logins.h"
#include "api/auth/device_page.h"
#include "api/auth/principal.h"
#include "api/auth/sessions.h"
#include "base/text.h"
#include "http/client.h"
#include "store/keys.h"

namespace howdah::api {
namespace {

constexpr const char* kAz = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
constexpr const char* kGrantForm =
    "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code";
const std::string kScope =
    http::url_encode("https://localhost:8443//.default openid profile offline_access");

using Fields = std::map<std::string, std::string>;

std::string form_of(const Fields& fields) {
    std::string text;
    for (const auto& [name, value] : fields)
        text += (text.empty() ? "" : "&") + name + "=" + http::url_encode(value);
    return text;
}

/// A person with a browser: keeps the cookie and the hidden field of the form.
class Person {
  public:
    explicit Person(World& world, std::string address = "192.0.2.7")
        : world_(world), address_(std::move(address)) {
        open();
    }

    http::Response open() { return keep(world_.api->handle(request("GET", ""))); }
    http::Response send(Fields fields) {
        fields.try_emplace("guard", guard);
        http::Request sent = request("POST", form_of(fields));
        if (!cookie.empty()) sent.headers["cookie"] = "a=b; " + cookie;
        for (const auto& [name, value] : headers) sent.headers[name] = value;
        return keep(world_.api->handle(sent));
    }
    http::Response log_in(const std::string& code) {
        return log_in(code, world_.boot.client_id, world_.boot.client_secret->reveal());
    }
    http::Response log_in(const std::string& code, const std::string& id,
                          const std::string& secret) {
        return send(
            {{"step", "login"}, {"user_code", code}, {"client_id", id}, {"client_secret", secret}});
    }

    std::string cookie;
    std::string guard;
    http::Headers headers;

  private:
    http::Request request(const std::string& method, const std::string& body) const {
        http::Request request;
        request.method = method;
        request.path = "/devicelogin";
        request.body = body;
        request.client_address = address_;
        return request;
    }
    http::Response keep(http::Response response) {
        const auto set = response.headers.find("set-cookie");
        if (set != response.headers.end()) {
            cookie = set->second.substr(0, set->second.find(';'));
            guard = cookie.substr(cookie.find('=') + 1);
        }
        return response;
    }

    World& world_;
    std::string address_;
};

class DeviceLogin : public testing::Test {
  protected:
    Reply begin(const std::string& path = "/adfs/oauth2/devicecode") {
        return world.login(fmt::format("client_id={}&scope={}", kAz, kScope), path);
    }
    Reply poll(const Reply& begun, const std::string& path = "/adfs/oauth2/token") {
        const std::string code = begun.body["device_code"];
        return world.login(fmt::format("{}&client_id={}&device_code={}&client_info=1", kGrantForm,
                                       kAz, http::url_encode(code)),
                           path);
    }
    Reply refresh(const std::string& token, const std::string& app = kAz) {
        return world.login(
            fmt::format("grant_type=refresh_token&client_id={}&refresh_token={}"
                        "&scope={}&client_info=1",
                        app, http::url_encode(token), kScope));
    }
    std::string user_code(const Reply& begun) { return begun.body["user_code"]; }
    /// A whole login; the answer with its tokens.
    Reply logged_in() {
        const Reply begun = begin();
        EXPECT_EQ(Person(world).log_in(user_code(begun)).status, 200);
        return poll(begun);
    }
    Principal principal() {
        return find_principal(*world.store, world.boot.client_id).value().value();
    }
    void save(const Principal& changed) {
        store::Transaction txn;
        txn.put(store::keys::principal(changed.client_id), principal_to_text(changed));
        ASSERT_TRUE(world.store->commit(txn).ok());
    }
    std::size_t sessions() {
        return world.store->list(store::keys::sessions_of(world.boot.client_id)).value().size();
    }

    World world;
};

TEST_F(DeviceLogin, a_person_lets_a_program_in) {
    for (const std::string& base :
         {std::string("/adfs/oauth2"), "/" + world.boot.tenant_id + "/oauth2/v2.0",
          std::string("/organizations/oauth2/v2.0")}) {
        const Reply begun = begin(base + "/devicecode");
        ASSERT_EQ(begun.status, 200) << begun.text;
        EXPECT_EQ(begun.headers.at("cache-control"), "no-store");
        EXPECT_EQ(begun.body["verification_uri"], "https://localhost:8443/devicelogin");
        EXPECT_EQ(begun.body["expires_in"], 900);
        EXPECT_EQ(begun.body["interval"], 5);
        EXPECT_NE(begun.body["message"].get<std::string>().find(user_code(begun)),
                  std::string::npos);
        EXPECT_EQ(poll(begun, base + "/token").body["error"], "authorization_pending");
        Person person(world);
        const http::Response shown =
            person.send({{"step", "code"}, {"user_code", user_code(begun)}});
        EXPECT_EQ(shown.status, 200);
        for (const std::string& text :
             {user_code(begun), std::string("Azure CLI"), std::string("192.0.2.1")})
            EXPECT_NE(shown.body.find(text), std::string::npos) << text;
        ASSERT_EQ(person.log_in(user_code(begun)).status, 200);
        world.clock.advance(std::chrono::seconds(5));
        const Reply tokens = poll(begun, base + "/token");
        ASSERT_EQ(tokens.status, 200) << tokens.text;
        world.token = tokens.body["access_token"];
        EXPECT_EQ(world.call("GET", "/subscriptions", nullptr, kManagerVersion).status, 200);
        EXPECT_EQ(poll(begun, base + "/token").body["error"], "bad_verification_code") << "once";
    }
}

TEST_F(DeviceLogin, the_answer_has_what_msal_keeps_an_account_by) {
    const Reply tokens = logged_in();
    ASSERT_EQ(tokens.status, 200) << tokens.text;
    const std::string object_id = principal().object_id;
    const Body info =
        Body::parse(base64url_decode(tokens.body["client_info"].get<std::string>()).value());
    EXPECT_EQ(info["uid"], object_id);
    EXPECT_EQ(info["utid"], world.boot.tenant_id);
    const std::string id_token = tokens.body["id_token"];
    const auto claims = http::verify_jwt(id_token, world.signing_keys->current()->keys,
                                         {.audiences = {kAz}}, world.clock.wall());
    ASSERT_TRUE(claims.ok());
    EXPECT_EQ(claims->subject, object_id);
    EXPECT_EQ(claims->extra.at("preferred_username"), world.boot.client_id);
    EXPECT_EQ(http::url_encode(tokens.body["scope"].get<std::string>()), kScope);
    world.token = id_token;
    EXPECT_EQ(world.call("GET", "/subscriptions", nullptr, kManagerVersion).status, 401)
        << "an id token is no access token";
}

TEST_F(DeviceLogin, the_first_protocol_version_writes_numbers_as_texts) {
    const std::string resource = http::url_encode("https://management.azure.com/");
    const std::string base = "/" + world.boot.tenant_id + "/oauth2";
    const Reply begun =
        world.login(fmt::format("client_id={}&resource={}", kAz, resource), base + "/devicecode");
    ASSERT_EQ(begun.status, 200) << begun.text;
    EXPECT_EQ(begun.body["expires_in"], "900");
    EXPECT_TRUE(begun.body.contains("verification_url"));
    ASSERT_EQ(Person(world).log_in(user_code(begun)).status, 200);
    const Reply tokens =
        world.login(fmt::format("grant_type=device_code&client_id={}&code={}&resource={}", kAz,
                                begun.body["device_code"].get<std::string>(), resource),
                    base + "/token");
    ASSERT_EQ(tokens.status, 200) << tokens.text;
    EXPECT_TRUE(tokens.body["expires_in"].is_string());
    EXPECT_TRUE(tokens.body.contains("refresh_token"));
    world.clock.advance(std::chrono::minutes(1));
    const Reply late =
        world.login(fmt::format("client_id={}&resource={}", kAz, resource), base + "/devicecode");
    world.clock.advance(std::chrono::minutes(16));
    EXPECT_EQ(world
                  .login(fmt::format("grant_type=device_code&client_id={}&code={}&resource={}", kAz,
                                     late.body["device_code"].get<std::string>(), resource),
                         base + "/token")
                  .body["error"],
              "code_expired");
}

TEST_F(DeviceLogin, hasty_polls_are_slowed_down) {
    const Reply begun = begin();
    EXPECT_EQ(poll(begun).body["error"], "authorization_pending");
    world.clock.advance(std::chrono::seconds(2));
    EXPECT_EQ(poll(begun).body["error"], "slow_down");
    world.clock.advance(std::chrono::seconds(5));
    EXPECT_EQ(poll(begun).body["error"], "slow_down") << "now it is ten seconds";
    world.clock.advance(std::chrono::seconds(15));
    EXPECT_EQ(poll(begun).body["error"], "authorization_pending");
}

TEST_F(DeviceLogin, a_code_holds_for_15_minutes) {
    const Reply begun = begin();
    world.clock.advance(std::chrono::minutes(15));
    EXPECT_EQ(poll(begun).body["error"], "expired_token");
    EXPECT_EQ(Person(world).log_in(user_code(begun)).status, 400);
    world.clock.advance(std::chrono::minutes(15));
    EXPECT_EQ(begin().status, 200);
    EXPECT_EQ(poll(begun).body["error"], "bad_verification_code");
}

TEST_F(DeviceLogin, a_person_may_refuse) {
    const Reply begun = begin();
    EXPECT_EQ(Person(world).send({{"step", "decline"}, {"user_code", user_code(begun)}}).status,
              200);
    EXPECT_EQ(poll(begun).body["error"], "authorization_declined");
    EXPECT_EQ(Person(world).log_in(user_code(begun)).status, 400);
}

TEST_F(DeviceLogin, the_code_may_be_typed_in_any_case_and_without_its_dash) {
    const Reply begun = begin();
    std::string typed = to_lower(user_code(begun));
    typed.erase(typed.find('-'), 1);
    EXPECT_EQ(Person(world).log_in(" " + typed + " ").status, 200);
    EXPECT_EQ(poll(begun).status, 200);
}

TEST_F(DeviceLogin, another_program_cannot_fetch_the_tokens) {
    const Reply begun = begin();
    ASSERT_EQ(Person(world).log_in(user_code(begun)).status, 200);
    const Reply other =
        world.login(fmt::format("{}&client_id=11111111-1111-1111-1111-111111111111&device_code={}",
                                kGrantForm, begun.body["device_code"].get<std::string>()));
    EXPECT_EQ(other.body["error"], "bad_verification_code");
    EXPECT_EQ(poll(begun).status, 200);
}

TEST_F(DeviceLogin, bad_requests_are_refused_in_entras_words) {
    const std::pair<std::string, std::string> cases[] = {
        {"", "AADSTS900144"},
        {"client_id=az", "AADSTS700016"},
        {fmt::format("client_id={}&scope=https%3A%2F%2Felsewhere%2F.default", kAz), "AADSTS500011"},
    };
    for (const auto& [form, code] : cases) {
        const Reply reply = world.login(form, "/adfs/oauth2/devicecode");
        EXPECT_EQ(reply.status, 400) << form;
        EXPECT_NE(reply.text.find(code), std::string::npos) << reply.text;
    }
    EXPECT_EQ(world.call("GET", "/adfs/oauth2/devicecode", nullptr, "").status, 405);
    EXPECT_EQ(world
                  .login("client_id=" + std::string(kAz),
                         "/11111111-1111-1111-1111-111111111111/oauth2/v2.0/devicecode")
                  .status,
              400);
    EXPECT_EQ(world.login(std::string(kGrantForm) + "&client_id=" + kAz).status, 400);
    EXPECT_EQ(world.login(std::string("grant_type=refresh_token&client_id=") + kAz).status, 400);
}

TEST_F(DeviceLogin, wrong_secrets_void_the_code_and_say_nothing_more) {
    const Reply begun = begin();
    std::set<std::string> texts;
    const std::pair<std::string, std::string> wrong[] = {
        {world.boot.client_id, "wrong"},
        {"11111111-1111-1111-1111-111111111111", "wrong"},
        {"' or 1=1", world.boot.client_secret->reveal()},
        {"", ""},
        {"<script>", "x"},
    };
    Person person(world);
    for (const auto& [id, secret] : wrong) {
        http::Response answer = person.log_in(user_code(begun), id, secret);
        EXPECT_EQ(answer.status, 401) << id;
        answer.body.erase(answer.body.find("nonce=\""), 32);
        texts.insert(answer.body);
    }
    EXPECT_EQ(texts.size(), 1U) << "the same words, whatever was wrong";
    EXPECT_EQ(person.log_in(user_code(begun)).status, 400) << "void";
    EXPECT_EQ(poll(begun).body["error"], "authorization_declined");
}

TEST_F(DeviceLogin, secrets_cannot_be_guessed_through_many_codes) {
    Person person(world);
    for (int round = 0; round < 3; ++round) {
        const Reply begun = begin();
        for (int i = 0; i < 4; ++i)
            (void)person.log_in(user_code(begun), world.boot.client_id, "wrong");
    }
    EXPECT_EQ(person.log_in(user_code(begin())).status, 429);
    world.clock.advance(std::chrono::minutes(1));
    EXPECT_EQ(person.log_in(user_code(begin())).status, 200);
}

TEST_F(DeviceLogin, codes_cannot_be_guessed) {
    Person person(world);
    const Reply begun = begin();
    for (int i = 0; i < 10; ++i)
        EXPECT_EQ(person.send({{"step", "code"}, {"user_code", "BBBB-BBBB"}}).status, 400);
    EXPECT_EQ(person.log_in(user_code(begun)).status, 429);
    EXPECT_EQ(Person(world, "192.0.2.8").log_in(user_code(begun)).status, 200);
}

TEST_F(DeviceLogin, a_form_of_another_site_is_refused) {
    const Reply begun = begin();
    const auto try_with = [&](const std::function<void(Person&)>& change) {
        Person person(world);
        change(person);
        return person.log_in(user_code(begun)).status;
    };
    EXPECT_EQ(try_with([](Person& each) { each.cookie.clear(); }), 403);
    EXPECT_EQ(try_with([](Person& each) { each.guard = std::string(24, 'A'); }), 403);
    EXPECT_EQ(try_with([](Person& each) { each.cookie = "__Host-howdah-login="; }), 403);
    EXPECT_EQ(try_with([](Person& each) { each.headers["origin"] = "https://evil.example"; }), 403);
    EXPECT_EQ(try_with([](Person& each) { each.headers["origin"] = "null"; }), 403);
    EXPECT_EQ(try_with([](Person& each) { each.headers["sec-fetch-site"] = "cross-site"; }), 403);
    EXPECT_EQ(try_with([](Person& each) {
                  each.headers["origin"] = "https://localhost:8443";
                  each.headers["sec-fetch-site"] = "same-origin";
              }),
              200);
}

TEST_F(DeviceLogin, the_page_lets_nothing_in_from_elsewhere) {
    http::Response page = Person(world).open();
    EXPECT_EQ(page.headers.at("content-type"), "text/html; charset=utf-8");
    EXPECT_EQ(page.headers.at("x-frame-options"), "DENY");
    EXPECT_EQ(page.headers.at("cache-control"), "no-store");
    EXPECT_EQ(page.headers.at("x-content-type-options"), "nosniff");
    const std::string policy = page.headers.at("content-security-policy");
    EXPECT_TRUE(policy.starts_with("default-src 'none'; style-src 'nonce-")) << policy;
    EXPECT_NE(policy.find("frame-ancestors 'none'"), std::string::npos);
    EXPECT_NE(policy.find("form-action 'self'"), std::string::npos);
    EXPECT_EQ(policy.find("unsafe"), std::string::npos);
    EXPECT_EQ(page.body.find("<script"), std::string::npos);
    EXPECT_EQ(page.body.find("http"), std::string::npos) << "nothing from elsewhere";
    const std::string cookie = page.headers.at("set-cookie");
    for (const char* each : {"__Host-", "; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/"})
        EXPECT_NE(cookie.find(each), std::string::npos) << each;
    EXPECT_NE(Person(world).open().headers.at("content-security-policy"), policy);
}

TEST_F(DeviceLogin, what_is_shown_is_escaped) {
    EXPECT_EQ(html_escape("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    Person person(world);
    const http::Response page =
        person.send({{"step", "code"}, {"user_code", "\"><script>alert(1)</script>"}});
    EXPECT_EQ(page.body.find("<script"), std::string::npos);
}

TEST(device_logins, codes_are_unambiguous_and_outstanding_ones_bounded) {
    FakeClock clock;
    SystemIdSource ids;
    DeviceLogins logins(clock, ids);
    std::set<std::string> codes;
    for (std::size_t i = 0; i < DeviceLogins::kLoginsMax; ++i) {
        const auto begun = logins.begin({kAz, "", "", std::to_string(i / 20)});
        ASSERT_TRUE(begun.ok());
        EXPECT_EQ(begun->user_code.find_first_not_of("BCDFGHJKLMNPQRSTVWXZ-"), std::string::npos);
        EXPECT_TRUE(codes.insert(begun->user_code).second);
    }
    EXPECT_EQ(logins.begin({kAz, "", "", "other"}).error().code, ErrorCode::too_many_requests);
    clock.advance(DeviceLogins::kLifetime);
    EXPECT_TRUE(logins.begin({kAz, "", "", "other"}).ok());
    EXPECT_LE(logins.size(), DeviceLogins::kLoginsMax);
}

TEST(device_logins, one_address_cannot_take_all_places) {
    FakeClock clock;
    SystemIdSource ids;
    DeviceLogins logins(clock, ids);
    for (std::size_t i = 0; i < DeviceLogins::kLoginsPerAddressMax; ++i)
        ASSERT_TRUE(logins.begin({kAz, "", "", "one"}).ok());
    EXPECT_FALSE(logins.begin({kAz, "", "", "one"}).ok());
    EXPECT_TRUE(logins.begin({kAz, "", "", "two"}).ok());
}

// ---- refresh tokens ---------------------------------------------------------------------------

TEST_F(DeviceLogin, a_refresh_token_gives_new_tokens_and_changes_at_each_use) {
    std::string token = logged_in().body["refresh_token"];
    std::set<std::string> seen = {token};
    for (int i = 0; i < 5; ++i) {
        world.clock.advance(std::chrono::hours(24));
        const Reply reply = refresh(token);
        ASSERT_EQ(reply.status, 200) << reply.text;
        EXPECT_TRUE(reply.body.contains("id_token"));
        world.token = reply.body["access_token"];
        EXPECT_EQ(world.call("GET", "/subscriptions", nullptr, kManagerVersion).status, 200);
        token = reply.body["refresh_token"];
        EXPECT_TRUE(seen.insert(token).second);
    }
    EXPECT_EQ(sessions(), 1U);
}

TEST_F(DeviceLogin, without_the_scope_for_it_there_is_no_refresh_token) {
    const Reply begun =
        world.login(fmt::format("client_id={}&scope=openid", kAz), "/adfs/oauth2/devicecode");
    ASSERT_EQ(Person(world).log_in(user_code(begun)).status, 200);
    EXPECT_FALSE(poll(begun).body.contains("refresh_token"));
    EXPECT_EQ(sessions(), 0U);
}

TEST_F(DeviceLogin, an_answer_that_was_lost_costs_nothing) {
    const std::string token = logged_in().body["refresh_token"];
    ASSERT_EQ(refresh(token).status, 200);
    world.clock.advance(std::chrono::hours(1));
    const Reply again = refresh(token);
    ASSERT_EQ(again.status, 200) << again.text;
    EXPECT_EQ(refresh(again.body["refresh_token"]).status, 200);
}

TEST_F(DeviceLogin, two_programs_at_the_same_moment_do_not_disturb_each_other) {
    const std::string token = logged_in().body["refresh_token"];
    const Reply one = refresh(token);
    const Reply other = refresh(token);
    ASSERT_EQ(other.status, 200) << other.text;
    EXPECT_FALSE(other.body.contains("refresh_token"));
    EXPECT_EQ(refresh(one.body["refresh_token"]).status, 200);
    EXPECT_EQ(refresh(token).status, 200) << "a moment later it is nobody's fault either";
}

TEST_F(DeviceLogin, a_token_that_is_out_of_use_ends_the_login_for_everybody) {
    const std::string stolen = logged_in().body["refresh_token"];
    const std::string second = refresh(stolen).body["refresh_token"];
    const std::string third = refresh(second).body["refresh_token"];
    world.clock.advance(std::chrono::minutes(2));
    const Reply thief = refresh(stolen);
    EXPECT_EQ(thief.status, 400);
    EXPECT_EQ(thief.body["error"], "invalid_grant");
    EXPECT_EQ(refresh(third).body["error"], "invalid_grant");
    EXPECT_EQ(sessions(), 0U);
}

TEST_F(DeviceLogin, a_thief_who_is_faster_is_noticed_too) {
    const std::string stolen = logged_in().body["refresh_token"];
    const std::string victims = refresh(stolen).body["refresh_token"];
    world.clock.advance(std::chrono::minutes(2));
    const std::string thiefs = refresh(stolen).body["refresh_token"];
    world.clock.advance(std::chrono::minutes(2));
    EXPECT_EQ(refresh(victims).status, 400);
    EXPECT_EQ(refresh(thiefs).status, 400);
}

TEST_F(DeviceLogin, refresh_tokens_end_by_idling_by_age_and_with_what_they_stand_on) {
    const auto refused_after = [&](const std::function<void()>& change) {
        const std::string token = logged_in().body["refresh_token"];
        const Principal before = principal();
        change();
        const Reply reply = refresh(token);
        save(before);
        return reply.status == 400 && reply.body["error"] == "invalid_grant";
    };
    EXPECT_FALSE(refused_after([&] { world.clock.advance(Sessions::kIdle / 2); }));
    EXPECT_TRUE(refused_after([&] { world.clock.advance(Sessions::kIdle); }));
    EXPECT_TRUE(refused_after([&] {
        Principal changed = principal();
        changed.credentials[0].id = "another";
        save(changed);
    })) << "the secret was removed";
    EXPECT_TRUE(refused_after([&] {
        Principal changed = principal();
        changed.credentials[0].expires_at = format_iso8601(world.clock.wall());
        save(changed);
    })) << "the secret has ended";
    EXPECT_TRUE(refused_after([&] {
        store::Transaction txn;
        txn.remove(store::keys::principal(world.boot.client_id));
        ASSERT_TRUE(world.store->commit(txn).ok());
    })) << "the principal is gone";
    std::string token = logged_in().body["refresh_token"];
    Reply reply;
    Duration age{};
    for (; age < Sessions::kLifetime + std::chrono::hours(240);
         age += std::chrono::hours(24 * 10)) {
        reply = refresh(token);
        if (reply.status != 200) break;
        token = reply.body["refresh_token"];
        world.clock.advance(std::chrono::hours(24 * 10));
    }
    EXPECT_EQ(age, Sessions::kLifetime);
    EXPECT_EQ(reply.body["error"], "invalid_grant");
}

TEST_F(DeviceLogin, a_refresh_token_is_refused_in_the_same_words_whatever_is_wrong) {
    const std::string good = logged_in().body["refresh_token"];
    const std::size_t dot = good.rfind('.');
    std::set<std::string> texts;
    const std::pair<std::string, std::string> cases[] = {
        {"x", kAz},
        {good + "x", kAz},
        {good.substr(0, dot + 1), kAz},
        {good.substr(0, dot) + "." + std::string(43, 'A'), kAz},
        {good, "11111111-1111-1111-1111-111111111111"},
        {std::string(8000, 'a'), kAz},
        {"../../x.y.z", kAz},
        {"11111111-1111-1111-1111-111111111111.11111111-1111-1111-1111-111111111111.x", kAz},
    };
    for (const auto& [token, app] : cases) {
        const Reply reply = refresh(token, app);
        EXPECT_EQ(reply.status, 400) << token.substr(0, 40);
        const std::string text = reply.body["error_description"];
        texts.insert(text.substr(0, text.find("Trace ID")));
    }
    EXPECT_EQ(texts.size(), 1U);
    EXPECT_EQ(refresh(good).status, 200) << "nobody else can end a login";
}

TEST_F(DeviceLogin, logins_of_one_principal_are_bounded) {
    const Identity identity{world.boot.client_id, principal().object_id, "me",
                            principal().credentials[0].id};
    Sessions kept(*world.store, world.secrets, world.clock, world.ids);
    const Secret first = kept.begin(identity, kAz).value();
    for (std::size_t i = 0; i < Sessions::kPerPrincipalMax; ++i) {
        world.clock.advance(std::chrono::seconds(1));
        ASSERT_TRUE(kept.begin(identity, kAz).ok());
    }
    EXPECT_EQ(sessions(), Sessions::kPerPrincipalMax);
    EXPECT_FALSE(kept.use(first, kAz).ok()) << "the one unused longest";
}

TEST_F(DeviceLogin, a_principal_that_is_deleted_takes_its_logins_along) {
    const std::string id =
        world.call("POST", "/v1.0/applications", {{"displayName", "a person"}}, "").body["appId"];
    ASSERT_EQ(world.call("POST", "/v1.0/servicePrincipals", {{"appId", id}}, "").status, 201);
    const std::string secret =
        world.call("POST", "/v1.0/applications/" + id + "/addPassword", Body::object(), "")
            .body["secretText"];
    const Reply begun = begin();
    ASSERT_EQ(Person(world).log_in(user_code(begun), id, secret).status, 200);
    const std::string token = poll(begun).body["refresh_token"];
    const Reply late = begin();
    ASSERT_EQ(Person(world).log_in(user_code(late), id, secret).status, 200);
    const auto left = [&] {
        return world.store->list(store::keys::sessions_of(id)).value().size();
    };
    EXPECT_EQ(left(), 1U);
    ASSERT_EQ(world.call("DELETE", "/v1.0/applications/" + id, nullptr, "").status, 204);
    EXPECT_EQ(left(), 0U);
    EXPECT_EQ(refresh(token).body["error"], "invalid_grant");
    EXPECT_EQ(poll(late).body["error"], "authorization_declined") << "approved, and gone since";
}

TEST_F(DeviceLogin, many_who_use_one_token_at_once_get_one_next_and_nobody_is_logged_out) {
    const Secret token(logged_in().body["refresh_token"].get<std::string>());
    Sessions kept(*world.store, world.secrets, world.clock, world.ids);
    std::atomic<int> good = 0;
    std::vector<std::optional<Secret>> next(8);
    std::vector<std::jthread> threads;
    for (auto& mine : next)
        threads.emplace_back([&] {
            auto used = kept.use(token, kAz);
            if (!used.ok()) return;
            ++good;
            mine = std::move(used->next);
        });
    threads.clear();
    EXPECT_EQ(good, 8);
    std::erase_if(next, [](const auto& each) { return !each; });
    ASSERT_EQ(next.size(), 1U);
    EXPECT_TRUE(kept.use(*next.front(), kAz).ok());
}

TEST(device_logins, a_code_is_redeemed_by_one_of_many) {
    FakeClock clock;
    SystemIdSource ids;
    DeviceLogins logins(clock, ids);
    const auto begun = logins.begin({kAz, "", "", "here"}).value();
    ASSERT_TRUE(logins.approve(begun.user_code, {"me", "object", "name", "credential"}));
    EXPECT_FALSE(logins.approve(begun.user_code, {"other", "object", "name", "credential"}));
    std::atomic<int> approved = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 8; ++i)
            threads.emplace_back([&] {
                const auto outcome = logins.poll(begun.device_code, kAz);
                if (outcome.state == DeviceLogins::State::approved &&
                    outcome.identity.client_id == "me")
                    ++approved;
            });
    }
    EXPECT_EQ(approved, 1);
}

TEST_F(DeviceLogin, the_store_holds_no_token_in_clear) {
    const std::string token = logged_in().body["refresh_token"];
    const std::string secret = token.substr(token.rfind('.') + 1);
    const auto entries = world.store->list("/").value();
    for (const store::Entry& entry : entries)
        EXPECT_EQ(entry.value.find(secret), std::string::npos) << entry.key;
}

}  // namespace
}  // namespace howdah::api
