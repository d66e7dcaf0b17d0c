#pragma once

#include <fmt/core.h>
#include <sys/stat.h>

#include <string>

#include "base/log.h"
#include "core/backup/repository_place.h"
#include "os/file.h"

namespace howdah {

/// What --repository names: a folder, or a file (*.toml) that tells of a bucket or container;
/// empty: none.
inline Result<core::backup::RepositoryPlace> read_repository_option(const std::string& option) {
    constexpr std::size_t kFileBytesMax = 64 << 10;
    if (!option.ends_with(".toml")) return core::backup::folder_place(option);
    const auto refused = [&](const std::string& why, const std::string& what_to_do) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("the repository's file {} is not usable: {}", option, why),
                     "--repository", what_to_do};
    };
    struct stat found {};
    const auto text = os::read_file(option, kFileBytesMax);
    if (!text.ok()) return refused(text.error().message, "name a file that can be read");
    if (::stat(option.c_str(), &found) != 0 || (found.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return refused("others may read it, and it holds a key", "chmod 600 " + option);
    auto place = core::backup::parse_repository_file(*text);
    if (!place.ok()) return refused(place.error().message, place.error().hint);
    return place;
}

/// Of a program that must go on without its backups: the place says what is wrong.
inline core::backup::RepositoryPlace repository_of_option(const std::string& option) {
    auto place = read_repository_option(option);
    if (place.ok()) return std::move(*place);
    log::error("there are no backups", {{"reason", place.error().describe()}});
    return {.kind = core::backup::RepositoryPlace::Kind::folder,
            .path = option,
            .trouble = place.error().describe()};
}

}  // namespace howdah
