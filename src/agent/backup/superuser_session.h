#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "pg/connection.h"

namespace howdah::agent {

/// A PostgreSQL on this machine, reached as the superuser through the socket in this folder.
struct SumsSource {
    std::string socket_folder;
    int port = 0;
};

/// A session in a customer's database that nothing of what the customer has set has an influence
/// on: values are written in one way, and it waits for locks for two seconds. It is for reading.
Result<pg::Connection> superuser_session(const SumsSource& source, const std::string& database);

/// That take sessions, and are no templates.
Result<std::vector<std::string>> databases_of(const SumsSource& source);

}  // namespace howdah::agent
