#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "api/templates/lenient_json.h"
#include "api/templates/templates.h"

// Any template is planned or refused. An input that begins with '{' is a template, with or without
// its $schema; any other is one expression. No error holds the secret, and redacted bodies hold it
// no more than the input itself does.

namespace {

using namespace howdah;
using namespace howdah::api::templates;
using api::Json;

constexpr std::string_view kSecret = "fuzz-Sup3r-s3cret";

Json whole_template(Json members) {
    Json out{{"$schema", "https://x/deploymentTemplate.json#"},
             {"contentVersion", "1"},
             {"languageVersion", "2.0"},
             {"parameters", {{"s", {{"type", "securestring"}}}}},
             {"variables", {{"v", {{"x", {1, "two", nullptr}}}}}},
             {"resources", Json::array()}};
    out.update(members);
    return out;
}

Json template_of(std::string_view expression) {
    Json resource{{"type", "A.B/c"}, {"apiVersion", "1"}, {"name", "pg1"}};
    resource["properties"]["x"] = "[" + std::string(expression) + "]";
    Json out = whole_template(Json::object());
    out["resources"].push_back(resource);
    out["outputs"]["o"] = {{"type", "string"}, {"value", resource["properties"]["x"]}};
    return out;
}

void check(const Error& error) {
    if (error.describe().find(kSecret) != std::string::npos) std::abort();
    if (error.message.empty()) std::abort();
}

Json given_for(const Json& source) {
    const auto parameters = source.find("parameters");
    const bool takes_secret = parameters != source.end() && parameters->is_object() &&
                              parameters->contains("s") && (*parameters)["s"].is_object() &&
                              (*parameters)["s"].value("type", Json()) == "securestring";
    return takes_secret ? Json{{"s", {{"value", kSecret}}}} : Json();
}

void run(const Json& source) {
    Scope scope;
    scope.subscription_id = "22222222-2222-2222-2222-222222222222";
    scope.resource_group = "rg1";
    const auto parsed = parse_template(source, given_for(source), scope);
    if (!parsed.ok()) return check(parsed.error());
    const auto planned = plan(*parsed);
    if (!planned.ok()) return check(planned.error());
    const ReferenceSource state = [](const ReferenceRequest& request) -> Result<Json> {
        return Json{{"id", request.id}, {"properties", {{"x", "y"}}}};
    };
    for (std::size_t i = 0; i < planned->resources.size(); ++i) {
        for (const std::size_t first : planned->resources[i].depends_on)
            if (first == i || first >= planned->resources.size()) std::abort();
        redacted(planned->resources[i]);
        const auto body = complete(*parsed, *planned, i, state);
        if (!body.ok()) check(body.error());
    }
    const auto results = outputs(*parsed, *planned, state);
    if (!results.ok()) return check(results.error());
    if (api::to_text(*results).find(kSecret) != std::string::npos) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    // libFuzzer learns texts that are compared: a template may well say what it was told itself.
    if (text.find(kSecret.substr(0, 6)) != text.npos || text.find("Sup3r") != text.npos) return 0;
    if (!text.starts_with('{')) {
        run(template_of(text));
        return 0;
    }
    auto members = parse_lenient(text, {.bytes = 64 << 10});
    if (members.ok() && members->is_object()) run(whole_template(std::move(members).value()));
    return 0;
}
