#include "agent/ha/disk_watch.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>

#include "os/fd.h"

namespace howdah::agent {
namespace {

constexpr std::size_t kBlock = 4096;
constexpr const char* kFile = "/disk.probe";

/// Opened each time: a file that was opened before may outlive a mount that is gone.
void write_block(const std::string& folder) {
    alignas(kBlock) static const std::array<char, kBlock> block{};
    const std::string path = folder + kFile;
    constexpr int kFlags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    os::Fd file(open(path.c_str(), kFlags | O_DIRECT, 0600));
    // Some file systems, those in memory among them, have no way past the cache.
    if (!file.valid()) file.reset(open(path.c_str(), kFlags, 0600));
    (void)!pwrite(file.get(), block.data(), block.size(), 0);
}

}  // namespace

DiskWatch::DiskWatch(Write write) : write_(write ? std::move(write) : write_block) {}

void DiskWatch::run(std::stop_token stop, Disk& disk, const std::string& folder) const {
    const SystemClock clock;
    std::mutex mutex;
    std::condition_variable_any never;
    while (!stop.stop_requested()) {
        disk.begun = clock.now();
        write_(folder);
        disk.begun = Instant{};
        std::unique_lock lock(mutex);
        (void)never.wait_for(lock, stop, kEvery, [] { return false; });
    }
}

void DiskWatch::watch(const std::string& folder) {
    const std::lock_guard lock(mutex_);
    auto& disk = disks_[folder];
    if (disk) return;
    disk = std::make_unique<Disk>();
    disk->thread = std::jthread([this, disk = disk.get(), folder](std::stop_token stop) {
        run(std::move(stop), *disk, folder);
    });
}

/// Counts until its thread has ended: an agent that waits here for a disk that hangs must not have
/// its lease again.
void DiskWatch::forget(const std::string& folder) {
    std::jthread ending;
    {
        const std::lock_guard lock(mutex_);
        const auto found = disks_.find(folder);
        if (found == disks_.end()) return;
        ending = std::move(found->second->thread);
    }
    ending.request_stop();
    if (ending.joinable()) ending.join();
    const std::lock_guard lock(mutex_);
    disks_.erase(folder);
}

bool DiskWatch::hangs() const {
    const std::lock_guard lock(mutex_);
    const Instant now = SystemClock().now();
    return std::any_of(disks_.begin(), disks_.end(), [now](const auto& each) {
        const Instant begun = each.second->begun;
        return begun != Instant{} && now - begun > kHungAfter;
    });
}

}  // namespace howdah::agent
