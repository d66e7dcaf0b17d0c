#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "store/store.h"

namespace howdah::store {

/// A folder of its own below the system's temporary folder, gone with the object.
class TemporaryFolder {
  public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    std::string file(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

/// Shorthands that end the test on an error.
std::string value_of(Store& store, const std::string& key);  ///< "<none>" if absent
Revision modified_of(Store& store, const std::string& key);  ///< 0 if absent
Revision put(Store& store, const std::string& key, const std::string& value);
/// By value, so that a range-based for may go over it.
std::vector<Entry> entries_of(Result<std::vector<Entry>> listed);
std::string keys_of(const std::vector<Entry>& entries);  ///< joined with spaces
/// "k1=v1@3 k2-@4": key, value or '-' for a deletion, revision.
std::string text_of(const std::vector<Event>& events);

}  // namespace howdah::store
