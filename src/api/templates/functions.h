#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/templates/evaluator.h"

/// The functions of the template language, by groups; nobody but the evaluator calls them.
namespace howdah::api::templates {

/// One call of a function whose arguments have been evaluated.
struct Call {
    Evaluator& evaluator;
    std::string_view name;  ///< as the table spells it
    std::vector<Json>& arguments;

    std::size_t count() const { return arguments.size(); }
    Json& argument(std::size_t index) { return arguments[index]; }
    bool has(std::size_t index) const { return index < arguments.size(); }
    Result<std::string> text(std::size_t index);
    Result<std::int64_t> integer(std::size_t index);
    Result<bool> boolean(std::size_t index);
    Status expect_array(std::size_t index);
    Status expect_object(std::size_t index);

    /// "The template language function 'x' expects its parameter to be WHAT. The provided value is
    /// of type 'Integer'. ..."
    Error expects(std::string_view what) const;
    /// "Unable to evaluate template language function 'x': WHY. ..."
    Error fails(std::string_view why) const;
    /// Charges for a text that is about to be made; refuses one of more than kTextBytesMax.
    Status afford(std::size_t bytes);
};

using Function = Result<Json> (*)(Call&);
/// Evaluates its arguments itself.
using LazyFunction = Result<Json> (*)(Evaluator&, const Expression&);

inline constexpr std::size_t kAnyCount = SIZE_MAX;

struct FunctionRow {
    std::string_view name;
    std::size_t least;
    std::size_t most;
    Function function = nullptr;
    LazyFunction lazy = nullptr;
};

/// The row of a name in any letter case; nullptr if there is no such function.
const FunctionRow* find_function(std::string_view name);

std::span<const FunctionRow> text_functions();
std::span<const FunctionRow> number_functions();  // and logic, conversions, comparison
std::span<const FunctionRow> collection_functions();
std::span<const FunctionRow> lambda_functions();
std::span<const FunctionRow> address_functions();
std::span<const FunctionRow> time_functions();
std::span<const FunctionRow> scope_functions();
std::span<const FunctionRow> resource_functions();

/// reference(), references() and list*(): need the state of resources.
bool is_runtime_function(std::string_view name);

Error wrong_count(const FunctionRow& row, std::size_t given);

}  // namespace howdah::api::templates
