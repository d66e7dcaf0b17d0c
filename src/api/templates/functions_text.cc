#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "api/templates/functions.h"
#include "api/templates/lenient_json.h"
#include "api/templates/values.h"
#include "base/id.h"
#include "base/text.h"

namespace howdah::api::templates {
namespace {

std::string to_upper(std::string text) {
    for (char& c : text)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return text;
}

Result<Json> lower(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    return Json(to_lower(text));
}

Result<Json> upper(Call& call) {
    HD_TRY(std::string text, call.text(0));
    return Json(to_upper(std::move(text)));
}

Result<Json> trimmed(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    return Json(std::string(trim(text)));
}

Result<Json> concat_arrays(Call& call) {
    Json out = Json::array();
    for (std::size_t i = 0; i < call.count(); ++i) {
        HD_CHECK(call.expect_array(i));
        for (Json& each : call.argument(i)) out.push_back(std::move(each));
    }
    return out;
}

Result<Json> concat(Call& call) {
    if (call.argument(0).is_array()) return concat_arrays(call);
    std::string out;
    for (std::size_t i = 0; i < call.count(); ++i) {
        if (call.argument(i).is_structured()) return call.expects("a string, or all to be arrays");
        out += text_of(call.argument(i));
        HD_CHECK(call.afford(out.size()));
    }
    return Json(std::move(out));
}

Result<Json> replace(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    HD_TRY(const std::string from, call.text(1));
    HD_TRY(const std::string to, call.text(2));
    if (from.empty()) return call.fails("the text to be replaced must not be empty.");
    std::string out;
    std::size_t at = 0;
    while (true) {
        const std::size_t found = text.find(from, at);
        out.append(text, at, found == std::string::npos ? found : found - at);
        if (found == std::string::npos) break;
        out += to;
        if (out.size() > kTextBytesMax) return call.afford(out.size()).error();
        at = found + from.size();
    }
    HD_CHECK(call.afford(out.size()));
    return Json(std::move(out));
}

Result<Json> substring(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    HD_TRY(const std::int64_t start, call.integer(1));
    const auto count = static_cast<std::int64_t>(character_count(text));
    std::int64_t length = count - start;
    if (call.has(2) && !call.argument(2).is_null()) {
        HD_TRY(length, call.integer(2));
    }
    if (start < 0 || start > count || length < 0 || length > count - start)
        return call.fails(
            "the index and length parameters must refer to a location within the string.");
    const std::size_t begin = byte_position(text, static_cast<std::size_t>(start));
    const std::size_t end = byte_position(text, static_cast<std::size_t>(start + length));
    return Json(text.substr(begin, end - begin));
}

Result<std::vector<std::string>> delimiters(Call& call) {
    std::vector<std::string> out;
    if (call.argument(1).is_string())
        out.push_back(string_of(call.argument(1)));
    else if (!call.argument(1).is_array())
        return call.expects("a string and a string or an array");
    else
        for (const Json& each : call.argument(1)) {
            if (!each.is_string()) return call.expects("a string and an array of strings");
            out.push_back(string_of(each));
        }
    if (out.size() > 64) return call.fails("there are too many delimiters.");
    std::erase(out, "");
    return out;
}

Result<Json> split_text(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    HD_TRY(const std::vector<std::string> marks, delimiters(call));
    HD_CHECK(call.evaluator.charge(text.size() * marks.size()));
    Json out = Json::array();
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size();) {
        const auto mark = std::find_if(marks.begin(), marks.end(), [&](const std::string& each) {
            return text.compare(at, each.size(), each) == 0;
        });
        if (mark == marks.end()) {
            ++at;
            continue;
        }
        HD_CHECK(call.evaluator.charge(64));
        out.push_back(text.substr(begin, at - begin));
        at += mark->size();
        begin = at;
    }
    out.push_back(text.substr(begin));
    return out;
}

Result<Json> join_texts(Call& call) {
    HD_CHECK(call.expect_array(0));
    HD_TRY(const std::string delimiter, call.text(1));
    std::string out;
    bool first = true;
    for (const Json& each : call.argument(0)) {
        if (!first) out += delimiter;
        first = false;
        out += text_of(each);
        if (out.size() > kTextBytesMax) break;
    }
    HD_CHECK(call.afford(out.size()));
    return Json(std::move(out));
}

Result<Json> starts_with(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    HD_TRY(const std::string part, call.text(1));
    return Json(text.size() >= part.size() && iequals(text.substr(0, part.size()), part));
}

Result<Json> ends_with(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    HD_TRY(const std::string part, call.text(1));
    return Json(text.size() >= part.size() &&
                iequals(text.substr(text.size() - part.size()), part));
}

constexpr std::int64_t kTotalWidthMax = 16;

Result<Json> pad_left(Call& call) {
    const Json& source = call.argument(0);
    if (!source.is_string() && !is_integer(source))
        return call.fails(
            fmt::format("the first parameter is invalid. The source string must be a String or "
                        "integer type, while '{}' was provided. The syntax is padLeft(string, "
                        "totalWidth [, paddingChar]).",
                        type_name(source)));
    HD_TRY(const std::int64_t width, call.integer(1));
    if (width < 1 || width > kTotalWidthMax)
        return call.fails(
            fmt::format("the second parameter is invalid. Total width must be a positive integer "
                        "value and not greater than '{}'. The syntax is padLeft(string, totalWidth "
                        "[, paddingChar]).",
                        kTotalWidthMax));
    std::string padding = " ";
    if (call.has(2)) {
        HD_TRY(padding, call.text(2));
    }
    if (character_count(padding) != 1)
        return call.fails(
            "the third parameter is invalid. The padding character must be a single character. The "
            "syntax is padLeft(string, totalWidth [, paddingChar]).");
    std::string out = text_of(source);
    for (auto count = static_cast<std::int64_t>(character_count(out)); count < width; ++count)
        out.insert(0, padding);
    return Json(std::move(out));
}

// What .NET's String.Format knows of: {index[,width][:D4|X4|N0|0000]}, {{ and }}.

struct Hole {
    std::size_t index = 0;
    std::int64_t width = 0;
    std::string form;
};

std::string grouped(std::string digits) {
    const std::size_t start = digits.starts_with('-') ? 1 : 0;
    for (std::size_t i = digits.size(); i > start + 3; i -= 3) digits.insert(i - 3, ",");
    return digits;
}

std::string with_zeros(std::int64_t number, std::size_t width) {
    std::string digits = std::to_string(number);
    const std::size_t start = number < 0 ? 1 : 0;
    if (digits.size() - start < width) digits.insert(start, width - (digits.size() - start), '0');
    return digits;
}

Result<std::string> formed(Call& call, const Json& value, const std::string& form) {
    if (form.empty() || !is_integer(value)) return text_of(value);
    const std::int64_t number = integer_of(value);
    if (form.find_first_not_of('0') == std::string::npos && form.size() <= 64)
        return with_zeros(number, form.size());
    const auto digits = form.size() == 1 ? Result<long long>(0)
                                         : parse_integer(std::string_view(form).substr(1), 0, 64);
    if (!digits.ok()) return call.fails("a format specifier is not known.");
    const auto width = static_cast<std::size_t>(*digits);
    switch (form[0]) {
        case 'D':
        case 'd':
            return with_zeros(number, width);
        case 'X':
            return fmt::format("{:0{}X}", static_cast<std::uint64_t>(number), width);
        case 'x':
            return fmt::format("{:0{}x}", static_cast<std::uint64_t>(number), width);
        case 'N':
        case 'n': {
            const std::size_t decimals = form.size() == 1 ? 2 : width;
            return grouped(std::to_string(number)) +
                   (decimals == 0 ? "" : "." + std::string(decimals, '0'));
        }
        case 'G':
        case 'g':
            return std::to_string(number);
        default:
            return call.fails("a format specifier is not known.");
    }
}

Result<Hole> parse_hole(Call& call, std::string_view text) {
    const Error wrong = call.fails("the input string was not in a correct format.");
    Hole out;
    const std::size_t colon = text.find(':');
    if (colon != std::string_view::npos) out.form = std::string(text.substr(colon + 1));
    std::string_view head = text.substr(0, colon);
    const std::size_t comma = head.find(',');
    if (comma != std::string_view::npos) {
        const auto width = parse_integer(trim(head.substr(comma + 1)), -4096, 4096);
        if (!width.ok()) return wrong;
        out.width = *width;
        head = head.substr(0, comma);
    }
    const auto index = parse_integer(trim(head), 0, 4096);
    if (!index.ok()) return wrong;
    out.index = static_cast<std::size_t>(*index);
    return out;
}

Result<std::string> filled(Call& call, std::string_view text) {
    HD_TRY(const Hole hole, parse_hole(call, text));
    if (hole.index + 1 >= call.count())
        return call.fails("a format index must be less than the number of the arguments.");
    HD_TRY(std::string out, formed(call, call.argument(hole.index + 1), hole.form));
    const auto count = static_cast<std::int64_t>(character_count(out));
    const std::int64_t missing = std::max<std::int64_t>(0, std::abs(hole.width) - count);
    out.insert(hole.width > 0 ? 0 : out.size(), static_cast<std::size_t>(missing), ' ');
    return out;
}

Result<Json> format(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    const Error wrong = call.fails("the input string was not in a correct format.");
    std::string out;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        if (c != '{' && c != '}') {
            out += c;
            continue;
        }
        if (at + 1 < text.size() && text[at + 1] == c) {
            out += c;
            ++at;
            continue;
        }
        const std::size_t end = text.find('}', at);
        if (c == '}' || end == std::string::npos) return wrong;
        HD_TRY(const std::string part,
               filled(call, std::string_view(text).substr(at + 1, end - at - 1)));
        out += part;
        HD_CHECK(call.afford(out.size()));
        at = end;
    }
    return Json(std::move(out));
}

