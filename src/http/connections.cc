#include "http/connections.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace howdah::http {

namespace {

/// How late a cut may come.
constexpr std::chrono::milliseconds kTickMin{20};
constexpr std::chrono::milliseconds kTickMax{1000};

}  // namespace

Connections::Connections(Limits limits)
    : limits_(limits), cutter_([this](const std::stop_token& stop) { cut_slow_peers(stop); }) {}

Connections::Connection* Connections::add(int fd, const std::string& address) {
    Connection* added = nullptr;
    bool is_first = false;
    {
        const std::lock_guard lock(shared_.mutex);
        is_first = shared_.all.empty();
        added = &shared_.all.emplace_back();
        added->fd = fd;
        added->address = address;
        added->self = std::prev(shared_.all.end());
        added->since = clock_.now();
        added->peer_is_due = true;
        ++shared_.count;
        ++shared_.counts[address];
        make_room_locked(*added);
    }
    if (is_first) shared_.used.notify_all();
    return added;
}

void Connections::make_room_locked(Connection& added) {
    const bool address_is_full = shared_.counts[added.address] > limits_.per_address_max;
    if (!address_is_full && shared_.count <= limits_.all_max) return;
    Connection* least = nullptr;
    for (Connection& each : shared_.all) {
        const bool is_candidate = each.is_idle && !each.is_cut && &each != &added &&
                                  (!address_is_full || each.address == added.address);
        if (!is_candidate) continue;
        // The list has the oldest first.
        if (!each.had_request) {
            least = &each;
            break;
        }
        if (least == nullptr || each.since < least->since) least = &each;
    }
    cut_locked(least == nullptr ? added : *least);
}

/// The network thread sees the end of the stream and closes the connection.
void Connections::cut_locked(Connection& connection) {
    uncount_locked(connection);
    connection.is_cut = true;
    connection.peer_is_due = false;
    shutdown(connection.fd, SHUT_RDWR);
}

void Connections::uncount_locked(Connection& connection) {
    if (connection.is_cut) return;
    --shared_.count;
    const auto found = shared_.counts.find(connection.address);
    if (--found->second == 0) shared_.counts.erase(found);
}

void Connections::remove(Connection* connection) {
    {
        const std::lock_guard lock(shared_.mutex);
        uncount_locked(*connection);
        shared_.all.erase(connection->self);
    }
    shared_.answered.notify_all();
}

void Connections::begin_request(Connection* connection) {
    const std::lock_guard lock(shared_.mutex);
    // The first one has its time from the beginning of the connection.
    if (!connection->had_request) return;
    connection->since = clock_.now();
    connection->is_idle = false;
}

void Connections::expect_peer(Connection* connection) {
    const std::lock_guard lock(shared_.mutex);
    connection->since = clock_.now();
    connection->peer_is_due = true;
    connection->had_request = true;
    connection->is_idle = false;
}

void Connections::begin_answer(Connection* connection,
                               std::shared_ptr<Responder::Pending> pending) {
    const std::lock_guard lock(shared_.mutex);
    connection->peer_is_due = false;
    connection->had_request = true;
    connection->is_idle = false;
    connection->pending = std::move(pending);
}

void Connections::end_answer(Connection* connection) {
    {
        const std::lock_guard lock(shared_.mutex);
        connection->pending = nullptr;
        connection->since = clock_.now();
        connection->peer_is_due = true;
        connection->had_request = true;
        connection->is_idle = true;
    }
    shared_.answered.notify_all();
}

void Connections::answer_all(const Response& response, Duration limit) {
    std::vector<std::shared_ptr<Responder::Pending>> pending;
    std::unique_lock lock(shared_.mutex);
    for (const Connection& each : shared_.all) {
        if (each.pending != nullptr) pending.push_back(each.pending);
    }
    lock.unlock();
    for (const auto& each : pending) each->answer(response);
    lock.lock();
    shared_.answered.wait_for(lock, limit, [this] {
        return std::none_of(shared_.all.begin(), shared_.all.end(),
                            [](const Connection& each) { return each.pending != nullptr; });
    });
}

void Connections::cut_slow_peers(const std::stop_token& stop) {
    const Duration first = std::min(limits_.first_request, limits_.patience);
    const auto tick = std::clamp(std::chrono::duration_cast<std::chrono::milliseconds>(first) / 4,
                                 kTickMin, kTickMax);
    std::unique_lock lock(shared_.mutex);
    while (!stop.stop_requested()) {
        shared_.used.wait(lock, stop, [this] { return !shared_.all.empty(); });
        shared_.used.wait_for(lock, stop, tick, [] { return false; });
        const Instant now = clock_.now();
        for (Connection& each : shared_.all) {
            const Duration patience = each.had_request ? limits_.patience : first;
            if (each.peer_is_due && now - each.since >= patience) cut_locked(each);
        }
    }
}

}  // namespace howdah::http
