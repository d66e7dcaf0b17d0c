#include "model/etcd_messages.h"

#include <fmt/core.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/text.h"
#include "model/json_text.h"

namespace howdah::model::etcd {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kRefusalBytesMax = 300;

Error unexpected(std::string_view what) {
    return {ErrorCode::corrupt, fmt::format("etcd's answer cannot be understood: {}", what)};
}

Result<Json> parse(std::string_view text) {
    HD_TRY(Json parsed, parse_json_text<Json>(text, kDepthMax, "etcd's answer"));
    if (!parsed.is_object()) return unexpected("it is no JSON object");
    return parsed;
}

/// Reads the members of an object; the first that is not what it should be is remembered.
class Members {
  public:
    Members(const Json& object, std::optional<Error>& problem)
        : object_(object), problem_(problem) {}

    const Json* find(const char* name) const {
        const auto found = object_.find(name);
        return found == object_.end() || found->is_null() ? nullptr : &*found;
    }
    /// What is absent is 0.
    template <typename Number>
    Number number(const char* name) const {
        const Json* const found = find(name);
        if (found == nullptr) return 0;
        Number value = 0;
        if (const auto* text = found->get_ptr<const Json::string_t*>()) {
            const char* const end = text->data() + text->size();
            const auto [stop, error] = std::from_chars(text->data(), end, value);
            if (error == std::errc() && stop == end && value >= 0) return value;
        }
        return refuse<Number>(name, "is no number");
    }
    bool flag(const char* name) const {
        const Json* const found = find(name);
        if (found == nullptr) return false;
        if (const auto* value = found->get_ptr<const Json::boolean_t*>()) return *value;
        return refuse<bool>(name, "is neither true nor false");
    }
    std::string bytes(const char* name) const {
        const Json* const found = find(name);
        if (found == nullptr) return {};
        if (const auto* text = found->get_ptr<const Json::string_t*>()) {
            auto decoded = base64_decode(*text);
            if (decoded.ok()) return std::move(decoded).value();
        }
        return refuse<std::string>(name, "is no base64");
    }
    std::string text(const char* name) const {
        const Json* const found = find(name);
        if (found == nullptr) return {};
        if (const auto* text = found->get_ptr<const Json::string_t*>()) return *text;
        return refuse<std::string>(name, "is no text");
    }
    /// An object that has to be there; otherwise an empty one, and a problem.
    const Json& object(const char* name) const {
        static const Json kNone = Json::object();
        const Json* const found = find(name);
        if (found != nullptr && found->is_object()) return *found;
        return refuse<const Json&>(name, "is no object", kNone);
    }
    /// What is absent has no elements.
    const Json& list(const char* name) const {
        static const Json kNone = Json::array();
        const Json* const found = find(name);
        if (found == nullptr) return kNone;
        return found->is_array() ? *found : refuse<const Json&>(name, "is no list", kNone);
    }

    template <typename Value>
    Value refuse(std::string_view name, std::string_view why, Value instead = {}) const {
        if (!problem_) problem_ = unexpected(fmt::format("'{}' {}", name, why));
        return instead;
    }

