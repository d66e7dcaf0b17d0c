// Any bytes as a ClientHello: read at once and in two pieces, the answer is the same.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "gateway/client_hello.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using howdah::gateway::ClientHelloReader;
    if (size == 0) return 0;
    // The first byte says where to cut; the rest is what a client sends.
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    ClientHelloReader whole;
    whole.advance(bytes);
    ClientHelloReader pieces;
    pieces.advance(bytes.substr(0, bytes.size() * data[0] / 255));
    pieces.advance(bytes);
    if (whole.state() != pieces.state() || whole.server_name() != pieces.server_name()) abort();
    const bool named = whole.state() == ClientHelloReader::State::complete;
    if (!named && !whole.server_name().empty() &&
        whole.state() == ClientHelloReader::State::incomplete)
        abort();
    if (whole.server_name().size() > 255) abort();
    return 0;
}
