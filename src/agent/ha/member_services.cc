#include "agent/ha/member_services.h"

#include <condition_variable>

#include "agent/ha/member_state.h"
#include "base/text.h"
#include "os/file.h"

namespace howdah::agent {
namespace {

constexpr std::size_t kPasswordBytes = 24;
constexpr int kPasswordTries = 3;

}  // namespace

Status MemberServices::begin() {
    const std::lock_guard lock(mutex_);
    if (records_) return ok_status();
    if (options_.etcd) {
        HD_TRY(records_, store::open_ha_records(*options_.etcd, clock_));
    } else {
        const std::string path = options_.layout.ha_records();
        HD_CHECK(os::make_folders(path.substr(0, path.rfind('/')), 0700));
        HD_TRY(records_, store::open_ha_records(path));
    }
    lease_.emplace(*records_, options_.node, clock_, [this] { return !disks_.hangs(); });
    lease_thread_ = std::jthread([this](std::stop_token stop) {
        // A busy machine must not end a healthy primary.
        (void)os::go_first();
        lease_->run(std::move(stop));
    });
    if (options_.fence_program.empty()) return ok_status();
    fence_thread_ = std::jthread([this](std::stop_token stop) { keep_fence(std::move(stop)); });
    return ok_status();
}

void MemberServices::keep_fence(std::stop_token stop) {
    const Layout& layout = options_.layout;
    os::Supervisor fence(
        {.name = "howdah-fence",
         .daemon = {.arguments = {options_.fence_program, "--instances", layout.instances(),
                                  "--lock", layout.fence_lock()},
                    .log_path = layout.fence_log()},
         .lock_path = layout.fence_lock()});
    std::mutex mutex;
    std::condition_variable_any never;
    while (!stop.stop_requested()) {
        const Instant next = fence.step(clock_.now());
        std::unique_lock lock(mutex);
        (void)never.wait_for(lock, stop, next - clock_.now(), [] { return false; });
    }
}

Result<std::string> MemberServices::replication_password(const std::string& server) {
    const std::string key = password_key(server);
    for (int i = 0; i < kPasswordTries; ++i) {
        HD_TRY(const store::HaRecords::Seen seen, records_->read(key));
        if (seen.revision != 0) return seen.record;
        const auto made = records_->replace(key, 0, hex_encode(ids_.random_bytes(kPasswordBytes)));
        if (!made.ok() && made.error().code != ErrorCode::conflict) return made.error();
    }
    return Error{ErrorCode::unavailable, "the records of the members change too often"};
}

Status MemberServices::forget_password(const std::string& server) {
    const std::string key = password_key(server);
    HD_TRY(const store::HaRecords::Seen seen, records_->read(key));
    return seen.revision == 0 ? ok_status() : records_->remove(key, seen.revision);
}

}  // namespace howdah::agent
