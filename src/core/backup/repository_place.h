#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

/// Where backups are kept. Pure.
namespace howdah::core::backup {

/// A folder of this machine, a bucket of S3 (or of what speaks like it), or a container of Azure
/// Blob Storage.
struct RepositoryPlace {
    enum class Kind { none, folder, s3, azure };
    Kind kind = Kind::none;
    std::string path;      ///< of the folder, absolute; else: below the bucket, begins with "/"
    std::string bucket;    ///< S3's, or Azure's container
    std::string endpoint;  ///< host name; over TLS alone; empty: Azure's own
    int port = 443;
    std::string region;           ///< of S3
    std::string account;          ///< of Azure; of S3 the id of the key
    Secret key;                   ///< of Azure Base64
    std::string ca_file;          ///< absolute; empty: the authorities of the system
    bool has_path_style = false;  ///< the bucket, or the account, stands in the path of a URL
    /// Why it cannot be used, although there is to be one; empty: it can be.
    std::string trouble;

    bool is_remote() const { return kind == Kind::s3 || kind == Kind::azure; }
};

RepositoryPlace folder_place(std::string folder);

/// For people, and to know it again: nothing secret.
std::string place_name(const RepositoryPlace& place);

/// What a file says of a bucket or container: lines NAME = "VALUE" (a part of TOML), empty lines
/// and comments. invalid_argument: it does not say enough, or what nobody knows, and the line is
/// named.
Result<RepositoryPlace> parse_repository_file(std::string_view text);

}  // namespace howdah::core::backup
