#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

/// What pgBackRest (2.45 or newer) prints, as values. Pure; never throws. A repository is written
/// by others too, so a parser accepts only what can be: all else is ErrorCode::corrupt. The caller
/// bounds the size.
namespace howdah::model::pgbackrest {

inline constexpr int kDepthMax = 16;

struct Backup {
    std::string label;         ///< "20261122-231144F" or "20261122-231144F_20261122-231222D"
    std::string type;          ///< full, diff, incr
    std::string prior;         ///< label of the one that it is built upon; empty: none
    std::int64_t started = 0;  ///< seconds since 1970
    std::int64_t stopped = 0;  ///< likewise, rounded down
    std::string wal_first;     ///< name of the first segment that it needs; not checked
    std::string wal_last;
    std::int64_t bytes = 0;             ///< of the database
    std::int64_t repository_bytes = 0;  ///< that this one takes
    bool has_errors = false;            ///< pages with wrong checksums
    std::map<std::string, std::string> annotations;
};

/// What `info --output=json --stanza=NAME` says of that stanza's first repository.
struct Info {
    std::string trouble;  ///< why it cannot be read, in pgBackRest's words; empty: it can be
    std::string archive;  ///< its present archive's folder: "15-1"; empty: no WAL yet
    std::vector<Backup> backups;  ///< oldest first; those of which a file is missing are not told
};
Result<Info> parse_info(std::string_view text, std::string_view stanza);

/// A file that `repo-ls --output=json --recurse` names.
struct File {
    std::string path;  ///< below the folder that was asked for
    std::int64_t bytes = 0;
};
/// The files, without folders and links, sorted by path.
Result<std::vector<File>> parse_files(std::string_view text);

}  // namespace howdah::model::pgbackrest
