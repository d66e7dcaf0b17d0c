#include <gtest/gtest.h>

#include <set>
#include <string>

#include "core/sizing/sku.h"

namespace howdah::core {
namespace {

TEST(sku, is_found_by_name_in_any_case_with_or_without_prefix) {
    for (const char* name : {"Standard_D2ds_v5", "standard_d2DS_V5", "D2ds_v5"}) {
        const SkuInfo* sku = find_sku(name);
        ASSERT_NE(sku, nullptr) << name;
        EXPECT_EQ(sku->name, "Standard_D2ds_v5");
        EXPECT_EQ(sku->tier, "GeneralPurpose");
        EXPECT_EQ(sku->vcores, 2);
        EXPECT_EQ(sku->memory_mb, 8192);
        EXPECT_EQ(sku->max_connections, 859);
    }
}

TEST(sku, is_not_found_by_a_part_of_its_name) {
    for (const char* name :
         {"", "Standard_", "Standard_D2ds", "D2ds_v5 ", "Standard_Standard_B1ms"}) {
        EXPECT_EQ(find_sku(name), nullptr) << name;
    }
}

TEST(sku, names_are_unique_and_every_value_is_sensible) {
    std::set<std::string_view> names;
    for (const SkuInfo& sku : all_skus()) {
        EXPECT_TRUE(names.insert(sku.name).second) << sku.name;
        EXPECT_TRUE(sku.name.starts_with("Standard_")) << sku.name;
        EXPECT_EQ(sku.name.starts_with("Standard_B"), sku.tier == "Burstable") << sku.name;
        EXPECT_EQ(sku.name.starts_with("Standard_D"), sku.tier == "GeneralPurpose") << sku.name;
        EXPECT_EQ(sku.name.starts_with("Standard_E"), sku.tier == "MemoryOptimized") << sku.name;
        EXPECT_GE(sku.vcores, 1) << sku.name;
        EXPECT_GE(sku.memory_mb / 1024, 2 * sku.vcores) << sku.name;
        EXPECT_GT(sku.iops, 0) << sku.name;
    }
}

TEST(sku, default_max_connections_are_those_of_its_sized_parameters) {
    for (const SkuInfo& sku : all_skus()) {
        const auto sized = sized_parameters(sku.vcores, sku.memory_mb);
        EXPECT_EQ(sized.at("max_connections"), std::to_string(sku.max_connections)) << sku.name;
    }
}

TEST(sku, gives_a_quarter_of_its_memory_to_shared_buffers) {
    for (const SkuInfo& sku : all_skus()) {
        const auto sized = sized_parameters(sku.vcores, sku.memory_mb);
        EXPECT_EQ(std::stoll(sized.at("shared_buffers")) * 8 * 4, sku.memory_mb * 1024) << sku.name;
        EXPECT_EQ(std::stoll(sized.at("effective_cache_size")),
                  std::stoll(sized.at("shared_buffers")) * 3)
            << sku.name;
        EXPECT_LE(std::stoll(sized.at("maintenance_work_mem")), 2097151) << sku.name;
        EXPECT_GE(std::stoll(sized.at("max_worker_processes")),
                  std::stoll(sized.at("max_parallel_workers")))
            << sku.name;
    }
}

TEST(sku, values_between_azures_sizes_get_the_smaller_ones_connections) {
    EXPECT_EQ(sized_parameters(1, 512).at("max_connections"), "50");
    EXPECT_EQ(sized_parameters(2, 6 * 1024).at("max_connections"), "429");
    EXPECT_EQ(sized_parameters(8, 40 * 1024).at("max_connections"), "3437");
    EXPECT_EQ(sized_parameters(8, 48 * 1024).at("max_connections"), "5000");
}

TEST(storage_size, grows_with_its_tier) {
    std::int64_t size = 0;
    std::int64_t iops = 0;
    for (const StorageSize& each : all_storage_sizes()) {
        EXPECT_GT(each.size_gb, size);
        EXPECT_GE(each.iops, iops);
        size = each.size_gb;
        iops = each.iops;
    }
    EXPECT_EQ(all_storage_sizes().front().size_gb, 32);
    EXPECT_EQ(size, 32767);
}

}  // namespace
}  // namespace howdah::core
