#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>

#include "base/result.h"

/// How the fields of a server's body are refused.
namespace howdah::api::postgres {

inline constexpr std::string_view kServerType = "Microsoft.DBforPostgreSQL/flexibleServers";

inline Error bad_value(std::string_view path, std::string message, std::string hint = {}) {
    return {ErrorCode::invalid_argument, std::move(message), std::string(path), std::move(hint)};
}

inline Error frozen(std::string_view path, std::string_view is, std::string_view wanted,
                    std::string hint = "create another server with the value you want") {
    return {ErrorCode::property_change_not_allowed,
            fmt::format("changing property '{}' from '{}' to '{}' is not allowed", path, is,
                        wanted.substr(0, 128)),
            std::string(path), std::move(hint)};
}

inline Error missing(std::string_view path) {
    return {ErrorCode::invalid_argument, fmt::format("the field '{}' is required", path),
            std::string(path)};
}

}  // namespace howdah::api::postgres
