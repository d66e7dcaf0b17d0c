#include "store/etcd/etcd_bells.h"

#include <sys/eventfd.h>

#include <condition_variable>
#include <set>

#include "os/fd.h"
#include "store/etcd/etcd_watch.h"

namespace howdah::store {
namespace {

constexpr Duration kAnswerMax = std::chrono::seconds(2);
constexpr Duration kListenMax = std::chrono::seconds(1);

}  // namespace

struct EtcdBells::Ringers {
    std::mutex mutex;
    std::set<int> fds;  ///< guarded by mutex

    void ring() {
        const std::lock_guard lock(mutex);
        for (const int fd : fds) (void)eventfd_write(fd, 1);
    }
};

namespace {

class EtcdBell final : public HaRecords::Bell {
  public:
    EtcdBell(os::Fd fd, std::shared_ptr<EtcdBells::Ringers> ringers)
        : fd_(std::move(fd)), ringers_(std::move(ringers)) {
        const std::lock_guard lock(ringers_->mutex);
        ringers_->fds.insert(fd_.get());
    }
    ~EtcdBell() override {
        const std::lock_guard lock(ringers_->mutex);
        ringers_->fds.erase(fd_.get());
    }
    EtcdBell(const EtcdBell&) = delete;
    EtcdBell& operator=(const EtcdBell&) = delete;

    int fd() const override { return fd_.get(); }
    void clear() override {
        eventfd_t count = 0;
        (void)eventfd_read(fd_.get(), &count);
    }

  private:
    const os::Fd fd_;
    const std::shared_ptr<EtcdBells::Ringers> ringers_;
};

}  // namespace

EtcdBells::~EtcdBells() = default;

std::unique_ptr<HaRecords::Bell> EtcdBells::make() {
    os::Fd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd.valid()) return nullptr;
    const std::lock_guard lock(mutex_);
    if (!ringers_) {
        ringers_ = std::make_shared<Ringers>();
        thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    }
    return std::make_unique<EtcdBell>(std::move(fd), ringers_);
}

void EtcdBells::run(const std::stop_token& stop) {
    const auto ringers = [&] {
        const std::lock_guard lock(mutex_);
        return ringers_;
    }();
    std::mutex mutex;
    std::condition_variable_any never;
    while (!stop.stop_requested()) {
        (void)listen(stop);  // why it ended does not matter: whoever reads the records is told
        ringers->ring();
        std::unique_lock lock(mutex);
        (void)never.wait_for(lock, stop, kPause, [] { return false; });
    }
}

Status EtcdBells::listen(const std::stop_token& stop) {
    using model::etcd::Range;
    HD_TRY(const auto now, client_.txn({.success = {Range{records_}}}, clock_.now() + kAnswerMax));
    ++open_watches_;
    EtcdWatch watch(client_, clock_, records_, "", store_revision(now.revision), open_watches_);
    const std::stop_callback end(stop, [&] { watch.stop(); });
    HD_CHECK(watch.begin(clock_.now() + kAnswerMax));
    // Between the last look at the records and this moment somebody may have changed them.
    ringers_->ring();
    while (!stop.stop_requested()) {
        HD_TRY(const auto events, watch.next(kListenMax));
        if (!events.empty()) ringers_->ring();
    }
    return ok_status();
}

}  // namespace howdah::store
