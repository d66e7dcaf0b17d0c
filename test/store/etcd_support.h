#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/etcd/etcd_options.h"
#include "store/store_support.h"

namespace howdah::store {

/// True as soon as `fact` is; false if it does not become true within half a minute.
bool eventually(const std::function<bool()>& fact);

/// A real etcd of one or more members on loopback ports, each with its data in a folder below the
/// system's temporary folder. They end with the object, or with the thread that made it.
class Etcd {
  public:
    struct Settings {
        int members = 1;
        bool tls = false;  ///< clients need a certificate
    };
    /// Whether the program is there; the tests that need it are skipped otherwise.
    static bool is_installed();

    /// All members run and have a leader. Ends the test on a failure.
    explicit Etcd(const Settings& settings);
    Etcd() : Etcd(Settings{}) {}
    ~Etcd();
    Etcd(const Etcd&) = delete;
    Etcd& operator=(const Etcd&) = delete;

    /// How to be let in.
    EtcdOptions options() const;
    std::string endpoint(int member) const;

    void start(int member);
    void kill(int member);    ///< SIGKILL; returns when it is gone
    void stop(int member);    ///< SIGSTOP: its connections stay open and nobody answers
    void go_on(int member);   ///< SIGCONT
    void wipe(int member);    ///< removes its data; REQUIRES: it was killed
    int leader();             ///< waits until there is one
    void wait_until_ready();  ///< all that run answer, and agree on a leader

    /// The body of an answer; none if there is none within a second.
    std::optional<std::string> post(int member, const std::string& path, const std::string& body);

  private:
    struct Member {
        int client_port = 0;
        int peer_port = 0;
        pid_t pid = 0;
    };
    std::string id_of_leader(int member, bool of_itself);
    void make_certificates();

    const Settings settings_;
    TemporaryFolder folder_;
    std::vector<Member> members_;
};

}  // namespace howdah::store
