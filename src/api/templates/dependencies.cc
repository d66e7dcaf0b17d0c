#include "api/templates/dependencies.h"

#include <cstdint>
#include <nlohmann/json.hpp>

namespace howdah::api::templates {

void Links::add(std::size_t first, std::size_t second) {
    if (first != SIZE_MAX) pairs_.emplace(second, first);
}

void Links::in_batches(const std::vector<std::size_t>& turns, std::size_t size) {
    for (std::size_t i = size; i < turns.size(); ++i) {
        const std::size_t batch = i / size * size;
        for (std::size_t before = batch - size; before < batch; ++before)
            add(turns[before], turns[i]);
    }
}

std::size_t Links::settle(Plan& plan) const {
    const std::size_t count = plan.resources.size();
    std::vector<std::vector<std::size_t>> waiters(count);
    std::vector<std::size_t> open(count, 0);  // how many each one still waits for
    for (const auto& [second, first] : pairs_) {
        plan.resources[second].depends_on.push_back(first);
        waiters[first].push_back(second);
        ++open[second];
    }
    std::vector<std::size_t> ready;
    for (std::size_t i = 0; i < count; ++i)
        if (open[i] == 0) ready.push_back(i);
    for (std::size_t at = 0; at < ready.size(); ++at)
        for (const std::size_t waiter : waiters[ready[at]])
            if (--open[waiter] == 0) ready.push_back(waiter);
    if (ready.size() == count) return SIZE_MAX;
    // Whoever is left is in a circle or waits for one: following what is left leads into it.
    std::size_t at = 0;
    while (open[at] == 0) ++at;
    for (std::size_t steps = 0; steps < count; ++steps)
        for (const std::size_t first : plan.resources[at].depends_on)
            if (open[first] != 0) {
                at = first;
                break;
            }
    return at;
}

}  // namespace howdah::api::templates
