#include "base/text.h"
#include "http/server.h"

namespace howdah::http {

std::string_view Request::header(std::string_view lower_case_name) const {
    const auto found = headers.find(std::string(lower_case_name));
    return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

std::optional<std::string> Request::query_value(std::string_view name) const {
    for (const auto& [each, value] : query) {
        if (iequals(each, name)) return value;
    }
    return std::nullopt;
}

}  // namespace howdah::http
