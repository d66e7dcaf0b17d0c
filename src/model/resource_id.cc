#include "model/resource_id.h"

#include <fmt/core.h>

#include "base/text.h"

namespace howdah::model {
namespace {

constexpr std::size_t kIdBytesMax = 2048;

bool is_good_name(std::string_view name) {
    if (name.empty() || name == "." || name == "..") return false;
    for (const char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f || c == '%' || c == '\\' || c == '?' || c == '#')
            return false;
    }
    return true;
}

}  // namespace

Result<ResourceId> ResourceId::parse(std::string_view text) {
    const Error bad{ErrorCode::invalid_argument,
                    fmt::format("'{}' is not a resource id", text.substr(0, 128)), "id",
                    "write it as /subscriptions/S/resourceGroups/G/providers/NAMESPACE/TYPE/NAME"};
    if (text.empty() || text.size() > kIdBytesMax || text.front() != '/') return bad;
    std::vector<std::string> parts;
    for (std::string& part : split(text, '/')) {
        if (part.empty()) continue;
        if (!is_good_name(part)) return bad;
        parts.push_back(std::move(part));
    }
    ResourceId id;
    if (parts.size() < 2 || !iequals(parts[0], "subscriptions")) return bad;
    id.subscription = parts[1];
    if (parts.size() == 2) return id;
    if (parts.size() < 4 || !iequals(parts[2], "resourceGroups")) return bad;
    id.resource_group = parts[3];
    if (parts.size() == 4) return id;
    if (parts.size() < 8 || parts.size() % 2 != 0 || !iequals(parts[4], "providers")) return bad;
    id.provider_namespace = parts[5];
    for (std::size_t i = 6; i + 1 < parts.size(); i += 2)
        id.segments.push_back({parts[i], parts[i + 1]});
    return id;
}

std::string ResourceId::to_string() const {
    std::string text = "/subscriptions/" + subscription;
    if (!resource_group.empty()) text += "/resourceGroups/" + resource_group;
    if (!provider_namespace.empty()) text += "/providers/" + provider_namespace;
    for (const Segment& each : segments) text += "/" + each.type + "/" + each.name;
    return text;
}

std::string ResourceId::key() const { return to_lower(to_string()); }

const std::string& ResourceId::name() const {
    if (!segments.empty()) return segments.back().name;
    return resource_group.empty() ? subscription : resource_group;
}

std::string ResourceId::type() const {
    if (segments.empty())
        return resource_group.empty() ? "Microsoft.Resources/subscriptions"
                                      : "Microsoft.Resources/resourceGroups";
    std::string text = provider_namespace;
    for (const Segment& each : segments) text += "/" + each.type;
    return text;
}

ResourceId ResourceId::parent() const {
    ResourceId up = *this;
    if (up.segments.size() > 1) {
        up.segments.pop_back();
    } else if (!up.segments.empty()) {
        up.segments.clear();
        up.provider_namespace.clear();
    } else {
        up.resource_group.clear();
    }
    return up;
}

ResourceId ResourceId::child(std::string_view type, std::string_view name) const {
    ResourceId down = *this;
    down.segments.push_back({std::string(type), std::string(name)});
    return down;
}

ResourceId ResourceId::group(std::string_view subscription, std::string_view resource_group) {
    return {std::string(subscription), std::string(resource_group), "", {}};
}

ResourceId ResourceId::server(std::string_view subscription, std::string_view resource_group,
                              std::string_view name) {
    return {std::string(subscription),
            std::string(resource_group),
            std::string(kPostgresNamespace),
            {{"flexibleServers", std::string(name)}}};
}

}  // namespace howdah::model
