#include <nlohmann/json.hpp>

#include "api/paging.h"
#include "api/postgres/handlers.h"
#include "api/postgres/view.h"
#include "api/router.h"
#include "base/text.h"

// What nothing can be made of yet: a list of it is empty, and none is found by its name. That is
// the truth; changes are refused with FeatureNotSupported.

namespace howdah::api::postgres {

Answer list_nothing(Call& call) {
    HD_CHECK(load_server(call, server_id(call)));
    return json_answer(200, list_body(Json::array()));
}

Answer get_nothing(Call& call) {
    const model::ResourceId server = server_id(call);
    HD_CHECK(load_server(call, server));
    // The path's last fixed word before a name that is not the server's, and that name.
    const std::vector<std::string> pattern = split(call.route->pattern.substr(1), '/');
    std::size_t at = pattern.size() - 1;
    while (!pattern[at].starts_with('{')) --at;
    const std::string parameter = pattern[at].substr(1, pattern[at].size() - 2);
    Error error = child_not_found(server.child(pattern[at - 1], call.parameter(parameter)));
    error.hint = not_supported_text(call.route->missing);
    return error;
}

Answer list_subnet_usage(Call& call) {
    HD_TRY(const Json json, parse_body(call.request.body));
    Reader::Problem problem;
    Reader body(json, "", problem);
    body.text("virtualNetworkArmResourceId");
    body.finish();
    if (problem) return *problem;
    return json_answer(200, {{"location", call.context.location},
                             {"subscriptionId", call.subscription()},
                             {"delegatedSubnetsUsage", Json::array()}});
}

}  // namespace howdah::api::postgres