  private:
    const Json& object_;
    std::optional<Error>& problem_;
};

bool is_in(const Range& range, std::string_view key) {
    return range.end.empty() ? key == range.key : key >= range.key && key < range.end;
}

KeyValue read_entry(const Json& json, std::optional<Error>& problem) {
    static const Json kNone = Json::object();
    const Members members(json.is_object() ? json : kNone, problem);
    KeyValue entry;
    entry.key = members.bytes("key");
    entry.value = members.bytes("value");
    entry.created = members.number<std::int64_t>("create_revision");
    entry.modified = members.number<std::int64_t>("mod_revision");
    if (entry.key.empty()) members.refuse<int>("key", "is missing");
    return entry;
}

RangeAnswer read_range(const Members& members, const Range& asked, std::int64_t revision,
                       std::optional<Error>& problem) {
    RangeAnswer answer;
    answer.more = members.flag("more");
    for (const Json& each : members.list("kvs")) {
        KeyValue entry = read_entry(each, problem);
        const bool in_order = answer.entries.empty() || answer.entries.back().key < entry.key;
        if (!is_in(asked, entry.key) || !in_order)
            members.refuse<int>("kvs", "holds a key that was not asked for");
        if (entry.created < 1 || entry.modified < entry.created || entry.modified > revision)
            members.refuse<int>("kvs", "holds a revision that cannot be");
        if (problem) return answer;
        answer.entries.push_back(std::move(entry));
    }
    if (asked.limit > 0 && answer.entries.size() > static_cast<std::size_t>(asked.limit))
        members.refuse<int>("kvs", "holds more than was asked for");
    return answer;
}

Event read_event(const Json& json, std::optional<Error>& problem) {
    static const Json kNone = Json::object();
    const Members members(json.is_object() ? json : kNone, problem);
    Event event;
    const std::string type = members.text("type");
    event.is_deletion = type == "DELETE";
    if (!type.empty() && type != "PUT" && !event.is_deletion)
        members.refuse<int>("type", "is neither PUT nor DELETE");
    event.entry = read_entry(members.object("kv"), problem);
    const bool is_possible = event.is_deletion || (event.entry.created >= 1 &&
                                                   event.entry.created <= event.entry.modified);
    if (event.entry.modified < 1 || !is_possible)
        members.refuse<int>("kv", "has a revision that cannot be");
    return event;
}

Result<LeaseAnswer> read_lease(const Json& json) {
    std::optional<Error> problem;
    const Members members(json, problem);
    const LeaseAnswer answer{.id = members.number<std::int64_t>("ID"),
                             .seconds = members.number<std::int64_t>("TTL")};
    if (answer.id == 0) members.refuse<int>("ID", "is missing");
    if (problem) return *problem;
    return answer;
}

Json step_json(const Step& step) {
    if (const auto* range = std::get_if<Range>(&step)) {
        Json json = {{"key", base64_encode(range->key)}};
        if (!range->end.empty()) json["range_end"] = base64_encode(range->end);
        if (range->keys_only) json["keys_only"] = true;
        if (range->limit > 0) json["limit"] = std::to_string(range->limit);
        return {{"request_range", std::move(json)}};
    }
    if (const auto* put = std::get_if<Put>(&step)) {
        Json json = {{"key", base64_encode(put->key)}, {"value", base64_encode(put->value)}};
        if (put->lease != 0) json["lease"] = std::to_string(put->lease);
        return {{"request_put", std::move(json)}};
    }
    return {{"request_delete_range", {{"key", base64_encode(std::get_if<Delete>(&step)->key)}}}};
}

Json steps_json(const std::vector<Step>& steps) {
    Json json = Json::array();
    for (const Step& each : steps) json.push_back(step_json(each));
    return json;
}

const char* answer_name(const Step& step) {
    if (std::holds_alternative<Range>(step)) return "response_range";
    return std::holds_alternative<Put>(step) ? "response_put" : "response_delete_range";
}

}  // namespace

std::string to_json(const Txn& txn) {
    Json compares = Json::array();
    for (const Compare& each : txn.compares) {
        compares.push_back({{"key", base64_encode(each.key)},
                            {"target", "MOD"},
                            {"result", "EQUAL"},
                            {"mod_revision", std::to_string(each.modified)}});
    }
    const Json json = {{"compare", std::move(compares)},
                       {"success", steps_json(txn.success)},
                       {"failure", steps_json(txn.failure)}};
    return json.dump();
}

