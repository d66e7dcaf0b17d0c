#include <fmt/core.h>

#include "api/templates/state.h"

namespace howdah::api::templates {

Error inner_error(std::string message) { return {ErrorCode::invalid_template, std::move(message)}; }

Error refused(std::string sentence, std::string target) {
    return {ErrorCode::invalid_template,
            fmt::format("deployment template validation failed: '{}'", sentence),
            std::move(target)};
}

Error refused(const Error& inner, std::string target) {
    if (inner.code != ErrorCode::invalid_template) return inner;
    return refused(inner.message, std::move(target));
}

Error refused_part(std::string_view what, std::string_view name, const Error& inner,
                   std::string target) {
    if (inner.code != ErrorCode::invalid_template) return inner;
    return refused(fmt::format("The template {} '{}' is not valid: {}. Please see "
                               "https://aka.ms/arm-template-expressions for usage details.",
                               what, name.substr(0, 256), inner.message),
                   std::move(target));
}

Error without_secrets(const State& state, Error error) {
    for (const std::string& secret : state.secrets) {
        for (std::string* text : {&error.message, &error.target, &error.hint}) {
            for (std::size_t at = 0; (at = text->find(secret, at)) != std::string::npos; at += 3)
                text->replace(at, secret.size(), "***");
        }
    }
    return error;
}

Error without_secrets(const Template& parsed, Error error) {
    return without_secrets(parsed.state(), std::move(error));
}

}  // namespace howdah::api::templates
