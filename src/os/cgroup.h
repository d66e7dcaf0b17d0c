#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace howdah::os {

struct Limits {
    double cpus = 0;                ///< 0: none; also the share beside other groups
    std::int64_t memory_bytes = 0;  ///< 0: none
    std::int64_t io_per_second =
        0;             ///< read and write operations each, on the device of `path`; 0: none
    std::string path;  ///< a path on the device the IO limit is for
};

/// Control groups of both versions: v2 where the unified hierarchy has the controllers, else v1.
/// Thread-safe as far as different groups are concerned.
class Cgroups {
  public:
    /// What this machine allows: error `not_supported` says why not and what to do. When the
    /// processor is short, all groups together go before whatever else runs.
    static Result<Cgroups> detect(const std::string& parent);
    /// Makes or changes the group `name`; a live change, processes keep running.
    Status apply(const std::string& name, const Limits& limits) const;
    Status add(const std::string& name, pid_t pid) const;
    /// What a process writes its pid into to join; for Daemon::cgroup_files, so that no child of
    /// the process can ever be outside.
    std::vector<std::string> join_files(const std::string& name) const;
    /// Whether operations a second can be limited for the device of `path`; the error says why not.
    /// Where they cannot, `apply` leaves them unlimited.
    Status io_support(const std::string& path) const;
    Result<std::vector<pid_t>> processes(const std::string& name) const;
    Status remove(const std::string& name) const;  ///< REQUIRES: no process in it
    int version() const { return version_; }

  private:
    std::string folder(const std::string& controller, const std::string& name) const;

    int version_ = 0;
    std::string parent_;
    /// Controller ("cpu", "memory", "blkio"; for version 2 also "io") to the hierarchy's mount.
    std::map<std::string, std::string> mounts_;
};

}  // namespace howdah::os