Result<Json> base64(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    HD_CHECK(call.afford(text.size() * 4 / 3 + 4));
    return Json(base64_encode(text));
}

Result<std::string> decoded(Call& call, const std::string& text) {
    auto bytes = base64_decode(text);
    if (!bytes.ok()) return call.fails("the value is not base64.");
    return clean_utf8(*bytes);
}

Result<Json> base64_to_string(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    HD_TRY(std::string out, decoded(call, text));
    return Json(std::move(out));
}

/// json() reads what Azure's reader reads, within the bounds of one value.
Result<Json> read_json(Call& call, const std::string& text) {
    HD_CHECK(call.evaluator.charge(text.size() * 16));
    auto out = parse_lenient(text, {.bytes = kTextBytesMax, .depth = kTemplateDepthMax - 1});
    if (!out.ok()) return call.fails("the value is not valid JSON.");
    return out;
}

Result<Json> json(Call& call) {
    if (call.argument(0).is_null()) return Json(nullptr);
    HD_TRY(const std::string text, call.text(0));
    return read_json(call, text);
}

Result<Json> base64_to_json(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    HD_TRY(const std::string plain, decoded(call, text));
    return read_json(call, plain);
}

Result<Json> data_uri(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    HD_CHECK(call.afford(text.size() * 4 / 3 + 64));
    return Json("data:text/plain;charset=utf8;base64," + base64_encode(text));
}

