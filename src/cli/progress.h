#pragma once

#include <string>

#include "cli/world.h"

namespace howdah::cli {

/// What is being done, on standard error, while it takes long: one line that changes in place on a
/// terminal, else one line for each change. Not thread-safe.
class Progress {
  public:
    /// `what`: "creating server orders". Silent if `quiet`.
    Progress(World& world, std::string what, bool quiet);
    /// Removes the line from a terminal.
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    /// `doing` comes from the API and may be empty.
    void show(const std::string& doing);

  private:
    World& world_;
    std::string what_;
    bool quiet_;
    bool shown_ = false;
    std::string last_;
    Instant start_;
};

}  // namespace howdah::cli
