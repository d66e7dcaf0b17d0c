#include "api/arm_json.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/text.h"

namespace howdah::api {
namespace {

/// Walks the text once before it is built into a value: refuses early, with constant memory, what
/// would be costly to build.
class Checker final : public nlohmann::json_sax<Json> {
  public:
    bool null() override { return count(); }
    bool boolean(bool) override { return count(); }
    bool number_integer(number_integer_t) override { return count(); }
    bool number_unsigned(number_unsigned_t) override { return count(); }
    bool number_float(number_float_t, const string_t&) override { return count(); }
    bool string(string_t& text) override {
        if (text.size() > kFieldTextBytesMax)
            return fail(fmt::format("a text is longer than {} bytes", kFieldTextBytesMax));
        return count();
    }
    bool binary(binary_t&) override { return fail("binary values are not JSON"); }
    bool start_object(std::size_t) override {
        if (!enter()) return false;
        names_.emplace_back();
        return true;
    }
    bool key(string_t& name) override {
        auto& names = names_.back();
        if (names.size() >= kObjectFieldsMax)
            return fail(fmt::format("an object has more than {} fields", kObjectFieldsMax));
        if (name.size() > kFieldTextBytesMax) return fail("a field's name is too long");
        if (!names.insert(name).second)
            return fail(fmt::format("the field '{}' is given twice", name.substr(0, 128)));
        return true;
    }
    bool end_object() override {
        names_.pop_back();
        --depth_;
        return true;
    }
    bool start_array(std::size_t) override { return enter(); }
    bool end_array() override {
        --depth_;
        return true;
    }
    bool parse_error(std::size_t position, const std::string&,
                     const nlohmann::detail::exception&) override {
        return fail(fmt::format("the text is not JSON at byte {}", position));
    }

    const std::string& problem() const { return problem_; }

  private:
    bool count() {
        if (++values_ > kBodyFieldsMax)
            return fail(fmt::format("the body has more than {} values", kBodyFieldsMax));
        return true;
    }
    bool enter() {
        if (++depth_ > kBodyDepthMax)
            return fail(fmt::format("the JSON is nested deeper than {} levels", kBodyDepthMax));
        return count();
    }
    bool fail(std::string problem) {
        if (problem_.empty()) problem_ = std::move(problem);
        return false;
    }

    int depth_ = 0;
    std::size_t values_ = 0;
    std::vector<std::set<std::string, std::less<>>> names_;
    std::string problem_;
};

Error bad_body(std::string_view why) {
    return {ErrorCode::invalid_request,
            fmt::format("the request content was invalid and could not be deserialized: '{}'", why),
            "", ""};
}

bool has_control_characters(std::string_view text) {
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) return true;
    }
    return false;
}

}  // namespace

Result<Json> parse_body(std::string_view text) {
    if (text.size() > kBodyBytesMax)
        return Error{ErrorCode::too_large,
                     fmt::format("the request content is larger than {} bytes", kBodyBytesMax)};
    if (trim(text).empty()) return Json(nullptr);
    Checker checker;
    if (!Json::sax_parse(text, &checker)) return bad_body(checker.problem());
    Json parsed = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (parsed.is_discarded()) return bad_body("the text is not JSON");
    return parsed;
}

std::string to_text(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Reader::Reader(const Json& object, std::string path, Problem& problem)
    : object_(&object), path_(std::move(path)), problem_(&problem) {
    if (object.is_object() || object.is_null()) return;
    fail({ErrorCode::invalid_request,
          path_.empty() ? "the body must be a JSON object"
                        : fmt::format("the field '{}' must be an object", path_),
          path_});
}

std::string Reader::path_of(std::string_view name) const {
    return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

void Reader::fail(Error error) {
    if (!*problem_) *problem_ = std::move(error);
}

const Json* Reader::find(std::string_view name) {
    known_.emplace(name);
    if (!object_->is_object()) return nullptr;
    const auto found = object_->find(std::string(name));
    return found == object_->end() || found->is_null() ? nullptr : &*found;
}

void Reader::wrong_type(std::string_view name, std::string_view wanted) {
    const std::string path = path_of(name);
    fail(
        {ErrorCode::invalid_request, fmt::format("the field '{}' must be {}", path, wanted), path});
}

std::optional<std::string> Reader::text_or_empty(std::string_view name) {
    const Json* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) {
        wrong_type(name, "a string");
        return std::nullopt;
    }
    const auto& text = value->get_ref<const std::string&>();
    if (has_control_characters(text)) {
        wrong_type(name, "text without control characters");
        return std::nullopt;
    }
    return text;
}

std::optional<std::string> Reader::text(std::string_view name) {
    std::optional<std::string> value = text_or_empty(name);
    if (value && value->empty()) return std::nullopt;
    return value;
}

std::optional<Secret> Reader::secret(std::string_view name) {
    const Json* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) {
        wrong_type(name, "a string");
        return std::nullopt;
    }
    const auto& text = value->get_ref<const std::string&>();
    if (text.empty()) return std::nullopt;
    return Secret(text);
}

