#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "os/fd.h"

/// Files and folders. Paths are absolute. Errors are `not_found`, `io` or `resource_exhausted`
/// (disk full) and name the path.
namespace howdah::os {

/// Deepest folder below a tree's root that the functions on trees go into.
inline constexpr int kTreeDepthMax = 64;

/// The path made absolute, with the links of its folder resolved: one text for one file, whoever
/// names it and whether it is there or not.
std::string canonical_path(const std::string& path);
Result<std::string> read_file(const std::string& path, std::size_t bytes_max = 64 << 20);
/// Replaces the file as a whole or not at all: temporary file, fsync, rename, fsync of the folder.
/// The file has exactly `mode`; it never exists with a wider one.
Status write_file_atomic(const std::string& path, std::string_view content, mode_t mode = 0600);
/// Who a file belongs to.
struct Owner {
    uid_t user = 0;
    gid_t group = 0;
    bool operator==(const Owner&) const = default;
};
/// As a whole or not at all as far as processes see, but without waiting for the disk (each sync
/// costs milliseconds): for what is made anew after a power loss. `owner`: needs root.
Status replace_file(const std::string& path, std::string_view content, mode_t mode = 0600,
                    const std::optional<Owner>& owner = std::nullopt);
/// The same, with an owner that is set before the file gets its name. REQUIRES: root.
Status write_file_atomic(const std::string& path, std::string_view content, mode_t mode,
                         Owner owner);
/// Makes the folder and its parents; an existing one is fine (its mode is left alone).
Status make_folders(const std::string& path, mode_t mode = 0700);
Result<std::vector<std::string>> list_folder(const std::string& path);  ///< names, sorted
bool exists(const std::string& path);
Status rename_synced(const std::string& from, const std::string& to);  ///< fsync of both folders
/// Sets mode and, where given, owner of one file or folder; not following links.
Status change_mode(const std::string& path, mode_t mode);
Status change_owner(const std::string& path, Owner owner);
/// Lets every user connect to a unix socket who can enter its folder. `invalid_argument` if it is
/// something else; links are not followed.
Status let_everybody_connect(const std::string& socket_path);
Result<Owner> owner_of(const std::string& path);  ///< of a link: its own
/// Removes a file or a whole tree; not following links; fine if it is absent.
Status remove_tree(const std::string& path);
/// fsync of every file and folder below.
Status sync_tree(const std::string& path);
Status change_owner_tree(const std::string& path, uid_t user, gid_t group);

/// A file without a name, for reading and writing, that is gone when its descriptor is closed.
Result<Fd> make_temporary_file(const std::string& folder);

/// A regular file that is open for reading.
struct PlainFile {
    Fd fd;
    std::int64_t bytes = 0;
    Timestamp created;  ///< of a file system that does not know it: when it was last changed
    Timestamp modified;
};
/// Opens `name` in `folder` itself: `name` must be one word, neither it nor the folder may be a
/// link, and the file may have no second name elsewhere. All else is `not_found`.
Result<PlainFile> open_plain_file(const std::string& folder, const std::string& name);

/// At most `bytes_max` bytes from `offset` on; fewer only at the end of the file.
Result<std::string> read_at(const Fd& fd, std::int64_t offset, std::size_t bytes_max);
Status write_at(const Fd& fd, std::int64_t offset, std::string_view content);

/// What bound_log() adds to the name of a log for what is older.
inline constexpr std::string_view kOlderLog = ".1";
/// A log that another process appends to (os::Daemon::log_path): once it has more than `bytes_max`
/// bytes, the last `bytes_max` of them go to path + kOlderLog, and it begins anew. What is written
/// at that moment may be lost. Fine if there is none.
Status bound_log(const std::string& path, std::int64_t bytes_max);

struct DiskSpace {
    std::int64_t total_bytes = 0;
    std::int64_t free_bytes = 0;
};
Result<DiskSpace> disk_space(const std::string& path);

/// An exclusive flock on a file that is made if absent. The lock ends with the last process that
/// has the descriptor, so that a child which inherits it keeps it.
class FileLock {
  public:
    /// ErrorCode::conflict if another process holds it.
    static Result<FileLock> try_lock(const std::string& path);
    const Fd& fd() const { return fd_; }

  private:
    explicit FileLock(Fd fd) : fd_(std::move(fd)) {}
    Fd fd_;
};

}  // namespace howdah::os
