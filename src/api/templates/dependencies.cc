#include "api/templates/dependencies.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

namespace howdah::api::templates {
namespace {

/// Whoever is still open is in a circle or waits for one: going back from it leads into the circle,
/// and then around it. Gives the circle's first resource.
std::size_t first_in_circle(const Plan& plan, const std::vector<std::size_t>& open) {
    const auto back = [&](std::size_t from) {
        for (const std::size_t first : plan.resources[from].depends_on)
            if (open[first] != 0) return first;
        return from;
    };
    std::size_t at = 0;
    while (open[at] == 0) ++at;
    for (std::size_t steps = 0; steps < plan.resources.size(); ++steps) at = back(at);
    std::size_t lowest = at;
    for (std::size_t around = back(at); around != at; around = back(around))
        lowest = std::min(lowest, around);
    return lowest;
}

}  // namespace

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
    return first_in_circle(plan, open);
}

}  // namespace howdah::api::templates
