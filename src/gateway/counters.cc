#include "gateway/counters.h"

#include "base/assert.h"

namespace howdah::gateway {
namespace {

struct Words {
    std::string_view name;
    std::string_view explanation;
};
constexpr Words kWords[] = {
#define HD_REFUSAL(id, text) {#id, text},
    HOWDAH_GATEWAY_REFUSALS(HD_REFUSAL)
#undef HD_REFUSAL
};

}  // namespace

std::string_view to_string(Refusal refusal) {
    return kWords[static_cast<std::size_t>(refusal)].name;
}

std::string_view explanation(Refusal refusal) {
    return kWords[static_cast<std::size_t>(refusal)].explanation;
}

std::vector<model::GatewayRefusals> Counters::refusals() const {
    std::vector<model::GatewayRefusals> found;
    for (std::size_t i = 0; i < kRefusals; ++i) {
        const std::int64_t count = refused[i].load();
        if (count > 0) found.push_back({std::string(to_string(static_cast<Refusal>(i))), count});
    }
    return found;
}

model::GatewayServerStats Counters::stats() const {
    return {.server_id = server_id,
            .server_name = server_name,
            .accepted = accepted,
            .active = active,
            .held = held,
            .held_total = held_total,
            .held_ms = held_ms,
            .cancels = cancels,
            .bytes_in = bytes_in,
            .bytes_out = bytes_out,
            .refused = refusals()};
}

std::shared_ptr<Counters> CounterBook::of(const std::string& server_id,
                                          const std::string& server_name) {
    std::shared_ptr<Counters>& found = counters_[server_id];
    if (!found) {
        found = std::make_shared<Counters>();
        found->server_id = server_id;
        found->server_name = server_name;
    }
    HD_ASSERT(found->server_id == server_id, "counters are filed under their server's id");
    return found;
}

void CounterBook::sweep() {
    std::erase_if(counters_, [](const auto& entry) { return entry.second.use_count() == 1; });
}

}  // namespace howdah::gateway
