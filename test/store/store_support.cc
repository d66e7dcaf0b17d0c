#include "store/store_support.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/text.h"
#include "os/file.h"

namespace howdah::store {

TemporaryFolder::TemporaryFolder() {
    std::string pattern = testing::TempDir() + "howdah-store-XXXXXX";
    path_ = mkdtemp(pattern.data());
}

TemporaryFolder::~TemporaryFolder() { (void)os::remove_tree(path_).ok(); }

std::string value_of(Store& store, const std::string& key) {
    const auto entry = store.get(key).value();
    return entry ? entry->value : "<none>";
}

Revision modified_of(Store& store, const std::string& key) {
    const auto entry = store.get(key).value();
    return entry ? entry->modified : 0;
}

Revision put(Store& store, const std::string& key, const std::string& value) {
    return store.commit(Transaction().put(key, value)).value();
}

std::vector<Entry> entries_of(Result<std::vector<Entry>> listed) { return listed.value(); }

std::string keys_of(const std::vector<Entry>& entries) {
    std::vector<std::string> keys;
    for (const Entry& each : entries) keys.push_back(each.key);
    return join(keys, " ");
}

std::string text_of(const std::vector<Event>& events) {
    std::vector<std::string> texts;
    for (const Event& each : events) {
        texts.push_back(fmt::format("{}{}@{}", each.key,
                                    each.entry ? "=" + each.entry->value : std::string("-"),
                                    each.revision));
    }
    return join(texts, " ");
}

}  // namespace howdah::store
