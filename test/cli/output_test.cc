#include "cli/output.h"

#include <gtest/gtest.h>

namespace howdah::cli {
namespace {

constexpr Column kColumns[] = {{"Name", "name"},
                               {"Group", kGroupOfId},
                               {"State", "properties/state"},
                               {"Size", "properties/storage/storageSizeGB"},
                               {"Ready", "ready"}};

Json server(const std::string& name, const std::string& state, int size) {
    return {{"id",
             "/subscriptions/s/resourceGroups/team/providers/Microsoft.DBforPostgreSQL/"
             "flexibleServers/" +
                 name},
            {"name", name},
            {"properties", {{"state", state}, {"storage", {{"storageSizeGB", size}}}}},
            {"ready", state == "Ready"}};
}

TEST(output, a_table_is_laid_out_as_az_does) {
    const Output output{Json::array({server("orders", "Ready", 32), server("möbel", "Stopped", 4)}),
                        kColumns};
    EXPECT_EQ(render(output, Format::table),
              "Name    Group  State    Size  Ready\n"
              "------  -----  -------  ----  -----\n"
              "orders  team   Ready    32    true\n"
              "möbel   team   Stopped  4     false\n");
}

TEST(output, one_object_is_a_table_of_one_row) {
    EXPECT_EQ(render({server("pg1", "Ready", 32), kColumns}, Format::tsv),
              "pg1\tteam\tReady\t32\ttrue\n");
}

TEST(output, a_missing_value_is_an_empty_cell_and_an_empty_list_is_no_table) {
    EXPECT_EQ(render({{{"name", "a"}, {"properties", nullptr}}, kColumns}, Format::table),
              "Name  Group  State  Size  Ready\n"
              "----  -----  -----  ----  -----\n"
              "a\n");
    EXPECT_EQ(render({Json::array(), kColumns}, Format::table), "");
    EXPECT_EQ(render({Json::array(), kColumns}, Format::json), "[]\n");
    EXPECT_EQ(render({}, Format::json), "");
}

TEST(output, json_is_the_value_as_the_api_gave_it) {
    EXPECT_EQ(render({{{"z", 1}, {"a", {{"b", "ä"}}}}, kColumns}, Format::json),
              "{\n  \"z\": 1,\n  \"a\": {\n    \"b\": \"ä\"\n  }\n}\n");
    EXPECT_EQ(render({{{"z", 1}}, kColumns}, Format::none), "");
}

TEST(output, a_value_cannot_give_orders_to_a_terminal) {
    const Json value = {{"name", "a\033[2Jb\r\nc"}};
    constexpr Column kName[] = {{"Name", "name"}};
    EXPECT_EQ(render({value, kName}, Format::table), "Name\n---------\na?[2Jb??c\n");
    EXPECT_EQ(render({value, kName}, Format::tsv), "a [2Jb  c\n");
}

TEST(output, rows_may_be_made_from_the_value) {
    constexpr Column kName[] = {{"Name", "n"}};
    const Output output{{{"list", {1, 2}}}, kName, [](const Json& value) {
                            std::vector<Json> rows;
                            for (const Json& each : at(value, "list")) {
                                rows.push_back({{"n", each}});
                            }
                            return rows;
                        }};
    EXPECT_EQ(render(output, Format::tsv), "1\n2\n");
}

TEST(json, broken_text_is_an_error_and_broken_bytes_are_replaced) {
    EXPECT_FALSE(parse_json("{\"a\":", "x").ok());
    EXPECT_EQ(to_text(Json("a\xff")), "\"a\xEF\xBF\xBD\"");
    EXPECT_EQ(text_at({{"a", {{"b", 1.5}}}}, "a/b"), "1.5");
    EXPECT_EQ(text_at(Json::array({1}), "a/b"), "");
}

}  // namespace
}  // namespace howdah::cli
