#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/records.h"

/// What Howdah lets a customer do with PostgreSQL's parameters: the tables behind parameters.h.
namespace howdah::core {

enum class Access { settable, read_only, hidden };

/// What is known of one parameter beyond what the engine says. Empty: as the engine says.
struct ParameterRule {
    std::string_view name;
    Access access = Access::settable;
    std::string_view minimum;
    std::string_view maximum;
    std::string_view allowed;  ///< of an enumeration, "a,b"
};

/// Why: a value outside must not be able to keep the server from starting, to lose a commit, to
/// reach the host, or to take Howdah's own work out of its hands.
ParameterRule parameter_rule(const model::ParameterInfo& parameter);

/// Parameters of the libraries that a customer may preload; the engine does not show them before
/// the library is loaded.
std::span<const model::ParameterInfo> library_parameters();
/// The part of a library parameter's name before the dot.
std::string_view library_of(std::string_view parameter);

/// Names of time zones that every PostgreSQL here knows, sorted.
std::span<const std::string_view> time_zones();
/// Text search configurations that every database has.
std::span<const std::string_view> text_search_configurations();

/// The page and anchor of PostgreSQL's manual; empty for a parameter that it does not have.
std::string documentation_link(const model::ParameterInfo& parameter, std::string_view major);

}  // namespace howdah::core
