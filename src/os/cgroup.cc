#include "os/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "base/text.h"
#include "os/fd.h"
#include "os/file.h"

// Version 1: one hierarchy per controller, `<mount>/<parent>/<name>/cpu.cfs_quota_us`. Version 2:
// one hierarchy, `<mount>/<parent>/<name>/cpu.max`; controllers are handed down by
// `cgroup.subtree_control`.

namespace howdah::os {
namespace {

constexpr std::int64_t kPeriodMicroseconds = 100'000;
/// To the kernel all servers of a machine are one group, as is every service and every login
/// session: with equal shares databases would be the poorest of a busy machine, too slow to answer
/// their own agent. So much more than others have, and not so much that gateway and agent, which
/// are others, get nothing.
constexpr int kShareOfServers = 8;
/// How often a group that still dissolves is tried again, and the pause between.
constexpr int kRemoveTries = 50;
constexpr useconds_t kRemovePauseMicroseconds = 10'000;
constexpr std::size_t kControlFileBytesMax = 4 << 20;

Error control_error(const std::string& path, int number) {
    std::array<char, 128> buffer{};
    return {number == EBUSY ? ErrorCode::conflict : ErrorCode::io,
            fmt::format("cannot write '{}': {}", path,
                        strerror_r(number, buffer.data(), buffer.size()))};
}

/// Control files take one value per write and cannot be replaced by a rename.
Status write_control(const std::string& path, std::string_view value) {
    const Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd.valid()) return control_error(path, errno);
    if (write(fd.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
        return control_error(path, errno);
    return {};
}

/// How much of a busy processor a group gets beside its neighbours, each of which has 1.
Status write_share(const std::string& group, int version, double share) {
    const auto scaled = [&](double of_one, double lowest, double highest) {
        return std::to_string(std::llround(std::clamp(share * of_one, lowest, highest)));
    };
    return version == 2 ? write_control(group + "/cpu.weight", scaled(100, 1, 10'000))
                        : write_control(group + "/cpu.shares", scaled(1024, 2, 262'144));
}

struct Mount {
    std::string folder;
    std::string type;
    std::vector<std::string> options;
};

std::vector<Mount> cgroup_mounts() {
    std::vector<Mount> mounts;
    const auto text = read_file("/proc/self/mounts", kControlFileBytesMax);
    if (!text.ok()) return mounts;
    for (const std::string& line : split(*text, '\n')) {
        const auto fields = split(line, ' ');
        if (fields.size() >= 4 && (fields[2] == "cgroup" || fields[2] == "cgroup2"))
            mounts.push_back({fields[1], fields[2], split(fields[3], ',')});
    }
    return mounts;
}

bool has_word(const std::string& path, std::string_view word) {
    const auto text = read_file(path, kControlFileBytesMax);
    if (!text.ok()) return false;
    for (const std::string& each : split(trim(*text), ' '))
        if (each == word) return true;
    return false;
}

/// "8:0" of the whole disk that holds `path`: limits are set on disks, not on partitions.
Result<std::string> disk_of(const std::string& path) {
    struct stat facts {};
    if (stat(path.c_str(), &facts) != 0)
        return Error{ErrorCode::not_found, fmt::format("there is no '{}'", path)};
    const std::string number = fmt::format("{}:{}", major(facts.st_dev), minor(facts.st_dev));
    const std::string entry = "/sys/dev/block/" + number;
    if (!exists(entry))
        return Error{ErrorCode::not_supported,
                     fmt::format("'{}' is not on a block device of this machine", path), "",
                     "put the home folder on a local disk"};
    if (!exists(entry + "/partition")) return number;
    const auto disk = read_file(entry + "/../dev", 64);
    if (!disk.ok()) return number;
    return std::string(trim(*disk));
}

}  // namespace

Result<Cgroups> Cgroups::detect(const std::string& parent) {
    if (geteuid() != 0)
        return Error{ErrorCode::not_supported, "control groups need root", "",
                     "run howdah as root to limit CPU, memory and IO of servers"};
    const auto mounts = cgroup_mounts();
    Cgroups found;
    found.parent_ = parent;
    for (const Mount& mount : mounts) {
        const std::string offered = mount.folder + "/cgroup.controllers";
        if (mount.type != "cgroup2" || !has_word(offered, "cpu") || !has_word(offered, "memory"))
            continue;
        found.version_ = 2;
        found.mounts_ = {{"cpu", mount.folder}, {"memory", mount.folder}};
        HD_CHECK(write_control(mount.folder + "/cgroup.subtree_control", "+cpu +memory"));
        HD_CHECK(make_folders(mount.folder + "/" + parent, 0755));
        const std::string own = mount.folder + "/" + parent + "/cgroup.subtree_control";
        HD_CHECK(write_control(own, "+cpu +memory"));
        if (has_word(offered, "io") &&
            write_control(mount.folder + "/cgroup.subtree_control", "+io").ok() &&
            write_control(own, "+io").ok())
            found.mounts_["io"] = mount.folder;
        HD_CHECK(write_share(mount.folder + "/" + parent, 2, kShareOfServers));
        return found;
    }
    for (const Mount& mount : mounts) {
        for (const char* controller : {"cpu", "memory", "blkio"})
            if (mount.type == "cgroup" &&
                std::find(mount.options.begin(), mount.options.end(), controller) !=
                    mount.options.end() &&
                access(mount.folder.c_str(), W_OK) == 0)
                found.mounts_.emplace(controller, mount.folder);
    }
    if (!found.mounts_.contains("cpu") || !found.mounts_.contains("memory"))
        return Error{ErrorCode::not_supported,
                     "this machine has no writable cgroup hierarchy with the controllers cpu and "
                     "memory",
                     "", "mount cgroup2 at /sys/fs/cgroup"};
    found.version_ = 1;
    for (const auto& [controller, mount] : found.mounts_)
        HD_CHECK(make_folders(mount + "/" + parent, 0755));
    HD_CHECK(write_share(found.mounts_.at("cpu") + "/" + parent, 1, kShareOfServers));
    return found;
}

std::string Cgroups::folder(const std::string& controller, const std::string& name) const {
    return mounts_.at(controller) + "/" + parent_ + "/" + name;
}

Status Cgroups::io_support(const std::string& path) const {
    if (!mounts_.contains(version_ == 2 ? "io" : "blkio"))
        return Error{ErrorCode::not_supported, "this machine has no cgroup controller for IO", "",
                     "boot a kernel with the controller io"};
    const auto disk = disk_of(path);
    if (!disk.ok()) return disk.error();
    return {};
}

Status Cgroups::apply(const std::string& name, const Limits& limits) const {
    std::set<std::string> folders;
    for (const auto& [controller, mount] : mounts_) folders.insert(folder(controller, name));
    for (const std::string& each : folders) HD_CHECK(make_folders(each, 0755));
    const auto quota = std::llround(limits.cpus * static_cast<double>(kPeriodMicroseconds));
    std::string disk;
    if (io_support(limits.path).ok()) disk = *disk_of(limits.path);
    HD_CHECK(write_share(folder("cpu", name), version_, limits.cpus > 0 ? limits.cpus : 1));
    if (version_ == 2) {
        const std::string group = folder("cpu", name);
        HD_CHECK(
            write_control(group + "/cpu.max",
                          quota > 0 ? fmt::format("{} {}", quota, kPeriodMicroseconds) : "max"));
        HD_CHECK(write_control(group + "/memory.max", limits.memory_bytes > 0
                                                          ? std::to_string(limits.memory_bytes)
                                                          : "max"));
        if (disk.empty()) return {};
        const std::string rate =
            limits.io_per_second > 0 ? std::to_string(limits.io_per_second) : "max";
        return write_control(group + "/io.max",
                             fmt::format("{} riops={} wiops={}", disk, rate, rate));
    }
    const std::string cpu = folder("cpu", name);
    HD_CHECK(write_control(cpu + "/cpu.cfs_period_us", std::to_string(kPeriodMicroseconds)));
    HD_CHECK(write_control(cpu + "/cpu.cfs_quota_us", std::to_string(quota > 0 ? quota : -1)));
    HD_CHECK(write_control(folder("memory", name) + "/memory.limit_in_bytes",
                           std::to_string(limits.memory_bytes > 0 ? limits.memory_bytes : -1)));
    if (disk.empty()) return {};
    for (const char* kind : {"read", "write"})
        HD_CHECK(write_control(
            fmt::format("{}/blkio.throttle.{}_iops_device", folder("blkio", name), kind),
            fmt::format("{} {}", disk, limits.io_per_second)));
    return {};
}

std::vector<std::string> Cgroups::join_files(const std::string& name) const {
    std::set<std::string> files;
    for (const auto& [controller, mount] : mounts_)
        files.insert(folder(controller, name) + "/cgroup.procs");
    return {files.begin(), files.end()};
}

Status Cgroups::add(const std::string& name, pid_t pid) const {
    for (const std::string& file : join_files(name))
        HD_CHECK(write_control(file, std::to_string(pid)));
    return {};
}

Result<std::vector<pid_t>> Cgroups::processes(const std::string& name) const {
    std::set<pid_t> pids;
    for (const std::string& file : join_files(name)) {
        const auto text = read_file(file, kControlFileBytesMax);
        if (!text.ok() && text.error().code == ErrorCode::not_found) continue;
        if (!text.ok()) return text.error();
        for (const std::string& line : split(*text, '\n'))
            if (const auto pid = parse_integer(line, 1, 1 << 30); pid.ok())
                pids.insert(static_cast<pid_t>(*pid));
    }
    return std::vector<pid_t>(pids.begin(), pids.end());
}

Status Cgroups::remove(const std::string& name) const {
    std::set<std::string> folders;
    for (const auto& [controller, mount] : mounts_) folders.insert(folder(controller, name));
    for (const std::string& each : folders) {
        for (int tries = 1; rmdir(each.c_str()) != 0 && errno != ENOENT; ++tries) {
            // A group is busy for a moment after its last process ended.
            if (errno != EBUSY || tries == kRemoveTries) return control_error(each, errno);
            usleep(kRemovePauseMicroseconds);
        }
    }
    return {};
}

}  // namespace howdah::os
