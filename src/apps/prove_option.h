#pragma once

#include <CLI/CLI.hpp>

#include "base/clock.h"

namespace howdah {

inline constexpr double kProveEveryDays = 7;

/// `days` must outlive the parsing.
inline void add_prove_option(CLI::App& app, double& days) {
    app.add_option("--prove-every", days,
                   "days between two restores of a server that show that its backups are good "
                   "(docs/guide/proofs.md); 0: only when somebody asks for it")
        ->check(CLI::Range(0.0, 366.0))
        ->capture_default_str();
}

inline Duration duration_of_days(double days) {
    using Days = std::chrono::duration<double, std::ratio<86400>>;
    return std::chrono::duration_cast<Duration>(Days(days));
}

}  // namespace howdah
