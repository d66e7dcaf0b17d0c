#include "gateway/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace howdah::gateway {
namespace {

/// The state of 20,000 sessions is a few megabytes; their buffers are at most 32 KiB each.
constexpr std::int64_t kStateMax = std::int64_t{4} << 30;

std::string_view bytes_of(const Address& address) {
    if (address.family() == AF_UNSPEC) return {};
    return {reinterpret_cast<const char*>(address.raw()), address.length()};
}

Address address_from(std::string_view bytes) {
    sockaddr_storage storage{};
    if (bytes.size() < sizeof(sockaddr_in) || bytes.size() > sizeof storage) return {};
    std::memcpy(&storage, bytes.data(), bytes.size());
    return Address(reinterpret_cast<const sockaddr*>(&storage));
}

Instant instant_from(std::int64_t ticks) { return Instant(Duration(ticks)); }

}  // namespace

void StateWriter::number(std::int64_t value) {
    const auto bits = static_cast<std::uint64_t>(value);
    for (int shift = 0; shift < 64; shift += 8) bytes_ += static_cast<char>(bits >> shift & 0xff);
}

void StateWriter::text(std::string_view value) {
    number(static_cast<std::int64_t>(value.size()));
    bytes_ += value;
}

std::string_view StateReader::take(std::size_t size) {
    if (size > rest_.size()) {
        ok_ = false;
        rest_ = {};
        return {};
    }
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
}

std::int64_t StateReader::number() {
    std::uint64_t value = 0;
    int shift = 0;
    for (const char c : take(8)) {
        value |= static_cast<std::uint64_t>(static_cast<unsigned char>(c)) << shift;
        shift += 8;
    }
    return static_cast<std::int64_t>(value);
}

std::size_t StateReader::count() {
    const auto value = static_cast<std::uint64_t>(number());
    if (value <= rest_.size()) return value;
    ok_ = false;
    rest_ = {};
    return 0;
}

std::string StateReader::text() { return std::string(take(count())); }

void write_counters(StateWriter& out, const Counters& counters) {
    out.number(counters.accepted);
    out.number(counters.active);
    out.number(counters.held_total);
    out.number(counters.held_ms);
    out.number(counters.cancels);
    out.number(counters.bytes_in);
    out.number(counters.bytes_out);
    // By name: a newer program may have more reasons.
    const std::vector<model::GatewayRefusals> refusals = counters.refusals();
    out.number(static_cast<std::int64_t>(refusals.size()));
    for (const model::GatewayRefusals& each : refusals) {
        out.text(each.reason);
        out.number(each.count);
    }
}

void read_counters(StateReader& in, Counters& counters) {
    counters.accepted = in.number();
    counters.active = in.number();
    counters.held_total = in.number();
    counters.held_ms = in.number();
    counters.cancels = in.number();
    counters.bytes_in = in.number();
    counters.bytes_out = in.number();
    for (std::size_t left = in.count(); left > 0; --left) {
        const std::string reason = in.text();
        const std::int64_t count = in.number();
        for (std::size_t i = 0; i < kRefusals; ++i) {
            if (to_string(static_cast<Refusal>(i)) == reason) counters.refused[i] = count;
        }
    }
}

void write_session(StateWriter& out, const Session& session) {
    out.number(static_cast<std::int64_t>(session.phase));
    out.fd(session.fds[kClient]);
    out.fd(session.fds[kBackend]);
    for (const bool flag :
         {session.own_port, session.tls, session.direct_tls, session.gss_refused, session.cancel,
          session.over_limit, session.counted_held, session.ended[kClient], session.ended[kBackend],
          session.shut[kClient], session.shut[kBackend]})
        out.number(flag ? 1 : 0);
    out.number(session.listen_port);
    out.number(session.backend_port);
    for (const Instant time : {session.accepted, session.since, session.held_since})
        out.number(time.time_since_epoch().count());
    out.number(session.bytes[kClient]);
    out.number(session.bytes[kBackend]);
    out.number(session.discarded);
    out.text(bytes_of(session.client));
    out.text(bytes_of(session.backend.address));
    out.number(session.backend.postmaster_pid);
    out.number(session.term);
    out.text(session.counters ? session.counters->server_id : "");
    out.number(session.opening ? 1 : 0);
    if (session.opening) {
        out.text(session.opening->bytes);
        out.number(static_cast<std::int64_t>(session.opening->sent));
    }
    out.text(session.pending[kClient].rest());
    out.text(session.pending[kBackend].rest());
}

Session read_session(StateReader& in, CounterBook& book, std::int64_t version) {
    Session session;
    session.phase = static_cast<Phase>(in.number());
    session.fds[kClient] = static_cast<int>(in.number());
    session.fds[kBackend] = static_cast<int>(in.number());
    for (bool* flag :
         {&session.own_port, &session.tls, &session.direct_tls, &session.gss_refused,
          &session.cancel, &session.over_limit, &session.counted_held, &session.ended[kClient],
          &session.ended[kBackend], &session.shut[kClient], &session.shut[kBackend]})
        *flag = in.flag();
    session.listen_port = static_cast<std::uint16_t>(in.number());
    session.backend_port = static_cast<std::uint16_t>(in.number());
    for (Instant* time : {&session.accepted, &session.since, &session.held_since})
        *time = instant_from(in.number());
    session.bytes[kClient] = in.number();
    session.bytes[kBackend] = in.number();
    session.discarded = in.number();
    session.client = address_from(in.text());
    session.backend.address = address_from(in.text());
    session.backend.postmaster_pid = in.number();
    if (version >= kHandoverTables) session.term = in.number();
    const std::string server_id = in.text();
    if (!server_id.empty()) session.counters = book.of(server_id, "");
    if (in.flag()) {
        session.opening = std::make_unique<Opening>();
        session.opening->bytes = in.text();
        if (version >= kHandoverTables) {
            const std::int64_t sent = in.number();
            const auto had = static_cast<std::int64_t>(session.opening->bytes.size());
            session.opening->sent =
                static_cast<std::size_t>(std::clamp<std::int64_t>(sent, 0, had));
        }
        // What was read of a ClientHello is read once more; the reader itself is not handed on.
        if (session.tls) session.opening->hello.advance(session.opening->bytes);
    }
    session.pending[kClient].append(in.text());
    session.pending[kBackend].append(in.text());
    return session;
}

Result<os::Fd> store_state(std::string_view bytes) {
    os::Fd fd(memfd_create("howdah-gateway", MFD_CLOEXEC));
    if (!fd.valid())
        return Error{ErrorCode::resource_exhausted, fmt::format("memfd: {}", strerror(errno))};
    while (!bytes.empty()) {
        const ssize_t count = write(fd.get(), bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0)
            return Error{ErrorCode::resource_exhausted, fmt::format("memfd: {}", strerror(errno))};
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return fd;
}

Result<std::string> fetch_state(int fd) {
    struct stat facts {};
    if (fstat(fd, &facts) != 0 || facts.st_size > kStateMax)
        return Error{ErrorCode::corrupt, fmt::format("descriptor {} holds no state", fd)};
    std::string bytes(static_cast<std::size_t>(facts.st_size), '\0');
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t count =
            pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0)
            return Error{ErrorCode::corrupt, fmt::format("descriptor {} holds no state", fd)};
        done += static_cast<std::size_t>(count);
    }
    return bytes;
}

void set_close_on_exec(const std::vector<int>& fds, bool on) {
    for (const int fd : fds) {
        if (fd >= 0) fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
    }
}

}  // namespace howdah::gateway
