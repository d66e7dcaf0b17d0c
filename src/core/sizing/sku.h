#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace howdah::core {

/// One of Azure's compute sizes for flexible servers, and what it means here. Source: Azure's
/// public documentation of compute options for Azure Database for PostgreSQL flexible server.
struct SkuInfo {
    std::string_view name;  ///< "Standard_D2ds_v5"
    std::string_view tier;  ///< Burstable, GeneralPurpose, MemoryOptimized
    std::int64_t vcores = 0;
    std::int64_t memory_mb = 0;
    std::int64_t iops = 0;             ///< most the compute size can do
    std::int64_t max_connections = 0;  ///< Azure's default for this size
};

/// All known sizes, in Azure's order.
std::span<const SkuInfo> all_skus();
/// By name, in any letter case, with or without "Standard_".
const SkuInfo* find_sku(std::string_view name);

/// Storage sizes (GiB) Azure offers for Premium SSD, with the iops of each.
struct StorageSize {
    std::int64_t size_gb = 0;
    std::string_view tier;  ///< P4 ... P80
    std::int64_t iops = 0;
};
std::span<const StorageSize> all_storage_sizes();

/// The server parameters that follow from the compute size (shared_buffers, max_connections,
/// work_mem, ...) and Howdah's own defaults (TimeZone, ...), name to value as written in
/// postgresql.conf: plain numbers in the parameter's unit. Everything else has PostgreSQL's own
/// default. As on Azure, 15 of max_connections are not for customers.
/// REQUIRES: vcores >= 1, memory_mb >= 256.
std::map<std::string, std::string> sized_parameters(std::int64_t vcores, std::int64_t memory_mb);

}  // namespace howdah::core
