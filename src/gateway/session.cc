#include "gateway/session.h"

#include "base/assert.h"

namespace howdah::gateway {

std::string_view to_string(Phase phase) {
    constexpr std::string_view kNames[kPhases] = {"greeting",   "hello",     "held",
                                                  "connecting", "asking",    "relay",
                                                  "closing",    "answering", "done"};
    return kNames[static_cast<std::size_t>(phase)];
}

void Pending::append(std::string_view bytes) { bytes_ += bytes; }

void Pending::consume(std::size_t count) {
    HD_ASSERT(count <= bytes_.size() - position_, "more was written than there was");
    position_ += count;
    if (!empty()) return;
    position_ = 0;
    bytes_ = {};  // gives the memory back: most sessions never have a remainder again
    bytes_.shrink_to_fit();
}

}  // namespace howdah::gateway