Result<Json> data_uri_to_string(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    const std::size_t comma = text.find(',');
    if (!text.starts_with("data:") || comma == std::string::npos)
        return call.fails("the value is not a data URI.");
    const bool is_base64 = std::string_view(text).substr(0, comma).ends_with(";base64");
    if (!is_base64) return Json(text.substr(comma + 1));
    HD_TRY(std::string out, decoded(call, text.substr(comma + 1)));
    return Json(std::move(out));
}

Result<Json> uri_component(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    HD_CHECK(call.afford(text.size() * 3));
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
        if (plain)
            out += c;
        else
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return Json(std::move(out));
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

Result<Json> uri_component_to_string(Call& call) {
    HD_TRY(const std::string text, call.text(0));
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
        const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        if (low >= 0) {
            out += static_cast<char>(high * 16 + low);
            i += 2;
        } else {
            out += text[i];
        }
    }
    return Json(clean_utf8(out));
}

/// The relative text takes the place of what follows the base's last slash; one with a slash at its
/// start, of the whole path.
Result<Json> uri(Call& call) {
    HD_TRY(const std::string base, call.text(0));
    HD_TRY(const std::string relative, call.text(1));
    const std::size_t scheme = base.find("://");
    if (scheme == std::string::npos) return call.fails("the base URI is not absolute.");
    const std::size_t path = base.find('/', scheme + 3);
    const std::string host = base.substr(0, path);
    if (relative.find("://") != std::string::npos) return Json(relative);
    if (relative.starts_with('/') || path == std::string::npos)
        return Json(host + (relative.starts_with('/') ? "" : "/") + relative);
    const std::string_view whole = std::string_view(base).substr(0, base.find_first_of("?#"));
    const std::size_t slash = whole.rfind('/');
    return Json(std::string(whole.substr(0, slash + 1)) + relative);
}

