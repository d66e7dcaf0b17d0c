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

Connections::Connections(Duration limit)
    : limit_(limit), cutter_([this](const std::stop_token& stop) { cut_slow_peers(stop); }) {}

Connections::Connection* Connections::add(int fd) {
    Connection* added = nullptr;
    {
        const std::lock_guard lock(shared_.mutex);
        added = &shared_.all.emplace_back();
        added->fd = fd;
        added->self = std::prev(shared_.all.end());
        added->since = clock_.now();
        added->peer_is_due = true;
    }
    shared_.changed.notify_all();
    return added;
}

void Connections::remove(Connection* connection) {
    {
        const std::lock_guard lock(shared_.mutex);
        shared_.all.erase(connection->self);
    }
    shared_.changed.notify_all();
}

void Connections::expect_peer(Connection* connection) {
    const std::lock_guard lock(shared_.mutex);
    connection->since = clock_.now();
    connection->peer_is_due = true;
}

void Connections::begin_answer(Connection* connection,
                               std::shared_ptr<Responder::Pending> pending) {
    const std::lock_guard lock(shared_.mutex);
    connection->peer_is_due = false;
    connection->pending = std::move(pending);
}

void Connections::end_answer(Connection* connection) {
    {
        const std::lock_guard lock(shared_.mutex);
        connection->pending = nullptr;
        connection->since = clock_.now();
        connection->peer_is_due = true;
    }
    shared_.changed.notify_all();
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
    shared_.changed.wait_for(lock, limit, [this] {
        return std::none_of(shared_.all.begin(), shared_.all.end(),
                            [](const Connection& each) { return each.pending != nullptr; });
    });
}

void Connections::cut_slow_peers(const std::stop_token& stop) {
    const auto tick = std::clamp(std::chrono::duration_cast<std::chrono::milliseconds>(limit_) / 4,
                                 kTickMin, kTickMax);
    std::unique_lock lock(shared_.mutex);
    while (!stop.stop_requested()) {
        shared_.changed.wait(lock, stop, [this] { return !shared_.all.empty(); });
        shared_.changed.wait_for(lock, stop, tick, [] { return false; });
        const Instant now = clock_.now();
        for (Connection& each : shared_.all) {
            if (!each.peer_is_due || now - each.since < limit_) continue;
            each.peer_is_due = false;
            // The network thread sees the end of the stream and closes the connection.
            shutdown(each.fd, SHUT_RDWR);
        }
    }
}

}  // namespace howdah::http
