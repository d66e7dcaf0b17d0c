#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "sim/model.h"

namespace howdah::sim {

struct Options {
    std::uint64_t seed = 1;
    int nodes = 2;
    Time faults_until = 40'000;
    Time end = 70'000;  ///< everything has healed by then
    std::span<const core::ha::Rule> table = core::ha::rules();
    bool keeps_trace = false;
};

struct Outcome {
    std::vector<std::string> violations;
    std::map<std::string, int> rules;   ///< how often each was the one that held
    std::map<std::string, int> faults;  ///< by kind
    int acknowledged = 0;
    int promotions = 0;
    std::vector<std::string> trace;
};

/// One server of several members, its store, its clients and what goes wrong, from one seed: the
/// same seed is the same run.
Outcome simulate(const Options& options);

}  // namespace howdah::sim
