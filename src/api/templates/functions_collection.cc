#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string>

#include "api/templates/functions.h"
#include "api/templates/values.h"
#include "base/text.h"

namespace howdah::api::templates {
namespace {

/// What a search through `count` elements for one value may cost.
std::size_t search_work(std::size_t count, const Json& value) {
    return count * (4 + compare_work(value) / 16);
}

bool holds(const Json& array, const Json& value) {
    return std::any_of(array.begin(), array.end(),
                       [&](const Json& each) { return same(each, value); });
}

Result<Json> length(Call& call) {
    const Json& value = call.argument(0);
    if (value.is_string()) return Json(character_count(string_of(value)));
    if (value.is_structured()) return Json(value.size());
    return call.expects("an array, object, or a string");
}

Result<Json> empty(Call& call) {
    const Json& value = call.argument(0);
    if (value.is_null()) return Json(true);
    if (value.is_string()) return Json(string_of(value).empty());
    if (value.is_structured()) return Json(value.empty());
    return call.expects("an object, an array, or a string");
}

Result<Json> contains(Call& call) {
    const Json& container = call.argument(0);
    const Json& item = call.argument(1);
    if (container.is_array()) {
        HD_CHECK(call.evaluator.charge(search_work(container.size(), item)));
        return Json(holds(container, item));
    }
    if (container.is_object() && item.is_string()) {
        HD_CHECK(call.evaluator.charge(lookup_work(container)));
        return Json(find_field(container, string_of(item)) != nullptr);
    }
    if (container.is_string() && (item.is_string() || is_integer(item)))
        return Json(string_of(container).find(text_of(item)) != std::string::npos);
    return call.expects("an array, an object or a string, and a value that it may contain");
}

/// Both searches in texts leave letter case out of account, as Azure does.
Result<Json> text_position(Call& call, bool is_last) {
    HD_TRY(const std::string text, call.text(0));
    HD_TRY(const std::string part, call.text(1));
    const std::string low = to_lower(text);
    const std::size_t at = is_last ? low.rfind(to_lower(part)) : low.find(to_lower(part));
    if (at == std::string::npos) return Json(-1);
    return Json(character_count(std::string_view(text).substr(0, at)));
}

Result<Json> position(Call& call, bool is_last) {
    if (!call.argument(0).is_array()) return text_position(call, is_last);
    const Json& array = call.argument(0);
    HD_CHECK(call.evaluator.charge(search_work(array.size(), call.argument(1))));
    std::int64_t out = -1;
    for (std::size_t i = 0; i < array.size() && (is_last || out < 0); ++i)
        if (same(array[i], call.argument(1))) out = static_cast<std::int64_t>(i);
    return Json(out);
}

Result<Json> index_of(Call& call) { return position(call, false); }
Result<Json> last_index_of(Call& call) { return position(call, true); }

Result<Json> first(Call& call) {
    const Json& value = call.argument(0);
    if (value.is_array()) return value.empty() ? Json(nullptr) : value.front();
    if (!value.is_string()) return call.expects("an array or a string");
    const std::string& text = string_of(value);
    return Json(text.substr(0, byte_position(text, 1)));
}

Result<Json> last(Call& call) {
    const Json& value = call.argument(0);
    if (value.is_array()) return value.empty() ? Json(nullptr) : value.back();
    if (!value.is_string()) return call.expects("an array or a string");
    const std::string& text = string_of(value);
    const std::size_t count = character_count(text);
    return Json(count == 0 ? "" : text.substr(byte_position(text, count - 1)));
}

/// The elements [begin, end) of an array, or such characters of a text.
Result<Json> part_of(Call& call, bool is_take) {
    HD_TRY(const std::int64_t number, call.integer(1));
    const Json& value = call.argument(0);
    if (!value.is_array() && !value.is_string()) return call.expects("an array or a string");
    const std::size_t size = value.is_array() ? value.size() : character_count(string_of(value));
    const std::size_t cut = number <= 0 ? 0
                                        : static_cast<std::size_t>(std::min<std::uint64_t>(
                                              static_cast<std::uint64_t>(number), size));
    const std::size_t begin = is_take ? 0 : cut;
    const std::size_t end = is_take ? cut : size;
    if (value.is_string()) {
        const std::string& text = string_of(value);
        const std::size_t from = byte_position(text, begin);
        return Json(text.substr(from, byte_position(text, end) - from));
    }
    Json out = Json::array();
    for (std::size_t i = begin; i < end; ++i) out.push_back(value[i]);
    return out;
}

Result<Json> take(Call& call) { return part_of(call, true); }
Result<Json> skip(Call& call) { return part_of(call, false); }

/// Objects within objects are merged too, arrays are replaced. The depth is that of the JSON.
Status merge(Call& call, Json& into, const Json& from, bool is_deep) {
    for (const auto& [name, value] : from.items()) {
        HD_CHECK(call.evaluator.charge(lookup_work(into) + 64));
        const auto found = into.find(name);
        if (is_deep && found != into.end() && found->is_object() && value.is_object()) {
            HD_CHECK(merge(call, *found, value, true));
        } else {
            HD_CHECK(call.evaluator.charge(weight(value)));
            into[name] = value;
        }
    }
    return ok_status();
}

Result<Json> merge_objects(Call& call, bool is_deep) {
    Json out = Json::object();
    for (std::size_t i = 0; i < call.count(); ++i) {
        HD_CHECK(call.expect_object(i));
        HD_CHECK(merge(call, out, call.argument(i), is_deep));
    }
    return out;
}

Result<Json> join_arrays(Call& call) {
    Json out = Json::array();
    for (std::size_t i = 0; i < call.count(); ++i) {
        HD_CHECK(call.expect_array(i));
        for (const Json& each : call.argument(i)) {
            HD_CHECK(call.evaluator.charge(search_work(out.size(), each)));
            if (!holds(out, each)) out.push_back(each);
        }
    }
    return out;
}

Result<Json> join_all(Call& call) {
    return call.argument(0).is_array() ? join_arrays(call) : merge_objects(call, true);
}

Result<Json> shallow_merge(Call& call) {
    HD_CHECK(call.expect_array(0));
    const Json objects = call.argument(0);
    call.arguments.assign(objects.begin(), objects.end());
    return merge_objects(call, false);
}

Result<Json> common_elements(Call& call) {
    Json out = Json::array();
    for (std::size_t i = 1; i < call.count(); ++i) HD_CHECK(call.expect_array(i));
    for (const Json& each : call.argument(0)) {
        bool everywhere = !holds(out, each);
        for (std::size_t i = 1; i < call.count() && everywhere; ++i) {
            HD_CHECK(
                call.evaluator.charge(search_work(call.argument(i).size() + out.size(), each)));
            everywhere = holds(call.argument(i), each);
        }
        if (everywhere) out.push_back(each);
    }
    return out;
}

Result<Json> common_fields(Call& call) {
    Json out = Json::object();
    for (std::size_t i = 0; i < call.count(); ++i) HD_CHECK(call.expect_object(i));
    for (const auto& [name, value] : call.argument(0).items()) {
        bool everywhere = true;
        for (std::size_t i = 1; i < call.count() && everywhere; ++i) {
            HD_CHECK(call.evaluator.charge(lookup_work(call.argument(i)) + compare_work(value)));
            const auto found = call.argument(i).find(name);
            everywhere = found != call.argument(i).end() && same(*found, value);
        }
        if (everywhere) out[name] = value;
    }
    return out;
}

Result<Json> intersection(Call& call) {
    return call.argument(0).is_array() ? common_elements(call) : common_fields(call);
}

Result<Json> create_array(Call& call) {
    Json out = Json::array();
    for (Json& each : call.arguments) out.push_back(std::move(each));
    return out;
}

Result<Json> create_object(Call& call) {
    if (call.count() % 2 != 0) return call.fails("the number of arguments must be even.");
    Json out = Json::object();
    for (std::size_t i = 0; i < call.count(); i += 2) {
        HD_TRY(const std::string name, call.text(i));
        HD_CHECK(call.evaluator.charge(lookup_work(out)));
        out[name] = std::move(call.argument(i + 1));
    }
    return out;
}

Result<Json> array(Call& call) {
    if (call.argument(0).is_array()) return std::move(call.argument(0));
    Json out = Json::array();
    out.push_back(std::move(call.argument(0)));
    return out;
}

Result<Json> range(Call& call) {
    HD_TRY(const std::int64_t start, call.integer(0));
    HD_TRY(const std::int64_t count, call.integer(1));
    if (count < 0 || count > kRangeMax)
        return call.fails(
            fmt::format("the count must not be negative nor greater than '{}'.", kRangeMax));
    if (start < INT32_MIN || start > INT32_MAX || start + count > INT32_MAX)
        return call.fails("the sum of start index and count must not exceed '2147483647'.");
    HD_CHECK(call.evaluator.charge(static_cast<std::size_t>(count) * 64));
    Json out = Json::array();
    for (std::int64_t i = 0; i < count; ++i) out.push_back(start + i);
    return out;
}

/// Fields in the order of their names, as Azure gives them.
std::vector<std::string> sorted_names(const Json& object) {
    std::vector<std::string> names;
    for (const auto& [name, value] : object.items()) names.push_back(name);
    std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
        const std::string low_a = to_lower(a);
        const std::string low_b = to_lower(b);
        return low_a == low_b ? a < b : low_a < low_b;
    });
    return names;
}

