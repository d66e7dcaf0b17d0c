#include "api/templates/values.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/text.h"

namespace howdah::api::templates {
namespace {

constexpr std::size_t kNodeWeight = 64;

bool same_object(const Json& a, const Json& b) {
    if (a.size() != b.size()) return false;
    for (const auto& [name, value] : a.items()) {
        const auto found = b.find(name);
        if (found == b.end() || !same(value, *found)) return false;
    }
    return true;
}

bool same_array(const Json& a, const Json& b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (!same(a[i], b[i])) return false;
    return true;
}

/// Bytes of the UTF-8 sequence at the start of `bytes`; 0 if it is none.
std::size_t sequence_length(std::string_view bytes) {
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    const unsigned char lead = at(0);
    if (lead < 0x80) return 1;
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || bytes.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((at(i) & 0xc0) != 0x80) return 0;
    const unsigned char second = at(1);
    if (lead == 0xe0 && second < 0xa0) return 0;  // longer than needed
    if (lead == 0xed && second > 0x9f) return 0;  // surrogates
    if (lead == 0xf0 && second < 0x90) return 0;
    if (lead == 0xf4 && second > 0x8f) return 0;
    return length;
}

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

}  // namespace

std::string_view type_name(const Json& value) {
    if (value.is_string()) return "String";
    if (value.is_number_integer()) return "Integer";
    if (value.is_number_float()) return "Float";
    if (value.is_boolean()) return "Boolean";
    if (value.is_array()) return "Array";
    if (value.is_object()) return "Object";
    return "Null";
}

bool same(const Json& a, const Json& b) {
    if (a.is_object() && b.is_object()) return same_object(a, b);
    if (a.is_array() && b.is_array()) return same_array(a, b);
    return a == b;
}

std::string text_of(const Json& value) {
    if (value.is_string()) return string_of(value);
    if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
    if (value.is_null()) return "";
    return to_text(value);
}

std::size_t weight(const Json& value) {
    std::size_t sum = kNodeWeight;
    if (value.is_string()) return sum + string_of(value).size();
    if (value.is_array())
        for (const Json& each : value) sum += weight(each);
    if (value.is_object())
        for (const auto& [name, each] : value.items()) sum += name.size() + weight(each);
    return sum;
}

std::size_t compare_work(const Json& value) {
    std::size_t sum = weight(value);
    if (value.is_object()) sum += value.size() * lookup_work(value);
    if (value.is_structured())
        for (const Json& each : value)
            if (each.is_structured()) sum += compare_work(each);
    return sum;
}

std::size_t lookup_work(const Json& object) { return object.size() * 16; }

bool is_deeper(const Json& value, int levels) {
    if (!value.is_structured()) return false;
    if (levels <= 0) return true;
    for (const Json& each : value)
        if (is_deeper(each, levels - 1)) return true;
    return false;
}

const Json* find_field(const Json& object, std::string_view name) {
    const Json* near = nullptr;
    for (auto field = object.begin(); field != object.end(); ++field) {
        if (field.key() == name) return &*field;
        if (near == nullptr && iequals(field.key(), name)) near = &*field;
    }
    return near;
}

bool is_integer(const Json& value) {
    if (!value.is_number_integer()) return false;
    return !value.is_number_unsigned() ||
           value.get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX);
}

std::int64_t integer_of(const Json& value) { return value.get<std::int64_t>(); }

const std::string& string_of(const Json& value) { return value.get_ref<const std::string&>(); }

std::size_t character_count(std::string_view text) {
    std::size_t count = 0;
    for (const char c : text) count += is_continuation(c) ? 0 : 1;
    return count;
}

std::size_t byte_position(std::string_view text, std::size_t character) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (is_continuation(text[i])) continue;
        if (character == 0) return i;
        --character;
    }
    return text.size();
}

std::string clean_utf8(std::string_view bytes) {
    std::string out;
    while (!bytes.empty()) {
        const std::size_t length = sequence_length(bytes);
        if (length == 0)
            append_utf8(out, 0xfffd);
        else
            out += bytes.substr(0, length);
        bytes.remove_prefix(length == 0 ? 1 : length);
    }
    return out;
}

void append_utf8(std::string& out, std::uint32_t code_point) {
    const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (code_point < 0x80) return put(code_point);
    if (code_point < 0x800) {
        put(0xc0 | (code_point >> 6));
    } else {
        if (code_point < 0x10000) {
            put(0xe0 | (code_point >> 12));
        } else {
            put(0xf0 | (code_point >> 18));
            put(0x80 | ((code_point >> 12) & 0x3f));
        }
        put(0x80 | ((code_point >> 6) & 0x3f));
    }
    put(0x80 | (code_point & 0x3f));
}

}  // namespace howdah::api::templates
