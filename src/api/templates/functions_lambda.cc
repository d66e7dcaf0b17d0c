#include <array>
#include <utility>

#include "api/templates/functions.h"
#include "api/templates/values.h"

namespace howdah::api::templates {
namespace {

/// An evaluated argument of a function that takes lambdas; checked to be of the wanted type.
Result<Json> collection(Evaluator& evaluator, const Expression& tree, bool wants_array) {
    HD_TRY(Json value, evaluator.evaluate(tree.children[0]));
    if (wants_array ? value.is_array() : value.is_object()) return value;
    const FunctionRow* row = find_function(tree.text);
    std::vector<Json> arguments;
    arguments.push_back(std::move(value));
    Call call{evaluator, row->name, arguments};
    return call.expects(wants_array ? "an array" : "an object");
}

Error wrong_lambda(Evaluator& evaluator, const Expression& tree, std::string_view wanted) {
    std::vector<Json> none;
    Call call{evaluator, find_function(tree.text)->name, none};
    return call.fails(wanted);
}

/// A lambda may have a second variable, for the index.
Result<Json> apply_at(Evaluator& evaluator, const Expression& lambda, const Json& item,
                      std::size_t index) {
    return evaluator.apply(lambda, {item, Json(index)});
}

Result<Json> map(Evaluator& evaluator, const Expression& tree) {
    HD_TRY(const Json array, collection(evaluator, tree, true));
    Json out = Json::array();
    for (const Json& each : array) {
        HD_TRY(Json mapped, apply_at(evaluator, tree.children[1], each, out.size()));
        HD_CHECK(evaluator.charge(weight(mapped)));
        out.push_back(std::move(mapped));
    }
    return out;
}

Result<Json> filter(Evaluator& evaluator, const Expression& tree) {
    HD_TRY(const Json array, collection(evaluator, tree, true));
    Json out = Json::array();
    std::size_t index = 0;
    for (const Json& each : array) {
        HD_TRY(const Json keeps, apply_at(evaluator, tree.children[1], each, index++));
        if (!keeps.is_boolean())
            return wrong_lambda(evaluator, tree, "the lambda must give a boolean.");
        if (keeps.get<bool>()) out.push_back(each);
    }
    return out;
}

Result<Json> reduce(Evaluator& evaluator, const Expression& tree) {
    HD_TRY(const Json array, collection(evaluator, tree, true));
    HD_TRY(Json sum, evaluator.evaluate(tree.children[1]));
    std::size_t index = 0;
    for (const Json& each : array) {
        HD_TRY(sum, evaluator.apply(tree.children[2], {sum, each, Json(index++)}));
    }
    return sum;
}

/// Merges two sorted halves. Our own sort, since a template's comparison need not be consistent,
/// which std::sort does not survive.
Result<std::vector<Json>> merged(Evaluator& evaluator, const Expression& tree,
                                 std::vector<Json> left, std::vector<Json> right) {
    std::vector<Json> out;
    std::size_t a = 0;
    std::size_t b = 0;
    while (a < left.size() && b < right.size()) {
        HD_TRY(const Json comes_first, evaluator.apply(tree.children[1], {right[b], left[a]}));
        if (!comes_first.is_boolean())
            return wrong_lambda(evaluator, tree, "the lambda must give a boolean.");
        out.push_back(std::move(comes_first.get<bool>() ? right[b++] : left[a++]));
    }
    while (a < left.size()) out.push_back(std::move(left[a++]));
    while (b < right.size()) out.push_back(std::move(right[b++]));
    return out;
}

/// Recursion is as deep as the logarithm of the size.
Result<std::vector<Json>> sorted(Evaluator& evaluator, const Expression& tree,
                                 std::vector<Json> items) {
    if (items.size() < 2) return items;
    const auto middle = items.begin() + static_cast<std::ptrdiff_t>(items.size() / 2);
    std::vector<Json> right(std::make_move_iterator(middle), std::make_move_iterator(items.end()));
    items.erase(middle, items.end());
    HD_TRY(std::vector<Json> first, sorted(evaluator, tree, std::move(items)));
    HD_TRY(std::vector<Json> second, sorted(evaluator, tree, std::move(right)));
    return merged(evaluator, tree, std::move(first), std::move(second));
}

Result<Json> sort(Evaluator& evaluator, const Expression& tree) {
    HD_TRY(const Json array, collection(evaluator, tree, true));
    HD_TRY(std::vector<Json> items,
           sorted(evaluator, tree, std::vector<Json>(array.begin(), array.end())));
    Json out = Json::array();
    for (Json& each : items) out.push_back(std::move(each));
    return out;
}

Result<std::string> key_of(Evaluator& evaluator, const Expression& tree, const Json& item,
                           std::size_t index) {
    HD_TRY(const Json key, apply_at(evaluator, tree.children[1], item, index));
    if (!key.is_string()) return wrong_lambda(evaluator, tree, "the lambda must give a string.");
    return string_of(key);
}

Result<Json> to_object(Evaluator& evaluator, const Expression& tree) {
    HD_TRY(const Json array, collection(evaluator, tree, true));
    Json out = Json::object();
    std::size_t index = 0;
    for (const Json& each : array) {
        HD_TRY(const std::string key, key_of(evaluator, tree, each, index++));
        HD_CHECK(evaluator.charge(lookup_work(out)));
        Json value = each;
        if (tree.children.size() > 2) {
            HD_TRY(value, apply_at(evaluator, tree.children[2], each, index - 1));
        }
        HD_CHECK(evaluator.charge(weight(value)));
        out[key] = std::move(value);
    }
    return out;
}

Result<Json> group_by(Evaluator& evaluator, const Expression& tree) {
    HD_TRY(const Json array, collection(evaluator, tree, true));
    Json out = Json::object();
    std::size_t index = 0;
    for (const Json& each : array) {
        HD_TRY(const std::string key, key_of(evaluator, tree, each, index++));
        HD_CHECK(evaluator.charge(lookup_work(out) + weight(each)));
        out[key].push_back(each);
    }
    return out;
}

Result<Json> map_values(Evaluator& evaluator, const Expression& tree) {
    HD_TRY(const Json object, collection(evaluator, tree, false));
    Json out = Json::object();
    for (const auto& [name, value] : object.items()) {
        HD_TRY(Json mapped, evaluator.apply(tree.children[1], {value}));
        HD_CHECK(evaluator.charge(weight(mapped) + lookup_work(out)));
        out[name] = std::move(mapped);
    }
    return out;
}

Result<Json> lambda(Evaluator& evaluator, const Expression&) {
    return evaluator.not_expected("lambda");
}

Result<Json> lambda_variables(Call& call) {
    HD_TRY(const std::string name, call.text(0));
    HD_TRY(const Json* value, call.evaluator.find_lambda_variable(name));
    return *value;
}

constexpr std::array kRows = {
    FunctionRow{"map", 2, 2, nullptr, map},
    FunctionRow{"filter", 2, 2, nullptr, filter},
    FunctionRow{"reduce", 3, 3, nullptr, reduce},
    FunctionRow{"sort", 2, 2, nullptr, sort},
    FunctionRow{"toObject", 2, 3, nullptr, to_object},
    FunctionRow{"groupBy", 2, 2, nullptr, group_by},
    FunctionRow{"mapValues", 2, 2, nullptr, map_values},
    FunctionRow{"lambda", 1, kAnyCount, nullptr, lambda},
    FunctionRow{"lambdaVariables", 1, 1, lambda_variables},
};

}  // namespace

std::span<const FunctionRow> lambda_functions() { return kRows; }

}  // namespace howdah::api::templates