Result<Json> items(Call& call) {
    HD_CHECK(call.expect_object(0));
    HD_CHECK(call.evaluator.charge(call.argument(0).size() * lookup_work(call.argument(0))));
    Json out = Json::array();
    for (const std::string& name : sorted_names(call.argument(0)))
        out.push_back({{"key", name}, {"value", call.argument(0)[name]}});
    return out;
}

Result<Json> object_keys(Call& call) {
    HD_CHECK(call.expect_object(0));
    return Json(sorted_names(call.argument(0)));
}

Result<Json> flatten(Call& call) {
    HD_CHECK(call.expect_array(0));
    Json out = Json::array();
    for (Json& each : call.argument(0)) {
        if (!each.is_array()) return call.expects("an array of arrays");
        for (Json& inner : each) out.push_back(std::move(inner));
    }
    return out;
}

/// nullptr: there is nothing at that field or index.
const Json* step_into(const Json& value, const Json& key) {
    if (value.is_object() && key.is_string()) return find_field(value, string_of(key));
    if (!value.is_array() || !is_integer(key)) return nullptr;
    const std::int64_t at = integer_of(key);
    const bool is_inside = at >= 0 && static_cast<std::uint64_t>(at) < value.size();
    return is_inside ? &value[static_cast<std::size_t>(at)] : nullptr;
}

