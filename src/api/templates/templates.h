#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "api/arm_json.h"
#include "base/clock.h"
#include "base/result.h"

/// ARM JSON deployment templates, the language that Bicep compiles to: checked, evaluated, and
/// turned into a list of resources to deploy. Pure: no I/O, no clock, no store, no randomness.
///
/// How a deployment is run:
///   1. parse_template checks the template and the parameters, and gives every parameter and
///      variable its value.
///   2. plan gives the resources, in the order of the template, with what each one waits for.
///   3. For every resource whose depends_on are done: if it is neither `existing` nor has a false
///      `condition`, complete gives its final body, which is PUT to its id.
///   4. outputs gives the outputs, once all resources are done.
/// Steps 1 and 2 with the same Scope always have the same outcome: a process that was killed in
/// between begins again with the Scope it has kept.
///
/// Secrets: no error text holds the value of a parameter of type secureString or secureObject, nor
/// a value computed from one. Bodies do hold them; redacted() hides them.
///
/// Errors: ErrorCode::invalid_template with Azure's words ("deployment template validation failed:
/// '...'"; as everywhere the API gives it a capital letter and a full stop),
/// output_evaluation_failed for an output, not_supported for what templates may have and Howdah has
/// not, and whatever the ReferenceSource gave. `target` is the place in the template, as in
/// "resources[2].properties.sku".
///
/// Everything here is thread-safe: the types are values or immutable.
namespace howdah::api::templates {

// Azure's own limits.
inline constexpr std::size_t kParametersMax = 256;
inline constexpr std::size_t kVariablesMax = 512;
inline constexpr std::size_t kResourcesMax = 800;  ///< copies counted one by one
inline constexpr std::size_t kOutputsMax = 64;
inline constexpr std::size_t kExpressionBytesMax = 24576;
inline constexpr std::int64_t kCopyCountMax = 800;
inline constexpr std::int64_t kRangeMax = 10000;
// Bounds against hostile input. Azure's are not public.
inline constexpr int kTemplateDepthMax = 64;    ///< levels of JSON
inline constexpr int kExpressionDepthMax = 96;  ///< calls, indexes and members within each other
inline constexpr int kEvaluationDepthMax = 192;
inline constexpr std::size_t kTextBytesMax = 1 << 20;  ///< of one string that is computed
/// Work of one call of a function of this header: a byte of text costs 1, a JSON value 64. A
/// template that uses it up is refused; that takes less than a second.
inline constexpr std::size_t kWorkMax = 32 << 20;

/// Where and when a template is deployed. Keep it with the deployment: see above.
struct Scope {
    std::string subscription_id = {};
    std::string subscription_name = {};
    std::string tenant_id = {};
    /// Empty for a deployment to a subscription.
    std::string resource_group = {};
    std::string resource_group_location = {};
    Json resource_group_tags = Json::object();
    std::string deployment_name = {};
    /// Of a deployment to a subscription; else empty.
    std::string deployment_location = {};
    std::string mode = "Incremental";
    /// Fields that environment() and deployer() give, beside and instead of their own: those that
    /// Azure has, mostly empty.
    Json environment = Json::object();
    Json deployer = Json::object();
    /// What utcNow() tells.
    Timestamp now = {};
    /// A random UUID: what newGuid() gives is made from it. REQUIRES: is_uuid.
    std::string seed = "00000000-0000-4000-8000-000000000000";
};

struct State;

/// A template whose parameters and variables have values. Cheap to copy; immutable.
class Template {
  public:
    explicit Template(std::shared_ptr<const State> state);

    const State& state() const { return *state_; }
    const Scope& scope() const;
    /// {"name":{"type":"String","value":"..."}} for the deployment's properties.parameters; the
    /// secure ones have no value.
    Json parameters() const;
    /// As it was given.
    const Json& source() const;

