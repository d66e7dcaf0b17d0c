#include "base/error.h"

#include <array>

namespace howdah {
namespace {

struct Row {
    ErrorCode code;
    std::string_view name;
    int status;
    RetryClass retry;
};

constexpr std::array kRows = {
#define HD_CODE(id, name, status, retry) Row{ErrorCode::id, name, status, RetryClass::retry},
    HOWDAH_ERROR_CODES(HD_CODE)
#undef HD_CODE
};

const Row& row(ErrorCode code) { return kRows[static_cast<std::size_t>(code)]; }

}  // namespace

std::string_view to_string(ErrorCode code) { return row(code).name; }
int http_status(ErrorCode code) { return row(code).status; }
RetryClass retry_class(ErrorCode code) { return row(code).retry; }

ErrorCode error_code_from(std::string_view name) {
    for (const Row& each : kRows) {
        if (each.name == name) return each.code;
    }
    return ErrorCode::internal;
}

std::string Error::describe() const { return hint.empty() ? message : message + " (" + hint + ")"; }

Error Error::in(std::string_view context) const {
    Error result = *this;
    result.message = std::string(context) + ": " + message;
    return result;
}

}  // namespace howdah
