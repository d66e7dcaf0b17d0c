#include "gateway/merge.h"

#include <string_view>
#include <unordered_map>

namespace howdah::gateway {
namespace {

int rank_of(std::string_view state) {
    if (state == "open") return 2;
    return state == "hold" ? 1 : 0;
}

bool is_better(const model::Route& route, const model::Route& than) {
    if (route.term != than.term) return route.term > than.term;
    return rank_of(route.state) > rank_of(than.state);
}

}  // namespace

model::RouteTable merge_tables(const std::vector<const model::RouteTable*>& tables) {
    std::vector<const model::Route*> best;
    std::unordered_map<std::string_view, std::size_t> places;
    for (const model::RouteTable* table : tables) {
        for (const model::Route& route : table->routes) {
            const auto [found, is_new] = places.try_emplace(route.server_id, best.size());
            if (is_new)
                best.push_back(&route);
            else if (is_better(route, *best[found->second]))
                best[found->second] = &route;
        }
    }
    model::RouteTable merged;
    if (!tables.empty()) merged.revision = tables.front()->revision;
    merged.routes.reserve(best.size());
    for (const model::Route* route : best) merged.routes.push_back(*route);
    return merged;
}

}  // namespace howdah::gateway
