#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_set>
#include <utility>

#include "api/templates/dependencies.h"
#include "api/templates/evaluator.h"
#include "api/templates/resource_names.h"
#include "api/templates/state.h"
#include "api/templates/values.h"
#include "base/assert.h"
#include "base/text.h"

namespace howdah::api::templates {
namespace {

constexpr std::size_t kNameBytesMax = 260;

/// Fields of a resource that speak to the deployment and are no part of the body.
constexpr std::array<std::string_view, 15> kHeadFields = {
    "type",      "name",           "apiVersion",    "condition", "copy",
    "dependsOn", "resources",      "scope",         "comments",  "metadata",
    "existing",  "subscriptionId", "resourceGroup", "import",    "@options"};

bool is_deployment_type(std::string_view type) {
    return iequals(type, "Microsoft.Resources/deployments");
}

/// "/resources/2/properties" as "resources[2].properties".
std::string target_of(const std::string& pointer) {
    std::string out;
    for (const std::string& part : split(pointer, '/')) {
        if (part.empty()) continue;
        const bool is_index = parse_integer(part, 0, INT32_MAX).ok();
        if (is_index)
            out += fmt::format("[{}]", part);
        else
            out += (out.empty() ? "" : ".") + part;
    }
    return out;
}

/// One segment of a name or type, or of the scope before it: nothing that means something in a
/// path.
bool is_segment(std::string_view text) {
    if (text.empty() || text.size() > kNameBytesMax || text == "." || text == "..") return false;
    return std::all_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte >= 0x20 && byte != 0x7f && c != '?' && c != '#' && c != '%' && c != '\\';
    });
}

bool are_segments(std::string_view text) {
    const auto parts = split(text, '/');
    return std::all_of(parts.begin(), parts.end(), [](auto& part) { return is_segment(part); });
}

/// Where a resource of the source stands.
struct Spot {
    const Json* source = nullptr;
    std::string pointer = {};
    std::string symbol = {};
    std::vector<CopyTurn> turns = {};
    std::size_t parent = SIZE_MAX;  ///< index in the plan
};

/// Builds the heads of all resources: what they are called, and in which copies.
class Heads {
  public:
    Heads(const State& state, Budget& budget, Plan& plan, Links& links)
        : state_(state), names_(state), budget_(budget), plan_(plan), links_(links) {}

    Status run() { return all_of(state_.source["resources"], {.pointer = "/resources"}); }

  private:
    Status all_of(const Json& resources, const Spot& around) {
        if (!resources.is_structured())
            return refused(
                "The 'resources' of a resource must be an array. Please see "
                "https://aka.ms/arm-template/#resources for usage details.",
                target_of(around.pointer));
        std::size_t index = 0;
        for (const auto& [key, source] : resources.items()) {
            Spot place = around;
            place.source = &source;
            const bool is_symbolic = resources.is_object();
            place.symbol = is_symbolic ? key : "";
            place.pointer = pointer_to(around.pointer, is_symbolic ? key : std::to_string(index));
            ++index;
            HD_CHECK(one_of(place));
        }
        return ok_status();
    }

    Status one_of(const Spot& place) {
        if (!place.source->is_object())
            return refused(
                "A resource of the template must be an object. Please see "
                "https://aka.ms/arm-template/#resources for usage details.",
                target_of(place.pointer));
        const auto loop = place.source->find("copy");
        if (loop == place.source->end() || loop->is_null()) return head(place);
        if (place.parent != SIZE_MAX)
            return refused(
                "A copy loop is not supported for a resource that is nested in another "
                "one. Please see https://aka.ms/arm-copy for usage details.",
                target_of(place.pointer));
        return loop_of(place, *loop);
    }

