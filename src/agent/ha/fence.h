#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace howdah::agent {

/// Until when an instance may go on as primary without a word from its agent: eight bytes in a file
/// that both map, so that saying it costs nothing and no disk can delay it. The agent writes,
/// Fence reads. A stop of the machine ends what it is about, so it is never synced.
class FenceFile {
  public:
    static constexpr const char* kName = "fence";

    /// Makes the file if it is absent; then there is no limit.
    static Result<FenceFile> open(const std::string& path);
    FenceFile(FenceFile&& other) noexcept;
    FenceFile& operator=(FenceFile&& other) noexcept;
    ~FenceFile();

    /// None: no limit, because nobody else can be promoted.
    void set(std::optional<Instant> until);
    std::optional<Instant> until() const;

  private:
    explicit FenceFile(std::int64_t* word) : word_(word) {}
    std::int64_t* word_ = nullptr;  ///< mapped; shared with the other process
};

/// Ends every PostgreSQL whose agent has let its limit pass: an agent that was killed, hangs or was
/// stopped cannot fence its own primary, while a standby takes over. Run it in a process of its own
/// (RULES HA 2, DESIGN 5). What safety rests on is the synchronous wait; this limits stale reads.
class Fence {
  public:
    static constexpr Duration kLookEvery = std::chrono::milliseconds(50);

    /// `instances`: the folder with a folder for each instance. `clock` is borrowed.
    Fence(std::string instances, const Clock& clock)
        : instances_(std::move(instances)), clock_(clock) {}

    void run(std::stop_token stop);
    /// One look at all instances; how many were ended.
    int look();

  private:
    const std::string instances_;
    const Clock& clock_;
    std::map<std::string, FenceFile> files_;
};

}  // namespace howdah::agent
