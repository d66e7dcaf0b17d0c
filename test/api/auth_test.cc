#include <fmt/core.h>
#include <gtest/gtest.h>

#include "api/api_support.h"
#include "api/auth/failure_limit.h"
#include "api/auth/principal.h"
#include "api/auth/verified_tokens.h"
#include "base/text.h"
#include "http/client.h"
#include "http/jwt.h"
#include "store/keys.h"
#include "store/memory/memory_store.h"

namespace howdah::api {
namespace {

http::Claims claims_of(const World& world) {
    http::Claims claims;
    claims.issuer = "https://localhost:8443/" + world.boot.tenant_id + "/v2.0";
    claims.audience = "https://localhost:8443";
    claims.app_id = world.boot.client_id;
    claims.subject = find_principal(*world.store, world.boot.client_id).value()->object_id;
    claims.tenant = world.boot.tenant_id;
    claims.issued_at = claims.not_before = world.clock.wall();
    claims.expires_at = claims.issued_at + std::chrono::hours(1);
    return claims;
}

http::SigningKey signer(const World& world) {
    return world.signing_keys->current()->signer(world.clock.wall());
}

Reply with_header(World& world, const std::string& header) {
    http::Request request = world.request("GET", "/subscriptions", "", kManagerVersion);
    request.headers["authorization"] = header;
    return world.send(request);
}

TEST(auth, every_authority_gives_a_token_that_opens_the_api) {
    World world;
    for (const std::string& path :
         {std::string("/adfs/oauth2/token"), "/" + world.boot.tenant_id + "/oauth2/v2.0/token",
          "/" + world.boot.tenant_id + "//oauth2/token/"}) {
        const Reply reply = world.login(world.form(world.boot.client_secret->reveal()), path);
        ASSERT_EQ(reply.status, 200) << path << reply.text;
        EXPECT_EQ(reply.body["token_type"], "Bearer");
        EXPECT_EQ(reply.headers.at("cache-control"), "no-store");
        world.token = reply.body["access_token"];
        EXPECT_EQ(world.call("GET", "/subscriptions", nullptr, kManagerVersion).status, 200);
    }
}

TEST(auth, a_secret_may_come_in_the_authorization_header) {
    World world;
    http::Request request;
    request.method = "POST";
    request.path = "/adfs/oauth2/token";
    request.body = "grant_type=client_credentials";
    request.headers["authorization"] =
        "Basic " + base64_encode(world.boot.client_id + ":" +
                                 http::url_encode(world.boot.client_secret->reveal()));
    EXPECT_EQ(world.send(request).status, 200);
}

TEST(auth, the_first_protocol_version_answers_numbers_as_texts) {
    World world;
    const Reply reply = world.login(
        fmt::format("client_id={}&client_secret={}&grant_type=client_credentials&resource={}",
                    world.boot.client_id, world.boot.client_secret->reveal(),
                    "https%3A%2F%2Fmanagement.azure.com%2F"));
    ASSERT_EQ(reply.status, 200) << reply.text;
    EXPECT_TRUE(reply.body["expires_in"].is_string());
    EXPECT_TRUE(reply.body["expires_on"].is_string());
}

TEST(auth, a_wrong_request_for_a_token_is_refused_with_an_aadsts_code) {
    struct Case {
        std::string form;
        int status;
        std::string error;
        std::string code;
    };
    World world;
    const std::string& id = world.boot.client_id;
    const std::string secret = world.boot.client_secret->reveal();
    const Case cases[] = {
        {"", 400, "invalid_request", "AADSTS900144"},
        {"grant_type=password", 400, "unsupported_grant_type", "AADSTS70003"},
        {"grant_type=client_credentials", 400, "invalid_request", "AADSTS900144"},
        {"grant_type=client_credentials&client_id=" + id, 401, "invalid_client", "AADSTS7000216"},
        {"grant_type=client_credentials&client_id=" + id + "&client_secret=wrong", 401,
         "invalid_client", "AADSTS7000215"},
        {"grant_type=client_credentials&client_id=11111111-1111-1111-1111-111111111111"
         "&client_secret=" +
             secret,
         401, "invalid_client", "AADSTS7000215"},
        {"grant_type=client_credentials&client_id=%27;--&client_secret=x", 401, "invalid_client",
         "AADSTS7000215"},
        {"grant_type=client_credentials&client_id=" + id + "&client_secret=" + secret +
             "&scope=https%3A%2F%2Felsewhere%2F.default",
         400, "invalid_resource", "AADSTS500011"},
        {"grant_type=client_credentials&client_id=" + id + "&client_assertion=x", 400,
         "invalid_request", "AADSTS700021"},
        {std::string(20000, 'x'), 400, "invalid_request", "AADSTS90014"},
    };
    for (const Case& each : cases) {
        const Reply reply = world.login(each.form);
        EXPECT_EQ(reply.status, each.status) << each.form.substr(0, 100);
        EXPECT_EQ(reply.body["error"], each.error) << each.form.substr(0, 100);
        const std::string text = reply.body["error_description"];
        EXPECT_TRUE(text.starts_with(each.code + ":")) << text;
        EXPECT_EQ(text.find(secret), std::string::npos);
    }
}

TEST(auth, another_tenant_is_refused) {
    World world;
    const Reply reply = world.login(world.form(world.boot.client_secret->reveal()),
                                    "/11111111-1111-1111-1111-111111111111/oauth2/token");
    EXPECT_EQ(reply.status, 400);
    EXPECT_NE(reply.text.find("AADSTS90002"), std::string::npos);
}

TEST(auth, guessing_secrets_is_stopped_and_forgiven_after_a_while) {
    World world;
    for (int i = 0; i < FailureLimit::kFailuresMax; ++i)
        EXPECT_EQ(world.login(world.form("wrong")).status, 401);
    const Reply stopped = world.login(world.form(world.boot.client_secret->reveal()));
    EXPECT_EQ(stopped.status, 429);
    EXPECT_EQ(stopped.headers.at("retry-after"), "60");
    world.clock.advance(FailureLimit::kWindow);
    EXPECT_EQ(world.login(world.form(world.boot.client_secret->reveal())).status, 200);
}

TEST(auth, the_table_of_failures_is_bounded) {
    FakeClock clock;
    FailureLimit limit(clock);
    for (std::size_t i = 0; i < FailureLimit::kEntriesMax + 100; ++i)
        limit.record_failure(std::to_string(i));
    EXPECT_EQ(limit.size(), FailureLimit::kEntriesMax);
}

TEST(auth, requests_without_a_good_token_are_refused_with_a_challenge) {
    World world;
    http::Claims expired = claims_of(world);
    expired.issued_at = expired.not_before = world.clock.wall() - std::chrono::hours(3);
    expired.expires_at = world.clock.wall() - std::chrono::hours(2);
    http::Claims other_audience = claims_of(world);
    other_audience.audience = "https://localhost:8443/msgraph";
    http::Claims other_issuer = claims_of(world);
    other_issuer.issuer = "https://login.example/";
    http::Claims other_tenant = claims_of(world);
    other_tenant.tenant = "11111111-1111-1111-1111-111111111111";
    http::Claims nobody = claims_of(world);
    nobody.app_id = "11111111-1111-1111-1111-111111111111";
    const http::SigningKey key = signer(world);
    const http::SigningKey stranger = http::SigningKey::generate(key.id).value();
    const auto bearer = [](const http::Claims& claims, const http::SigningKey& with) {
        return "Bearer " + http::sign_jwt(claims, with).value();
    };
    const std::string none =
        base64url_encode(R"({"alg":"none","typ":"JWT"})") + "." + split(world.token, '.')[1] + ".";
    const std::pair<std::string, std::string> cases[] = {
        {"", "AuthenticationFailed"},
        {"Basic abc", "AuthenticationFailed"},
        {"Bearer", "AuthenticationFailed"},
        {"Bearer x", "InvalidAuthenticationToken"},
        {"Bearer " + world.token + "x", "InvalidAuthenticationToken"},
        {"Bearer " + none, "InvalidAuthenticationToken"},
        {bearer(expired, key), "ExpiredAuthenticationToken"},
        {bearer(other_audience, key), "InvalidAuthenticationToken"},
        {bearer(other_issuer, key), "InvalidAuthenticationToken"},
        {bearer(other_tenant, key), "InvalidAuthenticationTokenTenant"},
        {bearer(nobody, key), "InvalidAuthenticationToken"},
        {bearer(claims_of(world), stranger), "InvalidAuthenticationToken"},
    };
    ASSERT_EQ(with_header(world, bearer(claims_of(world), key)).status, 200);
    for (const auto& [header, code] : cases) {
        const Reply reply = with_header(world, header);
        EXPECT_EQ(reply.status, 401) << header.substr(0, 60);
        EXPECT_EQ(reply.code(), code) << header.substr(0, 60);
        EXPECT_TRUE(reply.headers.at("www-authenticate").starts_with("Bearer authorization_uri="));
    }
}

TEST(auth, a_token_that_was_good_once_still_expires) {
    World world;
    http::Claims claims = claims_of(world);
    claims.expires_at = world.clock.wall() + std::chrono::minutes(10);
    const std::string header = "Bearer " + http::sign_jwt(claims, signer(world)).value();
    EXPECT_EQ(with_header(world, header).status, 200);
    EXPECT_EQ(with_header(world, header).status, 200);
    world.clock.advance(std::chrono::minutes(12));
    EXPECT_EQ(with_header(world, header).code(), "ExpiredAuthenticationToken");
}

TEST(auth, the_memory_of_good_tokens_is_bounded) {
    FakeClock clock;
    VerifiedTokens tokens;
    http::Claims claims;
    claims.not_before = clock.wall();
    claims.expires_at = clock.wall() + std::chrono::hours(1);
    for (std::size_t i = 0; i < VerifiedTokens::kTokensMax + 10; ++i)
        tokens.add(std::to_string(i), claims);
    EXPECT_LE(tokens.size(), VerifiedTokens::kTokensMax);
    EXPECT_TRUE(tokens.find(std::to_string(VerifiedTokens::kTokensMax + 9), clock.wall()));
    EXPECT_FALSE(tokens.find("other", clock.wall()));
    EXPECT_FALSE(tokens.find(std::to_string(VerifiedTokens::kTokensMax + 9), claims.expires_at));
}

TEST(auth, a_principal_that_is_gone_is_locked_out_at_once) {
    World world;
    store::Transaction txn;
    txn.remove(store::keys::principal(world.boot.client_id));
    ASSERT_TRUE(world.store->commit(txn).ok());
    EXPECT_EQ(world.call("GET", "/subscriptions", nullptr, kManagerVersion).code(),
              "InvalidAuthenticationToken");
}

TEST(auth, discovery_documents_lead_to_the_token_endpoint_and_the_keys) {
    World world;
    world.token = "";
    const std::string tenant = world.boot.tenant_id;
    const std::pair<std::string, std::string> cases[] = {
        {"/adfs/.well-known/openid-configuration", "https://localhost:8443/adfs/oauth2/token"},
        {"/" + tenant + "/.well-known/openid-configuration",
         "https://localhost:8443/" + tenant + "/oauth2/token"},
        {"/" + tenant + "/v2.0/.well-known/openid-configuration",
         "https://localhost:8443/" + tenant + "/oauth2/v2.0/token"},
    };
    for (const auto& [path, endpoint] : cases) {
        const Reply reply = world.call("GET", path, nullptr, "");
        ASSERT_EQ(reply.status, 200) << path;
        EXPECT_EQ(reply.body["token_endpoint"], endpoint);
        const std::string keys = reply.body["jwks_uri"];
        const Reply set = world.call(
            "GET", keys.substr(std::string("https://localhost:8443").size()), nullptr, "");
        ASSERT_EQ(set.status, 200) << keys;
        EXPECT_EQ(set.body["keys"][0]["kid"], signer(world).id);
        EXPECT_FALSE(set.body["keys"][0].contains("d")) << "a private key is shown";
    }
    EXPECT_EQ(
        world.call("GET", "/nobody/v2.0/.well-known/openid-configuration", nullptr, "").status,
        400);
}

TEST(auth, the_cloud_is_described_in_three_shapes) {
    World world;
    world.token = "";
    const Reply first = world.call("GET", "/metadata/endpoints?api-version=2015-01-01");
    EXPECT_EQ(first.body["authentication"]["loginEndpoint"], "https://localhost:8443");
    EXPECT_TRUE(first.body["authentication"]["audiences"].is_array());
    const Reply second = world.call("GET", "/metadata/endpoints?api-version=2020-06-01");
    ASSERT_TRUE(second.body.is_array());
    EXPECT_EQ(second.body[0]["suffixes"]["postgresqlServerEndpoint"], ".postgres.howdah.local");
    const Reply third = world.call("GET", "/metadata/endpoints?api-version=2022-09-01");
    EXPECT_EQ(third.body["resourceManager"], "https://localhost:8443");
    EXPECT_EQ(third.body["authentication"]["identityProvider"], "AAD");
    // Terraform's azurerm takes a cloud of any other tenant for an Azure Stack, and refuses it.
    EXPECT_EQ(third.body["authentication"]["tenant"], "common");
    // It does not start without these either.
    EXPECT_EQ(third.body["suffixes"]["storage"], "storage.postgres.howdah.local");
    EXPECT_EQ(third.body["suffixes"]["keyVaultDns"], "vault.postgres.howdah.local");
}

TEST(bootstrap, the_first_start_makes_a_tenant_a_subscription_and_an_administrator) {
    FakeClock clock;
    SystemIdSource ids;
    const auto store = store::make_memory_store(clock);
    const auto secrets = store::SecretBox::with_key(std::string(32, 'k'), ids);
    const Bootstrap made =
        bootstrap(*store, secrets, clock, ids, {.subscription_name = "Mine"}).value();
    EXPECT_TRUE(is_uuid(made.tenant_id));
    const auto entry = store->get(store::keys::subscription(made.subscription_id)).value();
    ASSERT_TRUE(entry);
    EXPECT_NE(entry->value.find("Mine"), std::string::npos);
    EXPECT_TRUE(secret_fits(find_principal(*store, made.client_id).value(), *made.client_secret,
                            format_iso8601(clock.wall()), secrets));
}

TEST(bootstrap, a_second_start_finds_what_the_first_one_made) {
    World world;
    const Bootstrap again = bootstrap(*world.store, world.secrets, world.clock, world.ids).value();
    EXPECT_EQ(again.tenant_id, world.boot.tenant_id);
    EXPECT_EQ(again.subscription_id, world.boot.subscription_id);
    EXPECT_EQ(again.client_id, world.boot.client_id);
    ASSERT_TRUE(again.client_secret.has_value()) << "lost by a crash before it was written down";
    EXPECT_EQ(again.client_secret->reveal(), world.boot.client_secret->reveal());
    ASSERT_TRUE(bootstrap_delivered(*world.store).ok());
    EXPECT_FALSE(bootstrap(*world.store, world.secrets, world.clock, world.ids)
                     .value()
                     .client_secret.has_value());
}

TEST(bootstrap, no_secret_lies_in_the_store_in_clear) {
    World world;
    const std::string secret = world.boot.client_secret->reveal();
    const auto entries = world.store->list("/").value();
    for (const store::Entry& entry : entries) {
        EXPECT_EQ(entry.value.find(secret), std::string::npos) << entry.key;
        EXPECT_EQ(entry.value.find("PRIVATE KEY"), std::string::npos) << entry.key;
    }
}

}  // namespace
}  // namespace howdah::api
