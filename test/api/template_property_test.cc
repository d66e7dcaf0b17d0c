#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "api/template_support.h"
#include "api/templates/expression.h"
#include "api/templates/functions.h"
#include "base/clock.h"

// Whatever a template holds, it is evaluated or refused: without a crash, within bounded work, and
// with the same outcome each time.

namespace howdah::api::templates {
namespace {

using testing::json_of;
using testing::scope;
using testing::server;
using testing::template_with;

constexpr unsigned kSeed = 20261121;
constexpr int kRounds = 1500;

class Random {
  public:
    explicit Random(unsigned seed) : engine_(seed) {}
    std::size_t below(std::size_t bound) {
        return std::uniform_int_distribution<std::size_t>(0, bound - 1)(engine_);
    }
    template <typename T>
    const T& one_of(const std::vector<T>& items) {
        return items[below(items.size())];
    }

  private:
    std::mt19937 engine_;
};

std::vector<std::string> function_names() {
    std::vector<std::string> out;
    for (const auto group :
         {text_functions(), number_functions(), collection_functions(), lambda_functions(),
          address_functions(), time_functions(), scope_functions(), resource_functions()})
        for (const FunctionRow& row : group) out.emplace_back(row.name);
    std::replace(out.begin(), out.end(), std::string("list*"), std::string("listKeys"));
    return out;
}

/// A tree of calls with arguments that are often of the right kind.
std::string expression(Random& random, int depth) {
    static const std::vector<std::string> kLeaves = {"1",
                                                     "0",
                                                     "-1",
                                                     "9223372036854775807",
                                                     "'a'",
                                                     "''",
                                                     "'é漢𝄞'",
                                                     "'{0:D3}'",
                                                     "'2020-01-31'",
                                                     "'P1Y'",
                                                     "'10.0.0.0/8'",
                                                     "'A.B/c'",
                                                     "'e30='",
                                                     "json('{\"a\":[1,{\"b\":\"c\"}]}')",
                                                     "createArray(3, 1, 2)",
                                                     "createObject('x', 1, 'y', createArray('z'))",
                                                     "true()",
                                                     "null()",
                                                     "lambdaVariables('x')",
                                                     "variables('v')",
                                                     "parameters('s')",
                                                     "copyIndex()",
                                                     "lambda('x', lambdaVariables('x'))",
                                                     "lambda('x', 'y', less(lambdaVariables('x'), "
                                                     "lambdaVariables('y')))",
                                                     "range(0, 20)",
                                                     "reference('b').x"};
    static const std::vector<std::string> kNames = function_names();
    if (depth == 0 || random.below(4) == 0) return random.one_of(kLeaves);
    std::string out = random.one_of(kNames) + "(";
    const std::size_t count = random.below(4);
    for (std::size_t i = 0; i < count; ++i)
        out += (i == 0 ? "" : ", ") + expression(random, depth - 1);
    out += ")";
    if (random.below(6) == 0) out += ".x";
    if (random.below(6) == 0) out += "[" + expression(random, depth - 1) + "]";
    return out;
}

std::string mutated(Random& random, std::string text) {
    static const std::string kBytes = "()[]',.?'{}0-9ax\" \n\xc3\xff";
    const std::size_t edits = 1 + random.below(4);
    for (std::size_t i = 0; i < edits && !text.empty(); ++i) {
        const std::size_t at = random.below(text.size());
        switch (random.below(4)) {
            case 0:
                text.erase(at, 1 + random.below(5));
                break;
            case 1:
                text.insert(at, 1, kBytes[random.below(kBytes.size())]);
                break;
            case 2:
                text[at] = kBytes[random.below(kBytes.size())];
                break;
            default:
                text.insert(at, text.substr(random.below(text.size()), random.below(20)));
        }
    }
    return text;
}

std::string outcome(const Json& source) {
    const auto parsed = parse_template(source, {{"s", {{"value", "Sup3r-s3cret!"}}}}, scope());
    if (!parsed.ok()) return "refused: " + parsed.error().describe();
    const auto planned = plan(*parsed);
    if (!planned.ok()) return "refused: " + planned.error().describe();
    const ReferenceSource source_of = [](const ReferenceRequest& request) -> Result<Json> {
        return Json{{"id", request.id}, {"properties", {{"x", "y"}}}};
    };
    std::string out;
    for (std::size_t i = 0; i < planned->resources.size(); ++i) {
        const auto body = complete(*parsed, *planned, i, source_of);
        out += body.ok() ? to_text(*body) : "refused: " + body.error().describe();
    }
    const auto results = outputs(*parsed, *planned, source_of);
    return out + (results.ok() ? to_text(*results) : "refused: " + results.error().describe());
}

Json template_of(const std::string& expression) {
    return template_with(
        {{"parameters", {{"s", {{"type", "securestring"}}}}},
         {"variables", {{"v", {{"x", {1, "two", nullptr}}}}}},
         {"resources", Json::array({server("a", {{"properties", {{"v", "[" + expression + "]"}}}}),
                                    server("b")})},
         {"outputs", {{"o", {{"type", "string"}, {"value", "[string(" + expression + ")]"}}}}}});
}

TEST(template_property, any_expression_is_evaluated_or_refused_and_always_alike) {
    SCOPED_TRACE(kSeed);
    Random random(kSeed);
    int evaluated = 0;
    for (int i = 0; i < kRounds; ++i) {
        std::string text = expression(random, 1 + static_cast<int>(random.below(4)));
        if (random.below(3) == 0) text = mutated(random, text);
        const Json source = template_of(text);
        const std::string first = outcome(source);
        EXPECT_EQ(first, outcome(source)) << text;
        const bool is_refused = first.find("refused: ") != std::string::npos;
        evaluated += is_refused ? 0 : 1;
        if (!is_refused) continue;
        EXPECT_EQ(first.find("Sup3r-s3cret!", first.find("refused: ")), std::string::npos) << text;
    }
    EXPECT_GT(evaluated, kRounds / 50) << "hardly anything was evaluated: the test tests nothing";
}

TEST(template_property, what_was_parsed_came_from_the_text_alone) {
    SCOPED_TRACE(kSeed);
    Random random(kSeed + 1);
    for (int i = 0; i < kRounds; ++i) {
        const std::string text = mutated(random, expression(random, 3));
        const auto tree = parse_expression(text);
        if (!tree.ok()) {
            EXPECT_EQ(tree.error().code, ErrorCode::invalid_template) << text;
            continue;
        }
        EXPECT_LE(tree->height, kExpressionDepthMax) << text;
        EXPECT_TRUE(parse_expression(" " + text + "\n").ok()) << text;
        EXPECT_FALSE(parse_expression(text + ")").ok()) << text;
    }
}

/// Replaces, removes or moves one value somewhere in the template.
void mutate(Random& random, Json& value) {
    static const std::vector<Json> kValues = {nullptr,
                                              true,
                                              0,
                                              -1,
                                              1e300,
                                              "",
                                              "[copyIndex()]",
                                              "[parameters('s')]",
                                              "[",
                                              Json::object(),
                                              Json::array(),
                                              "[reference('pg1')]",
                                              {{"name", "x"}, {"count", 3}},
                                              "[variables('tier')]"};
    if (value.is_structured() && !value.empty() && random.below(8) != 0) {
        auto child = value.begin();
        std::advance(child, static_cast<std::ptrdiff_t>(random.below(value.size())));
        if (random.below(12) != 0) return mutate(random, *child);
        value.erase(child);
        return;
    }
    value = random.one_of(kValues);
}

TEST(template_property, any_change_of_a_template_is_planned_or_refused) {
    SCOPED_TRACE(kSeed);
    Random random(kSeed + 2);
    const Json whole = template_with(json_of(R"json({
      "parameters": {"s": {"type": "securestring", "minLength": 3}, "list": {"type": "array", "defaultValue": ["a", "b"]},
                     "o": {"type": "object", "defaultValue": {"k": "[resourceGroup().location]"}, "properties": {"k": {"type": "string"}}}},
      "variables": {"tier": "Burstable", "copy": [{"name": "l", "count": 2, "input": "[copyIndex('l')]"}], "c": "[f.x(variables('tier'))]"},
      "functions": [{"namespace": "f", "members": {"x": {"parameters": [{"name": "p", "type": "string"}], "output": {"type": "string", "value": "[toUpper(parameters('p'))]"}}}}],
      "resources": [
        {"type": "A.B/c", "apiVersion": "1", "name": "pg1", "condition": "[equals(1, 1)]", "location": "x", "tags": {"a": "b"},
         "properties": {"pw": "[parameters('s')]", "copy": [{"name": "rules", "count": 2, "input": {"i": "[copyIndex('rules')]"}}]},
         "resources": [{"type": "d", "apiVersion": "1", "name": "child", "dependsOn": ["pg1"], "properties": {}}]},
        {"type": "A.B/c/d", "apiVersion": "1", "name": "[format('pg1/{0}', parameters('list')[copyIndex()])]",
         "copy": {"name": "loop", "count": "[length(parameters('list'))]", "mode": "serial", "batchSize": 1},
         "dependsOn": ["[resourceId('A.B/c', 'pg1')]"], "properties": {"z": "[reference('pg1').x]"}},
        {"type": "Microsoft.Resources/deployments", "apiVersion": "1", "name": "m", "dependsOn": ["loop"],
         "properties": {"mode": "Incremental", "expressionEvaluationOptions": {"scope": "inner"}, "parameters": {"x": {"value": "[variables('c')]"}},
                        "template": {"resources": []}}}
      ],
      "outputs": {"o": {"type": "array", "copy": {"count": 2, "input": "[copyIndex()]"}}, "p": {"type": "string", "condition": true, "value": "[reference('m').x]"}}})json"));
    ASSERT_EQ(outcome(whole).find("refused"), std::string::npos) << outcome(whole);
    for (int i = 0; i < kRounds; ++i) {
        Json changed = whole;
        const std::size_t edits = 1 + random.below(3);
        for (std::size_t edit = 0; edit < edits; ++edit) mutate(random, changed);
        const std::string first = outcome(changed);
        EXPECT_EQ(first.substr(0, 2000), outcome(changed).substr(0, 2000)) << to_text(changed);
    }
}

/// Templates made to be as much work as they can.
TEST(template_property, work_is_bounded_in_time) {
    const std::vector<std::string> greedy = {
        "reduce(range(0, 10000), createObject(), lambda('a', 'b', union(lambdaVariables('a'), "
        "createObject(string(lambdaVariables('b')), lambdaVariables('b')))))",
        "toObject(range(0, 10000), lambda('x', string(lambdaVariables('x'))))",
        "sort(range(0, 10000), lambda('a', 'b', less(lambdaVariables('b'), lambdaVariables('a'))))",
        "map(range(0, 10000), lambda('x', length(replace(variables('long'), 'a', 'bb'))))",
        "map(range(0, 10000), lambda('x', contains(variables('wide'), lambdaVariables('x'))))",
        "map(range(0, 10000), lambda('x', split(variables('long'), createArray('b', 'c', 'd'))))",
        "map(range(0, 10000), lambda('x', lastIndexOf(variables('long'), 'b')))",
        "map(range(0, 10000), lambda('x', substring(variables('long'), 90000, 1)))",
        "map(range(0, 10000), lambda('x', join(variables('wide'), 'x')))",
        "map(range(0, 10000), lambda('x', deployment()))",
    };
    const SystemClock clock;
    for (const std::string& text : greedy) {
        Json source = template_of(text);
        source["variables"]["long"] = std::string(100'000, 'a');
        source["variables"]["wide"] = "[range(0, 10000)]";
        const Instant begin = clock.now();
        outcome(source);
        // Generous: sanitizers and a busy machine.
        EXPECT_LT(clock.now() - begin, std::chrono::seconds(30)) << text;
    }
}

}  // namespace
}  // namespace howdah::api::templates
