#include "api/templates/evaluator.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "api/templates/functions.h"
#include "api/templates/values.h"
#include "base/id.h"
#include "base/text.h"

namespace howdah::api::templates {
namespace {

constexpr std::string_view kUsage =
    "Please see https://aka.ms/arm-template-expressions for usage details.";
constexpr std::size_t kCallWork = 64;
constexpr std::size_t kTargetsMax = 4096;

/// Sets a variable for as long as this object lives.
template <typename T>
class Restore {
  public:
    Restore(T& variable, T value) : variable_(variable), old_(std::exchange(variable, value)) {}
    ~Restore() { variable_ = old_; }
    Restore(const Restore&) = delete;
    Restore& operator=(const Restore&) = delete;

  private:
    T& variable_;
    T old_;
};

bool is_property_copy(const Json& value) {
    if (!value.is_array() || value.empty()) return false;
    return std::all_of(value.begin(), value.end(), [](const Json& loop) {
        return loop.is_object() && loop.contains("name") && loop.contains("count") &&
               loop.contains("input");
    });
}

std::string field_names(const Json& object) {
    std::string out;
    for (const auto& [name, value] : object.items()) {
        if (out.size() > 512) return out + ", ...";
        out += (out.empty() ? "" : ", ") + name;
    }
    return out;
}

}  // namespace

Status Budget::charge(std::size_t work) {
    if (work > left_) {
        left_ = 0;
        return inner_error("The template needs more work to evaluate than is allowed");
    }
    left_ -= work;
    return ok_status();
}

std::string pointer_to(std::string_view parent, std::string_view name) {
    std::string out(parent);
    out += '/';
    for (const char c : name) {
        if (c == '~')
            out += "~0";
        else if (c == '/')
            out += "~1";
        else
            out += c;
    }
    return out;
}

Error parameter_not_found(std::string_view name) {
    return inner_error(
        fmt::format("The template parameter '{}' is not found. Please see "
                    "https://aka.ms/arm-template/#parameters for usage details.",
                    name.substr(0, 256)));
}

Error variable_not_found(std::string_view name) {
    return inner_error(
        fmt::format("The template variable '{}' is not found. Please see "
                    "https://aka.ms/arm-template/#variables for usage details.",
                    name.substr(0, 256)));
}

Result<Names::Found> StateNames::parameter(std::string_view name, int) {
    for (const Parameter& each : state_->parameters)
        if (iequals(each.name, name)) return Found{&each.value, each.is_secure};
    return parameter_not_found(name);
}

Result<Names::Found> StateNames::variable(std::string_view name, int) {
    for (const Variable& each : state_->variables)
        if (iequals(each.name, name)) return Found{&each.value, each.is_secure};
    return variable_not_found(name);
}

Evaluator::Evaluator(const State& state, Names& names, Budget& budget, Options options)
    : state_(&state), names_(&names), budget_(&budget), options_(options), depth_(options.depth) {}

Error Evaluator::too_deep() const {
    return inner_error("The template's values, functions and variables are nested too deep");
}

Result<Json> Evaluator::value(const Json& source) {
    HD_CHECK(charge(kCallWork));
    if (source.is_string()) return text(string_of(source));
    if (!source.is_structured()) return source;
    if (depth_ >= kEvaluationDepthMax) return too_deep();
    const Restore deeper(depth_, depth_ + 1);
    return source.is_object() ? object(source) : array(source);
}

Result<Json> Evaluator::array(const Json& source) {
    Json out = Json::array();
    const std::string path = path_;
    for (const Json& each : source) {
        path_ = pointer_to(path, std::to_string(out.size()));
        HD_TRY(Json item, value(each));
        out.push_back(std::move(item));
    }
    path_ = path;
    return out;
}

Result<Json> Evaluator::object(const Json& source) {
    Json out = Json::object();
    const std::string path = path_;
    for (const auto& [name, each] : source.items()) {
        HD_CHECK(charge(name.size() + lookup_work(out)));
        if (name == "copy" && is_property_copy(each)) {
            HD_CHECK(copy_fields(each, out));
            continue;
        }
        HD_TRY(const Json key, text(name));
        if (!key.is_string())
            return inner_error(fmt::format("The property name '{}' must be a string", name));
        path_ = pointer_to(path, string_of(key));
        HD_TRY(out[string_of(key)], value(each));
        path_ = path;
    }
    return out;
}

Status Evaluator::copy_fields(const Json& loops, Json& out) {
    const std::string path = path_;
    for (const Json& loop : loops) {
        HD_TRY(const Json name, value(loop["name"]));
        if (!name.is_string()) return inner_error("The name of a copy loop must be a string");
        path_ = pointer_to(path, string_of(name));
        HD_TRY(out[string_of(name)], copies(loop, string_of(name)));
        path_ = path;
    }
    return ok_status();
}

Result<Json> Evaluator::copies(const Json& loop, const std::string& name) {
    HD_TRY(const Json count, value(loop["count"]));
    if (!is_integer(count) || integer_of(count) < 0 || integer_of(count) > kCopyCountMax)
        return inner_error(
            fmt::format("The copy count of '{}' must be a whole number that is not negative and at "
                        "most '{}'. Please see https://aka.ms/arm-copy for usage details.",
                        name.substr(0, 256), kCopyCountMax));
    Json out = Json::array();
    const std::string path = path_;
    for (std::int64_t i = 0; i < integer_of(count); ++i) {
        path_ = pointer_to(path, std::to_string(i));
        turns_.push_back({name, i});
        Result<Json> item = value(loop["input"]);
        turns_.pop_back();
        if (!item.ok()) return item.error();
        out.push_back(std::move(item).value());
    }
    path_ = path;
    return out;
}

Result<Json> Evaluator::text(const std::string& source) {
    HD_CHECK(charge(source.size()));
    if (source.starts_with("[[")) return Json(source.substr(1));
    if (!is_expression(source)) return Json(source);
    HD_TRY(const Expression tree,
           parse_expression(std::string_view(source).substr(1, source.size() - 2)));
    return run(source, tree);
}

Result<Json> Evaluator::run(const std::string& source, const Expression& tree) {
    const bool had_read_secret = std::exchange(read_secret_, false);
    put_off_ = false;
    Result<Json> out = evaluate(tree);
    if (read_secret_) secure_paths_.push_back(path_);
    read_secret_ = read_secret_ || had_read_secret;
    if (out.ok() || !put_off_) return out;
    if (options_.place != Place::body && options_.place != Place::output) return out;
    is_complete_ = false;
    collect_targets(tree);
    put_off_ = false;
    return Json(source);
}

Result<Json> Evaluator::evaluate(const Expression& tree) {
    HD_CHECK(charge(kCallWork + tree.text.size()));
    if (depth_ >= kEvaluationDepthMax) return too_deep();
    const Restore deeper(depth_, depth_ + 1);
    switch (tree.kind) {
        case Expression::Kind::text:
            return Json(tree.text);
        case Expression::Kind::integer:
            return Json(tree.integer);
        case Expression::Kind::call: {
            HD_TRY(Json out, call(tree));
            HD_CHECK(pay(out));
            return out;
        }
        case Expression::Kind::member:
        case Expression::Kind::index: {
            HD_TRY(View found, view(tree));
            HD_CHECK(charge(weight(*found.at)));
            return *found.at;
        }
    }
    return Json(nullptr);
}

/// Large values are looked into where they are: a template asks for one field of them at a time.
Result<Evaluator::View> Evaluator::view(const Expression& tree) {
    if (depth_ >= kEvaluationDepthMax) return too_deep();
    const Restore deeper(depth_, depth_ + 1);
    HD_CHECK(charge(kCallWork));
    if (tree.kind == Expression::Kind::member) return member(tree);
    if (tree.kind == Expression::Kind::index) return index(tree);
    if (tree.kind == Expression::Kind::call) {
        HD_TRY(View known, view_of_call(tree));
        if (known.at != nullptr) return known;
    }
    HD_TRY(Json value, evaluate(tree));
    View out{.owned = std::make_unique<Json>(std::move(value))};
    out.at = out.owned.get();
    return out;
}

/// Nothing for calls of other functions than those that only look something up.
Result<Evaluator::View> Evaluator::view_of_call(const Expression& tree) {
    if (iequals(tree.text, "deployment") && tree.children.empty())
        return View{.at = &state_->deployment};
    if (tree.children.size() != 1 || tree.children[0].kind != Expression::Kind::text) return View{};
    const std::string& name = tree.children[0].text;
    View out;
    if (iequals(tree.text, "parameters")) {
        HD_TRY(out.at, find_parameter(name));
    } else if (iequals(tree.text, "variables")) {
        HD_TRY(out.at, find_variable(name));
    } else if (iequals(tree.text, "lambdaVariables")) {
        HD_TRY(out.at, find_lambda_variable(name));
    }
    return out;
}

Result<Json> Evaluator::call(const Expression& tree) {
    if (tree.text.find('.') != std::string::npos) return user_call(tree);
    const FunctionRow* row = find_function(tree.text);
    if (row == nullptr)
        return inner_error(fmt::format("The template function '{}' is not valid. {}",
                                       tree.text.substr(0, 256), kUsage));
    if (tree.children.size() < row->least || tree.children.size() > row->most)
        return wrong_count(*row, tree.children.size());
    if (row->lazy != nullptr) return row->lazy(*this, tree);
    std::vector<Json> arguments;
    for (const Expression& each : tree.children) {
        HD_TRY(Json argument, evaluate(each));
        arguments.push_back(std::move(argument));
    }
    Call call{*this, row->name, arguments};
    return row->function(call);
}

Status Evaluator::pay(const Json& value) {
    // Whatever nests values within each other goes through here, so that no value becomes so deep
    // that a recursive function could not bear it.
    if (is_deeper(value, kValueDepthMax))
        return inner_error("A value of the template is nested too deep");
    return charge(weight(value));
}

Result<Json> Evaluator::user_call(const Expression& tree) {
    const auto found =
        std::find_if(state_->functions.begin(), state_->functions.end(),
                     [&](const UserFunction& each) { return iequals(each.name, tree.text); });
    if (found == state_->functions.end())
        return inner_error(fmt::format("The template function '{}' is not valid. {}",
                                       tree.text.substr(0, 256), kUsage));
    const std::size_t wanted = found->parameters.size();
    if (wanted != tree.children.size())
        return wrong_count({found->name, wanted, wanted}, tree.children.size());
    Frame frame;
    for (std::size_t i = 0; i < wanted; ++i) {
        HD_TRY(frame[to_lower(found->parameters[i])], evaluate(tree.children[i]));
    }
    const Restore inside(frame_, static_cast<const Frame*>(&frame));
    std::vector<Frame> outer_lambdas = std::exchange(lambdas_, {});
    std::vector<CopyTurn> outer_turns = std::exchange(turns_, {});
    const Json& output = found->output;
    Result<Json> out = [&]() -> Result<Json> {
        if (!output.is_string() || !is_expression(string_of(output))) return value(output);
        const std::string& source = string_of(output);
        HD_CHECK(charge(source.size()));
        HD_TRY(const Expression body,
               parse_expression(std::string_view(source).substr(1, source.size() - 2)));
        return evaluate(body);
    }();
    lambdas_ = std::move(outer_lambdas);
    turns_ = std::move(outer_turns);
    return out;
}

Result<Evaluator::View> Evaluator::member(const Expression& tree) {
    HD_TRY(View object, view(tree.children[0]));
    return field_of(std::move(object), tree.text, tree.is_optional);
}

Result<Evaluator::View> Evaluator::field_of(View object, const std::string& name,
                                            bool is_optional) {
    static const Json kNull;
    const Json& value = *object.at;
    if (is_optional && value.is_null()) return View{.at = &kNull};
    if (!value.is_object())
        return inner_error(
            fmt::format("The language expression property '{}' can't be evaluated, property "
                        "selection is not supported on values of type '{}'. {}",
                        read_secret_ ? "" : name.substr(0, 256), type_name(value), kUsage));
    HD_CHECK(charge(lookup_work(value)));
    object.at = find_field(value, name);
    if (object.at != nullptr) return object;
    if (is_optional) return View{.at = &kNull};
    if (read_secret_)
        return inner_error(
            fmt::format("The language expression property doesn't exist. {}", kUsage));
    return inner_error(
        fmt::format("The language expression property '{}' doesn't exist, available properties are "
                    "'{}'.",
                    name.substr(0, 256), field_names(value)));
}

Result<Evaluator::View> Evaluator::index(const Expression& tree) {
    static const Json kNull;
    HD_TRY(View object, view(tree.children[0]));
    HD_TRY(const Json index, evaluate(tree.children[1]));
    const Json& value = *object.at;
    if (index.is_string()) return field_of(std::move(object), string_of(index), tree.is_optional);
    if (tree.is_optional && value.is_null()) return View{.at = &kNull};
    if (!value.is_array() || !is_integer(index))
        return inner_error(
            fmt::format("The language expression property array index can't be evaluated: a value "
                        "of type '{}' has no element of an index of type '{}'. {}",
                        type_name(value), type_name(index), kUsage));
    const std::int64_t at = integer_of(index);
    if (at >= 0 && static_cast<std::uint64_t>(at) < value.size()) {
        object.at = &value[static_cast<std::size_t>(at)];
        return object;
    }
    if (tree.is_optional) return View{.at = &kNull};
    return inner_error(
        fmt::format("The language expression property array index '{}' is out of bounds. {}",
                    read_secret_ ? "" : std::to_string(at), kUsage));
}

Result<Json> Evaluator::apply(const Expression& lambda, const std::vector<Json>& arguments) {
    if (lambda.kind != Expression::Kind::call || !iequals(lambda.text, "lambda") ||
        lambda.children.empty() || lambda.children.size() - 1 > arguments.size())
        return inner_error(fmt::format("A lambda of at most {} variables is expected. {}",
                                       arguments.size(), kUsage));
    Frame frame;
    for (std::size_t i = 0; i + 1 < lambda.children.size(); ++i) {
        if (lambda.children[i].kind != Expression::Kind::text)
            return inner_error(fmt::format("A lambda's variable must be a name. {}", kUsage));
        HD_CHECK(charge(weight(arguments[i])));
        frame[to_lower(lambda.children[i].text)] = arguments[i];
    }
    lambdas_.push_back(std::move(frame));
    Result<Json> out = evaluate(lambda.children.back());
    lambdas_.pop_back();
    return out;
}

Result<const Json*> Evaluator::find_parameter(const std::string& name) {
    if (frame_ != nullptr) {
        const auto found = frame_->find(to_lower(name));
        if (found == frame_->end()) return parameter_not_found(name);
        return &found->second;
    }
    HD_TRY(const Names::Found found, names_->parameter(name, depth_));
    read_secret_ = read_secret_ || found.is_secure;
    return found.value;
}

Result<const Json*> Evaluator::find_variable(const std::string& name) {
    if (frame_ != nullptr || options_.place == Place::parameter_default)
        return not_expected("variables");
    HD_TRY(const Names::Found found, names_->variable(name, depth_));
    read_secret_ = read_secret_ || found.is_secure;
    return found.value;
}

Result<const Json*> Evaluator::find_lambda_variable(const std::string& name) const {
    const std::string key = to_lower(name);
    for (auto frame = lambdas_.rbegin(); frame != lambdas_.rend(); ++frame) {
        const auto found = frame->find(key);
        if (found != frame->end()) return &found->second;
    }
    return inner_error(
        fmt::format("The lambda variable '{}' is not found. {}", name.substr(0, 256), kUsage));
}

Result<Json> Evaluator::copy_index(const std::string& name, std::int64_t offset) {
    for (auto turn = turns_.rbegin(); turn != turns_.rend(); ++turn) {
        if (!name.empty() && !iequals(turn->name, name)) continue;
        std::int64_t out = 0;
        if (__builtin_add_overflow(turn->index, offset, &out))
            return inner_error("The offset of copyIndex does not fit into 64 bits");
        return Json(out);
    }
    put_off_ = leaves_copies_ && frame_ == nullptr;
    if (name.empty()) return not_expected("copyIndex");
    return inner_error(
        fmt::format("The template function 'copyIndex' is not expected at this location: there is "
                    "no copy loop '{}'. Please see https://aka.ms/arm-copy for usage details.",
                    name.substr(0, 256)));
}

Result<Json> Evaluator::ask(const ReferenceRequest& request) {
    const bool allowed = options_.place == Place::body || options_.place == Place::output;
    if (!allowed || frame_ != nullptr)
        return not_expected(request.action.empty() ? "reference" : request.action);
    if (options_.source == nullptr) {
        put_off_ = true;
        return not_expected("reference");
    }
    const std::string key = fmt::format("{}\n{}\n{}\n{}", to_lower(request.id), request.api_version,
                                        request.action, to_text(request.body));
    const auto known = answers_.find(key);
    if (known != answers_.end()) return known->second;
    HD_TRY(Json answer, (*options_.source)(request));
    HD_CHECK(charge(weight(answer)));
    if (is_deeper(answer, kTemplateDepthMax))
        return inner_error("The state of a resource is nested too deep");
    return answers_.emplace(key, std::move(answer)).first->second;
}

Error Evaluator::not_expected(std::string_view function) const {
    return inner_error(fmt::format(
        "The template function '{}' is not expected at this location. {}", function, kUsage));
}

std::string Evaluator::next_guid() {
    return uuid_from_name(scope().seed, fmt::format("{}#{}", path_, guids_++));
}

void Evaluator::collect_targets(const Expression& tree) {
    if (targets_.size() >= kTargetsMax) return;
    if (tree.kind == Expression::Kind::call && iequals(tree.text, "if") &&
        tree.children.size() == 3)
        return collect_branch(tree);
    if (tree.kind == Expression::Kind::call && is_runtime_function(tree.text) &&
        !tree.children.empty()) {
        // An argument that cannot be known yet names something that an inner call waits for.
        const Result<Json> target = evaluate(tree.children[0]);
        if (target.ok() && target->is_string()) targets_.push_back(string_of(*target));
    }
    for (const Expression& each : tree.children) collect_targets(each);
}

void Evaluator::collect_branch(const Expression& tree) {
    const Result<Json> condition = evaluate(tree.children[0]);
    collect_targets(tree.children[0]);
    const bool known = condition.ok() && condition->is_boolean();
    if (!known || condition->get<bool>()) collect_targets(tree.children[1]);
    if (!known || !condition->get<bool>()) collect_targets(tree.children[2]);
}

}  // namespace howdah::api::templates
