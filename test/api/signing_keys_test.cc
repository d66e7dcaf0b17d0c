#include "api/auth/signing_keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "api/api_support.h"
#include "store/keys.h"
#include "store/memory/memory_store.h"

namespace howdah::api {
namespace {

constexpr auto kDay = std::chrono::hours(24);

Timestamp day(int number) { return Timestamp(std::chrono::hours(24) * (20000 + number)); }

http::Claims claims_at(Timestamp now) {
    http::Claims claims;
    claims.issuer = "issuer";
    claims.audience = "audience";
    claims.subject = "subject";
    claims.app_id = "app";
    claims.tenant = "tenant";
    claims.issued_at = claims.not_before = now;
    claims.expires_at = now + std::chrono::hours(1);
    return claims;
}

TEST(signing_keys, nothing_is_due_while_the_only_key_is_young) {
    EXPECT_TRUE(plan_rotation({{"a", day(0)}}, day(0)).empty());
    EXPECT_TRUE(plan_rotation({{"a", day(0)}}, day(27)).empty());
}

TEST(signing_keys, a_new_key_is_shown_before_it_signs) {
    const KeyRotation plan = plan_rotation({{"a", day(0)}}, day(28));
    ASSERT_TRUE(plan.make_one);
    EXPECT_EQ(plan.signs_from, day(30));
    EXPECT_TRUE(plan.remove.empty());
    const std::vector<KeyDates> both = {{"a", day(0)}, {"b", day(30)}};
    EXPECT_EQ(signer_at(both, day(29)), 0U);
    EXPECT_EQ(signer_at(both, day(30)), 1U);
    EXPECT_TRUE(plan_rotation(both, day(29)).empty());
}

TEST(signing_keys, a_howdah_that_was_off_for_long_shows_the_new_key_all_the_same) {
    EXPECT_EQ(plan_rotation({{"a", day(0)}}, day(400)).signs_from, day(402));
}

TEST(signing_keys, an_old_key_goes_when_its_last_token_has_ended) {
    const std::vector<KeyDates> both = {{"a", day(0)}, {"b", day(30)}};
    EXPECT_TRUE(plan_rotation(both, day(30) + std::chrono::hours(1)).empty());
    EXPECT_EQ(plan_rotation(both, day(30) + std::chrono::hours(2)).remove,
              std::vector<std::string>{"a"});
}

TEST(signing_keys, a_clock_that_was_ahead_leaves_no_key_behind_and_stops_no_rotation) {
    const std::vector<KeyDates> mistaken = {{"a", day(0)}, {"far", day(4000)}};
    const KeyRotation plan = plan_rotation(mistaken, day(10));
    EXPECT_EQ(plan.remove, std::vector<std::string>{"far"});
    EXPECT_FALSE(plan.make_one);
    const std::vector<KeyDates> only_far = {{"far", day(4000)}};
    EXPECT_EQ(signer_at(only_far, day(10)), 0U);
    EXPECT_TRUE(plan_rotation(only_far, day(10)).remove.empty());
    EXPECT_EQ(plan_rotation(only_far, day(10)).signs_from, day(12));
}

TEST(signing_keys, there_are_never_more_than_the_bound) {
    std::vector<KeyDates> keys;
    for (std::size_t i = 0; i < kSigningKeysMax; ++i) keys.push_back({std::to_string(i), day(0)});
    EXPECT_FALSE(plan_rotation(keys, day(100)).make_one);
}

TEST(signing_keys, over_years_every_token_verifies_and_no_key_signs_unannounced) {
    World world;
    struct Issued {
        std::string token;
        Timestamp end;
    };
    std::vector<Issued> issued;
    std::map<std::string, Timestamp> shown;
    std::set<std::string> signers;
    const Timestamp begin = world.clock.wall();
    for (int half_hours = 0; half_hours < 48 * 100; ++half_hours) {
        // Most of the time nothing happens; near a change of keys every half hour is looked at.
        const bool near_change = (half_hours / 48) % 30 <= 1 || (half_hours / 48) % 30 >= 27;
        if (!near_change && half_hours % 48 != 0) {
            world.clock.advance(std::chrono::minutes(30));
            continue;
        }
        ASSERT_TRUE(world.signing_keys->rotate().ok());
        const auto set = world.signing_keys->current();
        const Timestamp now = world.clock.wall();
        ASSERT_LE(set->keys.size(), 3U);
        for (const http::SigningKey& key : set->keys) shown.try_emplace(key.id, now);
        const http::SigningKey& signer = set->signer(now);
        if (signers.insert(signer.id).second && now > begin) {
            EXPECT_GE(now - shown.at(signer.id), kSigningKeyNotice) << "day " << half_hours / 48;
        }
        const http::Claims claims = claims_at(now);
        issued.push_back({http::sign_jwt(claims, signer).value(), claims.expires_at});
        std::erase_if(issued, [&](const Issued& each) { return each.end < now; });
        for (const Issued& each : issued)
            ASSERT_TRUE(
                http::verify_jwt(each.token, set->keys, {.audiences = {"audience"}}, now).ok());
        world.clock.advance(std::chrono::minutes(30));
    }
    EXPECT_EQ(signers.size(), 4U);
}

TEST(signing_keys, a_change_is_seen_by_whoever_opens_the_store_next_and_is_sealed) {
    World world;
    const auto first = world.signing_keys->current();
    world.clock.advance(kDay * 29);
    ASSERT_TRUE(world.signing_keys->rotate().ok());
    const auto second = world.signing_keys->current();
    ASSERT_EQ(second->keys.size(), 2U);
    EXPECT_EQ(second->signer(world.clock.wall()).id, first->keys[0].id);
    const auto again =
        SigningKeys::open(*world.store, world.secrets, world.clock, world.ids).value();
    ASSERT_EQ(again->current()->keys.size(), 2U);
    EXPECT_EQ(again->current()->keys[1].id, second->keys[1].id);
    const auto entries = world.store->list("/secret/").value();
    for (const store::Entry& entry : entries)
        EXPECT_EQ(entry.value.find("PRIVATE KEY"), std::string::npos) << entry.key;
}

TEST(signing_keys, two_who_rotate_at_once_agree_on_one_key) {
    World world;
    const auto other =
        SigningKeys::open(*world.store, world.secrets, world.clock, world.ids).value();
    world.clock.advance(kDay * 29);
    ASSERT_TRUE(world.signing_keys->rotate().ok());
    ASSERT_TRUE(other->rotate().ok());
    EXPECT_EQ(other->current()->keys.size(), 2U);
    EXPECT_EQ(other->current()->keys[1].id, world.signing_keys->current()->keys[1].id);
}

TEST(signing_keys, requests_sign_and_verify_while_keys_change) {
    World world;
    std::atomic<bool> is_over = false;
    std::atomic<int> bad = 0;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i)
        threads.emplace_back([&] {
            while (!is_over) {
                const Timestamp now = world.clock.wall();
                const auto set = world.signing_keys->current();
                const auto token = http::sign_jwt(claims_at(now), set->signer(now));
                if (!http::verify_jwt(*token, set->keys, {.audiences = {"audience"}}, now).ok())
                    ++bad;
            }
        });
    for (int days = 0; days < 90; ++days) {
        EXPECT_TRUE(world.signing_keys->rotate().ok());
        world.clock.advance(kDay);
    }
    is_over = true;
    threads.clear();
    EXPECT_EQ(bad, 0) << "each sees one whole set of keys";
}

TEST(signing_keys, the_record_of_an_older_howdah_is_read_and_replaced) {
    World world;
    const http::SigningKey old = http::SigningKey::generate("old").value();
    const std::string key = store::keys::secret("token-signing-key");
    const nlohmann::json record = {
        {"id", old.id}, {"private", old.private_key_pem.reveal()}, {"public", old.public_key_pem}};
    store::Transaction txn;
    txn.put(key, world.secrets.seal(key, Secret(record.dump())));
    ASSERT_TRUE(world.store->commit(txn).ok());
    const auto keys =
        SigningKeys::open(*world.store, world.secrets, world.clock, world.ids).value();
    EXPECT_EQ(keys->current()->signer(world.clock.wall()).id, "old");
    ASSERT_TRUE(keys->rotate().ok());
    EXPECT_EQ(keys->current()->signer(world.clock.wall()).id, "old");
    world.clock.advance(kDay * 3);
    EXPECT_NE(keys->current()->signer(world.clock.wall()).id, "old");
    ASSERT_TRUE(keys->rotate().ok());
    EXPECT_EQ(keys->current()->keys.size(), 1U);
}

TEST(signing_keys, the_api_shows_a_key_to_come_and_takes_the_tokens_of_an_old_one) {
    World world;
    const auto shown = [&] {
        return world.call("GET", "/common/discovery/v2.0/keys", nullptr, "").body["keys"].size();
    };
    EXPECT_EQ(shown(), 1U);
    world.clock.advance(kDay * 28);
    ASSERT_TRUE(world.signing_keys->rotate().ok());
    EXPECT_EQ(shown(), 2U);
    world.clock.advance(kDay * 2 - std::chrono::minutes(30));
    world.token = world.login(world.form(world.boot.client_secret->reveal())).body["access_token"];
    world.clock.advance(std::chrono::minutes(45));
    ASSERT_TRUE(world.signing_keys->rotate().ok());
    EXPECT_EQ(world.call("GET", "/subscriptions", nullptr, kManagerVersion).status, 200);
    world.clock.advance(std::chrono::hours(2));
    ASSERT_TRUE(world.signing_keys->rotate().ok());
    EXPECT_EQ(shown(), 1U);
}

}  // namespace
}  // namespace howdah::api
