#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/templates/templates.h"

namespace howdah::api::templates {

/// What waits for what, while a plan is being made.
class Links {
  public:
    /// `second` waits for `first`; SIZE_MAX is nobody.
    void add(std::size_t first, std::size_t second);
    /// Every turn waits for all turns of the batch before its own.
    void in_batches(const std::vector<std::size_t>& turns, std::size_t size);
    /// Writes depends_on of all resources. SIZE_MAX, or the index of a resource that waits for
    /// itself.
    std::size_t settle(Plan& plan) const;

    /// Names of copy loops, in lower case: there may be loops without turns.
    std::set<std::string> loops = {};

  private:
    std::set<std::pair<std::size_t, std::size_t>> pairs_;  ///< second, first
};

}  // namespace howdah::api::templates
