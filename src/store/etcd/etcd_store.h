#pragma once

#include <memory>

#include "base/clock.h"
#include "store/etcd/etcd_options.h"
#include "store/store.h"

namespace howdah::store {

struct EtcdStoreOptions {
    /// How far back a watch may begin, at least; counted in everything that this etcd does.
    std::size_t history_revisions = 10'000;
    /// Each call takes so long at most; then it is `unavailable`, or `timeout` if it may have
    /// happened.
    Duration timeout = std::chrono::seconds(5);
};

/// The store in an etcd, for several machines. Its revisions are those of the whole etcd: who else
/// writes into it (the HA records do) moves them, and revision(), but wakes no watch.
///
/// - A commit that returned is on the disks of most members. Reads see every commit before them.
/// - Values as large as store.h allows need an etcd with --max-request-bytes=8388608; its own bound
///   is 1.5 MiB for a transaction. `too_large` beyond.
/// - Leases are etcd's: whole seconds, at least one and a half times its election timeout, and
///   prolonged when it has a new leader.
///
/// Opening asks nobody. `clock` must outlive it.
Result<std::unique_ptr<Store>> open_etcd_store(const EtcdOptions& options, const Clock& clock,
                                               const EtcdStoreOptions& store_options = {});

}  // namespace howdah::store
