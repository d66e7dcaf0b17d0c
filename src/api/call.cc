#include "api/call.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/assert.h"
#include "base/clock.h"
#include "base/text.h"
#include "http/client.h"

namespace howdah::api {

const std::string& Call::parameter(std::string_view name) const {
    const auto found = std::find_if(parameters.begin(), parameters.end(),
                                    [&](const auto& each) { return each.first == name; });
    HD_ASSERT(found != parameters.end(), "the route has no such parameter");
    return found->second;
}

std::string Call::link(std::string_view path) const {
    std::string encoded;
    for (const std::string& segment : split(path, '/'))
        if (!segment.empty()) encoded += "/" + http::url_encode(segment);
    return fmt::format("{}{}?api-version={}", context.base_url, encoded, api_version);
}

std::string Call::now() const { return format_iso8601(context.clock.wall()); }

Answer json_answer(int status, const Json& body) {
    return http::Response{status, {}, to_text(body)};
}

Answer empty_answer(int status) { return http::Response{status, {}, ""}; }

std::string not_supported_text(std::string_view missing) {
    return fmt::format("{} not supported by this version of Howdah", missing);
}

std::string as_sentence(std::string_view text) {
    std::string sentence(text);
    if (sentence.empty()) return sentence;
    if (sentence[0] >= 'a' && sentence[0] <= 'z')
        sentence[0] = static_cast<char>(sentence[0] - 'a' + 'A');
    const char last = sentence.back();
    if (last != '.' && last != '!' && last != '?') sentence += '.';
    return sentence;
}

Json error_json(const Error& error) {
    std::string message = as_sentence(error.message);
    if (!error.hint.empty()) message += " " + as_sentence(error.hint);
    Json body = {{"code", std::string(to_string(error.code))}, {"message", message}};
    if (!error.target.empty()) body["target"] = error.target;
    body["details"] = Json::array();
    return body;
}

http::Response error_answer(const Error& error) {
    http::Response response;
    response.status = http_status(error.code);
    response.body = to_text(Json{{"error", error_json(error)}});
    if (retry_class(error.code) == RetryClass::later && response.status != 409)
        response.headers["retry-after"] = "5";
    return response;
}

}  // namespace howdah::api
