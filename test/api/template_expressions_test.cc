#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "api/template_support.h"

// Each row of the tables is a call of Microsoft's documentation, or what Azure is known to answer.

namespace howdah::api::templates {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using testing::json_of;
using testing::kGroupId;
using testing::kSubscription;
using testing::value_of;

struct Row {
    std::string expression;
    std::string json;
};

void expect_all(const std::vector<Row>& rows, const Json& members = Json::object()) {
    for (const Row& row : rows) {
        EXPECT_EQ(value_of(row.expression, members).dump(), json_of(row.json).dump())
            << row.expression;
    }
}

TEST(template_expressions, texts) {
    expect_all({
        {"concat('prefix', '-', 'x')", R"("prefix-x")"},
        {"concat('a', 5, true())", R"("a5True")"},
        {"concat(createArray(1, 2), createArray('c'))", R"([1,2,"c"])"},
        {"toLower('One Two')", R"("one two")"},
        {"toUpper('One Two')", R"("ONE TWO")"},
        {"trim('  one  ')", R"("one")"},
        {"replace('123-123-1234', '-', '')", R"("1231231234")"},
        {"replace('aaa', 'a', 'aa')", R"("aaaaaa")"},
        {"substring('one two three', 4, 3)", R"("two")"},
        {"substring('one two three', 8)", R"("three")"},
        {"split('one,two,three', ',')", R"(["one","two","three"])"},
        {"split('one;two,three', createArray(',', ';'))", R"(["one","two","three"])"},
        {"split('', ',')", R"([""])"},
        {"join(createArray('a', 'b', 3), '-')", R"("a-b-3")"},
        {"startsWith('abcdef', 'AB')", "true"},
        {"startsWith('ab', 'abc')", "false"},
        {"endsWith('abcdef', 'F')", "true"},
        {"endsWith('abcdef', 'e')", "false"},
        {"indexOf('test', 't')", "0"},
        {"indexOf('abcdef', 'CD')", "2"},
        {"lastIndexOf('test', 't')", "3"},
        {"indexOf('abcdef', 'z')", "-1"},
        {"padLeft('123', 10, '0')", R"("0000000123")"},
        {"padLeft(-100, 10, '0')", R"("000000-100")"},
        {"padLeft('abc', 2)", R"("abc")"},
        {"string(createArray('a', 1))", R"("[\"a\",1]")"},
        {"string(true())", R"("True")"},
        {"length('é漢𝄞x')", "4"},
        {"substring('é漢𝄞x', 1, 2)", R"("漢𝄞")"},
        {"'it''s'", R"("it's")"},
    });
}

TEST(template_expressions, formats_as_dot_net_does) {
    expect_all({
        {"format('{0}, {1}. Formatted number: {2:N0}', 'Hello', 'User', 8175133)",
         R"("Hello, User. Formatted number: 8,175,133")"},
        {"format('{{{0}}}', 'x')", R"("{x}")"},
        {"format('{0}/{1}', 'pg1', format('rule{0}', 2))", R"("pg1/rule2")"},
        {"format('{0:D4}|{1:X2}|{2:000}', 7, 255, -5)", R"("0007|FF|-005")"},
        {"format('[{0,5}|{0,-5}]', 'ab')", R"("[   ab|ab   ]")"},
        {"format('{0}', true())", R"("True")"},
        {"format('{0}', null())", R"("")"},
        {"format('{0:N}', -1234567)", R"("-1,234,567.00")"},
    });
    EXPECT_THAT(error_of("format('{1}', 'x')"), HasSubstr("function 'format'"));
    EXPECT_THAT(error_of("format('{', 'x')"), HasSubstr("not in a correct format"));
    EXPECT_THAT(error_of("format('}', 'x')"), HasSubstr("not in a correct format"));
}

TEST(template_expressions, collections) {
    expect_all({
        {"length(createObject('a', 1, 'b', 2))", "2"},
        {"empty(createArray())", "true"},
        {"empty(null())", "true"},
        {"empty('x')", "false"},
        {"contains('OneTwoThree', 'e')", "true"},
        {"contains('OneTwoThree', 'z')", "false"},
        {"contains('OneTwoThree', 'ONE')", "false"},
        {"contains(createObject('One', 1), 'one')", "true"},
        {"contains(createArray('one'), 'One')", "false"},
        {"contains(createArray(1, 2), 2)", "true"},
        {"first('abc')", R"("a")"},
        {"first('')", R"("")"},
        {"first(createArray())", "null"},
        {"last(createArray(1, 2, 3))", "3"},
        {"last('abc')", R"("c")"},
        {"take(createArray('one', 'two', 'three'), 2)", R"(["one","two"])"},
        {"take('one two three', 2)", R"("on")"},
        {"take(createArray(1), 9)", "[1]"},
        {"take(createArray(1), -1)", "[]"},
        {"skip(createArray('one', 'two', 'three'), 2)", R"(["three"])"},
        {"skip('one two three', 4)", R"("two three")"},
        {"union(createArray('one', 'two', 'three'), createArray('three', 'four', 'two'))",
         R"(["one","two","three","four"])"},
        {"union(createObject('p', createObject('one', 'a', 'three', 'c1'), 'n', createArray(1, 2)),"
         " createObject('p', createObject('three', 'c2', 'four', 'd'), 'n', createArray(3, 4)))",
         R"({"p":{"one":"a","three":"c2","four":"d"},"n":[3,4]})"},
        {"shallowMerge(createArray(createObject('p', createObject('a', 1)),"
         " createObject('p', createObject('b', 2), 'q', 3)))",
         R"({"p":{"b":2},"q":3})"},
        {"intersection(createArray('one', 'two', 'three'), createArray('two', 'three'))",
         R"(["two","three"])"},
        {"intersection(createObject('one', 'a', 'two', 'b', 'three', 'c'),"
         " createObject('one', 'a', 'two', 'z', 'three', 'c'))",
         R"({"one":"a","three":"c"})"},
        {"array('a')", R"(["a"])"},
        {"array(createArray(1))", "[1]"},
        {"array(createObject('a', 1))", R"([{"a":1}])"},
        {"range(5, 3)", "[5,6,7]"},
        {"range(0, 0)", "[]"},
        {"items(createObject('item002', 2, 'item001', 1))",
         R"([{"key":"item001","value":1},{"key":"item002","value":2}])"},
        {"objectKeys(createObject('b', 1, 'a', 2))", R"(["a","b"])"},
        {"flatten(createArray(createArray(1, 2), createArray(3), createArray()))", "[1,2,3]"},
        {"tryGet(createObject('a', createArray(1, createObject('b', 'x'))), 'a', 1, 'B')",
         R"("x")"},
        {"tryGet(createObject('a', 1), 'b', 'c')", "null"},
        {"tryIndexFromEnd(createArray(1, 2), 1)", "2"},
        {"tryIndexFromEnd(createArray(1, 2), 3)", "null"},
        {"indexOf(createArray('one', 'two', 'one'), 'one')", "0"},
        {"lastIndexOf(createArray('one', 'two', 'one'), 'one')", "2"},
    });
}

TEST(template_expressions, numbers_and_logic) {
    expect_all({
        {"add(5, 3)", "8"},
        {"sub(7, 3)", "4"},
        {"mul(-5, 3)", "-15"},
        {"div(8, 3)", "2"},
        {"mod(7, 3)", "1"},
        {"min(createArray(0, 3, 2, 5, 4))", "0"},
        {"min(0, 3, 2)", "0"},
        {"max(createArray(0, 3, 2, 5, 4))", "5"},
        {"int('4')", "4"},
        {"int(' -4 ')", "-4"},
        {"bool('True')", "true"},
        {"bool(0)", "false"},
        {"and(bool('true'), bool('false'))", "false"},
        {"or(true(), fail('not asked'))", "true"},
        {"and(false(), fail('not asked'))", "false"},
        {"not(false())", "true"},
        {"if(equals('a', 'a'), 'yes', fail('not asked'))", R"("yes")"},
        {"if(equals('a', 'A'), 'yes', 'no')", R"("no")"},
        {"equals(createObject('a', 1, 'b', 2), createObject('b', 2, 'a', 1))", "true"},
        {"equals(1, '1')", "false"},
        {"less(3, 5)", "true"},
        {"lessOrEquals('a', 'a')", "true"},
        {"greater('a', 'B')", "true"},
        {"greaterOrEquals(3, 5)", "false"},
        {"coalesce(null(), null(), 'x', fail('not asked'))", R"("x")"},
        {"coalesce(null())", "null"},
    });
    EXPECT_THAT(error_of("div(1, 0)"), HasSubstr("divide by zero"));
    EXPECT_THAT(error_of("mod(1, 0)"), HasSubstr("divide by zero"));
    EXPECT_THAT(error_of("div(sub(-9223372036854775807, 1), -1)"), HasSubstr("64 bits"));
    EXPECT_THAT(error_of("mul(9223372036854775807, 2)"), HasSubstr("64 bits"));
    EXPECT_THAT(error_of("add(9223372036854775808, 0)"), HasSubstr("64 bits"));
    EXPECT_THAT(error_of("fail('no such tier')"), HasSubstr("no such tier"));
}

TEST(template_expressions, encodings_and_addresses) {
    expect_all({
        {"base64('one, two, three')", R"("b25lLCB0d28sIHRocmVl")"},
        {"base64ToString('b25lLCB0d28sIHRocmVl')", R"("one, two, three")"},
        {"base64ToJson(base64('{''one'': ''a'', ''two'': ''b''}')).one", R"("a")"},
        {"base64ToString('//79')", R"("���")"},
        {"json('{\"a\": [1, 2.5, true, null]}').a", "[1,2.5,true,null]"},
        {"json('null')", "null"},
        {"json('[1, 2] // the rest')", "[1,2]"},
        {"dataUri('Hello')", R"("data:text/plain;charset=utf8;base64,SGVsbG8=")"},
        {"dataUriToString('data:;base64,SGVsbG8sIFdvcmxkIQ==')", R"("Hello, World!")"},
        {"uriComponent('http://contoso.com/a b')", R"("http%3A%2F%2Fcontoso.com%2Fa%20b")"},
        {"uriComponentToString('http%3A%2F%2Fcontoso.com')", R"("http://contoso.com")"},
        {"uri('http://contoso.com/resources/', 'nested/azuredeploy.json')",
         R"("http://contoso.com/resources/nested/azuredeploy.json")"},
        {"uri('http://contoso.org/firstpath', 'myscript.sh')",
         R"("http://contoso.org/myscript.sh")"},
        {"uri('http://contoso.org/a/b/c?x=/y', '/d')", R"("http://contoso.org/d")"},
        {"uri('http://contoso.org', 'd')", R"("http://contoso.org/d")"},
    });
    EXPECT_THAT(error_of("json('{')"), HasSubstr("not valid JSON"));
    EXPECT_THAT(error_of("base64ToString('%')"), HasSubstr("not base64"));
}

TEST(template_expressions, a_guid_is_the_one_that_azure_computes) {
    // uuid5(11fb06fb-712d-4ddd-98c7-e71bbd588830, "a-b-c") by another implementation.
    EXPECT_EQ(value_of("guid('a', 'b', 'c')"), "a98fa280-e03f-5afa-8d8e-92d0a9c201e8");
    EXPECT_EQ(value_of("guid('a', 'b', 'c')"), value_of("guid('a-b', 'c')"));
}

TEST(template_expressions, a_unique_string_has_thirteen_letters_and_stays_the_same) {
    const auto text = value_of("uniqueString(resourceGroup().id)").get<std::string>();
    EXPECT_EQ(text.size(), 13U);
    EXPECT_EQ(text.find_first_not_of("abcdefghijklmnopqrstuvwxyz234567"), std::string::npos);
    EXPECT_EQ(text, value_of("uniqueString(resourceGroup().id)"));
    EXPECT_NE(text, value_of("uniqueString(resourceGroup().id, 'x')"));
}

TEST(template_expressions, lambdas) {
    const Json members = json_of(R"({"variables":{"dogs":[
        {"name":"Evie","age":5},{"name":"Casper","age":3},{"name":"Indy","age":2}]}})");
    expect_all(
        {
            {"map(variables('dogs'), lambda('dog', lambdaVariables('dog').name))",
             R"(["Evie","Casper","Indy"])"},
            {"map(variables('dogs'), lambda('d', 'i', lambdaVariables('i')))", "[0,1,2]"},
            {"filter(variables('dogs'), lambda('dog', greater(lambdaVariables('dog').age, 4)))",
             R"([{"name":"Evie","age":5}])"},
            {"reduce(map(variables('dogs'), lambda('d', lambdaVariables('d').age)), 1,"
             " lambda('cur', 'next', add(lambdaVariables('cur'), lambdaVariables('next'))))",
             "11"},
            {"map(sort(variables('dogs'), lambda('a', 'b', less(lambdaVariables('a').age,"
             " lambdaVariables('b').age))), lambda('d', lambdaVariables('d').name))",
             R"(["Indy","Casper","Evie"])"},
            {"toObject(variables('dogs'), lambda('e', lambdaVariables('e').name),"
             " lambda('e', lambdaVariables('e').age))",
             R"({"Evie":5,"Casper":3,"Indy":2})"},
            {"groupBy(range(0, 4), lambda('i', string(mod(lambdaVariables('i'), 2))))",
             R"({"0":[0,2],"1":[1,3]})"},
            {"mapValues(createObject('a', 1, 'b', 2), lambda('v', mul(lambdaVariables('v'), 10)))",
             R"({"a":10,"b":20})"},
            // An inner lambda sees the variables of the outer one, and hides those of its name.
            {"map(range(1, 2), lambda('x', map(range(1, 2), lambda('y',"
             " mul(lambdaVariables('x'), lambdaVariables('y'))))))",
             "[[1,2],[2,4]]"},
            {"map(range(1, 2), lambda('x', map(range(5, 1), lambda('x', lambdaVariables('x')))))",
             "[[5],[5]]"},
        },
        members);
    EXPECT_THAT(error_of("lambda('x', 1)"), HasSubstr("'lambda' is not expected"));
    EXPECT_THAT(error_of("lambdaVariables('x')"), HasSubstr("'x' is not found"));
    EXPECT_THAT(error_of("map(range(0, 1), 5)"), HasSubstr("lambda"));
    EXPECT_THAT(error_of("filter(range(0, 1), lambda('x', 1))"), HasSubstr("boolean"));
    EXPECT_THAT(error_of("sort(range(0, 2), lambda('a', 'b', 1))"), HasSubstr("boolean"));
    EXPECT_THAT(error_of("map('x', lambda('a', 1))"),
                HasSubstr("expects its parameter to be an array"));
}

TEST(template_expressions, an_inconsistent_order_sorts_somehow) {
    EXPECT_EQ(value_of("length(sort(range(0, 100), lambda('a', 'b', true())))"), 100);
}

TEST(template_expressions, times) {
    expect_all({
        {"dateTimeAdd('2020-04-07 14:53:14Z', 'P3Y')", R"("2023-04-07 14:53:14Z")"},
        {"dateTimeAdd('2020-04-07 14:53:14Z', '-P9D')", R"("2020-03-29 14:53:14Z")"},
        {"dateTimeAdd('2020-04-07 14:53:14Z', 'PT1H', 'yyyyMMddTHHmmssZ')",
         R"("20200407T155314Z")"},
        {"dateTimeAdd('20200131T000000Z', 'P1M')", R"("20200229T000000Z")"},
        {"dateTimeAdd('2020-01-31', 'P1Y2M3DT4H5M6S', 's')", R"("2021-04-03T04:05:06")"},
        {"dateTimeFromEpoch(1683040573)", R"("2023-05-02T15:16:13Z")"},
        {"dateTimeToEpoch('2023-05-02T15:16:13Z')", "1683040573"},
        {"dateTimeAdd('2020-04-07T14:53:14Z', 'PT0S', 'ddd, d MMM yyyy h:mm tt')",
         R"("Tue, 7 Apr 2020 2:53 PM")"},
    });
    for (const char* duration : {"", "P", "1D", "P1", "PD", "P1H", "PT1D", "P99999999999999999999D",
                                 "P999999999D", "-P9999Y", "P1D2", "PTT1H"})
        EXPECT_NE(error_of(std::string("dateTimeAdd('2020-04-07', '") + duration + "')"), "")
            << duration;
    for (const char* base : {"", "x", "2020", "99999999T999999Z", "2020-13-01", "0000-00-00"})
        EXPECT_NE(error_of(std::string("dateTimeAdd('") + base + "', 'P1D')"), "") << base;
}

TEST(template_expressions, the_scope_is_known) {
    const std::string pg =
        kGroupId + "/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg1/databases/app";
    expect_all({
        {"resourceGroup().location", R"("eastus")"},
        {"resourceGroup().id", "\"" + kGroupId + "\""},
        {"resourceGroup().NAME", R"("rg1")"},
        {"subscription().subscriptionId", "\"" + kSubscription + "\""},
        {"tenant().tenantId", R"("11111111-1111-1111-1111-111111111111")"},
        {"deployment().name", R"("d1")"},
        {"deployment().properties.mode", R"("Incremental")"},
        {"environment().name", R"("Howdah")"},
        {"resourceId('Microsoft.DBforPostgreSQL/flexibleServers/databases', 'pg1', 'app')",
         "\"" + pg + "\""},
        {"resourceId('other', 'Microsoft.Network/virtualNetworks', 'v')",
         "\"/subscriptions/" + kSubscription +
             "/resourceGroups/other/providers/Microsoft.Network/virtualNetworks/v\""},
        {"resourceId('33333333-3333-3333-3333-333333333333', 'other', 'A.B/c', 'd')",
         R"("/subscriptions/33333333-3333-3333-3333-333333333333/resourceGroups/other/providers/A.B/c/d")"},
        {"subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'x')",
         "\"/subscriptions/" + kSubscription +
             "/providers/Microsoft.Authorization/roleDefinitions/x\""},
        {"tenantResourceId('Microsoft.Management/managementGroups', 'm')",
         R"("/providers/Microsoft.Management/managementGroups/m")"},
        {"extensionResourceId('/a/b', 'Microsoft.Authorization/locks', 'l')",
         R"("/a/b/providers/Microsoft.Authorization/locks/l")"},
    });
    EXPECT_THAT(error_of("resourceId('Microsoft.Storage/storageAccounts', 'a', 'b')"),
                HasSubstr("the type 'Microsoft.Storage/storageAccounts' requires '1' resource name "
                          "argument(s)"));
    EXPECT_THAT(error_of("resourceId('a', 'b')"), HasSubstr("'resourceId'"));
    EXPECT_THAT(error_of("newGuid()"), HasSubstr("'newGuid' is not expected at this location"));
    EXPECT_THAT(error_of("utcNow()"), HasSubstr("'utcNow' is not expected at this location"));
    EXPECT_THAT(error_of("copyIndex()"), HasSubstr("'copyIndex' is not expected"));
}

TEST(template_expressions, members_and_indexes) {
    const Json members =
        json_of(R"({"variables":{"o":{"Name":{"list":[10,{"x":"y"}]}},"empty":{},"n":null}})");
    expect_all({{"variables('o').name.LIST[0]", "10"},
                {"variables('o')['Name']['list'][1].x", R"("y")"},
                {"variables('o').?other.?more", "null"},
                {"variables('o').name.list[?7]", "null"},
                {"variables('n').?x", "null"},
                {"VARIABLES('O').name.list[sub(1, 1)]", "10"},
                {"  variables ( 'o' ) . name \n . list [ 0 ] ", "10"}},
               members);
    EXPECT_THAT(error_of("variables('o').other", members),
                HasSubstr("The language expression property 'other' doesn't exist, available "
                          "properties are 'Name'."));
    EXPECT_THAT(error_of("variables('o').name.list[7]", members),
                HasSubstr("array index '7' is out of bounds"));
    EXPECT_THAT(error_of("variables('o').name.list[-1]", members), HasSubstr("out of bounds"));
    EXPECT_THAT(error_of("variables('n').x", members), HasSubstr("values of type 'Null'"));
    EXPECT_THAT(error_of("variables('nope')", members),
                HasSubstr("The template variable 'nope' is not found."));
    EXPECT_THAT(error_of("parameters('nope')"),
                HasSubstr("The template parameter 'nope' is not found."));
}

TEST(template_expressions, errors_are_worded_as_azure_words_them) {
    EXPECT_EQ(
        error_of("nonexistent()"),
        "deployment template validation failed: 'The template resource 'pg1' is not valid: The "
        "template function 'nonexistent' is not valid. Please see "
        "https://aka.ms/arm-template-expressions for usage details.. Please see "
        "https://aka.ms/arm-template-expressions for usage details.'");
    EXPECT_THAT(
        error_of("first()"),
        HasSubstr("Unable to evaluate template language function 'first': function requires "
                  "1 argument(s) while 0 were provided. Please see "
                  "https://aka.ms/arm-template-expressions/#first for usage details."));
    EXPECT_THAT(error_of("first(100)"),
                HasSubstr("The provided value is of type 'Integer'. Please see "
                          "https://aka.ms/arm-template-expressions#first for usage details."));
    EXPECT_THAT(error_of("endsWith('one', 100)"),
                HasSubstr("The provided value is of type 'String' and 'Integer'."));
    EXPECT_THAT(error_of("padLeft(10, 200)"), HasSubstr("not greater than '16'"));
    EXPECT_THAT(error_of("contoso.nope()"),
                HasSubstr("The template function 'contoso.nope' is not valid."));
    EXPECT_THAT(error_of("substring('abc', 2, 5)"), HasSubstr("within the string"));
    EXPECT_THAT(error_of("range(0, 10001)"), HasSubstr("'10000'"));
}

TEST(template_expressions, what_is_no_expression_is_refused_with_the_token) {
    const std::vector<std::pair<std::string, std::string>> rows = {
        {"concat('a'", "expected token 'RightParenthesis' and actual 'EndOfData'"},
        {"concat('a'))", "expected token 'EndOfData' and actual 'RightParenthesis'"},
        {"concat", "expected token 'LeftParenthesis' and actual 'EndOfData'"},
        {"a.b", "expected token 'LeftParenthesis' and actual 'EndOfData'"},
        {"", "expected token 'Identifier' and actual 'EndOfData'"},
        {"concat(,)", "expected token 'Identifier' and actual 'Comma'"},
        {"concat('a',)", "expected token 'Identifier' and actual 'RightParenthesis'"},
        {"'a", "expected token 'Identifier' and actual 'Unknown'"},
        {"1 2", "expected token 'EndOfData' and actual 'Integer'"},
        {"json('{}').'a'", "expected token 'Identifier' and actual 'String'"},
        {"json('{}')[0", "expected token 'RightSquareBracket' and actual 'EndOfData'"},
        {"&", "expected token 'Identifier' and actual 'Unknown'"},
    };
    for (const auto& [expression, message] : rows)
        EXPECT_THAT(error_of(expression), HasSubstr(message)) << expression;
}

TEST(template_expressions, a_bracket_can_be_escaped) {
    Json members;
    members["variables"] = {{"a", "[[concat('x')]"}, {"b", "[x] y"}, {"c", "[["}, {"d", "[]x"}};
    EXPECT_EQ(value_of("variables('a')", members), "[concat('x')]");
    EXPECT_EQ(value_of("variables('b')", members), "[x] y");
    EXPECT_EQ(value_of("variables('c')", members), "[");
    EXPECT_EQ(value_of("variables('d')", members), "[]x");
    EXPECT_TRUE(is_expression("[x]"));
    EXPECT_FALSE(is_expression("[[x]"));
    EXPECT_FALSE(is_expression("["));
    EXPECT_FALSE(is_expression(""));
}

TEST(template_expressions, depth_length_and_work_are_bounded) {
    std::string nested = "1";
    for (int i = 0; i < kExpressionDepthMax + 1; ++i) nested = "add(" + nested + ", 1)";
    EXPECT_THAT(error_of(nested), HasSubstr("nested deeper"));
    std::string members = "json('{}')";
    for (int i = 0; i < kExpressionDepthMax + 1; ++i) members += ".a";
    EXPECT_THAT(error_of(members), HasSubstr("nested deeper"));
    EXPECT_THAT(error_of(std::string(100'000, '(')), HasSubstr("length limit exceeded"));
    EXPECT_THAT(error_of(std::string(20'000, '(')), HasSubstr("expected token"));
    EXPECT_THAT(error_of("'" + std::string(kExpressionBytesMax, 'x') + "'"),
                HasSubstr("length limit exceeded"));
    EXPECT_THAT(error_of("map(range(0, 10000), lambda('x', range(0, 10000)))"),
                HasSubstr("more work to evaluate than is allowed"));
    EXPECT_THAT(error_of("reduce(range(0, 100), 'x', lambda('a', 'b', concat(lambdaVariables('a'), "
                         "lambdaVariables('a'))))"),
                HasSubstr("larger than"));
    EXPECT_THAT(error_of("reduce(range(0, 10000), 'x', lambda('a', 'b', "
                         "createArray(lambdaVariables('a'))))"),
                HasSubstr("nested too deep"));
    EXPECT_THAT(error_of("reduce(range(0, 22), 'xxxxxxxxxxxxxxxx', lambda('a', 'b', "
                         "replace(lambdaVariables('a'), 'x', 'xxxxxxxx')))"),
                HasSubstr("larger than"));
}

}  // namespace
}  // namespace howdah::api::templates
