#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace howdah::model {

/// An Azure Resource Manager id:
/// /subscriptions/S[/resourceGroups/RG[/providers/NS/TYPE/NAME(/TYPE/NAME)*]]. A value. Spelling is
/// kept as given; comparison and store keys use `key()`.
struct ResourceId {
    std::string subscription;
    std::string resource_group;      ///< empty for a subscription
    std::string provider_namespace;  ///< "Microsoft.DBforPostgreSQL"; empty for a group
    /// Alternating type and name: {"flexibleServers","pg1"}, then {"databases","app"}.
    struct Segment {
        std::string type;
        std::string name;
        bool operator==(const Segment&) const = default;
    };
    std::vector<Segment> segments;

    /// Letter case of the fixed words does not matter; empty segments ("//") are skipped.
    /// Refuses: more than 2048 bytes, control characters, names that are empty, '.' or '..',
    /// percent signs, and ids that are not of the shape above.
    static Result<ResourceId> parse(std::string_view text);

    /// "/subscriptions/S/resourceGroups/RG/providers/NS/TYPE/NAME".
    std::string to_string() const;
    /// to_string in lower case: the one spelling used in store keys.
    std::string key() const;
    const std::string& name() const;
    /// "Microsoft.DBforPostgreSQL/flexibleServers/databases".
    std::string type() const;
    /// The same id without its last segment.
    ResourceId parent() const;
    ResourceId child(std::string_view type, std::string_view name) const;

    static ResourceId group(std::string_view subscription, std::string_view resource_group);
    static ResourceId server(std::string_view subscription, std::string_view resource_group,
                             std::string_view name);
};

inline constexpr std::string_view kPostgresNamespace = "Microsoft.DBforPostgreSQL";

}  // namespace howdah::model
