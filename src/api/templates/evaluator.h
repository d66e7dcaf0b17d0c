#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "api/templates/expression.h"
#include "api/templates/state.h"

namespace howdah::api::templates {

inline constexpr int kValueDepthMax = 2 * kTemplateDepthMax;

/// Where an expression stands: what it may ask for depends on that.
enum class Place {
    parameter_default,  ///< newGuid, utcNow; no variables
    variable,           ///< nothing of resources
    head,               ///< of a resource: what must be known before anything is deployed
    body,               ///< of a resource: may ask for the state of others
    output,
};

/// Gives parameters and variables by name, in any letter case.
class Names {
  public:
    struct Found {
        const Json* value = nullptr;
        bool is_secure = false;
    };
    virtual ~Names() = default;
    /// Found.value stays where it is.
    /// `depth` is that of the evaluation which asks.
    virtual Result<Found> parameter(std::string_view name, int depth) = 0;
    virtual Result<Found> variable(std::string_view name, int depth) = 0;
};

/// The names of a template that has been parsed. Borrows the state.
class StateNames final : public Names {
  public:
    explicit StateNames(const State& state) : state_(&state) {}
    Result<Found> parameter(std::string_view name, int depth) override;
    Result<Found> variable(std::string_view name, int depth) override;

  private:
    const State* state_;
};

Error parameter_not_found(std::string_view name);
Error variable_not_found(std::string_view name);

/// Evaluates the expressions within JSON values. Borrows all that it is given. Not thread-safe; for
/// one part of a template. Errors are inner_error()s, to be wrapped; or what the ReferenceSource
/// gave. No error text holds a computed value that may come from a secure parameter.
class Evaluator {
  public:
    struct Options {
        Place place = Place::body;
        /// Resources that reference() may name; nullptr: none are known.
        const Plan* plan = nullptr;
        /// nullptr: expressions that need it are left as they are (place body), or refused.
        const ReferenceSource* source = nullptr;
        /// Of what this evaluation is part of.
        int depth = 0;
    };

    Evaluator(const State& state, Names& names, Budget& budget, Options options);

    /// A value with all expressions in it evaluated, and its property copy loops unrolled.
    Result<Json> value(const Json& source);
    Result<Json> text(const std::string& source);
    /// The array that a copy loop {"count":..., "input":...} makes.
    Result<Json> copies(const Json& loop, const std::string& name);

    /// The JSON pointer of what is evaluated next.
    void start_at(std::string pointer) { path_ = std::move(pointer); }
    void push_turn(CopyTurn turn) { turns_.push_back(std::move(turn)); }
    void pop_turn() { turns_.pop_back(); }
    void set_turns(std::vector<CopyTurn> turns) { turns_ = std::move(turns); }
    /// Leaves expressions with a copyIndex() of a loop that is not known for a later evaluation.
    void leave_unknown_copies(bool leave) { leaves_copies_ = leave; }

    /// Of all that has been evaluated so far.
    bool is_complete() const { return is_complete_; }
    bool read_secret() const { return read_secret_; }
    const std::vector<std::string>& secure_paths() const { return secure_paths_; }
    /// What the functions asked about that were put off: ids or names.
    const std::vector<std::string>& targets() const { return targets_; }

    // For the functions.

    Result<Json> evaluate(const Expression& tree);
    /// A lambda's body with its variables; one that takes fewer gets fewer.
    Result<Json> apply(const Expression& lambda, const std::vector<Json>& arguments);
    Result<Json> copy_index(const std::string& name, std::int64_t offset);
    /// The body of the resource; puts the expression off if there is no source.
    Result<Json> ask(const ReferenceRequest& request);
    /// What a call gives that is not allowed here.
    Error not_expected(std::string_view function) const;
    /// What parameters('name'), variables('name') and lambdaVariables('name') give.
    Result<const Json*> find_parameter(const std::string& name);
    Result<const Json*> find_variable(const std::string& name);
    Result<const Json*> find_lambda_variable(const std::string& name) const;
    Status charge(std::size_t work) { return budget_->charge(work); }
    Place place() const { return options_.place; }
    bool has_source() const { return options_.source != nullptr; }
    bool is_in_user_function() const { return frame_ != nullptr; }
    const State& state() const { return *state_; }
    const Scope& scope() const { return state_->scope; }
    const Plan* plan() const { return options_.plan; }
    std::string next_guid();

  private:
    using Frame = std::map<std::string, Json, std::less<>>;

    Error too_deep() const;
    Result<Json> array(const Json& source);
    Result<Json> object(const Json& source);
    Status copy_fields(const Json& loops, Json& out);
    Result<Json> run(const std::string& source, const Expression& tree);
    Result<Json> call(const Expression& tree);
    Status pay(const Json& value);
    Result<Json> user_call(const Expression& tree);
    /// A value that is somewhere else, or that this holds.
    struct View {
        const Json* at = nullptr;
        std::unique_ptr<Json> owned = nullptr;
    };
    Result<View> view(const Expression& tree);
    Result<View> view_of_call(const Expression& tree);
    Result<View> member(const Expression& tree);
    Result<View> index(const Expression& tree);
    Result<View> field_of(View object, const std::string& name, bool is_optional);
    void collect_targets(const Expression& tree);
    void collect_branch(const Expression& tree);

    const State* state_;
    Names* names_;
    Budget* budget_;
    Options options_;
    std::vector<CopyTurn> turns_;
    std::vector<Frame> lambdas_;
    const Frame* frame_ = nullptr;  ///< parameters of the user function that runs
    std::string path_;
    int depth_;
    int guids_ = 0;
    bool read_secret_ = false;
    bool put_off_ = false;
    bool leaves_copies_ = false;
    bool is_complete_ = true;
    std::vector<std::string> secure_paths_;
    std::vector<std::string> targets_;
    std::map<std::string, Json> answers_;
};

}  // namespace howdah::api::templates
