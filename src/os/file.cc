#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <system_error>

namespace howdah::os {
namespace {

struct CloseDir {
    void operator()(DIR* dir) const { closedir(dir); }
};
using Dir = std::unique_ptr<DIR, CloseDir>;

Error file_error(std::string_view doing, const std::string& path) {
    const int number = errno;
    ErrorCode code = ErrorCode::io;
    if (number == ENOENT || number == ENOTDIR) code = ErrorCode::not_found;
    if (number == ENOSPC || number == EDQUOT) code = ErrorCode::resource_exhausted;
    std::array<char, 128> buffer{};
    return {code, fmt::format("cannot {} '{}': {}", doing, path,
                              strerror_r(number, buffer.data(), buffer.size()))};
}

std::string parent_of(const std::string& path) {
    const std::size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

Status sync_path(const std::string& path) {
    const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return file_error("open", path);
    if (fsync(fd.get()) != 0) return file_error("sync", path);
    return {};
}

Status write_all(int fd, std::string_view content, const std::string& path) {
    while (!content.empty()) {
        const ssize_t written = write(fd, content.data(), content.size());
        if (written < 0) {
            if (errno == EINTR) continue;
            return file_error("write", path);
        }
        content.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

Timestamp timestamp_of(const statx_timestamp& time) {
    return Timestamp(std::chrono::seconds(time.tv_sec) +
                     std::chrono::milliseconds(time.tv_nsec / 1'000'000));
}

enum class Durability { synced, eventual };

Status write_atomic(const std::string& path, std::string_view content, mode_t mode,
                    const std::optional<Owner>& owner, Durability durability) {
    std::string temporary = path + ".new-XXXXXX";
    const Fd fd(mkostemp(temporary.data(), O_CLOEXEC));
    if (!fd.valid()) return file_error("make", temporary);
    const auto give_up = [&temporary](Error error) {
        unlink(temporary.c_str());
        return error;
    };
    if (const Status status = write_all(fd.get(), content, path); !status.ok())
        return give_up(status.error());
    if (owner && fchown(fd.get(), owner->user, owner->group) != 0)
        return give_up(file_error("change the owner of", temporary));
    if (fchmod(fd.get(), mode) != 0) return give_up(file_error("change the mode of", temporary));
    const bool is_synced = durability == Durability::synced;
    if (is_synced && fsync(fd.get()) != 0) return give_up(file_error("sync", temporary));
    if (rename(temporary.c_str(), path.c_str()) != 0) return give_up(file_error("replace", path));
    return is_synced ? sync_path(parent_of(path)) : ok_status();
}

/// What is done with an entry of a tree: `folder` is its parent's descriptor. A folder is visited
/// after what is in it.
class TreeVisitor {
  public:
    virtual ~TreeVisitor() = default;
    virtual Status visit(int folder, const char* name, const std::string& path, bool is_folder) = 0;
};

Status walk(int folder, const char* name, const std::string& path, int depth, TreeVisitor* visitor);

Status walk_children(int folder, const std::string& path, int depth, TreeVisitor* visitor) {
    if (depth >= kTreeDepthMax)
        return Error{ErrorCode::io, fmt::format("the folder '{}' is nested too deeply", path)};
    const int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) return file_error("open", path);
    const Dir dir(fdopendir(copy));
    if (!dir) {
        close(copy);
        return file_error("read", path);
    }
    // Names are collected first: a folder that changes under readdir may skip entries.
    std::vector<std::string> names;
    while (const dirent* entry = readdir(dir.get())) {
        const std::string_view each = entry->d_name;
        if (each != "." && each != "..") names.emplace_back(each);
    }
    for (const std::string& each : names)
        HD_CHECK(walk(folder, each.c_str(), path + "/" + each, depth + 1, visitor));
    return {};
}

/// Goes by descriptors and never follows a link, so that whoever owns the tree cannot lead us out
/// of it.
Status walk(int folder, const char* name, const std::string& path, int depth,
            TreeVisitor* visitor) {
    struct stat facts {};
    if (fstatat(folder, name, &facts, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return {};
        return file_error("look at", path);
    }
    const bool is_folder = S_ISDIR(facts.st_mode);
    if (is_folder) {
        const Fd self(openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!self.valid()) return file_error("open", path);
        HD_CHECK(walk_children(self.get(), path, depth, visitor));
    }
    return visitor->visit(folder, name, path, is_folder);
}

class Remover final : public TreeVisitor {
  public:
    Status visit(int folder, const char* name, const std::string& path, bool is_folder) override {
        if (unlinkat(folder, name, is_folder ? AT_REMOVEDIR : 0) != 0 && errno != ENOENT)
            return file_error("remove", path);
        return {};
    }
};

class Syncer final : public TreeVisitor {
  public:
    Status visit(int folder, const char* name, const std::string& path, bool) override {
        const Fd fd(openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
        if (!fd.valid()) {
            // A link or a socket has no content of its own to write out.
            if (errno == ELOOP || errno == ENXIO || errno == ENOENT) return {};
            return file_error("open", path);
        }
        if (fsync(fd.get()) != 0 && errno != EINVAL) return file_error("sync", path);
        return {};
    }
};

class OwnerChanger final : public TreeVisitor {
  public:
    explicit OwnerChanger(Owner owner) : owner_(owner) {}
    Status visit(int folder, const char* name, const std::string& path, bool) override {
        if (fchownat(folder, name, owner_.user, owner_.group, AT_SYMLINK_NOFOLLOW) != 0)
            return file_error("change the owner of", path);
        return {};
    }

  private:
    Owner owner_;
};

}  // namespace

std::string canonical_path(const std::string& path) {
    std::error_code failed;
    const auto whole = std::filesystem::absolute(path, failed).lexically_normal();
    const auto folder = std::filesystem::weakly_canonical(whole.parent_path(), failed);
    return failed ? whole.string() : (folder / whole.filename()).string();
}

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
    const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return file_error("open", path);
    std::string content;
    std::array<char, 16384> buffer{};
    while (true) {
        const ssize_t count = read(fd.get(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return file_error("read", path);
        if (count == 0) return content;
        if (content.size() + static_cast<std::size_t>(count) > bytes_max)
            return Error{ErrorCode::io,
                         fmt::format("'{}' is larger than {} bytes", path, bytes_max)};
        content.append(buffer.data(), static_cast<std::size_t>(count));
    }
}

Status write_file_atomic(const std::string& path, std::string_view content, mode_t mode) {
    return write_atomic(path, content, mode, std::nullopt, Durability::synced);
}

Status write_file_atomic(const std::string& path, std::string_view content, mode_t mode,
                         Owner owner) {
    return write_atomic(path, content, mode, owner, Durability::synced);
}

Status replace_file(const std::string& path, std::string_view content, mode_t mode,
                    const std::optional<Owner>& owner) {
    return write_atomic(path, content, mode, owner, Durability::eventual);
}

Status make_folders(const std::string& path, mode_t mode) {
    struct stat facts {};
    if (stat(path.c_str(), &facts) == 0) {
        if (S_ISDIR(facts.st_mode)) return {};
        return Error{ErrorCode::io, fmt::format("'{}' is not a folder", path)};
    }
    if (path != "/" && path != ".") HD_CHECK(make_folders(parent_of(path), mode));
    if (mkdir(path.c_str(), mode) != 0) {
        if (errno == EEXIST) return {};
        return file_error("make the folder", path);
    }
    // mkdir's mode is cut by the umask.
    if (chmod(path.c_str(), mode) != 0) return file_error("change the mode of", path);
    return {};
}

Result<std::vector<std::string>> list_folder(const std::string& path) {
    const Dir dir(opendir(path.c_str()));
    if (!dir) return file_error("read the folder", path);
    std::vector<std::string> names;
    while (const dirent* entry = readdir(dir.get())) {
        const std::string_view each = entry->d_name;
        if (each != "." && each != "..") names.emplace_back(each);
    }
    std::sort(names.begin(), names.end());
    return names;
}

bool exists(const std::string& path) {
    struct stat facts {};
    return lstat(path.c_str(), &facts) == 0;
}

Status rename_synced(const std::string& from, const std::string& to) {
    if (rename(from.c_str(), to.c_str()) != 0) return file_error("rename", from);
    HD_CHECK(sync_path(parent_of(to)));
    if (parent_of(from) == parent_of(to)) return {};
    return sync_path(parent_of(from));
}

Status change_mode(const std::string& path, mode_t mode) {
    const Fd fd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid()) return file_error("open", path);
    if (fchmod(fd.get(), mode) != 0) return file_error("change the mode of", path);
    return {};
}

Status change_owner(const std::string& path, Owner owner) {
    if (lchown(path.c_str(), owner.user, owner.group) != 0)
        return file_error("change the owner of", path);
    return {};
}

Status let_everybody_connect(const std::string& socket_path) {
    const Fd fd(open(socket_path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat facts {};
    if (!fd.valid() || fstat(fd.get(), &facts) != 0) return file_error("look at", socket_path);
    if (!S_ISSOCK(facts.st_mode))
        return Error{ErrorCode::invalid_argument, socket_path + " is no socket"};
    // What cannot be opened has no descriptor for fchmod().
    const std::string same = fmt::format("/proc/self/fd/{}", fd.get());
    if (chmod(same.c_str(), 0777) != 0) return file_error("change the mode of", socket_path);
    return {};
}

Result<Owner> owner_of(const std::string& path) {
    struct stat facts {};
    if (lstat(path.c_str(), &facts) != 0) return file_error("look at", path);
    return Owner{facts.st_uid, facts.st_gid};
}

Status remove_tree(const std::string& path) {
    Remover remover;
    return walk(AT_FDCWD, path.c_str(), path, 0, &remover);
}

Status sync_tree(const std::string& path) {
    Syncer syncer;
    return walk(AT_FDCWD, path.c_str(), path, 0, &syncer);
}

Status change_owner_tree(const std::string& path, uid_t user, gid_t group) {
    OwnerChanger changer({user, group});
    return walk(AT_FDCWD, path.c_str(), path, 0, &changer);
}

Result<Fd> make_temporary_file(const std::string& folder) {
    Fd fd(open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (fd.valid()) return fd;
    // A file system that has no files without a name: one that loses it at once.
    std::string name = folder + "/temporary-XXXXXX";
    fd.reset(mkostemp(name.data(), O_CLOEXEC));
    if (!fd.valid()) return file_error("make a file in", folder);
    unlink(name.c_str());
    return fd;
}

Result<PlainFile> open_plain_file(const std::string& folder, const std::string& name) {
    const Error absent{ErrorCode::not_found,
                       fmt::format("there is no file '{}' in '{}'", name.substr(0, 256), folder)};
    if (name.empty() || name == "." || name == ".." ||
        name.find_first_of(std::string_view("/\0", 2)) != std::string::npos)
        return absent;
    const Fd parent(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!parent.valid()) return errno == ELOOP ? absent : file_error("open", folder);
    PlainFile file;
    // Not blocking: it may be a pipe that nobody writes to.
    file.fd.reset(
        openat(parent.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file.fd.valid()) {
        if (errno == ELOOP || errno == ENXIO) return absent;
        return file_error("open", folder + "/" + name);
    }
    struct statx facts {};
    if (statx(file.fd.get(), "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &facts) != 0)
        return file_error("look at", folder + "/" + name);
    if (!S_ISREG(facts.stx_mode) || facts.stx_nlink != 1) return absent;
    const bool knows_birth = (facts.stx_mask & STATX_BTIME) != 0;
    file.bytes = static_cast<std::int64_t>(facts.stx_size);
    file.modified = timestamp_of(facts.stx_mtime);
    file.created = knows_birth ? timestamp_of(facts.stx_btime) : file.modified;
    return file;
}

Result<std::string> read_at(const Fd& fd, std::int64_t offset, std::size_t bytes_max) {
    std::string content(bytes_max, '\0');
    std::size_t got = 0;
    while (got < bytes_max) {
        const ssize_t count = pread(fd.get(), content.data() + got, bytes_max - got,
                                    offset + static_cast<std::int64_t>(got));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return file_error("read", "an open file");
        if (count == 0) break;
        got += static_cast<std::size_t>(count);
    }
    content.resize(got);
    return content;
}

Status bound_log(const std::string& path, std::int64_t bytes_max) {
    const Fd fd(open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid() && errno == ENOENT) return {};
    struct stat facts {};
    if (!fd.valid() || fstat(fd.get(), &facts) != 0) return file_error("open", path);
    if (facts.st_size <= bytes_max) return {};
    HD_TRY(const std::string last,
           read_at(fd, facts.st_size - bytes_max, static_cast<std::size_t>(bytes_max)));
    // A disk that is full of it must not keep it from being shortened.
    const Status kept = replace_file(path + std::string(kOlderLog), last);
    if (ftruncate(fd.get(), 0) != 0) return file_error("shorten", path);
    return kept;
}

Status write_at(const Fd& fd, std::int64_t offset, std::string_view content) {
    while (!content.empty()) {
        const ssize_t written = pwrite(fd.get(), content.data(), content.size(), offset);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return file_error("write", "an open file");
        content.remove_prefix(static_cast<std::size_t>(written));
        offset += written;
    }
    return {};
}

Result<DiskSpace> disk_space(const std::string& path) {
    struct statvfs facts {};
    if (statvfs(path.c_str(), &facts) != 0) return file_error("look at the file system of", path);
    const auto block = static_cast<std::int64_t>(facts.f_frsize);
    return DiskSpace{static_cast<std::int64_t>(facts.f_blocks) * block,
                     static_cast<std::int64_t>(facts.f_bavail) * block};
}

Result<FileLock> FileLock::try_lock(const std::string& path) {
    Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.valid()) return file_error("open", path);
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return Error{ErrorCode::conflict,
                         fmt::format("'{}' is locked by another process", path)};
        return file_error("lock", path);
    }
    return FileLock(std::move(fd));
}

}  // namespace howdah::os
