#pragma once

#include <poll.h>

#include <functional>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "os/fd.h"

namespace howdah::gateway {

/// The admin socket: a client connects to a unix socket that only its owner may open, sends one
/// line and gets one line of JSON. Non-blocking; owned by the control thread.
class AdminServer {
  public:
    static constexpr std::size_t kClientsMax = 16;
    static constexpr std::size_t kCommandMax = 64;
    static constexpr Duration kPatience = std::chrono::seconds(5);

    /// Answers a command. `client` is the descriptor that the answer will go to.
    using Handler = std::function<std::string(const std::string& command, int client)>;

    AdminServer(std::string path, Handler handler)
        : path_(std::move(path)), handler_(std::move(handler)) {}

    /// Replaces what is left of an earlier socket of that path.
    Status open();
    /// Takes over the socket of the process before us, and a client that waits for `reply`.
    void resume(int listener, int client, const std::string& reply, Instant now);

    void add_to(std::vector<pollfd>& polled) const;
    void step(Instant now);
    int listener() const { return listener_.get(); }
    const std::string& path() const { return path_; }

  private:
    struct Client {
        os::Fd fd;
        Instant since{};
        std::string command;
        std::string reply;
        bool answered = false;
    };
    bool step_client(Client& client);  ///< false: it is finished

    std::string path_;
    Handler handler_;
    os::Fd listener_;
    std::list<Client> clients_;
};

}  // namespace howdah::gateway
