#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "base/result.h"
#include "model/records.h"
#include "os/fd.h"

namespace howdah::gateway {

/// The file with the route table, which another process replaces by rename. Its folder is watched;
/// in case an event is missed, or the folder is made anew, `changed` looks for itself as well.
/// Not thread-safe.
class RoutesFile {
  public:
    static constexpr std::size_t kBytesMax = std::size_t{64} << 20;

    explicit RoutesFile(std::string path);

    /// Readable when something happened in the folder; -1 while the folder cannot be watched.
    int fd() const { return inotify_.get(); }
    /// True once for each new content of the file (and for each time it appears).
    bool changed();
    /// What the file holds now, and its text.
    struct Content {
        std::string text;
        model::RouteTable table;
    };
    Result<Content> read() const;

  private:
    void watch();

    std::string path_;
    os::Fd inotify_;
    int watch_ = -1;
    std::optional<struct stat> seen_;
};

}  // namespace howdah::gateway
