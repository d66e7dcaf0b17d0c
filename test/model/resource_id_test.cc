#include "model/resource_id.h"

#include <gtest/gtest.h>

namespace howdah::model {
namespace {

constexpr const char* kDatabase =
    "/subscriptions/S/resourceGroups/RG/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg1/"
    "databases/App";

TEST(resource_id, is_read_and_written) {
    const auto id = ResourceId::parse(kDatabase);
    ASSERT_TRUE(id.ok());
    EXPECT_EQ(id->to_string(), kDatabase);
    EXPECT_EQ(id->subscription, "S");
    EXPECT_EQ(id->resource_group, "RG");
    EXPECT_EQ(id->name(), "App");
    EXPECT_EQ(id->type(), "Microsoft.DBforPostgreSQL/flexibleServers/databases");
    EXPECT_EQ(id->key(),
              "/subscriptions/s/resourcegroups/rg/providers/microsoft.dbforpostgresql/"
              "flexibleservers/pg1/databases/app");
}

TEST(resource_id, climbs_up_and_down) {
    ResourceId id = ResourceId::parse(kDatabase).value();
    id = id.parent();
    EXPECT_EQ(id.to_string(), ResourceId::server("S", "RG", "pg1").to_string());
    EXPECT_EQ(id.child("databases", "App").to_string(), kDatabase);
    id = id.parent();
    EXPECT_EQ(id.to_string(), ResourceId::group("S", "RG").to_string());
    EXPECT_EQ(id.type(), "Microsoft.Resources/resourceGroups");
    EXPECT_EQ(id.name(), "RG");
    id = id.parent();
    EXPECT_EQ(id.to_string(), "/subscriptions/S");
    EXPECT_EQ(id.type(), "Microsoft.Resources/subscriptions");
}

TEST(resource_id, fixed_words_match_in_any_case_and_empty_segments_do_not_count) {
    const auto id = ResourceId::parse(
        "/SUBSCRIPTIONS/S//resourcegroups/RG/PROVIDERS/Microsoft.Network//virtualNetworks/v/");
    ASSERT_TRUE(id.ok());
    EXPECT_EQ(id->to_string(),
              "/subscriptions/S/resourceGroups/RG/providers/Microsoft.Network/virtualNetworks/v");
}

TEST(resource_id, what_is_none_is_refused) {
    for (const std::string& text :
         {std::string(), std::string("subscriptions/S"), std::string("/"),
          std::string("/subscriptions"), std::string("/tenants/T"),
          std::string("/subscriptions/S/resourceGroups"), std::string("/subscriptions/S/groups/RG"),
          std::string("/subscriptions/S/resourceGroups/RG/providers/NS"),
          std::string("/subscriptions/S/resourceGroups/RG/providers/NS/type"),
          std::string("/subscriptions/S/resourceGroups/RG/providers/NS/type/name/child"),
          std::string("/subscriptions/../resourceGroups/RG"), std::string("/subscriptions/a%2fb"),
          std::string("/subscriptions/a?b"), std::string("/subscriptions/a\nb"),
          std::string("/subscriptions/a\0b", 18), "/subscriptions/" + std::string(3000, 'x')})
        EXPECT_EQ(ResourceId::parse(text).ok(), false) << text.substr(0, 80);
}

}  // namespace
}  // namespace howdah::model
