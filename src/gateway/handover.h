#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/counters.h"
#include "gateway/session.h"
#include "os/fd.h"

namespace howdah::gateway {

/// What one process of the gateway leaves to the next, which has the same pid and the same
/// descriptors: a program that replaces itself by execve. The text lives in a memfd for that one
/// moment. A program takes over a state of its own version or of one that it still knows, and never
/// of a newer one; it is asked for that before anything stops.
inline constexpr std::int64_t kHandoverVersion = 2;
inline constexpr std::int64_t kHandoverOldest = 1;
/// Since this version: several tables with their paths; terms, and the phase `answering`.
inline constexpr std::int64_t kHandoverTables = 2;
inline bool can_take_over(std::int64_t version) {
    return version >= kHandoverOldest && version <= kHandoverVersion;
}

/// Builds a state: numbers little-endian and of fixed width, texts with their length before them.
class StateWriter {
  public:
    void number(std::int64_t value);
    void text(std::string_view value);
    void fd(int value) { number(value); }
    const std::string& bytes() const { return bytes_; }

  private:
    std::string bytes_;
};

/// Takes a state apart. After the first thing that does not fit, every value is 0 or empty and ok()
/// is false.
class StateReader {
  public:
    explicit StateReader(std::string_view bytes) : rest_(bytes) {}
    std::int64_t number();
    /// REQUIRES: a count of things that take at least one byte each.
    std::size_t count();
    bool flag() { return number() != 0; }
    std::string text();
    bool ok() const { return ok_; }
    bool at_end() const { return rest_.empty(); }

  private:
    std::string_view take(std::size_t size);
    std::string_view rest_;
    bool ok_ = true;
};

/// All but the server's id and name.
void write_counters(StateWriter& out, const Counters& counters);
void read_counters(StateReader& in, Counters& counters);
void write_session(StateWriter& out, const Session& session);
/// `version`: of the state, one that can_take_over().
Session read_session(StateReader& in, CounterBook& book, std::int64_t version = kHandoverVersion);

/// A memfd with these bytes, and back. The descriptor is close-on-exec.
Result<os::Fd> store_state(std::string_view bytes);
Result<std::string> fetch_state(int fd);

/// Descriptors that have to live through an execve: cleared or set again.
void set_close_on_exec(const std::vector<int>& fds, bool on);

}  // namespace howdah::gateway
