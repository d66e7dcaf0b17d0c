// Any bytes as the first packet of a client, or as PostgreSQL's first answer: a longer text never
// turns a decided kind into another.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "gateway/startup_packet.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using howdah::gateway::classify_first_packet;
    using howdah::gateway::FirstPacket;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto whole = classify_first_packet(bytes);
    if (whole.length > size || whole.length > howdah::gateway::kStartupPacketMax) abort();
    if ((whole.kind == FirstPacket::malformed) != !whole.fault.empty()) abort();
    for (std::size_t cut = 0; cut < size && cut < 32; ++cut) {
        const auto part = classify_first_packet(bytes.substr(0, cut));
        if (part.kind != FirstPacket::incomplete && part.kind != whole.kind) abort();
    }
    using howdah::gateway::classify_first_answer;
    using howdah::gateway::FirstAnswer;
    const FirstAnswer answer = classify_first_answer(bytes);
    for (std::size_t cut = 0; cut < size && cut < 32; ++cut) {
        const FirstAnswer part = classify_first_answer(bytes.substr(0, cut));
        if (part != FirstAnswer::incomplete && part != answer) abort();
    }
    return 0;
}
