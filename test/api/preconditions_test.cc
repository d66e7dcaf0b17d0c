#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "api/api_support.h"

// If-Match and If-None-Match: honoured for everything that has a name, or refused; never ignored.

namespace howdah::api {
namespace {

struct Kind {
    const char* path;
    Body body;
    const char* version;
    int changed;  ///< the status of a PUT that changes it
};

class Preconditions : public ::testing::Test {
  protected:
    Preconditions() {
        world.make_group();
        world.make_server();
        world.call("PUT", "{P}/flexibleServers/pg1/firewallRules/office", rule("10.0.0.1"));
        world.call("PUT", "{P}/flexibleServers/pg1/databases/app", Body::object());
        world.finish();
    }

    static Body rule(const char* address) {
        return {{"properties", {{"startIpAddress", address}, {"endIpAddress", address}}}};
    }

    static std::vector<Kind> kinds(const std::string& suffix) {
        static std::vector<std::string> paths;
        paths = {"{S}/resourcegroups/rg1" + suffix, "{P}/flexibleServers/pg1" + suffix,
                 "{P}/flexibleServers/pg1/firewallRules/office" + suffix,
                 "{P}/flexibleServers/pg1/databases/app" + suffix};
        return {{paths[0].c_str(), {{"location", "local"}}, kManagerVersion, 200},
                {paths[1].c_str(), World::server_body(), kNewVersion, 202},
                {paths[2].c_str(), rule("10.0.0.2"), kNewVersion, 202},
                {paths[3].c_str(), Body::object(), kNewVersion, 202}};
    }

    Reply with(const std::string& header, const std::string& value, const std::string& method,
               const Kind& kind) {
        const bool has_body = method == "PUT" || method == "PATCH";
        http::Request request =
            world.request(method, kind.path, has_body ? kind.body.dump() : "", kind.version);
        request.headers[header] = value;
        return world.send(std::move(request));
    }

