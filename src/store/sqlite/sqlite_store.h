#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "store/store.h"

namespace howdah::store {

struct SqliteOptions {
    std::size_t history_revisions = 10'000;  ///< how far back a watch may begin, at least
    std::int64_t file_bytes_max = std::int64_t{16} << 30;  ///< resource_exhausted beyond
};

/// The embedded store: one SQLite file, WAL, a sync per commit. One connection writes and one
/// reads, so that a read never waits for a sync. `clock` must outlive it.
///
/// Opening makes the file (mode 0600, its folder must exist) or migrates it. Errors: not_supported
/// for a file of a newer program, corrupt for a damaged one or one that is not ours. For one
/// process at a time (howdahd holds the lock of its home): others may read, but what they commit
/// wakes no watch here and is not in revision().
Result<std::unique_ptr<Store>> open_sqlite_store(const std::string& path, const Clock& clock,
                                                 const SqliteOptions& options = {});

}  // namespace howdah::store
