#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/backup/wal_archive.h"
#include "model/pgbackrest.h"

// What pgBackRest prints of a repository that others may have written.

namespace {

using namespace howdah;

void require(bool holds) {
    if (!holds) std::abort();
}

/// Becomes an argument.
void check_label(std::string_view label) {
    require(!label.empty() && label.front() != '-');
    require(label.find('/') == label.npos && label.find('.') == label.npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto info = model::pgbackrest::parse_info(text, "s");
    if (info.ok()) {
        std::int64_t before = 0;
        for (const auto& each : info->backups) {
            check_label(each.label);
            if (!each.prior.empty()) check_label(each.prior);
            require(each.started <= each.stopped && before <= each.stopped);
            require(each.bytes >= 0 && each.repository_bytes >= 0);
            before = each.stopped;
        }
    }
    const auto files = model::pgbackrest::parse_files(text);
    if (files.ok())
        for (const auto& each : *files) require(each.bytes >= 0);
    const auto segment = core::backup::parse_segment(text);
    if (segment.ok()) require(core::backup::segment_name(*segment) == text);
    const auto history = core::backup::parse_history(text, 9);
    if (history.ok()) {
        for (std::size_t i = 1; i < history->size(); ++i)
            require((*history)[i - 1].first <= (*history)[i].first &&
                    (*history)[i - 1].timeline < (*history)[i].timeline);
        require(history->back().timeline == 9 && history->front().first > 0);
    }
    return 0;
}
