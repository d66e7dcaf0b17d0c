#include "gateway/client_hello.h"

#include <optional>

#include "base/text.h"

namespace howdah::gateway {
namespace {

constexpr std::size_t kRecordHeader = 5;
constexpr std::size_t kRecordMax = 1 << 14;
constexpr std::size_t kHandshakeHeader = 4;
constexpr std::uint8_t kHandshakeRecord = 22;
constexpr std::uint8_t kClientHello = 1;
constexpr std::size_t kServerNameExtension = 0;
constexpr std::size_t kHostName = 0;
constexpr std::size_t kNameMax = 255;

std::size_t big_endian(std::string_view bytes) {
    std::size_t value = 0;
    for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
    return value;
}

/// Takes fields from the front of a message; remembers if one did not fit.
class Cursor {
  public:
    explicit Cursor(std::string_view bytes) : rest_(bytes) {}

    std::string_view take(std::size_t count) {
        if (count > rest_.size()) {
            ok_ = false;
            rest_ = {};
            return {};
        }
        const std::string_view taken = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return taken;
    }
    std::size_t number(std::size_t width) { return big_endian(take(width)); }
    /// A length of `width` bytes, then as many bytes.
    std::string_view vector(std::size_t width) { return take(number(width)); }
    bool ok() const { return ok_; }
    bool empty() const { return rest_.empty(); }

  private:
    std::string_view rest_;
    bool ok_ = true;
};

/// The first host name of a server_name extension (RFC 6066, section 3); none: malformed.
std::optional<std::string> host_name(std::string_view extension) {
    Cursor outer(extension);
    Cursor list(outer.vector(2));
    if (!outer.ok() || !outer.empty() || list.empty()) return std::nullopt;
    std::optional<std::string> found;
    while (!list.empty()) {
        const std::size_t type = list.number(1);
        const std::string_view name = list.vector(2);
        if (!list.ok() || name.empty()) return std::nullopt;
        if (type != kHostName || found) continue;
        if (name.size() > kNameMax || name.find('\0') != name.npos) return std::nullopt;
        found = to_lower(name);
        if (found->back() == '.') found->pop_back();
    }
    return found.value_or("");
}

}  // namespace

std::string alert_record(TlsAlert alert) {
    constexpr char kFatal = 2;
    constexpr char kAlertRecord = 21;
    return {kAlertRecord, 3, 3, 0, 2, kFatal, static_cast<char>(alert)};
}

ClientHelloReader::State ClientHelloReader::fail(TlsAlert alert, std::string_view fault) {
    alert_ = alert;
    fault_ = fault;
    message_ = {};
    return state_ = State::malformed;
}

ClientHelloReader::State ClientHelloReader::advance(std::string_view bytes) {
    while (state_ == State::incomplete) {
        const std::string_view rest = bytes.substr(position_);
        if (!rest.empty() && static_cast<std::uint8_t>(rest[0]) != kHandshakeRecord)
            return fail(TlsAlert::unexpected_message, "the record is no TLS handshake");
        if (rest.size() > 1 && rest[1] != 3)
            return fail(TlsAlert::protocol_version, "the record's version is not TLS");
        if (rest.size() >= kRecordHeader) {
            const std::size_t length = big_endian(rest.substr(3, 2));
            if (length > kRecordMax)
                return fail(TlsAlert::record_overflow, "a record is longer than 16384 bytes");
            if (length == 0) return fail(TlsAlert::unexpected_message, "a record is empty");
            if (rest.size() >= kRecordHeader + length) {
                position_ += kRecordHeader + length;
                take_record(rest.substr(kRecordHeader, length));
                continue;
            }
        }
        if (bytes.size() >= kBytesMax)
            return fail(TlsAlert::record_overflow, "the ClientHello is longer than 65536 bytes");
        break;
    }
    return state_;
}

ClientHelloReader::State ClientHelloReader::take_record(std::string_view record) {
    message_ += record;
    if (static_cast<std::uint8_t>(message_[0]) != kClientHello)
        return fail(TlsAlert::unexpected_message, "the first handshake message is no ClientHello");
    if (message_.size() < kHandshakeHeader) return state_;
    const std::size_t length = big_endian(std::string_view(message_).substr(1, 3));
    if (length > kBytesMax)
        return fail(TlsAlert::record_overflow, "the ClientHello is longer than 65536 bytes");
    if (message_.size() < kHandshakeHeader + length) return state_;
    message_.resize(kHandshakeHeader + length);
    return parse_message();
}

ClientHelloReader::State ClientHelloReader::parse_message() {
    Cursor hello(std::string_view(message_).substr(kHandshakeHeader));
    hello.take(2 + 32);  // legacy_version, random
    const std::string_view session = hello.vector(1);
    const std::string_view suites = hello.vector(2);
    const std::string_view compressions = hello.vector(1);
    if (!hello.ok() || session.size() > 32 || suites.size() < 2 || suites.size() % 2 != 0 ||
        compressions.empty())
        return fail(TlsAlert::decode_error, "the ClientHello is cut or has a wrong length");
    if (!hello.empty()) {
        Cursor extensions(hello.vector(2));
        if (!hello.ok() || !hello.empty())
            return fail(TlsAlert::decode_error, "the extensions have a wrong length");
        bool named = false;
        while (!extensions.empty()) {
            const std::size_t type = extensions.number(2);
            const std::string_view body = extensions.vector(2);
            if (!extensions.ok())
                return fail(TlsAlert::decode_error, "an extension has a wrong length");
            if (type != kServerNameExtension) continue;
            if (named) return fail(TlsAlert::illegal_parameter, "the server name is given twice");
            named = true;
            const std::optional<std::string> name = host_name(body);
            if (!name) return fail(TlsAlert::decode_error, "the server name is malformed");
            server_name_ = *name;
        }
    }
    message_ = {};
    return state_ = State::complete;
}

}  // namespace howdah::gateway
