#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "gateway/handover.h"
#include "gateway/routes.h"
#include "gateway/worker.h"
#include "model/records.h"
#include "os/fd.h"

namespace howdah::gateway {

/// The listening sockets: the shared port, and a port of its own for each server that has one.
/// Owned by the control thread; the workers accept from them.
class Listeners {
  public:
    static constexpr int kBacklog = 4096;
    /// How many ports after the wanted one are tried when it is taken.
    static constexpr int kFallbackPorts = 64;

    struct SharedPort {
        std::int64_t wanted = 0;   ///< 0: any
        bool may_differ = false;   ///< another one will do if it is taken
        std::int64_t earlier = 0;  ///< the one it had before, to be tried first; 0: none
    };

    Listeners(std::string address, std::vector<Worker*> workers)
        : address_(std::move(address)), workers_(std::move(workers)) {}

    Status open_shared(const SharedPort& port);
    /// Opens and closes ports so that they are those of the table. A port that cannot be opened is
    /// logged once and tried again with the next call. True if anything changed.
    bool follow(const Routes& routes);
    bool has_failed() const;
    void close_all();

    std::uint16_t shared_port() const { return shared_port_; }
    std::vector<model::GatewayPort> ports() const;

    void write_state(StateWriter& out, std::vector<int>& fds) const;
    void read_state(StateReader& in);

  private:
    struct Port {
        std::shared_ptr<os::Fd> fd;  ///< null: could not be opened
        std::string server_id;
        std::string error;
    };

    Result<os::Fd> listen_on(std::uint16_t port) const;
    void announce(const os::Fd& fd, std::uint16_t port, bool own_port) const;
    void withdraw(const std::shared_ptr<os::Fd>& fd) const;

    std::string address_;
    std::vector<Worker*> workers_;
    std::shared_ptr<os::Fd> shared_;
    std::uint16_t shared_port_ = 0;
    std::map<std::uint16_t, Port> own_;
};

}  // namespace howdah::gateway
