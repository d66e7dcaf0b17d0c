#include "cli/values.h"

#include <arpa/inet.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "base/text.h"
#include "cli/session.h"

namespace howdah::cli {
namespace {

constexpr std::size_t kPasswordLength = 24;
constexpr int kPasswordAttempts = 1000;
constexpr std::array<std::string_view, 7> kDays = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

bool is_ipv4(const std::string& text) {
    in_addr address{};
    return inet_pton(AF_INET, text.c_str(), &address) == 1;
}

bool has_any(const std::string& text, char first, char last) {
    return std::any_of(text.begin(), text.end(), [&](char c) { return c >= first && c <= last; });
}

}  // namespace

Result<Json> tags_of(const std::vector<std::string>& words) {
    Json tags = Json::object();
    for (const std::string& word : words) {
        if (word.empty()) continue;
        const std::size_t equals = word.find('=');
        if (equals == 0) {
            return usage_error("--tags", fmt::format("'{}' has no name", word), "use key=value");
        }
        tags[word.substr(0, equals)] = equals == std::string::npos ? "" : word.substr(equals + 1);
    }
    return tags;
}

Result<PublicAccess> public_access_of(const std::string& word) {
    const std::string lower = to_lower(word);
    if (lower == "none" || lower == "enabled") return PublicAccess{};
    if (lower == "disabled") return PublicAccess{false, {}, {}};
    if (lower == "all") return PublicAccess{true, "0.0.0.0", "255.255.255.255"};
    const std::size_t dash = word.find('-');
    PublicAccess access{true, word.substr(0, dash),
                        dash == std::string::npos ? word : word.substr(dash + 1)};
    if (!is_ipv4(access.start_ip) || !is_ipv4(access.end_ip)) {
        return usage_error("--public-access", fmt::format("'{}' is not understood", word),
                           "use none, all, an IPv4 address, or a range: 10.0.0.1-10.0.0.9");
    }
    return access;
}

Result<Json> maintenance_window_of(const std::string& word) {
    if (iequals(word, "disabled")) return Json{{"customWindow", "Disabled"}};
    const auto bad = [&] {
        return usage_error("--maintenance-window", fmt::format("'{}' is not understood", word),
                           "use DAY:HOUR:MINUTE, like Mon:3:30, or Disabled");
    };
    const std::vector<std::string> parts = split(word, ':');
    if (parts.empty() || parts.size() > 3) return bad();
    long long day = parse_integer(parts[0], 0, 6).value_or(-1);
    for (std::size_t i = 0; i < kDays.size(); ++i) {
        if (to_lower(parts[0]) == kDays[i]) day = static_cast<long long>(i);
    }
    const long long hour = parts.size() > 1 ? parse_integer(parts[1], 0, 23).value_or(-1) : 0;
    const long long minute = parts.size() > 2 ? parse_integer(parts[2], 0, 59).value_or(-1) : 0;
    if (day < 0 || hour < 0 || minute < 0) return bad();
    return Json{{"customWindow", "Enabled"},
                {"dayOfWeek", day},
                {"startHour", hour},
                {"startMinute", minute}};
}

std::string tier_of(const std::string& sku_name) {
    std::string name = to_lower(sku_name);
    if (name.starts_with("standard_")) name.erase(0, 9);
    if (name.empty()) return {};
    switch (name[0]) {
        case 'b':
            return "Burstable";
        case 'd':
            return "GeneralPurpose";
        case 'e':
            return "MemoryOptimized";
        default:
            return {};
    }
}

std::string newest_version(const std::vector<std::string>& versions) {
    std::string newest;
    long long highest = -1;
    for (const std::string& each : versions) {
        const long long number = parse_integer(each, 0, 1000).value_or(-1);
        if (number > highest) {
            highest = number;
            newest = each;
        }
    }
    return newest;
}

Secret generate_password(IdSource& ids) {
    const auto is_good = [](const std::string& text) {
        return text.size() == kPasswordLength && has_any(text, 'a', 'z') &&
               has_any(text, 'A', 'Z') && has_any(text, '0', '9');
    };
    std::string text;
    for (int attempt = 0; attempt < kPasswordAttempts && !is_good(text); ++attempt) {
        text = base64url_encode(ids.random_bytes(kPasswordLength));
        std::erase_if(text, [](char c) { return c == '-' || c == '_'; });
        text.resize(std::min(text.size(), kPasswordLength));
    }
    HD_ASSERT(is_good(text), "the source of random bytes gives the same ones again and again");
    return Secret(std::move(text));
}

std::string conninfo_quote(const std::string& value) {
    std::string quoted = "'";
    for (const char c : value) {
        if (c == '\'' || c == '\\') quoted += '\\';
        quoted += c;
    }
    return quoted + "'";
}

std::string passfile_quote(const std::string& value) {
    std::string quoted;
    for (const char c : value) {
        if (c == ':' || c == '\\') quoted += '\\';
        quoted += c;
    }
    return quoted;
}

}  // namespace howdah::cli
