#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/ha/ha.h"

/// What an agent writes down about a member of a highly available server, and how members are
/// named towards PostgreSQL and the store. docs/ha.md says why each of it must be on disk.
namespace howdah::agent {

/// Where the other members reach a member's PostgreSQL.
struct MemberAddress {
    std::string host;  ///< an IP address
    int port = 0;
    bool operator==(const MemberAddress&) const = default;
};

/// Kept in one file beside the data directory and replaced as a whole.
struct MemberState {
    std::string directory;  ///< the incarnation of the data directory; empty: there is none
    /// The switches that this directory went through, or will while it follows its primary.
    core::ha::Timelines timelines;
    /// It was a primary since the last of them, so it may have WAL that nobody else has.
    bool was_primary = false;
    /// A promotion that was begun in this term and whose end was not written down; 0: none.
    core::ha::Term promoting = 0;
    std::int64_t promoting_from = 0;  ///< PostgreSQL's timeline before it

    std::optional<core::ha::Record> known;  ///< as last read
    std::int64_t known_revision = 0;
    std::int64_t doubt_base = 0;  ///< what a change without an answer was built on; 0: none
    core::ha::Members doubt_names;

    /// The run of a primary's postmaster that provably waits for these members, so that an agent
    /// that is started anew need not prove it again; pid 0: none.
    std::int64_t proved_pid = 0;
    std::int64_t proved_ticks = 0;
    core::ha::Members proved_names;

    bool operator==(const MemberState&) const = default;
};

std::string to_text(const core::ha::Record& record);
/// `corrupt` for anything that to_text() does not write.
Result<core::ha::Record> record_from_text(std::string_view text);
std::string to_text(const MemberState& state);
Result<MemberState> member_state_from_text(std::string_view text);
std::string to_text(const MemberAddress& address);
Result<MemberAddress> member_address_from_text(std::string_view text);

/// 16 hexadecimal digits for a new directory.
inline constexpr std::size_t kDirectoryIdBytes = 8;
/// PostgreSQL cuts names off behind this.
inline constexpr std::size_t kReplicationNameMax = 63;

/// What a member calls itself when it streams, and what the primary waits for:
/// "<directory>@<node>". REQUIRES: fits kReplicationNameMax.
std::string replication_name(const core::ha::MemberId& member);
/// None for what is no such name.
std::optional<core::ha::MemberId> member_of(std::string_view replication_name);
/// The value of synchronous_standby_names: every one of them acknowledges (RULES HA 3).
std::string synchronous_names(const core::ha::Members& members);

/// The inverse; what is no member's name is left out.
core::ha::Members members_of(std::string_view synchronous_names);

/// The name of the record of a member's address.
std::string address_key(std::string_view server, std::string_view node);

/// The name of the record of the password that members replicate with.
std::string password_key(std::string_view server);

/// How many bytes of WAL there are from `from` on, by what `pg_waldump --stats` has printed until
/// it met the end of the WAL (which it calls an error); none if that does not tell.
std::optional<std::int64_t> wal_bytes_counted(std::string_view output, std::string_view errors,
                                              core::ha::Lsn from);

/// One line of a timeline history file: where a timeline was left for the next.
struct HistoryLine {
    std::int64_t timeline = 0;
    core::ha::Lsn left_at = 0;
};
/// The last line of the file NNNNNNNN.history; `corrupt` if it has none that can be read.
Result<HistoryLine> last_history_line(std::string_view content);

}  // namespace howdah::agent
