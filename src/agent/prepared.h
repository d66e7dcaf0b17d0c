#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agent/engines.h"
#include "agent/layout.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "os/process.h"

namespace howdah::agent {

/// Data directories made in advance, so that a server is there in a moment. Each comes from its
/// own initdb (its own system identifier), has Howdah's roles, was shut down cleanly and synced.
/// A ready one is a folder `ready-<major>-<uuid>` with `data` and a file `user`; making one ends
/// with a rename, so that half-made ones are known by their name and removed. Thread-safe.
class PreparedPool {
  public:
    PreparedPool(Layout layout, IdSource& ids) : layout_(std::move(layout)), ids_(ids) {}

    /// Removes what a crash left half-made. REQUIRES: before any other call.
    Status clean();
    std::size_t count(const std::string& major) const;
    /// Makes one. Takes a second; gentle to what else runs if `is_background`.
    Status make(const InstalledEngine& engine, bool is_background);
    /// Moves a ready one to `folder` and returns its operating-system user; makes one if the pool
    /// is empty. Repeatable: a folder that is there already is taken as it is.
    Result<std::string> claim(const InstalledEngine& engine, const std::string& folder);
    /// The same without data: for what is to be a copy of another server's.
    Result<std::string> claim_empty(const std::string& folder);

  private:
    Result<std::optional<os::User>> make_folders(const std::string& folder, const std::string& id);
    void give_up(const std::string& half);
    Status build(const InstalledEngine& engine, const std::string& folder, const std::string& id,
                 bool is_background);

    const Layout layout_;
    IdSource& ids_;
    mutable std::mutex mutex_;  ///< one claim at a time
};

}  // namespace howdah::agent
