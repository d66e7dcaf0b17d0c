#include <arpa/inet.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "api/templates/functions.h"
#include "api/templates/values.h"
#include "base/text.h"

namespace howdah::api::templates {
namespace {

/// Number of an address; IPv4 in the lowest 32 bits. GCC and clang have it, ISO C++ has not.
__extension__ using Wide = unsigned __int128;

struct Network {
    int family = AF_INET;
    Wide address = 0;
    int prefix = 0;
    int bits() const { return family == AF_INET ? 32 : 128; }
};

Wide mask_of(int bits, int prefix) {
    const Wide all = bits == 128 ? ~Wide{0} : (Wide{1} << bits) - 1;
    return prefix == 0 ? 0 : (all >> (bits - prefix)) << (bits - prefix);
}

std::string text_of_address(int family, Wide address) {
    std::array<unsigned char, 16> bytes{};
    const int count = family == AF_INET ? 4 : 16;
    for (int i = count - 1; i >= 0; --i, address >>= 8)
        bytes[static_cast<std::size_t>(i)] = static_cast<unsigned char>(address & 0xff);
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(family, bytes.data(), text.data(), text.size());
    return text.data();
}

Result<Network> network(Call& call, std::size_t index) {
    HD_TRY(const std::string text, call.text(index));
    const Error wrong = call.fails("the value is not a network as in '10.0.0.0/16'.");
    const std::size_t slash = text.find('/');
    if (slash == std::string::npos) return wrong;
    Network out;
    out.family = text.find(':') == std::string::npos ? AF_INET : AF_INET6;
    const auto prefix = parse_integer(std::string_view(text).substr(slash + 1), 0, out.bits());
    std::array<unsigned char, 16> bytes{};
    if (!prefix.ok() || inet_pton(out.family, text.substr(0, slash).c_str(), bytes.data()) != 1)
        return wrong;
    for (int i = 0; i < out.bits() / 8; ++i)
        out.address = out.address << 8 | bytes[static_cast<std::size_t>(i)];
    out.prefix = static_cast<int>(*prefix);
    out.address &= mask_of(out.bits(), out.prefix);
    return out;
}

std::string text_of_network(const Network& network) {
    return fmt::format("{}/{}", text_of_address(network.family, network.address), network.prefix);
}

/// cidrSubnet(network, new prefix, index).
Result<Json> subnet(Call& call) {
    HD_TRY(Network out, network(call, 0));
    HD_TRY(const std::int64_t prefix, call.integer(1));
    HD_TRY(const std::int64_t index, call.integer(2));
    const int extra = static_cast<int>(std::clamp<std::int64_t>(prefix - out.prefix, -1, 128));
    const bool fits = extra >= 0 && prefix <= out.bits() && index >= 0 &&
                      (extra >= 63 || index < std::int64_t{1} << extra);
    if (!fits) return call.fails("there is no such subnet in the network.");
    out.prefix = static_cast<int>(prefix);
    if (index != 0) out.address += static_cast<Wide>(index) << (out.bits() - out.prefix);
    return Json(text_of_network(out));
}

/// cidrHost(network, index): 0 is the first address that a host can have.
Result<Json> host(Call& call) {
    HD_TRY(const Network net, network(call, 0));
    HD_TRY(const std::int64_t index, call.integer(1));
    const int free = net.bits() - net.prefix;
    const bool is_plain = net.family == AF_INET6 || free <= 1;
    const Wide size = free >= 127 ? ~Wide{0} : Wide{1} << free;
    const Wide first = is_plain && free == 0 ? 0 : net.family == AF_INET && free == 1 ? 0 : 1;
    const Wide reserved = is_plain ? first : 2;
    if (index < 0 || static_cast<Wide>(index) >= size - reserved)
        return call.fails("there is no such host in the network.");
    return Json(text_of_address(net.family, net.address + first + static_cast<Wide>(index)));
}

Result<Json> parse(Call& call) {
    HD_TRY(const Network net, network(call, 0));
    const Wide mask = mask_of(net.bits(), net.prefix);
    const Wide last = net.address | (mask_of(net.bits(), net.bits()) ^ mask);
    Json out{{"network", text_of_address(net.family, net.address)},
             {"netmask", text_of_address(net.family, mask)}};
    const bool is_v4 = net.family == AF_INET;
    if (is_v4) out["broadcast"] = text_of_address(net.family, last);
    const bool has_edges = net.bits() - net.prefix > 1;
    out["firstUsable"] = text_of_address(net.family, net.address + (has_edges ? 1 : 0));
    out["lastUsable"] = text_of_address(net.family, last - (has_edges && is_v4 ? 1 : 0));
    out["cidr"] = net.prefix;
    return out;
}

constexpr std::array kRows = {
    FunctionRow{"cidrSubnet", 3, 3, subnet},
    FunctionRow{"cidrHost", 2, 2, host},
    FunctionRow{"parseCidr", 1, 1, parse},
};

}  // namespace

std::span<const FunctionRow> address_functions() { return kRows; }

}  // namespace howdah::api::templates