    Status loop_of(const Spot& place, const Json& loop) {
        Evaluator evaluator(state_, names_, budget_, {.place = Place::head});
        const Error wrong = refused(
            fmt::format(
                "The copy loop of a resource needs a 'name' and a 'count' that is a whole "
                "number, not negative, and at most '{}'. Please see https://aka.ms/arm-copy "
                "for usage details.",
                kCopyCountMax),
            target_of(place.pointer) + ".copy");
        if (!loop.is_object() || !loop.contains("name") || !loop.contains("count")) return wrong;
        HD_TRY(const Json loop_name, checked(place, evaluator.value(loop["name"])));
        HD_TRY(const Json count, checked(place, evaluator.value(loop["count"])));
        if (!loop_name.is_string() || !is_integer(count) || integer_of(count) < 0 ||
            integer_of(count) > kCopyCountMax)
            return wrong;
        HD_TRY(const std::size_t batch, batch_of(place, loop, evaluator));
        std::vector<std::size_t> turns;
        for (std::int64_t i = 0; i < integer_of(count); ++i) {
            Spot turn = place;
            turn.turns.push_back({string_of(loop_name), i});
            if (!turn.symbol.empty()) turn.symbol = fmt::format("{}[{}]", turn.symbol, i);
            turns.push_back(plan_.resources.size());
            HD_CHECK(head(turn));
        }
        if (batch != 0) links_.in_batches(turns, batch);
        links_.loops.insert(to_lower(place.symbol.empty() ? string_of(loop_name) : place.symbol));
        links_.loops.insert(to_lower(string_of(loop_name)));
        return ok_status();
    }

    /// 0: all turns at once.
    Result<std::size_t> batch_of(const Spot& place, const Json& loop, Evaluator& evaluator) {
        HD_TRY(const Json mode,
               checked(place, evaluator.value(loop.value("mode", Json("Parallel")))));
        if (!mode.is_string() || !iequals(string_of(mode), "serial")) return std::size_t{0};
        HD_TRY(const Json size, checked(place, evaluator.value(loop.value("batchSize", Json(1)))));
        if (!is_integer(size) || integer_of(size) < 1 || integer_of(size) > kCopyCountMax)
            return refused(
                fmt::format("The batch size of a copy loop must be from 1 to '{}'. Please see "
                            "https://aka.ms/arm-copy for usage details.",
                            kCopyCountMax),
                target_of(place.pointer) + ".copy.batchSize");
        return static_cast<std::size_t>(integer_of(size));
    }

    template <typename T>
    Result<T> checked(const Spot& place, Result<T> result) const {
        if (result.ok()) return result;
        return refused_part("resource", shown_name(*place.source), result.error(),
                            target_of(place.pointer));
    }

    /// The name as it is written; it may not be known what it comes to.
    static std::string shown_name(const Json& source) {
        const auto found = source.find("name");
        return found != source.end() && found->is_string() ? string_of(*found) : "";
    }

    Status head(const Spot& place) {
        if (plan_.resources.size() >= kResourcesMax)
            return refused(
                fmt::format("The number of template resources limit exceeded. Limit: "
                            "'{}'. Please see https://aka.ms/arm-template/#resources for "
                            "usage details.",
                            kResourcesMax),
                "resources");
        Evaluator evaluator(state_, names_, budget_, {.place = Place::head, .plan = &plan_});
        evaluator.set_turns(place.turns);
        PlannedResource out{
            .symbolic_name = place.symbol, .source_pointer = place.pointer, .turns = place.turns};
        HD_CHECK(read_flags(place, evaluator, out));
        Status named = read_names(place, evaluator, out);
        if (named.ok()) named = read_id(place, evaluator, out);
        // What is not deployed may well have a name that cannot be told: of a key that was not
        // given.
        if (!named.ok() && out.condition) return named;
        const std::size_t index = plan_.resources.size();
        plan_.resources.push_back(std::move(out));
        links_.add(place.parent, index);
        const auto nested = place.source->find("resources");
        if (nested == place.source->end() || nested->is_null() ||
            (state_.is_symbolic && nested->empty()))
            return ok_status();
        Spot inside = place;
        inside.pointer = place.pointer + "/resources";
        inside.parent = index;
        return all_of(*nested, inside);
    }

    Result<std::string> text_field(const Spot& place, Evaluator& evaluator, const char* name) {
        const auto found = place.source->find(name);
        if (found == place.source->end() || found->is_null()) return std::string();
        HD_TRY(const Json value, checked(place, evaluator.value(*found)));
        if (value.is_string()) return string_of(value);
        return refused(
            fmt::format("The template resource '{}' is not valid. The property '{}' must "
                        "be a string. Please see "
                        "https://aka.ms/arm-template/#resources for usage details.",
                        shown_name(*place.source), name),
            fmt::format("{}.{}", target_of(place.pointer), name));
    }

