#include "core/sizing/sku.h"

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "base/text.h"

namespace howdah::core {
namespace {

constexpr std::string_view kBurstable = "Burstable";
constexpr std::string_view kGeneralPurpose = "GeneralPurpose";
constexpr std::string_view kMemoryOptimized = "MemoryOptimized";
constexpr std::string_view kPrefix = "Standard_";

constexpr std::int64_t kGiB = 1024;  // in MiB, the unit of SkuInfo::memory_mb

// Azure's documentation, "Compute options in Azure Database for PostgreSQL flexible server" and
// "Limits": name, tier, vCores, memory, iops, max_connections.
constexpr SkuInfo kSkus[] = {
    {"Standard_B1ms", kBurstable, 1, 2 * kGiB, 640, 50},
    {"Standard_B2s", kBurstable, 2, 4 * kGiB, 1280, 429},
    {"Standard_B2ms", kBurstable, 2, 8 * kGiB, 1700, 859},
    {"Standard_B4ms", kBurstable, 4, 16 * kGiB, 2400, 1718},
    {"Standard_B8ms", kBurstable, 8, 32 * kGiB, 3100, 3437},
    {"Standard_B12ms", kBurstable, 12, 48 * kGiB, 3800, 5000},
    {"Standard_B16ms", kBurstable, 16, 64 * kGiB, 4300, 5000},
    {"Standard_B20ms", kBurstable, 20, 80 * kGiB, 5000, 5000},

    {"Standard_D2s_v3", kGeneralPurpose, 2, 8 * kGiB, 3200, 859},
    {"Standard_D4s_v3", kGeneralPurpose, 4, 16 * kGiB, 6400, 1718},
    {"Standard_D8s_v3", kGeneralPurpose, 8, 32 * kGiB, 12800, 3437},
    {"Standard_D16s_v3", kGeneralPurpose, 16, 64 * kGiB, 25600, 5000},
    {"Standard_D32s_v3", kGeneralPurpose, 32, 128 * kGiB, 51200, 5000},
    {"Standard_D48s_v3", kGeneralPurpose, 48, 192 * kGiB, 76800, 5000},
    {"Standard_D64s_v3", kGeneralPurpose, 64, 256 * kGiB, 80000, 5000},

    {"Standard_D2ds_v4", kGeneralPurpose, 2, 8 * kGiB, 3200, 859},
    {"Standard_D4ds_v4", kGeneralPurpose, 4, 16 * kGiB, 6400, 1718},
    {"Standard_D8ds_v4", kGeneralPurpose, 8, 32 * kGiB, 12800, 3437},
    {"Standard_D16ds_v4", kGeneralPurpose, 16, 64 * kGiB, 25600, 5000},
    {"Standard_D32ds_v4", kGeneralPurpose, 32, 128 * kGiB, 51200, 5000},
    {"Standard_D48ds_v4", kGeneralPurpose, 48, 192 * kGiB, 76800, 5000},
    {"Standard_D64ds_v4", kGeneralPurpose, 64, 256 * kGiB, 80000, 5000},

    {"Standard_D2ds_v5", kGeneralPurpose, 2, 8 * kGiB, 3750, 859},
    {"Standard_D4ds_v5", kGeneralPurpose, 4, 16 * kGiB, 6400, 1718},
    {"Standard_D8ds_v5", kGeneralPurpose, 8, 32 * kGiB, 12800, 3437},
    {"Standard_D16ds_v5", kGeneralPurpose, 16, 64 * kGiB, 25600, 5000},
    {"Standard_D32ds_v5", kGeneralPurpose, 32, 128 * kGiB, 51200, 5000},
    {"Standard_D48ds_v5", kGeneralPurpose, 48, 192 * kGiB, 76800, 5000},
    {"Standard_D64ds_v5", kGeneralPurpose, 64, 256 * kGiB, 80000, 5000},
    {"Standard_D96ds_v5", kGeneralPurpose, 96, 384 * kGiB, 80000, 5000},

    {"Standard_D2ads_v5", kGeneralPurpose, 2, 8 * kGiB, 3750, 859},
    {"Standard_D4ads_v5", kGeneralPurpose, 4, 16 * kGiB, 6400, 1718},
    {"Standard_D8ads_v5", kGeneralPurpose, 8, 32 * kGiB, 12800, 3437},
    {"Standard_D16ads_v5", kGeneralPurpose, 16, 64 * kGiB, 25600, 5000},
    {"Standard_D32ads_v5", kGeneralPurpose, 32, 128 * kGiB, 51200, 5000},
    {"Standard_D48ads_v5", kGeneralPurpose, 48, 192 * kGiB, 76800, 5000},
    {"Standard_D64ads_v5", kGeneralPurpose, 64, 256 * kGiB, 80000, 5000},
    {"Standard_D96ads_v5", kGeneralPurpose, 96, 384 * kGiB, 80000, 5000},

    {"Standard_E2s_v3", kMemoryOptimized, 2, 16 * kGiB, 3200, 1718},
    {"Standard_E4s_v3", kMemoryOptimized, 4, 32 * kGiB, 6400, 3437},
    {"Standard_E8s_v3", kMemoryOptimized, 8, 64 * kGiB, 12800, 5000},
    {"Standard_E16s_v3", kMemoryOptimized, 16, 128 * kGiB, 25600, 5000},
    {"Standard_E32s_v3", kMemoryOptimized, 32, 256 * kGiB, 51200, 5000},
    {"Standard_E48s_v3", kMemoryOptimized, 48, 384 * kGiB, 76800, 5000},
    {"Standard_E64s_v3", kMemoryOptimized, 64, 432 * kGiB, 80000, 5000},

    {"Standard_E2ds_v4", kMemoryOptimized, 2, 16 * kGiB, 3200, 1718},
    {"Standard_E4ds_v4", kMemoryOptimized, 4, 32 * kGiB, 6400, 3437},
    {"Standard_E8ds_v4", kMemoryOptimized, 8, 64 * kGiB, 12800, 5000},
    {"Standard_E16ds_v4", kMemoryOptimized, 16, 128 * kGiB, 25600, 5000},
    {"Standard_E20ds_v4", kMemoryOptimized, 20, 160 * kGiB, 32000, 5000},
    {"Standard_E32ds_v4", kMemoryOptimized, 32, 256 * kGiB, 51200, 5000},
    {"Standard_E48ds_v4", kMemoryOptimized, 48, 384 * kGiB, 76800, 5000},
    {"Standard_E64ds_v4", kMemoryOptimized, 64, 432 * kGiB, 80000, 5000},

    {"Standard_E2ds_v5", kMemoryOptimized, 2, 16 * kGiB, 3750, 1718},
    {"Standard_E4ds_v5", kMemoryOptimized, 4, 32 * kGiB, 6400, 3437},
    {"Standard_E8ds_v5", kMemoryOptimized, 8, 64 * kGiB, 12800, 5000},
    {"Standard_E16ds_v5", kMemoryOptimized, 16, 128 * kGiB, 25600, 5000},
    {"Standard_E20ds_v5", kMemoryOptimized, 20, 160 * kGiB, 32000, 5000},
    {"Standard_E32ds_v5", kMemoryOptimized, 32, 256 * kGiB, 51200, 5000},
    {"Standard_E48ds_v5", kMemoryOptimized, 48, 384 * kGiB, 76800, 5000},
    {"Standard_E64ds_v5", kMemoryOptimized, 64, 512 * kGiB, 80000, 5000},
    {"Standard_E96ds_v5", kMemoryOptimized, 96, 672 * kGiB, 80000, 5000},

    {"Standard_E2ads_v5", kMemoryOptimized, 2, 16 * kGiB, 3750, 1718},
    {"Standard_E4ads_v5", kMemoryOptimized, 4, 32 * kGiB, 6400, 3437},
    {"Standard_E8ads_v5", kMemoryOptimized, 8, 64 * kGiB, 12800, 5000},
    {"Standard_E16ads_v5", kMemoryOptimized, 16, 128 * kGiB, 25600, 5000},
    {"Standard_E20ads_v5", kMemoryOptimized, 20, 160 * kGiB, 32000, 5000},
    {"Standard_E32ads_v5", kMemoryOptimized, 32, 256 * kGiB, 51200, 5000},
    {"Standard_E48ads_v5", kMemoryOptimized, 48, 384 * kGiB, 76800, 5000},
    {"Standard_E64ads_v5", kMemoryOptimized, 64, 512 * kGiB, 80000, 5000},
    {"Standard_E96ads_v5", kMemoryOptimized, 96, 672 * kGiB, 80000, 5000},
};

// Azure's documentation, "Storage options", Premium SSD. Azure offers 4095 beside 4096.
constexpr StorageSize kStorageSizes[] = {
    {32, "P4", 120},     {64, "P6", 240},      {128, "P10", 500},     {256, "P15", 1100},
    {512, "P20", 2300},  {1024, "P30", 5000},  {2048, "P40", 7500},   {4095, "P50", 7500},
    {4096, "P50", 7500}, {8192, "P60", 16000}, {16384, "P70", 18000}, {32767, "P80", 20000},
};

/// max_connections by memory in GiB, the column of Azure's table; above the last: kConnectionsMost.
struct ConnectionsByMemory {
    std::int64_t memory_mb = 0;
    std::int64_t connections = 0;
};
constexpr ConnectionsByMemory kConnections[] = {
    {2 * kGiB, 50}, {4 * kGiB, 429}, {8 * kGiB, 859}, {16 * kGiB, 1718}, {32 * kGiB, 3437},
};
constexpr std::int64_t kConnectionsMost = 5000;
constexpr std::int64_t kConnectionsLeast = 50;

std::int64_t default_connections(std::int64_t memory_mb) {
    if (memory_mb >= 48 * kGiB) return kConnectionsMost;
    std::int64_t connections = kConnectionsLeast;
    for (const ConnectionsByMemory& row : kConnections) {
        if (memory_mb >= row.memory_mb) connections = row.connections;
    }
    return connections;
}

}  // namespace

std::span<const SkuInfo> all_skus() { return kSkus; }

const SkuInfo* find_sku(std::string_view name) {
    const bool prefixed = iequals(name.substr(0, kPrefix.size()), kPrefix);
    const std::string_view wanted = prefixed ? name.substr(kPrefix.size()) : name;
    for (const SkuInfo& sku : kSkus) {
        if (iequals(sku.name.substr(kPrefix.size()), wanted)) return &sku;
    }
    return nullptr;
}

std::span<const StorageSize> all_storage_sizes() { return kStorageSizes; }

std::map<std::string, std::string> sized_parameters(std::int64_t vcores, std::int64_t memory_mb) {
    HD_ASSERT(vcores > 0, "a compute size has at least one vCore");
    HD_ASSERT(memory_mb >= 256, "a compute size has at least 256 MB of memory");
    constexpr std::int64_t kPagesPerMb = 128;  // pages of 8 kB
    constexpr std::int64_t kMaintenanceMostKb = 2 * 1024 * 1024 - 1;
    const std::int64_t parallel = std::clamp<std::int64_t>(vcores, 1, 8);
    return {
        // Memory, in the parameters' own units: pages of 8 kB and kB.
        {"shared_buffers", std::to_string(memory_mb * kPagesPerMb / 4)},
        {"effective_cache_size", std::to_string(memory_mb * kPagesPerMb / 4 * 3)},
        {"maintenance_work_mem", std::to_string(std::clamp<std::int64_t>(
                                     memory_mb * 1024 / 16, 65536, kMaintenanceMostKb))},
        {"work_mem", "4096"},
        {"max_stack_depth", "2048"},
        {"huge_pages", "try"},
        // Connections and processes. Parallel workers come out of max_worker_processes.
        {"max_connections", std::to_string(default_connections(memory_mb))},
        {"max_worker_processes", std::to_string(std::max<std::int64_t>(8, vcores))},
        {"max_parallel_workers", std::to_string(std::max<std::int64_t>(2, vcores))},
        {"max_parallel_workers_per_gather", std::to_string(std::min<std::int64_t>(2, parallel))},
        {"max_parallel_maintenance_workers", std::to_string(std::min<std::int64_t>(2, parallel))},
        {"autovacuum_max_workers", vcores >= 16 ? "5" : "3"},
        // WAL, in MB: rarer checkpoints where there is memory to write from.
        {"max_wal_size", std::to_string(std::clamp<std::int64_t>(memory_mb / 2, 2048, 16 * 1024))},
        {"min_wal_size", "80"},
        {"checkpoint_timeout", "600"},
        {"checkpoint_completion_target", "0.9"},
        // All storage here is flash.
        {"random_page_cost", "1.1"},
        // What initdb would have chosen by the environment of whoever ran it.
        {"TimeZone", "UTC"},
        {"log_timezone", "UTC"},
        {"default_text_search_config", "pg_catalog.english"},
        {"lc_messages", "C"},
    };
}

}  // namespace howdah::core
