#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/records.h"

namespace howdah::gateway {

/// Why a session was not passed on. The words appear in logs and statistics.
#define HOWDAH_GATEWAY_REFUSALS(X)                                                   \
    X(unknown_name, "no server has this name")                                       \
    X(no_name, "the client sent no server name")                                     \
    X(firewall, "no firewall rule admits the client's address")                      \
    X(public_access, "public network access is disabled")                            \
    X(tls_required, "the server requires TLS")                                       \
    X(direct_tls, "this PostgreSQL version does not take TLS without an SSLRequest") \
    X(closed, "the server takes no connections")                                     \
    X(hold_timeout, "the server did not become ready in time")                       \
    X(hold_full, "too many sessions wait already")                                   \
    X(backend, "PostgreSQL could not be reached")                                    \
    X(backend_without_tls, "PostgreSQL does not offer TLS")                          \
    X(protocol, "the client broke the protocol")                                     \
    X(handshake_timeout, "the client took too long to begin")                        \
    X(too_many_sessions, "the gateway has no room for another session")              \
    X(cancel_rate, "too many cancel requests")                                       \
    X(cancel_target, "no server has the process to cancel")

enum class Refusal : std::uint8_t {
#define HD_REFUSAL(id, text) id,
    HOWDAH_GATEWAY_REFUSALS(HD_REFUSAL)
#undef HD_REFUSAL
};
#define HD_REFUSAL(id, text) +1
inline constexpr std::size_t kRefusals = 0 HOWDAH_GATEWAY_REFUSALS(HD_REFUSAL);
#undef HD_REFUSAL

std::string_view to_string(Refusal refusal);    ///< "hold_timeout"
std::string_view explanation(Refusal refusal);  ///< one sentence, without a full stop

/// Counts of one server, or of sessions that found none. They outlive route tables. Atomic; they
/// change when a session changes state, never per byte moved.
struct Counters {
    std::string server_id;
    std::string server_name;
    std::atomic<std::int64_t> accepted{0};
    std::atomic<std::int64_t> active{0};
    std::atomic<std::int64_t> held{0};
    std::atomic<std::int64_t> held_total{0};
    std::atomic<std::int64_t> held_ms{0};
    std::atomic<std::int64_t> cancels{0};
    std::atomic<std::int64_t> bytes_in{0};   ///< of ended sessions
    std::atomic<std::int64_t> bytes_out{0};  ///< of ended sessions
    std::array<std::atomic<std::int64_t>, kRefusals> refused{};

    void count(Refusal refusal) { ++refused[static_cast<std::size_t>(refusal)]; }
    std::vector<model::GatewayRefusals> refusals() const;
    model::GatewayServerStats stats() const;
};

/// The counters of all servers, by id. Not thread-safe: the control thread owns it.
class CounterBook {
  public:
    std::shared_ptr<Counters> of(const std::string& server_id, const std::string& server_name);
    /// Forgets servers that only this book still knows.
    void sweep();
    const std::map<std::string, std::shared_ptr<Counters>>& all() const { return counters_; }

  private:
    std::map<std::string, std::shared_ptr<Counters>> counters_;
};

}  // namespace howdah::gateway
