#include "agent/ha/fence.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "agent/postmaster.h"
#include "base/log.h"
#include "os/fd.h"
#include "os/file.h"

namespace howdah::agent {

Result<FenceFile> FenceFile::open(const std::string& path) {
    const auto failed = [&] {
        return Error{ErrorCode::io, fmt::format("cannot use '{}': {}", path, strerror(errno))};
    };
    const os::Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    // Never made shorter: the other process has it mapped.
    struct stat facts {};
    if (!file.valid() || fstat(file.get(), &facts) != 0) return failed();
    if (facts.st_size < static_cast<off_t>(sizeof(std::int64_t)) &&
        ftruncate(file.get(), sizeof(std::int64_t)) != 0)
        return failed();
    void* const word =
        mmap(nullptr, sizeof(std::int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (word == MAP_FAILED) return failed();
    return FenceFile(static_cast<std::int64_t*>(word));
}

FenceFile::FenceFile(FenceFile&& other) noexcept : word_(std::exchange(other.word_, nullptr)) {}

FenceFile& FenceFile::operator=(FenceFile&& other) noexcept {
    std::swap(word_, other.word_);
    return *this;
}

FenceFile::~FenceFile() {
    if (word_ != nullptr) (void)munmap(word_, sizeof *word_);
}

void FenceFile::set(std::optional<Instant> until) {
    // A lease that never was is a limit that has passed, and not none.
    const std::int64_t value =
        until ? std::max<std::int64_t>(1, until->time_since_epoch().count()) : 0;
    std::atomic_ref(*word_).store(value);
}

std::optional<Instant> FenceFile::until() const {
    const std::int64_t value = std::atomic_ref(*word_).load();
    return value == 0 ? std::nullopt : std::optional(Instant(Duration(value)));
}

int Fence::look() {
    int ended = 0;
    for (const std::string& name : os::list_folder(instances_).value_or({})) {
        const InstancePaths paths{instances_ + "/" + name, ""};
        const std::string path = paths.folder + "/" + FenceFile::kName;
        if (!os::exists(path)) {
            files_.erase(name);
            continue;
        }
        auto known = files_.find(name);
        if (known == files_.end()) {
            auto opened = FenceFile::open(path);
            if (!opened.ok()) continue;
            known = files_.emplace(name, std::move(*opened)).first;
        }
        const auto until = known->second.until();
        if (!until || clock_.now() < *until) continue;
        Postmaster postmaster({"", paths, std::nullopt, {}}, clock_);
        if (!postmaster.adopt()) continue;
        const Status killed = postmaster.kill();
        ++ended;
        log::warn(
            "the agent of a primary is silent; PostgreSQL was ended, so that nobody reads it "
            "while a standby takes over",
            {{"instance", name},
             {"outcome", killed.ok() ? std::string("ended") : killed.error().describe()}});
    }
    return ended;
}

void Fence::run(std::stop_token stop) {
    std::mutex mutex;
    std::condition_variable_any never;
    while (!stop.stop_requested()) {
        (void)look();
        std::unique_lock lock(mutex);
        (void)never.wait_for(lock, stop, kLookEvery, [] { return false; });
    }
}

}  // namespace howdah::agent
