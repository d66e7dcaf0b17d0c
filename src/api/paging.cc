#include "api/paging.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/query_options.h"
#include "base/text.h"
#include "http/client.h"

namespace howdah::api {
namespace {

constexpr std::size_t kTokenBytesMax = 4096;

std::string purpose(std::string_view prefix) { return fmt::format("skiptoken:{}", prefix); }

}  // namespace

Result<Page> read_page(const Call& call, const std::string& prefix) {
    const Error bad{ErrorCode::invalid_argument, "the $skiptoken is not valid for this list",
                    "$skiptoken", "follow the nextLink of the page before, or start anew"};
    store::ListOptions options;
    std::size_t size = kPageSize;
    const auto top = call.request.query_value("$top");
    if (top && !top->empty()) {
        HD_TRY(const auto wanted, parse_integer(*top, 1, kTopMax));
        size = std::min(size, static_cast<std::size_t>(wanted));
    }
    options.limit = size + 1;
    const std::string token = call.request.query_value("$skiptoken").value_or("");
    if (!token.empty()) {
        if (token.size() > kTokenBytesMax) return bad;
        const Result<std::string> sealed = base64url_decode(token);
        if (!sealed.ok()) return bad;
        const Result<Secret> key = call.context.secrets.unseal(purpose(prefix), *sealed);
        if (!key.ok()) return bad;
        options.after = key->reveal();
    }
    Page page;
    HD_TRY(page.entries, call.context.store.list(prefix, options));
    if (page.entries.size() > size) {
        page.entries.resize(size);
        const std::string sealed =
            call.context.secrets.seal(purpose(prefix), Secret(page.entries.back().key));
        page.next_link = fmt::format("{}&$skiptoken={}", call.link(call.request.path),
                                     http::url_encode(base64url_encode(sealed)));
        for (const char* name : {"$top", "$expand"})
            if (const auto value = call.request.query_value(name))
                page.next_link += fmt::format("&{}={}", name, http::url_encode(*value));
    }
    return page;
}

std::string with_filter(const Call& call, std::string next_link) {
    const auto filter = call.request.query_value("$filter");
    if (filter && !next_link.empty()) next_link += "&$filter=" + http::url_encode(*filter);
    return next_link;
}

Json list_body(Json values, const std::string& next_link) {
    Json body = {{"value", std::move(values)}};
    if (!next_link.empty()) body["nextLink"] = next_link;
    return body;
}

}  // namespace howdah::api
