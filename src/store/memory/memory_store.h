#pragma once

#include <memory>

#include "base/clock.h"
#include "store/store.h"

namespace howdah::store {

struct MemoryOptions {
    std::size_t history_revisions = 10'000;  ///< how far back a watch may begin
};

/// The store of tests and simulations: everything in memory, gone with the object. The same
/// contract as every backend, except that it is not durable. `clock` must outlive it.
std::unique_ptr<Store> make_memory_store(const Clock& clock, const MemoryOptions& options = {});

}  // namespace howdah::store
