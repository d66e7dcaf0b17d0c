#include "gateway/startup_packet.h"

namespace howdah::gateway {
namespace {

constexpr std::uint32_t kCancelCode = 80877102;
constexpr std::uint32_t kSslCode = 80877103;
constexpr std::uint32_t kGssCode = 80877104;
constexpr std::uint32_t kSpecialMajor = 1234;
constexpr std::uint32_t kProtocolMajor = 3;
constexpr std::size_t kHeader = 8;
constexpr char kTlsHandshakeRecord = 0x16;
constexpr std::string_view kProtocolViolation = "08P01";
constexpr std::string_view kFeatureNotSupported = "0A000";
constexpr std::string_view kCannotConnectNow = "57P03";
constexpr std::string_view kAdminShutdown = "57P01";

std::uint32_t number_at(std::string_view bytes, std::size_t offset) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i)
        value = value << 8 | static_cast<unsigned char>(bytes[offset + i]);
    return value;
}

FirstPacketFacts malformed(std::string_view fault, std::string_view sqlstate = kProtocolViolation) {
    return {.kind = FirstPacket::malformed, .sqlstate = sqlstate, .fault = fault};
}

/// Pairs of texts, each ended by a zero byte, then one more zero byte as the last of the packet.
bool is_parameter_list(std::string_view body) {
    while (!body.empty()) {
        if (body[0] == '\0') return body.size() == 1;
        for (int half = 0; half < 2; ++half) {
            const std::size_t end = body.find('\0');
            if (end == body.npos) return false;
            body.remove_prefix(end + 1);
        }
    }
    return false;
}

FirstPacketFacts fixed(FirstPacket kind, std::size_t length) {
    if (length != kHeader) return malformed("the negotiation request has a wrong length");
    return {.kind = kind, .length = length};
}

FirstPacketFacts cancel(std::string_view bytes, std::size_t length) {
    constexpr std::size_t kBeforeKey = kHeader + 4;
    if (length < kBeforeKey + 4 || length > kBeforeKey + kCancelKeyMax)
        return malformed("the cancel request has a wrong length");
    if (bytes.size() < length) return {};
    return {.kind = FirstPacket::cancel_request,
            .length = length,
            .cancel_pid = static_cast<std::int32_t>(number_at(bytes, kHeader))};
}

}  // namespace

FirstPacketFacts classify_first_packet(std::string_view bytes) {
    if (bytes.empty()) return {};
    if (bytes[0] == kTlsHandshakeRecord) return {.kind = FirstPacket::direct_tls};
    // The bound keeps the two high bytes of the length at zero: foreign protocols show at once.
    if (bytes[0] != 0 || (bytes.size() > 1 && bytes[1] != 0))
        return malformed("invalid length of startup packet");
    if (bytes.size() < 4) return {};
    const std::size_t length = number_at(bytes, 0);
    if (length < kHeader || length > kStartupPacketMax)
        return malformed("invalid length of startup packet");
    if (bytes.size() < kHeader) return {};
    const std::uint32_t code = number_at(bytes, 4);
    if (code == kSslCode) return fixed(FirstPacket::ssl_request, length);
    if (code == kGssCode) return fixed(FirstPacket::gss_request, length);
    if (code == kCancelCode) return cancel(bytes, length);
    if (code >> 16 == kSpecialMajor) return malformed("unknown negotiation request");
    if (code >> 16 != kProtocolMajor)
        return malformed("unsupported frontend protocol", kFeatureNotSupported);
    if (bytes.size() < length) return {};
    if (!is_parameter_list(bytes.substr(kHeader, length - kHeader)))
        return malformed("invalid startup packet layout");
    return {.kind = FirstPacket::startup, .length = length};
}

FirstAnswer classify_first_answer(std::string_view bytes) {
    constexpr std::size_t kBeforeFields = 5;
    if (bytes.empty()) return FirstAnswer::incomplete;
    if (bytes[0] != 'E') return FirstAnswer::other;
    if (bytes.size() < kBeforeFields) return FirstAnswer::incomplete;
    // A postmaster that cannot fork answers with a text of its own kind, whose "length" is huge.
    const std::size_t whole = std::size_t{1} + number_at(bytes, 1);
    if (whole < kBeforeFields || whole > kFirstAnswerMax) return FirstAnswer::other;
    if (bytes.size() < whole) return FirstAnswer::incomplete;
    std::string_view fields = bytes.substr(kBeforeFields, whole - kBeforeFields);
    while (!fields.empty() && fields[0] != '\0') {
        const std::size_t end = fields.find('\0');
        if (end == fields.npos) break;
        const std::string_view value = fields.substr(1, end - 1);
        if (fields[0] == 'C')
            return value == kCannotConnectNow || value == kAdminShutdown ? FirstAnswer::not_now
                                                                         : FirstAnswer::other;
        fields.remove_prefix(end + 1);
    }
    return FirstAnswer::other;
}

std::string_view ssl_request() {
    using namespace std::string_view_literals;
    return "\0\0\0\x08\x04\xd2\x16\x2f"sv;
}

std::string error_response(std::string_view sqlstate, std::string_view message,
                           std::string_view hint) {
    std::string fields;
    const auto add = [&fields](char type, std::string_view text) {
        if (text.empty()) return;
        fields += type;
        fields += text;
        fields += '\0';
    };
    add('S', "FATAL");
    add('V', "FATAL");
    add('C', sqlstate);
    add('M', message);
    add('H', hint);
    fields += '\0';
    const std::size_t length = fields.size() + 4;
    std::string out = "E";
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(length >> shift & 0xff);
    return out + fields;
}

}  // namespace howdah::gateway