    World world;
};

TEST_F(Preconditions, keep_what_exists_from_being_overwritten) {
    for (const Kind& each : kinds("")) {
        const Reply before = world.call("GET", each.path, nullptr, each.version);
        ASSERT_EQ(before.status, 200) << each.path << before.text;
        const Reply refused = with("if-none-match", "*", "PUT", each);
        EXPECT_EQ(refused.status, 412) << each.path << refused.text;
        EXPECT_EQ(refused.code(), "PreconditionFailed");
        EXPECT_EQ(refused.target(), "If-None-Match");
        EXPECT_EQ(world.call("GET", each.path, nullptr, each.version).body, before.body);
    }
    EXPECT_EQ(world.spec().generation, 2) << "nothing was changed";
}

TEST_F(Preconditions, let_what_is_not_there_be_created) {
    for (const Kind& each : kinds("2")) {
        const Reply made = with("if-none-match", "*", "PUT", each);
        EXPECT_TRUE(made.status == 201 || made.status == 202) << each.path << made.text;
    }
}

TEST_F(Preconditions, keep_what_is_missing_from_being_created) {
    for (const Kind& each : kinds("2"))
        for (const char* method : {"PUT", "DELETE"})
            for (const char* value : {"*", "\"abc\""}) {
                const Reply refused = with("if-match", value, method, each);
                EXPECT_EQ(refused.status, 412) << method << each.path << refused.text;
                EXPECT_EQ(refused.code(), "PreconditionFailed");
                EXPECT_EQ(refused.target(), "If-Match");
            }
    for (const Kind& each : kinds("2"))
        EXPECT_EQ(world.call("GET", each.path, nullptr, each.version).status, 404);
}

TEST_F(Preconditions, hold_with_the_tag_of_the_last_answer_only) {
    for (const Kind& each : kinds("")) {
        const Reply first = world.call("GET", each.path, nullptr, each.version);
        ASSERT_TRUE(first.headers.contains("etag")) << each.path;
        const std::string tag = first.headers.at("etag");
        EXPECT_EQ(world.call("GET", each.path, nullptr, each.version).headers.at("etag"), tag);
        EXPECT_EQ(with("if-match", "\"stale\"", "PUT", each).status, 412) << each.path;
        EXPECT_EQ(with("if-match", "W/" + tag, "PUT", each).status, 412)
            << "weak tags are no match";
        EXPECT_EQ(with("if-none-match", tag, "PUT", each).status, 412) << each.path;
        EXPECT_EQ(with("if-match", "\"stale\", " + tag, "PUT", each).status, each.changed)
            << each.path;
        world.finish();
    }
    const Kind server = kinds("")[1];
    const std::string tag = world.call("GET", server.path).headers.at("etag");
    ASSERT_EQ(world.call("PATCH", server.path, {{"tags", {{"a", "b"}}}}).status, 202);
    EXPECT_EQ(with("if-match", tag, "PATCH", server).status, 412) << "somebody changed it";
    EXPECT_EQ(with("if-match", tag, "DELETE", server).status, 412);
    EXPECT_EQ(with("if-match", "*", "DELETE", server).status, 202);
}

TEST_F(Preconditions, tell_a_reader_that_nothing_changed) {
    for (const Kind& each : kinds("")) {
        const std::string tag =
            world.call("GET", each.path, nullptr, each.version).headers.at("etag");
        const Reply same = with("if-none-match", tag, "GET", each);
        EXPECT_EQ(same.status, 304) << each.path;
        EXPECT_TRUE(same.text.empty());
        EXPECT_EQ(same.headers.at("etag"), tag);
        EXPECT_EQ(with("if-none-match", "\"other\"", "GET", each).status, 200);
        EXPECT_EQ(with("if-match", "\"other\"", "GET", each).status, 412);
        EXPECT_EQ(with("if-match", tag, "GET", each).status, 200);
    }
}

TEST_F(Preconditions, are_checked_after_rights_and_locks) {
    const Kind server = kinds("")[1];
    http::Request request =
        world.request("PUT", server.path, World::server_body().dump(), kNewVersion);
    request.headers["if-none-match"] = "*";
    request.headers.erase("authorization");
    EXPECT_EQ(world.send(std::move(request)).status, 401);
    const char* lock = "{S}/providers/Microsoft.Authorization/locks/l";
    ASSERT_LE(
        world.call("PUT", lock, {{"properties", {{"level", "ReadOnly"}}}}, "2016-09-01").status,
        201);
    EXPECT_EQ(with("if-none-match", "*", "PUT", server).code(), "ScopeLocked");
}

TEST_F(Preconditions, that_cannot_be_honoured_are_refused) {
    const Kind restart{"{P}/flexibleServers/pg1/restart", nullptr, kNewVersion, 202};
    for (const char* header : {"if-match", "if-none-match"}) {
        const Reply refused = with(header, "*", "POST", restart);
        EXPECT_EQ(refused.status, 412) << refused.text;
        EXPECT_EQ(refused.code(), "PreconditionFailed");
    }
    const Kind server = kinds("")[1];
    EXPECT_EQ(with("if-match", std::string(10000, 'a'), "PUT", server).status, 412);
    const Kind list{"{P}/flexibleServers", nullptr, kNewVersion, 200};
    EXPECT_EQ(with("if-match", "*", "GET", list).status, 412);
    EXPECT_EQ(with("if-none-match", "\"a\"", "GET", list).status, 200) << "a list has no tag";
}

TEST_F(Preconditions, of_many_at_once_let_one_create) {
    constexpr int kThreads = 8;
    std::atomic<int> created = 0;
    std::atomic<int> refused = 0;
    const std::string body = World::server_body().dump();
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i)
        threads.emplace_back([&] {
            http::Request request =
                world.request("PUT", "{P}/flexibleServers/new", body, kNewVersion);
            request.headers["if-none-match"] = "*";
            const int status = world.api->handle(request).status;
            if (status == 202) ++created;
            if (status == 412) ++refused;
        });
    threads.clear();
    EXPECT_EQ(created, 1);
    EXPECT_EQ(refused, kThreads - 1);
}

}  // namespace
}  // namespace howdah::api