Result<Json> try_get(Call& call) {
    const Json* value = &call.argument(0);
    for (std::size_t i = 1; i < call.count(); ++i) {
        if (!call.argument(i).is_string() && !is_integer(call.argument(i)))
            return call.expects("a value, and names or indexes");
        value = step_into(*value, call.argument(i));
        if (value == nullptr) return Json(nullptr);
    }
    return *value;
}

/// Counted from the end, from 1; null if there is none.
Result<Json> try_index_from_end(Call& call) {
    HD_TRY(const std::int64_t back, call.integer(1));
    const Json& array = call.argument(0);
    if (array.is_null()) return Json(nullptr);
    HD_CHECK(call.expect_array(0));
    if (back < 1 || static_cast<std::uint64_t>(back) > array.size()) return Json(nullptr);
    return array[array.size() - static_cast<std::size_t>(back)];
}

Result<Json> index_from_end(Call& call) {
    HD_CHECK(call.expect_array(0));
    HD_TRY(const std::int64_t back, call.integer(1));
    if (back < 1 || static_cast<std::uint64_t>(back) > call.argument(0).size())
        return call.fails("the index is out of bounds.");
    return try_index_from_end(call);
}

constexpr std::array kRows = {
    FunctionRow{"length", 1, 1, length},
    FunctionRow{"empty", 1, 1, empty},
    FunctionRow{"contains", 2, 2, contains},
    FunctionRow{"indexOf", 2, 2, index_of},
    FunctionRow{"lastIndexOf", 2, 2, last_index_of},
    FunctionRow{"first", 1, 1, first},
    FunctionRow{"last", 1, 1, last},
    FunctionRow{"take", 2, 2, take},
    FunctionRow{"skip", 2, 2, skip},
    FunctionRow{"union", 1, kAnyCount, join_all},
    FunctionRow{"shallowMerge", 1, 1, shallow_merge},
    FunctionRow{"intersection", 1, kAnyCount, intersection},
    FunctionRow{"createArray", 0, kAnyCount, create_array},
    FunctionRow{"createObject", 0, kAnyCount, create_object},
    FunctionRow{"array", 1, 1, array},
    FunctionRow{"range", 2, 2, range},
    FunctionRow{"items", 1, 1, items},
    FunctionRow{"objectKeys", 1, 1, object_keys},
    FunctionRow{"flatten", 1, 1, flatten},
    FunctionRow{"tryGet", 2, kAnyCount, try_get},
    FunctionRow{"tryIndexFromEnd", 2, 2, try_index_from_end},
    FunctionRow{"indexFromEnd", 2, 2, index_from_end},
};

}  // namespace

std::span<const FunctionRow> collection_functions() { return kRows; }

}  // namespace howdah::api::templates
