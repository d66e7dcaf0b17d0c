#include "agent/upstream.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "model/json.h"
#include "os/file.h"

namespace howdah::agent {
namespace {

model::Route route(const std::string& server, model::Term term, const std::string& state,
                   std::int64_t port) {
    model::Route route{.server_id = server, .state = state, .backend_port = port, .term = term};
    return route;
}

TEST(upstream, is_the_open_route_of_the_newest_term_whichever_agent_tells_it) {
    char name[] = "/tmp/howdah-upstream-XXXXXX";
    const std::string home = mkdtemp(name);
    const Layout layout{home};
    ASSERT_TRUE(os::make_folders(home + "/gateway", 0700).ok());
    const auto tell = [&](const char* file, const std::vector<model::Route>& routes) {
        const model::RouteTable table{.revision = 1, .routes = routes};
        ASSERT_TRUE(os::write_file_atomic(home + "/gateway/" + file, model::to_json(table)).ok());
    };
    EXPECT_FALSE(find_upstream(layout, "/s/a"));
    tell("routes.json", {route("/s/a", 3, "closed", 1), route("/s/b", 9, "open", 2)});
    EXPECT_EQ(find_upstream(layout, "/s/a")->port, 1) << "better than nothing";
    tell("routes-2.json", {route("/s/a", 3, "open", 3)});
    EXPECT_EQ(find_upstream(layout, "/s/a")->port, 3);
    tell("others.json", {route("/s/a", 4, "hold", 4), route("/s/ab", 8, "open", 5)});
    EXPECT_EQ(find_upstream(layout, "/s/a")->port, 4);
    tell("routes-3.json", {route("/s/a", 5, "open", 0)});
    EXPECT_EQ(find_upstream(layout, "/s/a")->port, 4) << "no port is no place";
    ASSERT_TRUE(os::write_file_atomic(home + "/gateway/broken.json", "{\"/s/a\"").ok());
    EXPECT_EQ(find_upstream(layout, "/s/a")->port, 4);
    EXPECT_TRUE(os::remove_tree(home).ok());
}

}  // namespace
}  // namespace howdah::agent
