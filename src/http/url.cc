#include <fmt/core.h>

#include "base/text.h"
#include "http/client.h"

namespace howdah::http {

namespace {

constexpr std::size_t kFormFieldsMax = 100;

bool is_unreserved(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

Result<std::string> decode(std::string_view text, bool plus_is_space) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && plus_is_space) {
            out += ' ';
        } else if (text[i] != '%') {
            out += text[i];
        } else {
            const int high = text.size() - i > 2 ? hex_digit(text[i + 1]) : -1;
            const int low = text.size() - i > 2 ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return Error{ErrorCode::invalid_argument,
                             fmt::format("'%' at position {} is not followed by two hexadecimal "
                                         "digits",
                                         i)};
            }
            out += static_cast<char>(high * 16 + low);
            i += 2;
        }
    }
    return out;
}

}  // namespace

std::string url_encode(std::string_view text) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        if (is_unreserved(c)) {
            out += c;
            continue;
        }
        out += '%';
        out += kDigits[static_cast<unsigned char>(c) >> 4];
        out += kDigits[static_cast<unsigned char>(c) & 15U];
    }
    return out;
}

Result<std::string> url_decode(std::string_view text) { return decode(text, false); }

Result<std::vector<std::pair<std::string, std::string>>> parse_form(std::string_view body) {
    std::vector<std::pair<std::string, std::string>> fields;
    while (!body.empty()) {
        const std::size_t end = body.find('&');
        const std::string_view field = body.substr(0, end);
        body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
        if (field.empty()) continue;
        if (fields.size() == kFormFieldsMax) {
            return Error{ErrorCode::invalid_argument,
                         fmt::format("more than {} form fields", kFormFieldsMax)};
        }
        const std::size_t equals = field.find('=');
        HD_TRY(std::string name, decode(field.substr(0, equals), true));
        std::string value;
        if (equals != std::string_view::npos) {
            HD_TRY(value, decode(field.substr(equals + 1), true));
        }
        fields.emplace_back(std::move(name), std::move(value));
    }
    return fields;
}

}  // namespace howdah::http
