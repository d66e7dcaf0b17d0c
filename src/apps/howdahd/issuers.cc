#include "apps/howdahd/issuers.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include "os/file.h"

namespace howdah::howdahd {
namespace {

constexpr std::size_t kFileBytesMax = 64 << 10;
constexpr std::size_t kCaBytesMax = 1 << 20;
constexpr const char* kExample =
    "write it as [keycloak], and below it issuer = \"https://...\" and audiences = [\"...\"]";

Error refused(const std::string& path, std::string_view why, std::string_view what_to_do) {
    return {ErrorCode::invalid_argument,
            fmt::format("the file of trusted issuers {} is not usable: {}", path, why),
            "--trusted-issuers", std::string(what_to_do)};
}

/// The same TOML as --config. Its reader throws.
Result<std::vector<CLI::ConfigItem>> read_toml(const std::string& path, const std::string& text) {
    try {
        std::istringstream in(text);
        return CLI::ConfigTOML().from_config(in);
    } catch (const std::exception& problem) {
        return refused(path, problem.what(), kExample);
    }
}

/// The reader marks where a section begins ("++") and ends ("--").
bool is_mark(const CLI::ConfigItem& item) { return item.name == "++" || item.name == "--"; }

}  // namespace

Result<std::vector<api::IssuerSection>> read_issuer_sections(const std::string& path) {
    std::vector<api::IssuerSection> sections;
    if (path.empty()) return sections;
    const auto text = os::read_file(path, kFileBytesMax);
    if (!text.ok()) return refused(path, text.error().message, "name a file that can be read");
    HD_TRY(const auto items, read_toml(path, *text));
    for (const CLI::ConfigItem& item : items) {
        if (item.parents.empty() && is_mark(item)) continue;
        if (item.parents.empty())
            return refused(path, fmt::format("'{}' stands in no section", item.name), kExample);
        if (item.parents.size() > 1)
            return refused(
                path, fmt::format("there is a section in the section [{}]", item.parents.front()),
                kExample);
        const std::string& name = item.parents.front();
        const auto same = [&](const api::IssuerSection& each) { return each.name == name; };
        auto section = std::find_if(sections.begin(), sections.end(), same);
        if (section == sections.end()) section = sections.insert(sections.end(), {name, {}, {}});
        if (is_mark(item)) continue;
        if (!section->values.emplace(item.name, item.inputs).second)
            return refused(path, fmt::format("[{}] has '{}' twice", name, item.name),
                           "remove one of them");
    }
    for (api::IssuerSection& section : sections) {
        const auto ca = section.values.find("ca-file");
        if (ca == section.values.end() || ca->second.size() != 1) continue;
        auto pem = os::read_file(ca->second.front(), kCaBytesMax);
        if (!pem.ok())
            return refused(
                path, fmt::format("the ca-file of [{}]: {}", section.name, pem.error().message),
                "name a file that can be read");
        section.ca_pem = std::move(*pem);
    }
    return sections;
}

}  // namespace howdah::howdahd
