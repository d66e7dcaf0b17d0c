#include "store/store.h"

namespace howdah::store {

Transaction& Transaction::expect(std::string key, Revision modified) {
    conditions_.push_back({std::move(key), modified});
    return *this;
}

Transaction& Transaction::put(std::string key, std::string value, LeaseId lease) {
    changes_.push_back({std::move(key), std::move(value), lease});
    return *this;
}

Transaction& Transaction::remove(std::string key) {
    changes_.push_back({std::move(key), std::nullopt, kNoLease});
    return *this;
}

}  // namespace howdah::store