    Status read_names(const Spot& place, Evaluator& evaluator, PlannedResource& out) {
        HD_TRY(out.type, text_field(place, evaluator, "type"));
        HD_TRY(out.name, text_field(place, evaluator, "name"));
        HD_TRY(out.api_version, text_field(place, evaluator, "apiVersion"));
        for (const auto& [name, value] :
             {std::pair("type", &out.type), std::pair("name", &out.name),
              std::pair("apiVersion", &out.api_version)})
            if (value->empty())
                return refused(fmt::format("Required property '{}' not found in JSON. Path '{}'.",
                                           name, target_of(place.pointer)),
                               fmt::format("{}.{}", target_of(place.pointer), name));
        if (place.parent != SIZE_MAX) nest(plan_.resources[place.parent], out);
        if (name_count(out.type) != name_count(out.name) + 1)
            return refused(
                fmt::format(
                    "The template resource '{}' for type '{}' has incorrect segment "
                    "lengths. A nested resource type must have identical number of segments "
                    "as its resource name. A root resource type must have segment length "
                    "one greater than its resource name. Please see "
                    "https://aka.ms/arm-template/#resources for usage details.",
                    out.name.substr(0, 256), out.type.substr(0, 256)),
                target_of(place.pointer) + ".name");
        if (are_segments(out.type) && are_segments(out.name)) return ok_status();
        return refused(fmt::format("The template resource '{}' is not valid. Its name or type has "
                                   "characters that are not allowed. Please see "
                                   "https://aka.ms/arm-template/#resources for usage details.",
                                   shown_name(*place.source)),
                       target_of(place.pointer) + ".name");
    }

    /// "databases" within "Microsoft.DBforPostgreSQL/flexibleServers", "app" within "pg1".
    static void nest(const PlannedResource& parent, PlannedResource& out) {
        const std::string prefix = to_lower(parent.type) + "/";
        if (!to_lower(out.type).starts_with(prefix)) out.type = parent.type + "/" + out.type;
        if (name_count(out.name) + 1 < name_count(out.type))
            out.name = parent.name + "/" + out.name;
    }

    Status read_flags(const Spot& place, Evaluator& evaluator, PlannedResource& out) {
        for (const auto& [name, flag] :
             {std::pair("condition", &out.condition), std::pair("existing", &out.existing)}) {
            const auto found = place.source->find(name);
            if (found == place.source->end() || found->is_null()) continue;
            HD_TRY(const Json value, checked(place, evaluator.value(*found)));
            if (!value.is_boolean())
                return refused(fmt::format("The template resource '{}' is not valid. The property "
                                           "'{}' must be a boolean. Please see "
                                           "https://aka.ms/arm-template/#resources for usage "
                                           "details.",
                                           shown_name(*place.source), name),
                               fmt::format("{}.{}", target_of(place.pointer), name));
            *flag = value.get<bool>();
        }
        return ok_status();
    }

    Status read_id(const Spot& place, Evaluator& evaluator, PlannedResource& out) {
        const Scope& scope = state_.scope;
        HD_TRY(std::string subscription, text_field(place, evaluator, "subscriptionId"));
        HD_TRY(std::string group, text_field(place, evaluator, "resourceGroup"));
        HD_TRY(std::string prefix, text_field(place, evaluator, "scope"));
        // A deployment into another subscription is one to that subscription, unless it names a
        // group.
        if (subscription.empty() && group.empty()) group = scope.resource_group;
        if (subscription.empty()) subscription = scope.subscription_id;
        if (iequals(out.type, "Microsoft.Resources/resourceGroups")) group.clear();
        out.is_deployment = is_deployment_type(out.type);
        if (out.is_deployment) {
            out.deployment_subscription = subscription;
            out.deployment_resource_group = group;
        }
        if (prefix.empty() && place.parent != SIZE_MAX)
            prefix = prefix_of(plan_.resources[place.parent]);
        else if (prefix.empty())
            prefix = scope_id(subscription, group);
        else if (!prefix.starts_with('/'))
            prefix = fmt::format("{}/providers/{}", scope_id(subscription, group), prefix);
        if (prefix != "/" && !are_segments(std::string_view(prefix).substr(1)))
            return refused(
                fmt::format("The template resource '{}' is not valid. Its scope is not a "
                            "resource id. Please see "
                            "https://aka.ms/arm-template/#resources for usage details.",
                            out.name.substr(0, 256)),
                target_of(place.pointer) + ".scope");
        if (prefix == "/") prefix.clear();
        HD_TRY(out.id,
               checked(place, join_id("resourceId", prefix, out.type, split(out.name, '/'))));
        return ok_status();
    }

