#include "apps/howdahd/issuers.h"

#include <fmt/core.h>

#include "os/file.h"

namespace howdah::howdahd {
namespace {

constexpr std::size_t kFileBytesMax = 64 << 10;
constexpr std::size_t kCaBytesMax = 1 << 20;
constexpr const char* kReadable = "name a file that can be read";

Error refused(const std::string& path, std::string_view why, std::string_view what_to_do) {
    return {ErrorCode::invalid_argument,
            fmt::format("the file of trusted issuers {} is not usable: {}", path, why),
            "--trusted-issuers", std::string(what_to_do)};
}

}  // namespace

Result<std::vector<api::IssuerSection>> read_issuer_sections(const std::string& path) {
    if (path.empty()) return std::vector<api::IssuerSection>();
    const auto text = os::read_file(path, kFileBytesMax);
    if (!text.ok()) return refused(path, text.error().message, kReadable);
    auto sections = api::parse_issuer_file(*text);
    if (!sections.ok()) return refused(path, sections.error().message, sections.error().hint);
    for (api::IssuerSection& section : *sections) {
        const auto ca = section.values.find("ca-file");
        if (ca == section.values.end() || ca->second.size() != 1) continue;
        auto pem = os::read_file(ca->second.front(), kCaBytesMax);
        if (!pem.ok())
            return refused(
                path, fmt::format("the ca-file of [{}]: {}", section.name, pem.error().message),
                kReadable);
        section.ca_pem = std::move(*pem);
    }
    return sections;
}

}  // namespace howdah::howdahd
