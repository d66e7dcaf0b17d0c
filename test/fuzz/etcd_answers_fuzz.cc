#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "model/etcd_messages.h"

// What something that claims to be etcd answers.

namespace {

using namespace howdah::model::etcd;

void require(bool holds) {
    if (!holds) std::abort();
}

void check_range(const RangeAnswer& answer, const Range& asked, std::int64_t revision) {
    std::string_view before;
    for (const KeyValue& each : answer.entries) {
        require(asked.end.empty() ? each.key == asked.key
                                  : each.key >= asked.key && each.key < asked.end);
        require(before.empty() || before < each.key);
        require(each.created >= 1 && each.created <= each.modified && each.modified <= revision);
        before = each.key;
    }
    require(asked.limit == 0 || answer.entries.size() <= static_cast<std::size_t>(asked.limit));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const Txn asked[] = {
        {.success = {Range{"a"}, Range{"l/", "l0", 2}}},
        {.compares = {{"a", 1}}, .success = {Put{"a", "x"}}, .failure = {Range{"a"}}},
    };
    for (const Txn& txn : asked) {
        const auto answer = parse_txn_answer(text, txn);
        if (!answer.ok()) continue;
        require(answer->revision >= 1 && answer->cluster != 0);
        const auto& steps = answer->succeeded ? txn.success : txn.failure;
        require(answer->steps.size() == steps.size());
        for (std::size_t i = 0; i < steps.size(); ++i) {
            if (const auto* range = std::get_if<Range>(&steps[i]))
                check_range(answer->steps[i], *range, answer->revision);
        }
    }
    const auto message = parse_watch_message(text, "l/", "l0");
    std::int64_t before = 0;
    for (const Event& each : message.ok() ? message->events : std::vector<Event>{}) {
        require(each.entry.key >= "l/" && each.entry.key < "l0");
        require(each.entry.modified >= 1 && each.entry.modified >= before);
        before = each.entry.modified;
    }
    const auto granted = parse_lease_grant(text);
    require(!granted.ok() || granted->id > 0);
    const auto renewed = parse_lease_renewal(text);
    require(!renewed.ok() || renewed->id > 0);
    const Refusal refusal = parse_refusal(text);
    require(refusal.code >= -1 && refusal.message.size() <= 300);
    return 0;
}