    /// What stands before "/providers/" of the parent's own type.
    static std::string prefix_of(const PlannedResource& parent) {
        return parent.id.substr(0, parent.id.rfind("/providers/"));
    }

    const State& state_;
    StateNames names_;
    Budget& budget_;
    Plan& plan_;
    Links& links_;
};

bool has_inner_scope(const Json& source) {
    const auto properties = source.find("properties");
    if (properties == source.end() || !properties->is_object()) return false;
    const auto options = properties->find("expressionEvaluationOptions");
    if (options == properties->end() || !options->is_object()) return false;
    const auto scope = options->find("scope");
    return scope != options->end() && scope->is_string() && iequals(string_of(*scope), "inner");
}

/// The body of a resource as it is written, without what is not part of it.
Json written_body(const Json& source) {
    Json out = Json::object();
    for (const auto& [name, value] : source.items())
        if (std::find(kHeadFields.begin(), kHeadFields.end(), name) == kHeadFields.end())
            out[name] = value;
    return out;
}

Error not_a_template(const PlannedResource& resource) {
    return {ErrorCode::not_supported,
            fmt::format("the deployment '{}' has no template of its own: linked templates are not "
                        "supported yet",
                        resource.name),
            target_of(resource.source_pointer) + ".properties.templateLink",
            "put the template into the property 'template'"};
}

Result<Json> evaluated_body(const State& state, const PlannedResource& resource,
                            Evaluator& evaluator) {
    const Json& source = state.source.at(Json::json_pointer(resource.source_pointer));
    // Copying the source is work as well, and copy loops do it again and again.
    HD_CHECK(evaluator.charge(weight(source)));
    Json body = written_body(source);
    evaluator.set_turns(resource.turns);
    Json inner;
    if (resource.is_deployment) {
        if (!body.contains("properties") || !body["properties"].is_object() ||
            !body["properties"].contains("template"))
            return not_a_template(resource);
        evaluator.leave_unknown_copies(true);
        if (has_inner_scope(source)) inner = std::exchange(body["properties"]["template"], nullptr);
    }
    auto out = evaluator.value(body);
    if (!out.ok())
        return refused_part("resource", resource.name, out.error(),
                            target_of(resource.source_pointer));
    if (!inner.is_null()) (*out)["properties"]["template"] = std::move(inner);
    return out;
}

Status plan_bodies(const State& state, Budget& budget, Plan& plan, Links& links) {
    StateNames names(state);
    for (std::size_t i = 0; i < plan.resources.size(); ++i) {
        PlannedResource& resource = plan.resources[i];
        if (!resource.condition || resource.existing) continue;
        Evaluator evaluator(state, names, budget, {.place = Place::body, .plan = &plan});
        HD_TRY(resource.body, evaluated_body(state, resource, evaluator));
        resource.is_complete = evaluator.is_complete();
        resource.secure_paths = evaluator.secure_paths();
        for (const std::string& target : evaluator.targets()) {
            HD_CHECK(budget.charge(plan.resources.size()));
            for (const std::size_t found : find_named(plan, state.scope, target))
                if (found != i) links.add(found, i);
        }
    }
    return ok_status();
}

