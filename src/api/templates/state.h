#pragma once

#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "api/templates/templates.h"

/// What the files of this folder share; nobody else includes it.
namespace howdah::api::templates {

struct Parameter {
    std::string name;
    std::string type;  ///< "String", "SecureObject", ... as Azure spells it in an answer
    bool is_secure = false;
    Json value;
};

struct Variable {
    std::string name;
    bool is_secure = false;  ///< comes from a secure parameter
    Json value;
};

struct UserFunction {
    std::string name;  ///< "namespace.member"
    std::vector<std::string> parameters;
    Json output;
};

/// What a Template holds.
struct State {
    Json source;
    Scope scope;
    bool is_symbolic = false;  ///< resources are named by the keys of an object
    Json deployment;           ///< what deployment() gives
    // Elements stay where they are while others are added: evaluation looks into them.
    std::deque<Parameter> parameters;
    std::deque<Variable> variables;
    std::vector<UserFunction> functions;
    std::vector<std::string> secrets;  ///< texts within secure parameters, the longest first
};

/// The work that one call of the public header may still do.
class Budget {
  public:
    Status charge(std::size_t work);

  private:
    std::size_t left_ = kWorkMax;
};

/// "name": the first field of that name in any letter case; an array's turn by its number.
std::string pointer_to(std::string_view parent, std::string_view name);

// Errors. The inner ones are sentences of Azure's; `refused` puts one into what an answer shows.

/// Of the evaluation, to be wrapped by its caller.
Error inner_error(std::string message);
/// "deployment template validation failed: 'SENTENCE'". Errors of other codes than
/// invalid_template are returned as they are.
Error refused(const Error& inner, std::string target);
Error refused(std::string sentence, std::string target);
/// "The template WHAT 'NAME' is not valid: ..." in the same way.
Error refused_part(std::string_view what, std::string_view name, const Error& inner,
                   std::string target);
/// The same error without the texts of secure parameters.
Error without_secrets(const State& state, Error error);

template <typename T>
Result<T> without_secrets(const State& state, Result<T> result) {
    if (result.ok()) return result;
    return without_secrets(state, result.error());
}

}  // namespace howdah::api::templates
