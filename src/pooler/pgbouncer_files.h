#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/secret.h"
#include "model/records.h"

/// The files that one PgBouncer (1.18) reads and cannot write. Pure.
namespace howdah::pooler {

struct PgBouncer {
    std::string folder;         ///< of its files; PgBouncer's user reads it
    std::uint16_t port = 0;     ///< on loopback, where the gateway finds it
    std::string socket_folder;  ///< where PostgreSQL's unix socket is
    std::int64_t backend_port = 0;
    bool require_tls = true;                      ///< of clients
    std::map<std::string, std::string> settings;  ///< core::pooling_settings
};

inline constexpr const char* kIniFile = "/pgbouncer.ini";
inline constexpr const char* kHbaFile = "/pg_hba.conf";
inline constexpr const char* kUsersFile = "/users.txt";
inline constexpr const char* kTlsFile = "/server.pem";

std::string ini_file(const PgBouncer& bouncer);
/// Clients come from the gateway alone, and nobody logs in as a role of Howdah's own.
std::string hba_file(const PgBouncer& bouncer);
/// The one user whose password PgBouncer has: it asks PostgreSQL for the others' verifiers.
std::string users_file(const Secret& password);

}  // namespace howdah::pooler