Result<std::string> hyphenated(Call& call) {
    std::string out;
    for (std::size_t i = 0; i < call.count(); ++i) {
        HD_TRY(const std::string part, call.text(i));
        out += (i == 0 ? "" : "-") + part;
        HD_CHECK(call.afford(out.size()));
    }
    return out;
}

/// Azure's guid() is a UUID of version 5 (RFC 4122) of the arguments joined by hyphens, in this
/// namespace: Microsoft documents it with the Bicep function, and people who name role assignments
/// from Terraform rely on it.
constexpr std::string_view kGuidSpace = "11fb06fb-712d-4ddd-98c7-e71bbd588830";

Result<Json> guid(Call& call) {
    HD_TRY(const std::string name, hyphenated(call));
    return Json(uuid_from_name(kGuidSpace, name));
}

/// Thirteen characters of base 32, always the same for the same arguments. Azure does not document
/// its hash, so the texts differ from Azure's: here they come from a UUID of version 5.
Result<Json> unique_string(Call& call) {
    HD_TRY(const std::string name, hyphenated(call));
    constexpr std::string_view kSpace = "8f2c7bd6-3c1d-5b0e-9a57-5f6a1d6f0c11";
    std::string digits = uuid_from_name(kSpace, name);
    std::erase(digits, '-');
    // Without the digits that are the same in every UUID (version and variant).
    digits.erase(16, 1).erase(12, 1);
    const std::uint64_t number = std::stoull(digits.substr(0, 16), nullptr, 16);
    constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz234567";
    std::string out;
    for (int shift = 59; shift >= -1; shift -= 5)
        out += kAlphabet[(shift >= 0 ? number >> shift : number << 1) & 31];
    return Json(std::move(out));
}

constexpr std::array kRows = {
    FunctionRow{"toLower", 1, 1, lower},
    FunctionRow{"toUpper", 1, 1, upper},
    FunctionRow{"trim", 1, 1, trimmed},
    FunctionRow{"concat", 1, kAnyCount, concat},
    FunctionRow{"replace", 3, 3, replace},
    FunctionRow{"substring", 2, 3, substring},
    FunctionRow{"split", 2, 2, split_text},
    FunctionRow{"join", 2, 2, join_texts},
    FunctionRow{"startsWith", 2, 2, starts_with},
    FunctionRow{"endsWith", 2, 2, ends_with},
    FunctionRow{"padLeft", 2, 3, pad_left},
    FunctionRow{"format", 1, kAnyCount, format},
    FunctionRow{"base64", 1, 1, base64},
    FunctionRow{"base64ToString", 1, 1, base64_to_string},
    FunctionRow{"base64ToJson", 1, 1, base64_to_json},
    FunctionRow{"json", 1, 1, json},
    FunctionRow{"dataUri", 1, 1, data_uri},
    FunctionRow{"dataUriToString", 1, 1, data_uri_to_string},
    FunctionRow{"uriComponent", 1, 1, uri_component},
    FunctionRow{"uriComponentToString", 1, 1, uri_component_to_string},
    FunctionRow{"uri", 2, 2, uri},
    FunctionRow{"guid", 1, kAnyCount, guid},
    FunctionRow{"uniqueString", 1, kAnyCount, unique_string},
};

}  // namespace

std::span<const FunctionRow> text_functions() { return kRows; }

}  // namespace howdah::api::templates
