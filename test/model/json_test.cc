#include "model/json.h"

#include <gtest/gtest.h>

namespace howdah::model {
namespace {

/// A record with every field set, so that a field that is not written is seen.
ServerSpec full_server() {
    ServerSpec spec;
    spec.id = "/subscriptions/S/resourceGroups/RG/providers/P/flexibleServers/pg1";
    spec.name = "pg1";
    spec.location = "local";
    spec.tags = {{"a", "b"}, {"empty", ""}};
    spec.sku = {"Standard_B1ms", "Burstable"};
    spec.version = "15";
    spec.administrator_login = "elephant";
    spec.sealed_verifier = "v1:x";
    spec.password_version = 3;
    spec.storage = {64, "Disabled", "P6", 240, 0, "Premium_LRS"};
    spec.backup = {14, "Disabled"};
    spec.network = {"Disabled"};
    spec.auth = {"Enabled", "Disabled", "t"};
    spec.maintenance = {"Enabled", 1, 2, 3};
    spec.availability_zone = "1";
    spec.system_data = {"me", "Application", "t1", "you", "User", "t2"};
    spec.parameters = {{"work_mem", "8192"}};
    spec.parameter_spellings = {{"work_mem", "08192"}};
    spec.firewall_rules = {{"/id", "r", "1.1.1.1", "2.2.2.2"}};
    spec.running = false;
    spec.restart_sequence = 2;
    spec.deleting = true;
    spec.incarnation = "life";
    spec.generation = 7;
    return spec;
}

TEST(records, a_server_survives_the_way_through_json) {
    const std::string text = to_json(full_server());
    const auto read = from_json<ServerSpec>(text);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(to_json(*read), text);
    EXPECT_EQ(read->storage.tier, "P6");
    EXPECT_EQ(read->firewall_rules.at(0).end_ip, "2.2.2.2");
    EXPECT_FALSE(read->running);
    EXPECT_EQ(read->tags.at("empty"), "");
}

TEST(records, an_action_survives_the_way_through_json) {
    Action action;
    action.id = "a";
    action.kind = ActionKind::create_database;
    action.term = 4;
    action.database = DatabaseSpec{"/id", "app", "UTF8", "C", "op"};
    const auto read = from_json<Action>(to_json(action));
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(read->kind, ActionKind::create_database);
    EXPECT_EQ(read->database->operation_id, "op");
    EXPECT_FALSE(read->instance.has_value());
}

TEST(records, empty_fields_are_left_out_and_come_back_as_defaults) {
    EXPECT_EQ(to_json(Failure{}), "{}");
    const auto read = from_json<DatabaseSpec>("{}");
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(read->charset, "UTF8");
}

TEST(records, fields_of_a_newer_process_are_ignored) {
    const auto read = from_json<Failure>(R"({"code":"x","severity":{"deep":[1]}})");
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(read->code, "x");
}

TEST(records, a_wrong_type_is_refused_with_its_path) {
    const auto read = from_json<ServerSpec>(R"({"storage":{"size_gb":"32"}})");
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code, ErrorCode::corrupt);
    EXPECT_EQ(read.error().target, "storage.size_gb");
    EXPECT_EQ(from_json<ServerSpec>(R"({"firewall_rules":[{},{"name":1}]})").error().target,
              "firewall_rules[1].name");
    EXPECT_FALSE(from_json<Action>(R"({"kind":"dance"})").ok());
}

TEST(records, what_is_not_a_record_is_refused) {
    for (const std::string& text :
         {std::string(), std::string("{"), std::string("[]"), std::string("null"),
          std::string(100'000, '['),
          "{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}"})
        EXPECT_FALSE(from_json<ServerSpec>(text).ok()) << text.substr(0, 40);
}

TEST(records, bytes_that_are_not_utf8_do_not_end_the_process) {
    Failure failure;
    failure.message = "\xff\xfe";
    EXPECT_FALSE(to_json(failure).empty());
}

}  // namespace
}  // namespace howdah::model