/// A name that an expression came to; its errors name the resource.
Result<std::vector<std::string>> depends_on(const State& state, Budget& budget,
                                            const PlannedResource& resource) {
    const Json& source = state.source.at(Json::json_pointer(resource.source_pointer));
    std::vector<std::string> out;
    const auto found = source.find("dependsOn");
    if (found == source.end() || found->is_null()) return out;
    StateNames names(state);
    Evaluator evaluator(state, names, budget, {.place = Place::head});
    evaluator.set_turns(resource.turns);
    const std::string target = target_of(resource.source_pointer) + ".dependsOn";
    auto value = evaluator.value(*found);
    if (!value.ok()) return refused_part("resource", resource.name, value.error(), target);
    const Error wrong = refused(
        fmt::format("The template resource '{}' is not valid. The property 'dependsOn' must "
                    "be an array of strings. Please see "
                    "https://aka.ms/arm-template/#resources for usage details.",
                    resource.name.substr(0, 256)),
        target);
    if (!value->is_array()) return wrong;
    for (const Json& each : *value) {
        if (!each.is_string()) return wrong;
        out.push_back(string_of(each));
    }
    return out;
}

Status plan_dependencies(const State& state, Budget& budget, const Plan& plan, Links& links) {
    for (std::size_t i = 0; i < plan.resources.size(); ++i) {
        HD_TRY(const std::vector<std::string> names, depends_on(state, budget, plan.resources[i]));
        for (const std::string& name : names) {
            if (!budget.charge(plan.resources.size() * 8).ok())
                return refused("The template needs more work to evaluate than is allowed",
                               "resources");
            const auto found = find_named(plan, state.scope, name);
            // A copy loop may have no turns.
            if (found.empty() && !links.loops.contains(to_lower(name)))
                return refused(fmt::format("The resource '{}' is not defined in the template. "
                                           "Please see https://aka.ms/arm-template for usage "
                                           "details.",
                                           name.substr(0, 512)),
                               target_of(plan.resources[i].source_pointer) + ".dependsOn");
            for (const std::size_t each : found) links.add(each, i);
        }
    }
    return ok_status();
}

Status check_duplicates(const Plan& plan) {
    std::unordered_set<std::string> ids;
    for (const PlannedResource& each : plan.resources) {
        if (!each.condition || each.existing || ids.insert(to_lower(each.id)).second) continue;
        return refused(
            fmt::format("The resource '{}' is defined multiple times in a template. Please see "
                        "https://aka.ms/arm-template/#resources for usage details.",
                        each.id.substr(each.id.find("/providers/") == std::string::npos
                                           ? 0
                                           : each.id.find("/providers/") + 11)),
            target_of(each.source_pointer));
    }
    return ok_status();
}

Result<Plan> build_plan(const State& state) {
    Budget budget;
    Plan out;
    Links links;
    Heads heads(state, budget, out, links);
    HD_CHECK(heads.run());
    HD_CHECK(check_duplicates(out));
    HD_CHECK(plan_bodies(state, budget, out, links));
    HD_CHECK(plan_dependencies(state, budget, out, links));
    const std::size_t in_circle = links.settle(out);
    if (in_circle == SIZE_MAX) return out;
    return refused(fmt::format("Circular dependency detected on resource: '{}'. Please see "
                               "https://aka.ms/arm-syntax-resources for usage details.",
                               out.resources[in_circle].id),
                   target_of(out.resources[in_circle].source_pointer) + ".dependsOn");
}

}  // namespace

Result<Plan> plan(const Template& parsed) {
    return without_secrets(parsed.state(), build_plan(parsed.state()));
}

Result<Json> complete(const Template& parsed, const Plan& plan, std::size_t index,
                      const ReferenceSource& source) {
    HD_ASSERT(index < plan.resources.size(), "complete() of a resource that is not in the plan");
    const PlannedResource& resource = plan.resources[index];
    if (resource.is_complete) return resource.body;
    const State& state = parsed.state();
    Budget budget;
    StateNames names(state);
    Evaluator evaluator(state, names, budget,
                        {.place = Place::body, .plan = &plan, .source = &source});
    return without_secrets(state, evaluated_body(state, resource, evaluator));
}

Json redacted(const PlannedResource& resource) {
    Json out = resource.body;
    for (const std::string& path : resource.secure_paths) {
        const Json::json_pointer pointer(path);
        if (out.contains(pointer)) out[pointer] = "*****";
    }
    return out;
}

}  // namespace howdah::api::templates
