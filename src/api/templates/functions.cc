#include "api/templates/functions.h"

#include <fmt/core.h>

#include <initializer_list>
#include <map>

#include "api/templates/values.h"
#include "base/text.h"

namespace howdah::api::templates {

Result<std::string> Call::text(std::size_t index) {
    if (!argument(index).is_string()) return expects("a string");
    return string_of(argument(index));
}

Result<std::int64_t> Call::integer(std::size_t index) {
    if (!is_integer(argument(index))) return expects("an integer");
    return integer_of(argument(index));
}

Result<bool> Call::boolean(std::size_t index) {
    if (!argument(index).is_boolean()) return expects("a boolean");
    return argument(index).get<bool>();
}

Status Call::expect_array(std::size_t index) {
    if (!argument(index).is_array()) return expects("an array");
    return ok_status();
}

Status Call::expect_object(std::size_t index) {
    if (!argument(index).is_object()) return expects("an object");
    return ok_status();
}

Error Call::expects(std::string_view what) const {
    std::string types;
    for (const Json& each : arguments) {
        if (types.size() > 256) break;
        types += fmt::format("{}'{}'", types.empty() ? "" : " and ", type_name(each));
    }
    return inner_error(
        fmt::format("The template language function '{}' expects its parameter to be {}. The "
                    "provided value is of type {}. Please see "
                    "https://aka.ms/arm-template-expressions#{} for usage details.",
                    name, what, types, name));
}

Error Call::fails(std::string_view why) const {
    return inner_error(
        fmt::format("Unable to evaluate template language function '{}': {} Please see "
                    "https://aka.ms/arm-template-expressions/#{} for usage details.",
                    name, why, name));
}

Status Call::afford(std::size_t bytes) {
    if (bytes > kTextBytesMax)
        return fails(fmt::format("the result would be larger than {} bytes.", kTextBytesMax));
    return evaluator.charge(bytes);
}

const FunctionRow* find_function(std::string_view name) {
    static const auto rows = [] {
        std::map<std::string, const FunctionRow*, std::less<>> out;
        for (const auto group :
             {text_functions(), number_functions(), collection_functions(), lambda_functions(),
              address_functions(), time_functions(), scope_functions(), resource_functions()})
            for (const FunctionRow& row : group) out.emplace(to_lower(row.name), &row);
        return out;
    }();
    // Every word that begins with "list" is an action on a resource.
    static constexpr std::string_view kList = "list*";
    const std::string key = to_lower(name);
    const auto found = rows.find(key);
    if (found != rows.end()) return found->second;
    return key.starts_with("list") ? rows.find(kList)->second : nullptr;
}

Error wrong_count(const FunctionRow& row, std::size_t given) {
    const std::string wanted = row.least == row.most ? fmt::format("{}", row.least)
                               : row.most == kAnyCount
                                   ? fmt::format("at least {}", row.least)
                                   : fmt::format("between {} and {}", row.least, row.most);
    return inner_error(
        fmt::format("Unable to evaluate template language function '{}': function requires {} "
                    "argument(s) while {} were provided. Please see "
                    "https://aka.ms/arm-template-expressions/#{} for usage details.",
                    row.name, wanted, given, row.name));
}

}  // namespace howdah::api::templates
