#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What is written down about highly available servers, in the store that agents share and beside
/// each data directory. What it means is in core/ha.
namespace howdah::model {

struct HaMemberId {
    std::string node;
    std::string directory;
};

struct HaSwitch {
    std::int64_t term = 0;
    std::string at;  ///< "16/B374D848"
};

/// Of one server, in the store.
struct HaRecord {
    std::int64_t term = 0;
    HaMemberId primary;
    std::vector<HaMemberId> sync_set;
    std::vector<HaSwitch> timelines;
    std::optional<HaMemberId> successor;
    std::vector<HaMemberId> given_up;
    bool wants_standby = true;
};

/// Where a member's PostgreSQL listens, in the store.
struct HaAddress {
    std::string host;  ///< an IP address
    std::int64_t port = 0;
};

/// Of one member, on its own disk.
struct HaMemberState {
    std::string directory;
    std::vector<HaSwitch> timelines;
    bool was_primary = false;
    std::int64_t promoting = 0;
    std::int64_t promoting_from = 0;
    std::optional<HaRecord> known;
    std::int64_t known_revision = 0;
    std::int64_t doubt_base = 0;
    std::vector<HaMemberId> doubt_names;
    std::int64_t proved_pid = 0;
    std::int64_t proved_ticks = 0;
    std::vector<HaMemberId> proved_names;
};

}  // namespace howdah::model
