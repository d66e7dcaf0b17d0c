#include <fmt/core.h>

#include <array>
#include <limits>

#include "api/templates/functions.h"
#include "api/templates/values.h"
#include "base/text.h"

namespace howdah::api::templates {
namespace {

struct Pair {
    std::int64_t left = 0;
    std::int64_t right = 0;
};

Result<Pair> two_integers(Call& call) {
    HD_TRY(const std::int64_t left, call.integer(0));
    HD_TRY(const std::int64_t right, call.integer(1));
    return Pair{left, right};
}

Error overflow(Call& call) { return call.fails("the result does not fit into 64 bits."); }

Result<Json> add(Call& call) {
    HD_TRY(const Pair pair, two_integers(call));
    std::int64_t out = 0;
    if (__builtin_add_overflow(pair.left, pair.right, &out)) return overflow(call);
    return Json(out);
}

Result<Json> sub(Call& call) {
    HD_TRY(const Pair pair, two_integers(call));
    std::int64_t out = 0;
    if (__builtin_sub_overflow(pair.left, pair.right, &out)) return overflow(call);
    return Json(out);
}

Result<Json> mul(Call& call) {
    HD_TRY(const Pair pair, two_integers(call));
    std::int64_t out = 0;
    if (__builtin_mul_overflow(pair.left, pair.right, &out)) return overflow(call);
    return Json(out);
}

Status can_divide(Call& call, const Pair& pair) {
    if (pair.right == 0) return call.fails("attempted to divide by zero.");
    if (pair.right == -1 && pair.left == std::numeric_limits<std::int64_t>::min())
        return overflow(call);
    return ok_status();
}

Result<Json> div(Call& call) {
    HD_TRY(const Pair pair, two_integers(call));
    HD_CHECK(can_divide(call, pair));
    return Json(pair.left / pair.right);
}

Result<Json> mod(Call& call) {
    HD_TRY(const Pair pair, two_integers(call));
    HD_CHECK(can_divide(call, pair));
    return Json(pair.left % pair.right);
}

/// min and max take integers, or one array of them.
Result<Json> extreme(Call& call, bool wants_greater) {
    if (call.count() == 1 && call.argument(0).is_array()) {
        const Json array = call.argument(0);
        call.arguments.assign(array.begin(), array.end());
        if (call.arguments.empty()) return call.fails("the array is empty.");
    }
    HD_TRY(std::int64_t out, call.integer(0));
    for (std::size_t i = 1; i < call.count(); ++i) {
        HD_TRY(const std::int64_t each, call.integer(i));
        if (wants_greater ? each > out : each < out) out = each;
    }
    return Json(out);
}

Result<Json> min(Call& call) { return extreme(call, false); }
Result<Json> max(Call& call) { return extreme(call, true); }

Result<Json> to_int(Call& call) {
    if (is_integer(call.argument(0))) return call.argument(0);
    if (!call.argument(0).is_string()) return call.expects("an integer or a string");
    const auto number =
        parse_integer(trim(string_of(call.argument(0))), std::numeric_limits<std::int64_t>::min(),
                      std::numeric_limits<std::int64_t>::max());
    if (!number.ok()) return call.fails("the value cannot be converted to an integer.");
    return Json(static_cast<std::int64_t>(*number));
}

Result<Json> to_string_value(Call& call) { return Json(text_of(call.argument(0))); }

Result<Json> to_bool(Call& call) {
    const Json& value = call.argument(0);
    if (value.is_boolean()) return value;
    if (is_integer(value)) return Json(integer_of(value) != 0);
    if (!value.is_string()) return call.expects("a boolean, an integer or a string");
    const std::string_view text = trim(string_of(value));
    if (iequals(text, "true") || text == "1") return Json(true);
    if (iequals(text, "false") || text == "0") return Json(false);
    return call.fails("the value cannot be converted to a boolean.");
}

Result<Json> true_value(Call&) { return Json(true); }
Result<Json> false_value(Call&) { return Json(false); }
Result<Json> null_value(Call&) { return Json(nullptr); }

Result<Json> negated(Call& call) {
    HD_TRY(const bool value, call.boolean(0));
    return Json(!value);
}

Result<Json> equals(Call& call) {
    HD_CHECK(call.evaluator.charge(compare_work(call.argument(0))));
    return Json(same(call.argument(0), call.argument(1)));
}

/// -1, 0 or 1. Texts are compared by their code points, with regard to letter case.
Result<int> compare(Call& call) {
    const Json& left = call.argument(0);
    const Json& right = call.argument(1);
    if (is_integer(left) && is_integer(right)) {
        const std::int64_t a = integer_of(left);
        const std::int64_t b = integer_of(right);
        return a < b ? -1 : a > b ? 1 : 0;
    }
    if (!left.is_string() || !right.is_string())
        return call.expects("of type integer and integer, or string and string");
    const int order = string_of(left).compare(string_of(right));
    return order < 0 ? -1 : order > 0 ? 1 : 0;
}

Result<Json> less(Call& call) {
    HD_TRY(const int order, compare(call));
    return Json(order < 0);
}

Result<Json> less_or_equals(Call& call) {
    HD_TRY(const int order, compare(call));
    return Json(order <= 0);
}

Result<Json> greater(Call& call) {
    HD_TRY(const int order, compare(call));
    return Json(order > 0);
}

Result<Json> greater_or_equals(Call& call) {
    HD_TRY(const int order, compare(call));
    return Json(order >= 0);
}

Result<Json> fail(Call& call) {
    HD_TRY(const std::string why, call.text(0));
    if (call.evaluator.read_secret()) return call.fails("the template called fail().");
    return inner_error(why.substr(0, 1024));
}

// Those that leave out what need not be evaluated.

Result<bool> condition(Evaluator& evaluator, const Expression& tree, std::string_view name) {
    HD_TRY(Json value, evaluator.evaluate(tree));
    std::vector<Json> arguments;
    arguments.push_back(std::move(value));
    Call call{evaluator, name, arguments};
    return call.boolean(0);
}

Result<Json> choose(Evaluator& evaluator, const Expression& tree) {
    HD_TRY(const bool is_true, condition(evaluator, tree.children[0], "if"));
    return evaluator.evaluate(tree.children[is_true ? 1 : 2]);
}

Result<Json> all_of(Evaluator& evaluator, const Expression& tree) {
    for (const Expression& each : tree.children) {
        HD_TRY(const bool is_true, condition(evaluator, each, "and"));
        if (!is_true) return Json(false);
    }
    return Json(true);
}

Result<Json> any_of(Evaluator& evaluator, const Expression& tree) {
    for (const Expression& each : tree.children) {
        HD_TRY(const bool is_true, condition(evaluator, each, "or"));
        if (is_true) return Json(true);
    }
    return Json(false);
}

Result<Json> coalesce(Evaluator& evaluator, const Expression& tree) {
    for (const Expression& each : tree.children) {
        HD_TRY(Json value, evaluator.evaluate(each));
        if (!value.is_null()) return value;
    }
    return Json(nullptr);
}

constexpr std::array kRows = {
    FunctionRow{"add", 2, 2, add},
    FunctionRow{"sub", 2, 2, sub},
    FunctionRow{"mul", 2, 2, mul},
    FunctionRow{"div", 2, 2, div},
    FunctionRow{"mod", 2, 2, mod},
    FunctionRow{"min", 1, kAnyCount, min},
    FunctionRow{"max", 1, kAnyCount, max},
    FunctionRow{"int", 1, 1, to_int},
    FunctionRow{"string", 1, 1, to_string_value},
    FunctionRow{"bool", 1, 1, to_bool},
    FunctionRow{"true", 0, 0, true_value},
    FunctionRow{"false", 0, 0, false_value},
    FunctionRow{"null", 0, 0, null_value},
    FunctionRow{"not", 1, 1, negated},
    FunctionRow{"equals", 2, 2, equals},
    FunctionRow{"less", 2, 2, less},
    FunctionRow{"lessOrEquals", 2, 2, less_or_equals},
    FunctionRow{"greater", 2, 2, greater},
    FunctionRow{"greaterOrEquals", 2, 2, greater_or_equals},
    FunctionRow{"fail", 1, 1, fail},
    FunctionRow{"if", 3, 3, nullptr, choose},
    FunctionRow{"and", 2, kAnyCount, nullptr, all_of},
    FunctionRow{"or", 2, kAnyCount, nullptr, any_of},
    FunctionRow{"coalesce", 1, kAnyCount, nullptr, coalesce},
};

}  // namespace

std::span<const FunctionRow> number_functions() { return kRows; }

}  // namespace howdah::api::templates