Result<TxnAnswer> parse_txn_answer(std::string_view text, const Txn& asked) {
    HD_TRY(const Json json, parse(text));
    std::optional<Error> problem;
    const Members members(json, problem);
    const Members header(members.object("header"), problem);
    TxnAnswer answer;
    answer.cluster = header.number<std::uint64_t>("cluster_id");
    answer.revision = header.number<std::int64_t>("revision");
    answer.succeeded = members.flag("succeeded");
    if (answer.cluster == 0 || answer.revision < 1)
        members.refuse<int>("header", "names no cluster or no revision");
    const auto& steps = answer.succeeded ? asked.success : asked.failure;
    const Json& responses = members.list("responses");
    if (responses.size() != steps.size() || (!answer.succeeded && asked.compares.empty()))
        members.refuse<int>("responses", "is not what was asked for");
    for (std::size_t i = 0; !problem && i < steps.size(); ++i) {
        if (!responses[i].is_object()) return unexpected("'responses' holds what is no object");
        const Members response(responses[i], problem);
        const Members body(response.object(answer_name(steps[i])), problem);
        const auto* range = std::get_if<Range>(&steps[i]);
        answer.steps.push_back(
            range == nullptr ? RangeAnswer{} : read_range(body, *range, answer.revision, problem));
    }
    if (problem) return *problem;
    return answer;
}

Refusal parse_refusal(std::string_view text) {
    const std::string_view start = text.substr(0, kRefusalBytesMax);
    const auto parsed = parse(text);
    if (!parsed.ok()) return {-1, std::string(trim(start))};
    const auto code = parsed->find("code");
    const auto message = parsed->find("message");
    if (code == parsed->end() || !code->is_number_unsigned() || message == parsed->end() ||
        !message->is_string() || code->get<std::uint64_t>() > 1000)
        return {-1, std::string(trim(start))};
    return {static_cast<int>(code->get<std::uint64_t>()),
            message->get<std::string>().substr(0, kRefusalBytesMax)};
}

std::string compaction_json(std::int64_t revision) {
    return Json{{"revision", std::to_string(revision)}}.dump();
}

std::string watch_json(const std::string& key, const std::string& end, std::int64_t first) {
    return Json{{"create_request",
                 {{"key", base64_encode(key)},
                  {"range_end", base64_encode(end)},
                  {"start_revision", std::to_string(first)},
                  {"fragment", true}}}}
        .dump();
}

Result<WatchMessage> parse_watch_message(std::string_view line, const std::string& key,
                                         const std::string& end) {
    HD_TRY(const Json json, parse(line));
    if (json.contains("error"))
        return Error{ErrorCode::unavailable,
                     fmt::format("etcd ended a watch: {}", line.substr(0, kRefusalBytesMax))};
    std::optional<Error> problem;
    const Members outer(json, problem);
    const Members members(outer.object("result"), problem);
    const Members header(members.object("header"), problem);
    WatchMessage message;
    message.revision = header.number<std::int64_t>("revision");
    message.created = members.flag("created");
    message.cancelled = members.flag("canceled");
    message.compacted = members.number<std::int64_t>("compact_revision");
    message.is_fragment = members.flag("fragment");
    message.reason = members.text("cancel_reason").substr(0, kRefusalBytesMax);
    for (const Json& each : members.list("events")) {
        Event event = read_event(each, problem);
        const bool is_later =
            message.events.empty() || message.events.back().entry.modified <= event.entry.modified;
        if (event.entry.key < key || event.entry.key >= end || !is_later)
            members.refuse<int>("events", "holds what was not asked for");
        if (problem) return *problem;
        message.events.push_back(std::move(event));
    }
    if (problem) return *problem;
    return message;
}

std::string lease_grant_json(std::int64_t seconds) {
    return Json{{"TTL", std::to_string(seconds)}}.dump();
}
std::string lease_json(std::int64_t id) { return Json{{"ID", std::to_string(id)}}.dump(); }

Result<LeaseAnswer> parse_lease_grant(std::string_view text) {
    HD_TRY(const Json json, parse(text));
    return read_lease(json);
}
Result<LeaseAnswer> parse_lease_renewal(std::string_view text) {
    HD_TRY(const Json json, parse(text));
    std::optional<Error> problem;
    const Json& result = Members(json, problem).object("result");
    if (problem) return *problem;
    return read_lease(result);
}

}  // namespace howdah::model::etcd
