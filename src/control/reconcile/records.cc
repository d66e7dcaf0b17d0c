#include "control/reconcile/records.h"

namespace howdah::control {

Status for_each(store::Store& store, std::string_view prefix,
                const std::function<Status(const store::Entry&)>& visit) {
    // A page holds whole records: it is small so that memory stays small.
    constexpr std::size_t kPage = 100;
    store::ListOptions options{.after = "", .limit = kPage};
    for (;;) {
        HD_TRY(const auto page, store.list(prefix, options));
        for (const store::Entry& each : page) HD_CHECK(visit(each));
        if (page.size() < kPage) return {};
        options.after = page.back().key;
    }
}

}  // namespace howdah::control
