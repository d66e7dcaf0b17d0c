#include "gateway/merge.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "gateway/gateway_support.h"

namespace howdah::gateway {
namespace {

using testing::route_to;

/// A route to a backend whose port tells which one it is.
model::Route route(const std::string& name, std::uint16_t port, model::Term term = 0,
                   const std::string& state = "open") {
    model::Route made = route_to(name, port);
    made.term = term;
    made.state = state;
    return made;
}

model::RouteTable merge(const std::vector<model::RouteTable>& tables) {
    std::vector<const model::RouteTable*> pointers;
    for (const model::RouteTable& each : tables) pointers.push_back(&each);
    return merge_tables(pointers);
}

std::int64_t winner(const model::Route& first, const model::Route& second) {
    const model::RouteTable merged = merge({{1, {first}}, {1, {second}}});
    EXPECT_EQ(merged.routes.size(), 1U);
    return merged.routes.at(0).backend_port;
}

TEST(merge, nothing_gives_nothing) {
    EXPECT_TRUE(merge({}).routes.empty());
    EXPECT_TRUE(merge({{}, {}}).routes.empty());
}

TEST(merge, one_table_stays_as_it_is) {
    const model::RouteTable table{7, {route("two", 2), route("one", 1, 5, "closed")}};
    EXPECT_EQ(merge({table}).revision, 7);
    ASSERT_EQ(merge({table}).routes.size(), 2U);
    EXPECT_EQ(merge({table}).routes[0].server_name, "two");
    EXPECT_EQ(merge({table}).routes[1].state, "closed");
}

TEST(merge, servers_of_all_tables_are_there_in_the_order_they_came) {
    const auto merged = merge({{3, {route("b", 1)}}, {9, {route("c", 2), route("b", 3)}}, {1, {}}});
    EXPECT_EQ(merged.revision, 3) << "each file's own revision is told apart elsewhere";
    ASSERT_EQ(merged.routes.size(), 2U);
    EXPECT_EQ(merged.routes[0].server_name, "b");
    EXPECT_EQ(merged.routes[1].server_name, "c");
}

TEST(merge, the_newest_term_is_right_whatever_its_state) {
    for (const std::string state : {"open", "hold", "closed"}) {
        EXPECT_EQ(winner(route("one", 1, 5), route("one", 2, 6, state)), 2) << state;
        EXPECT_EQ(winner(route("one", 2, 6, state), route("one", 1, 5)), 2) << state;
    }
}

TEST(merge, of_one_term_open_comes_before_hold_before_closed) {
    for (const model::Term term : {0, 5}) {
        EXPECT_EQ(winner(route("one", 1, term, "hold"), route("one", 2, term, "open")), 2);
        EXPECT_EQ(winner(route("one", 1, term, "open"), route("one", 2, term, "hold")), 1);
        EXPECT_EQ(winner(route("one", 1, term, "closed"), route("one", 2, term, "hold")), 2);
        EXPECT_EQ(winner(route("one", 1, term, "hold"), route("one", 2, term, "closed")), 1);
    }
}

TEST(merge, of_equal_ones_the_first_files_is_taken) {
    for (const std::string state : {"open", "hold", "closed"})
        EXPECT_EQ(winner(route("one", 1, 5, state), route("one", 2, 5, state)), 1) << state;
}

TEST(merge, two_members_in_one_table_are_one_server) {
    const auto merged = merge({{1, {route("one", 1, 5, "closed"), route("one", 2, 5, "open")}}});
    ASSERT_EQ(merged.routes.size(), 1U);
    EXPECT_EQ(merged.routes[0].backend_port, 2);
}

TEST(merge, the_order_of_files_matters_only_between_equals) {
    std::vector<model::RouteTable> tables = {{1, {route("one", 1, 4)}},
                                             {1, {route("one", 2, 6, "hold")}},
                                             {1, {route("one", 3, 6)}},
                                             {1, {route("one", 4, 5)}}};
    const auto less = [](const model::RouteTable& a, const model::RouteTable& b) {
        return a.routes[0].backend_port < b.routes[0].backend_port;
    };
    do {
        ASSERT_EQ(merge(tables).routes.at(0).backend_port, 3);
    } while (std::next_permutation(tables.begin(), tables.end(), less));
}

}  // namespace
}  // namespace howdah::gateway
