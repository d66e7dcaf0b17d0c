#pragma once

#include <string>
#include <vector>

#include "agent/layout.h"
#include "base/clock.h"
#include "base/result.h"
#include "model/records.h"

namespace howdah::agent {

/// A PostgreSQL major installed on this machine.
struct InstalledEngine {
    std::string major;                   ///< "15"
    std::string version;                 ///< "15.20"
    std::string programs;                ///< folder of postgres, initdb
    std::vector<std::string> libraries;  ///< modules in its library folder, without ".so"
};

/// What stands in /usr/lib/postgresql/*/bin, oldest first.
std::vector<InstalledEngine> find_engines();

/// Engine::collation_version of the PostgreSQL in this file.
std::string collation_version(const std::string& postgres);

/// Locales that databases can have here, as `locale -a` names them.
std::vector<std::string> find_collations();

/// Parameters and extensions, asked of a running server of this engine.
Result<model::Engine> survey_engine(const InstalledEngine& engine, const std::string& socket_folder,
                                    int port);
/// What an earlier survey of the same version found; not_found if there was none.
Result<model::Engine> load_survey(const Layout& layout, const InstalledEngine& engine);
Status save_survey(const Layout& layout, const model::Engine& engine);

}  // namespace howdah::agent