std::optional<bool> Reader::boolean(std::string_view name) {
    const Json* value = find(name);
    if (value == nullptr || *value == "") return std::nullopt;
    if (!value->is_boolean()) {
        wrong_type(name, "true or false");
        return std::nullopt;
    }
    return value->get<bool>();
}

std::optional<std::int64_t> Reader::integer(std::string_view name, std::int64_t lowest,
                                            std::int64_t highest) {
    const Json* value = find(name);
    if (value == nullptr || *value == "") return std::nullopt;
    if (!value->is_number_integer()) {
        wrong_type(name, "a whole number");
        return std::nullopt;
    }
    const std::string path = path_of(name);
    const bool huge = value->is_number_unsigned() &&
                      value->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX);
    const std::int64_t number = huge ? INT64_MAX : value->get<std::int64_t>();
    if (huge || number < lowest || number > highest) {
        fail({ErrorCode::invalid_argument,
              fmt::format("the value {} of '{}' is not in the range {} to {}", to_text(*value),
                          path, lowest, highest),
              path});
        return std::nullopt;
    }
    return number;
}

std::optional<std::string> Reader::one_of(std::string_view name,
                                          std::span<const std::string_view> words) {
    const std::optional<std::string> value = text(name);
    if (!value) return std::nullopt;
    std::string allowed;
    for (const std::string_view word : words) {
        if (iequals(word, *value)) return std::string(word);
        allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", word);
    }
    const std::string path = path_of(name);
    fail({ErrorCode::invalid_argument,
          fmt::format("the value '{}' of '{}' is not allowed", value->substr(0, 128), path), path,
          fmt::format("use one of: {}", allowed)});
    return std::nullopt;
}

std::optional<Reader> Reader::object(std::string_view name) {
    const Json* value = find(name);
    if (value == nullptr || *value == "") return std::nullopt;
    if (!value->is_object()) {
        wrong_type(name, "an object");
        return std::nullopt;
    }
    return Reader(*value, path_of(name), *problem_);
}

std::optional<std::map<std::string, std::string>> Reader::texts(std::string_view name) {
    std::optional<Reader> inner = object(name);
    if (!inner) return std::nullopt;
    std::map<std::string, std::string> out;
    for (const auto& [key, value] : inner->object_->items()) {
        if (has_control_characters(key)) inner->wrong_type(key, "named without control characters");
        const std::optional<std::string> text = inner->text_or_empty(key);
        if (text) out[key] = *text;
    }
    return out;
}

const Json* Reader::find_array(std::string_view name, std::size_t most) {
    const Json* value = find(name);
    if (value == nullptr || *value == "") return nullptr;
    if (!value->is_array() || value->size() > most) {
        wrong_type(name, fmt::format("an array of at most {} elements", most));
        return nullptr;
    }
    return value;
}

std::vector<Reader> Reader::objects(std::string_view name, std::size_t most) {
    std::vector<Reader> out;
    const Json* value = find_array(name, most);
    if (value == nullptr) return out;
    for (std::size_t i = 0; i < value->size(); ++i) {
        const std::string at = fmt::format("{}[{}]", path_of(name), i);
        if ((*value)[i].is_object())
            out.emplace_back((*value)[i], at, *problem_);
        else
            fail({ErrorCode::invalid_request, fmt::format("the field '{}' must be an object", at),
                  at});
    }
    return out;
}

std::optional<std::vector<std::string>> Reader::text_list(std::string_view name, std::size_t most) {
    const Json* value = find_array(name, most);
    if (value == nullptr) return std::nullopt;
    std::vector<std::string> out;
    for (const Json& each : *value) {
        if (!each.is_string() || has_control_characters(each.get_ref<const std::string&>())) {
            wrong_type(name, "an array of texts without control characters");
            return std::nullopt;
        }
        out.push_back(each.get<std::string>());
    }
    return out;
}

void Reader::read_only(std::string_view name) { find(name); }

void Reader::not_supported(std::string_view name, std::string_view what) {
    const Json* value = find(name);
    if (value == nullptr || *value == "") return;
    const std::string path = path_of(name);
    fail({ErrorCode::not_supported,
          fmt::format("'{}' was given, but {} not supported yet", path, what), path,
          "leave the field out"});
}

void Reader::finish() {
    if (!object_->is_object()) return;
    for (const auto& [key, value] : object_->items()) {
        if (known_.contains(key)) continue;
        std::string near;
        for (const std::string& each : known_)
            if (iequals(each, key)) near = each;
        const std::string path = path_of(key.substr(0, 128));
        fail({ErrorCode::invalid_request, fmt::format("the field '{}' is not known", path), path,
              near.empty() ? "remove it, or check its spelling"
                           : fmt::format("write it as '{}'", near)});
        return;
    }
}

}  // namespace howdah::api
