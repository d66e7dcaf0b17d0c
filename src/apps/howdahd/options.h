#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "apps/howdahd/all_in_one.h"

namespace howdah::howdahd {

/// What howdahd and howdah-host are both told of the machine that they run on.
struct MachineOptions {
    std::string home = default_home();
    std::string programs = own_folder();
    Listening listening;
    int pool_size = 2;
};

/// `to` must outlive the parsing.
inline void add_machine_options(CLI::App& app, MachineOptions& to) {
    app.add_option("--home", to.home, "folder of all data")->capture_default_str();
    app.add_option("--programs", to.programs, "folder of the other programs");
    app.add_option("--gateway-address", to.listening.gateway_address, "address of the gateway")
        ->capture_default_str();
    app.add_option("--gateway-port", to.listening.gateway_port,
                   "port of the gateway; 0: chosen once; absent: 5432 or, if taken, another")
        ->each([&to](const std::string&) { to.listening.gateway_port_may_differ = false; });
    app.add_option("--pooler-port", to.listening.pooler_port,
                   "port of pooled servers; 0: any; absent: 6432 or, if taken, another")
        ->each([&to](const std::string&) { to.listening.pooler_port_may_differ = false; });
    app.add_option("--pool-size", to.pool_size, "prepared data directories")
        ->check(CLI::Range(0, 64));
}

}  // namespace howdah::howdahd
