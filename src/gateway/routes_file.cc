#include "gateway/routes_file.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cstring>

#include "base/log.h"
#include "model/json.h"
#include "os/file.h"

namespace howdah::gateway {
namespace {

std::string folder_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == path.npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

bool same_file(const struct stat& a, const struct stat& b) {
    return a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_size == b.st_size &&
           a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

}  // namespace

RoutesFile::RoutesFile(std::string path)
    : path_(std::move(path)), inotify_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    if (!inotify_.valid())
        log::warn("the route table cannot be watched and is looked at every second",
                  {{"path", path_}, {"error", strerror(errno)}});
    watch();
}

void RoutesFile::watch() {
    if (!inotify_.valid()) return;
    watch_ = inotify_add_watch(inotify_.get(), folder_of(path_).c_str(),
                               IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR);
}

bool RoutesFile::changed() {
    if (inotify_.valid()) {
        alignas(inotify_event) char events[4096];
        while (::read(inotify_.get(), events, sizeof events) > 0) {
        }
        // Watching the same folder again changes nothing; a new folder of that name is found so.
        watch();
    }
    struct stat now {};
    if (stat(path_.c_str(), &now) != 0) return false;  // what was in force stays in force
    if (seen_ && same_file(*seen_, now)) return false;
    seen_ = now;
    return true;
}

Result<RoutesFile::Content> RoutesFile::read() const {
    HD_TRY(std::string text, os::read_file(path_, kBytesMax));
    HD_TRY(model::RouteTable table, model::from_json<model::RouteTable>(text));
    return Content{std::move(text), std::move(table)};
}

}  // namespace howdah::gateway
