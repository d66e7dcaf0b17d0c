#include "control/reconcile/host_cache.h"

#include "control/reconcile/records.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::control {

Result<std::shared_ptr<const HostList>> HostCache::hosts() {
    std::uint64_t invalidations = 0;
    {
        const std::lock_guard lock(mutex_);
        if (hosts_ != nullptr) return hosts_;
        invalidations = invalidations_;
    }
    HD_TRY(HostList read_now, read());
    auto list = std::make_shared<const HostList>(std::move(read_now));
    const std::lock_guard lock(mutex_);
    // Kept only if nothing changed while it was read.
    if (invalidations == invalidations_) hosts_ = list;
    return std::shared_ptr<const HostList>(std::move(list));
}

void HostCache::invalidate() {
    const std::lock_guard lock(mutex_);
    hosts_.reset();
    ++invalidations_;
}

Result<HostList> HostCache::read() const {
    HostList hosts;
    HD_CHECK(for_each(store_, "/host/", [&](const store::Entry& entry) -> Status {
        HD_TRY(model::HostReport report, model::from_json<model::HostReport>(entry.value));
        for (model::Engine& engine : report.engines) {
            engine.parameters.clear();
            engine.collations.clear();
            engine.extensions.clear();
        }
        HD_TRY(const auto silent, store_.get(store::keys::silent(report.host)));
        hosts.push_back({std::move(report), silent.has_value()});
        return {};
    }));
    return hosts;
}

}  // namespace howdah::control
