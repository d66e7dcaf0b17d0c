#pragma once

#include <cstdint>
#include <string_view>

namespace howdah::os {

/// Whether something may listen on this port of 127.0.0.1 now.
bool is_port_free(std::int64_t port);

/// Ports to look for a free one in. Below those that the kernel gives to outgoing connections, so
/// that one of those does not take it while its owner is stopped.
struct PortRange {
    std::int64_t first = 0;
    std::int64_t count = 0;
};
inline constexpr PortRange kServerPorts{10240, 9000};
inline constexpr PortRange kPoolerPorts{20000, 9000};

/// A free one; the same for the same name as long as that is free. 0: none of a few dozen is.
std::int64_t find_free_port(std::string_view name, const PortRange& range);

/// 64 bits that are the same for the same text on every machine; no secret (FNV-1a).
std::uint64_t stable_hash(std::string_view text);

}  // namespace howdah::os
