#include "agent/token_login/ldap_message.h"

#include "base/text.h"

// LDAPMessage ::= SEQUENCE { messageID INTEGER (0..2^31-1), protocolOp CHOICE { ... },
//                            controls [0] OPTIONAL }
// BindRequest ::= [APPLICATION 0] SEQUENCE { version INTEGER (1..127), name OCTET STRING,
//                   authentication CHOICE { simple [0] OCTET STRING, sasl [3] ... } }
// BindResponse ::= [APPLICATION 1] SEQUENCE { resultCode ENUMERATED, matchedDN OCTET STRING,
//                   diagnosticMessage OCTET STRING, ... }
// UnbindRequest ::= [APPLICATION 2] NULL
// Encoded in BER with definite lengths (RFC 4511, 5.1).

namespace howdah::agent {
namespace {

constexpr unsigned char kInteger = 0x02;
constexpr unsigned char kOctets = 0x04;
constexpr unsigned char kEnumerated = 0x0a;
constexpr unsigned char kSequence = 0x30;
constexpr unsigned char kBindRequest = 0x60;
constexpr unsigned char kBindResponse = 0x61;
constexpr unsigned char kUnbindRequest = 0x42;
constexpr unsigned char kSimple = 0x80;
constexpr unsigned char kControls = 0xa0;
constexpr std::size_t kLengthBytesMax = 4;
constexpr std::size_t kDiagnosticBytesMax = 200;

Error malformed() { return {ErrorCode::invalid_request, "no message of LDAP"}; }

struct Element {
    unsigned char tag = 0;
    std::string_view content;
    std::size_t bytes = 0;  ///< with tag and length
};

/// None: it is not all there.
Result<std::optional<Element>> first_element(std::string_view bytes) {
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    if (bytes.size() < 2) return std::optional<Element>();
    // Tags of more than one byte do not occur.
    if ((at(0) & 0x1fU) == 0x1fU) return malformed();
    std::size_t length = at(1);
    std::size_t head = 2;
    if (length >= 0x80U) {
        const std::size_t count = length & 0x7fU;
        if (count == 0 || count > kLengthBytesMax) return malformed();
        head += count;
        if (bytes.size() < head) return std::optional<Element>();
        length = 0;
        for (std::size_t i = 2; i < head; ++i) length = length << 8U | at(i);
    }
    if (length > kLdapMessageBytesMax || head + length > kLdapMessageBytesMax)
        return Error{ErrorCode::too_large, "a message of LDAP is too large"};
    if (bytes.size() < head + length) return std::optional<Element>();
    return std::optional<Element>(Element{at(0), bytes.substr(head, length), head + length});
}

/// The next element of a content that is all there.
Result<Element> take(std::string_view& content) {
    HD_TRY(const auto element, first_element(content));
    if (!element) return malformed();
    content.remove_prefix(element->bytes);
    return *element;
}

Result<Element> take(std::string_view& content, unsigned char tag) {
    HD_TRY(const Element element, take(content));
    if (element.tag != tag) return malformed();
    return element;
}

/// Not negative, and at most 31 bits.
Result<std::int32_t> take_integer(std::string_view& content) {
    HD_TRY(const Element element, take(content, kInteger));
    const std::string_view digits = element.content;
    if (digits.empty() || digits.size() > 4) return malformed();
    if ((static_cast<unsigned char>(digits.front()) & 0x80U) != 0) return malformed();
    std::uint32_t number = 0;
    for (const char digit : digits) number = number << 8U | static_cast<unsigned char>(digit);
    return static_cast<std::int32_t>(number);
}

Status read_bind(std::string_view content, LdapRequest& request) {
    HD_TRY(request.version, take_integer(content));
    HD_TRY(const Element name, take(content, kOctets));
    HD_TRY(const Element proof, take(content));
    if (!content.empty()) return malformed();
    if (proof.tag != kSimple) {
        request.kind = LdapRequest::Kind::other_bind;
        return ok_status();
    }
    request.kind = LdapRequest::Kind::simple_bind;
    request.name = name.content;
    request.password = proof.content;
    return ok_status();
}

void add(std::string& out, unsigned char tag, std::string_view content) {
    out += static_cast<char>(tag);
    if (content.size() < 0x80U) {
        out += static_cast<char>(content.size());
    } else {
        out += '\x82';  // bounded: two bytes are enough
        out += static_cast<char>(content.size() >> 8U & 0xffU);
        out += static_cast<char>(content.size() & 0xffU);
    }
    out += content;
}

}  // namespace

Result<std::optional<LdapRequest>> read_ldap_request(std::string_view bytes) {
    // What is no message is not waited for.
    if (!bytes.empty() && static_cast<unsigned char>(bytes.front()) != kSequence)
        return malformed();
    HD_TRY(const auto message, first_element(bytes));
    if (!message) return std::optional<LdapRequest>();
    std::string_view content = message->content;
    LdapRequest request;
    HD_TRY(request.id, take_integer(content));
    HD_TRY(const Element operation, take(content));
    if (!content.empty()) {
        HD_CHECK(take(content, kControls));
        if (!content.empty()) return malformed();
    }
    if (operation.tag == kBindRequest) HD_CHECK(read_bind(operation.content, request));
    if (operation.tag == kUnbindRequest) {
        if (!operation.content.empty()) return malformed();
        request.kind = LdapRequest::Kind::unbind;
    }
    return std::optional<LdapRequest>(request);
}

std::string ldap_bind_response(std::int32_t id, LdapResult result, std::string_view diagnostic) {
    std::string response;
    add(response, kEnumerated, std::string(1, static_cast<char>(result)));
    add(response, kOctets, "");
    add(response, kOctets, diagnostic.substr(0, kDiagnosticBytesMax));
    std::string number;
    for (int shift = 24; shift >= 0; shift -= 8)
        number += static_cast<char>(static_cast<std::uint32_t>(id) >> static_cast<unsigned>(shift));
    // The shortest form, as PostgreSQL's library sends it.
    while (number.size() > 1 && number[0] == 0 && (number[1] & 0x80) == 0) number.erase(0, 1);
    std::string content;
    add(content, kInteger, number);
    add(content, kBindResponse, response);
    std::string message;
    add(message, kSequence, content);
    return message;
}

}  // namespace howdah::agent