  private:
    std::shared_ptr<const State> state_;
};

/// Checks a template (at most kTemplateDepthMax deep) and the parameters given for it
/// ({"name":{"value":...}} or null).
Result<Template> parse_template(Json source, const Json& parameters, Scope scope);

/// One turn of a copy loop.
struct CopyTurn {
    std::string name;
    std::int64_t index = 0;
};

struct PlannedResource {
    /// Key of a template with languageVersion 2.0; "name[3]" within a copy loop; else empty.
    std::string symbolic_name = {};
    std::string id = {};
    std::string type = {};  ///< "Microsoft.DBforPostgreSQL/flexibleServers/databases"
    std::string name = {};  ///< "pg1/app"
    std::string api_version = {};
    /// What to PUT: everything but type, name, apiVersion and the fields that speak to the
    /// deployment alone (condition, copy, dependsOn, resources, scope, comments, ...).
    Json body = Json::object();
    /// False: `body` still has expressions that need the state of other resources; ask complete().
    bool is_complete = true;
    /// False: nothing is to be deployed, and whoever waits for it need not. `body` is {}; type,
    /// name and id are empty where they could not be told.
    bool condition = true;
    /// The resource is only read; `body` is {}.
    bool existing = false;
    /// Indexes within the plan: of dependsOn, of reference(), of the parent that this one is nested
    /// in, and of the former batch of a serial copy loop. Sorted, without cycles.
    std::vector<std::size_t> depends_on = {};
    /// JSON pointers of values in `body` that come from secure parameters.
    std::vector<std::string> secure_paths = {};

    /// A resource Microsoft.Resources/deployments: body.properties has the template and the
    /// parameters to run by parse_template, in this scope. The template of an inner scope is as it
    /// was written; that of an outer scope has been evaluated with this template's values.
    bool is_deployment = false;
    std::string deployment_subscription = {};
    std::string deployment_resource_group = {};  ///< empty: to the subscription

    /// For complete(): the place in the source, and the turns of the copy loops around it.
    std::string source_pointer = {};
    std::vector<CopyTurn> turns = {};
};

struct Plan {
    std::vector<PlannedResource> resources = {};
};

/// The resources of a template. GUARANTEES: at most kResourcesMax; ids of resources with a true
/// condition differ (in lower case); depends_on has no cycles.
Result<Plan> plan(const Template& parsed);

/// A resource that an expression asks about.
struct ReferenceRequest {
    std::string id = {};
    std::string api_version = {};  ///< empty: as the resource was deployed, or the newest
    std::string action = {};       ///< empty for a GET; "listKeys" for POST id/listKeys
    Json body = nullptr;           ///< of the action
};

/// Gives the body that a GET of the resource (or a POST of the action) answers with. Called at most
/// once for one request within one call of complete() or outputs().
using ReferenceSource = std::function<Result<Json>(const ReferenceRequest&)>;

/// The final body of plan.resources[index]. REQUIRES: the plan is of this template.
Result<Json> complete(const Template& parsed, const Plan& plan, std::size_t index,
                      const ReferenceSource& source);

/// Whether outputs() gives the values of outputs that are secure, or come from secure parameters.
enum class SecureOutputs {
    left_out,  ///< for whatever is answered, kept or logged
    included,  ///< for listOutputsWithSecureValues, and for the reference() of the outer deployment
};

/// {"name":{"type":"String","value":"..."}}; outputs with a false condition are left out.
Result<Json> outputs(const Template& parsed, const Plan& plan, const ReferenceSource& source,
                     SecureOutputs secure = SecureOutputs::left_out);

/// The body for a person or an answer: secure values are replaced by "*****".
Json redacted(const PlannedResource& resource);

/// The error without the values of secure parameters, for what others say of a template's
/// resources.
Error without_secrets(const Template& parsed, Error error);

/// True if an expression may still be within the text: it begins with "[" and ends with "]".
bool is_expression(std::string_view text);

}  // namespace howdah::api::templates
