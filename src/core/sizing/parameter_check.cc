#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/text.h"
#include "core/sizing/parameters.h"

namespace howdah::core {
namespace {

Error refused(const CustomerParameter& parameter, std::string_view value) {
    constexpr std::size_t kShownMax = 64;
    std::string shown(value.substr(0, kShownMax));
    if (value.size() > kShownMax) shown += "...";
    for (char& c : shown) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    const std::string unit = parameter.unit.empty() ? "" : ", in units of " + parameter.unit;
    return {.code = ErrorCode::invalid_argument,
            .message = fmt::format("the value '{}' of parameter {} is not allowed; allowed: {}{}",
                                   shown, parameter.name, parameter.allowed_values, unit),
            .target = parameter.name};
}

/// PostgreSQL's spellings: any unique beginning of true, false, yes, no; on, off, 1, 0.
Result<std::string> check_boolean(const CustomerParameter& parameter, std::string_view value) {
    const std::string text = to_lower(value);
    const auto begins = [&text](std::string_view word, std::size_t shortest) {
        return text.size() >= shortest && word.starts_with(text);
    };
    if (begins("true", 1) || begins("yes", 1) || text == "on" || text == "1") {
        return std::string("on");
    }
    if (begins("false", 1) || begins("no", 1) || begins("off", 2) || text == "0") {
        return std::string("off");
    }
    return refused(parameter, value);
}

/// The two numbers of "1-100", "-1-100" or "0-1e+06".
struct Range {
    std::string_view lowest;
    std::string_view highest;
};
Range split_range(std::string_view text) {
    for (std::size_t i = 1; i < text.size(); ++i) {
        const bool of_exponent = text[i - 1] == 'e' || text[i - 1] == 'E';
        if (text[i] == '-' && !of_exponent) return {text.substr(0, i), text.substr(i + 1)};
    }
    return {text, text};
}

template <typename Number>
bool parse_number(std::string_view text, Number& number) {
    if (text.starts_with('+')) text.remove_prefix(1);
    if (text.empty() || text.starts_with('+')) return false;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
}

template <typename Number>
bool within(const CustomerParameter& parameter, Number number) {
    const Range range = split_range(parameter.allowed_values);
    Number lowest{};
    Number highest{};
    return parse_number(range.lowest, lowest) && parse_number(range.highest, highest) &&
           number >= lowest && number <= highest;
}

Result<std::string> check_integer(const CustomerParameter& parameter, std::string_view value) {
    std::int64_t number = 0;
    if (!parse_number(value, number) || !within(parameter, number)) {
        return refused(parameter, value);
    }
    return std::to_string(number);
}

Result<std::string> check_real(const CustomerParameter& parameter, std::string_view value) {
    double number = 0;
    // Only digits, sign, point and exponent: from_chars would take "inf" and "nan" as well.
    if (value.find_first_not_of("0123456789+-.eE") != std::string_view::npos ||
        !parse_number(value, number) || !std::isfinite(number) || !within(parameter, number)) {
        return refused(parameter, value);
    }
    return std::string(value);
}

Result<std::string> check_enumeration(const CustomerParameter& parameter, std::string_view value) {
    for (const std::string& allowed : split(parameter.allowed_values, ',')) {
        if (iequals(allowed, value)) return allowed;
    }
    return refused(parameter, value);
}

Result<std::string> check_set(const CustomerParameter& parameter, std::string_view value) {
    const std::vector<std::string> allowed = split(parameter.allowed_values, ',');
    std::vector<std::string> wanted;
    for (const std::string& item : split(value, ',')) {
        const std::string_view name = trim(item);
        if (name.empty()) continue;
        const auto known = std::find_if(allowed.begin(), allowed.end(),
                                        [name](const auto& each) { return iequals(each, name); });
        if (known == allowed.end()) return refused(parameter, name);
        wanted.push_back(*known);
    }
    std::sort(wanted.begin(), wanted.end());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
    return join(wanted, ",");
}

/// A comma-separated list of identifiers, quoted or not, as PostgreSQL splits it.
bool is_identifier_list(std::string_view text) {
    text = trim(text);
    if (text.empty()) return true;
    while (true) {
        if (text.starts_with('"')) {
            std::size_t end = 1;
            while (end < text.size() && (text[end] != '"' || text.substr(end, 2) == "\"\"")) {
                end += text[end] == '"' ? 2 : 1;
            }
            if (end >= text.size() || end == 1) return false;
            text.remove_prefix(end + 1);
        } else {
            const std::size_t end = std::min(text.find_first_of(", \t\""), text.size());
            if (end == 0) return false;
            text.remove_prefix(end);
        }
        text = trim(text);
        if (text.empty()) return true;
        if (!text.starts_with(',')) return false;
        text = trim(text.substr(1));
        if (text.empty()) return false;
    }
}

Result<std::string> check_date_style(const CustomerParameter& parameter, std::string_view value) {
    constexpr std::array<std::string_view, 4> kStyles = {"ISO", "Postgres", "SQL", "German"};
    constexpr std::array<std::string_view, 3> kOrders = {"DMY", "MDY", "YMD"};
    std::string style = "ISO";
    std::string order = "MDY";
    int styles = 0;
    int orders = 0;
    for (const std::string& item : split(value, ',')) {
        const std::string_view word = trim(item);
        const auto same = [word](std::string_view each) { return iequals(each, word); };
        const auto* const known_style = std::find_if(kStyles.begin(), kStyles.end(), same);
        const auto* const known_order = std::find_if(kOrders.begin(), kOrders.end(), same);
        if (known_style != kStyles.end()) {
            style = *known_style;
            ++styles;
        } else if (known_order != kOrders.end()) {
            order = *known_order;
            ++orders;
        } else {
            return refused(parameter, value);
        }
    }
    if (styles > 1 || orders > 1) return refused(parameter, value);
    return style + ", " + order;
}

Result<std::string> check_text(const CustomerParameter& parameter, std::string_view value) {
    for (const char c : value) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return refused(parameter, value);
    }
    if (parameter.name == "DateStyle") return check_date_style(parameter, value);
    if (parameter.name == "search_path" && !is_identifier_list(value)) {
        return refused(parameter, value);
    }
    return std::string(value);
}

}  // namespace

Result<std::string> check_parameter(const std::vector<CustomerParameter>& parameters,
                                    std::string_view name, std::string_view value) {
    const auto found =
        std::find_if(parameters.begin(), parameters.end(),
                     [name](const auto& parameter) { return iequals(parameter.name, name); });
    if (found == parameters.end()) {
        return Error{.code = ErrorCode::not_found,
                     .message = fmt::format("there is no parameter '{}'", name.substr(0, 64)),
                     .target = "configurationName"};
    }
    if (found->is_read_only) {
        return Error{.code = ErrorCode::property_change_not_allowed,
                     .message = fmt::format("parameter {} is read-only", found->name),
                     .target = found->name};
    }
    if (value.size() > kParameterValueMax) return refused(*found, value);
    // A text may begin or end with spaces; everything else is one word or a list.
    if (found->data_type == "String") return check_text(*found, value);
    const std::string_view word = trim(value);
    if (found->data_type == "Boolean") return check_boolean(*found, word);
    if (found->data_type == "Integer") return check_integer(*found, word);
    if (found->data_type == "Numeric") return check_real(*found, word);
    if (found->data_type == "Enumeration") return check_enumeration(*found, word);
    return check_set(*found, word);
}

}  // namespace howdah::core
