#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "model/records.h"
#include "os/process.h"
#include "pg/connection.h"

namespace howdah::test {

inline constexpr const char* kAdministrator = "ada";
inline constexpr const char* kPassword = "Correct-Horse-42";

/// A real PostgreSQL server in a temporary folder, made and configured as the agent does it. As
/// root it runs as the operating-system user "postgres". Ends with the object.
class PostgresServer {
  public:
    /// `parameters` are the customer's.
    static Result<std::unique_ptr<PostgresServer>> start(
        std::map<std::string, std::string> parameters);
    ~PostgresServer();
    PostgresServer(const PostgresServer&) = delete;
    PostgresServer& operator=(const PostgresServer&) = delete;

    Result<pg::Connection> as_superuser(const std::string& database = "azure_maintenance") const;
    /// Over TCP and TLS with a password.
    Result<pg::Connection> as_user(const std::string& user, const std::string& password,
                                   const std::string& database = "postgres",
                                   const std::string& ssl_mode = "verify-ca") const;
    Result<pg::Connection> as_administrator(const std::string& database = "postgres") const;
    /// psql as the administrator, ON_ERROR_STOP, reading a file.
    Result<os::Finished> psql(const std::string& database, const std::string& file) const;
    /// Writes the configuration anew and lets the server read it.
    Status reconfigure(std::map<std::string, std::string> parameters);
    /// Stops it, writes the configuration anew and starts it.
    Status restart(std::map<std::string, std::string> parameters);

    std::string folder(const std::string& name) const { return folder_ + "/" + name; }
    int port() const { return port_; }

  private:
    PostgresServer() = default;
    Status prepare();
    Status configure();
    Status make_tls();
    Status launch();
    void stop();
    Status bootstrap();

    std::string folder_;
    int port_ = 0;
    std::optional<os::User> user_;
    model::InstanceSpec spec_;
    pid_t pid_ = 0;
};

/// Where the engine's programs are: the newest of /usr/lib/postgresql; empty if there is none.
std::string engine_folder();

}  // namespace howdah::test
