#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "core/backup/wal_archive.h"

/// What can be restored from a repository, what is to be backed up next, and what may go. Pure:
/// time is an argument, and what a repository has was listed before.
namespace howdah::core::backup {

enum class Kind { full, differential };

/// A backup that is complete in the repository.
struct Backup {
    std::string label;  ///< pgBackRest's own
    Kind kind = Kind::full;
    std::string prior;  ///< label of the full one that a differential needs; empty: none
    Timestamp started{};
    Timestamp stopped{};     ///< rounded up; what is restored from it is at least this new
    Segment first;           ///< of the WAL that every restore of it begins with
    SegmentNumber last = 0;  ///< without what is up to here it cannot be restored at all
    std::int64_t bytes = 0;  ///< of the database
    std::int64_t repository_bytes = 0;  ///< that it takes by itself
    bool has_errors = false;            ///< it has pages whose checksums are wrong
    std::string on_demand;              ///< name that a user gave it; empty: the schedule's
};

/// A time that is known to be in a segment: when a commit with this time was archived, everything
/// up to it can be asked for (RULES Backup 3: PostgreSQL refuses a target that no commit follows).
struct Mark {
    SegmentNumber number = 0;
    Timestamp at{};

    friend bool operator==(const Mark&, const Mark&) = default;
};

/// Everything of one server in one repository.
struct Repository {
    std::vector<Backup> backups;  ///< oldest first
    WalArchive wal;
    /// Of the way to the present timeline; both numbers and times grow.
    std::vector<Mark> marks;
};

/// Every second from `from` to `to` can be restored.
struct Span {
    Timestamp from{};
    Timestamp to{};

    friend bool operator==(const Span&, const Span&) = default;
};

/// Disjoint, oldest first. What lies between two of them is a gap.
std::vector<Span> restorable(const Repository& repository);

/// The newest backup from which this time can be reached, but one with broken pages only if there
/// is no other; a pointer into `repository`. not_found: there is none, and the hint names the
/// nearest times that can be restored.
Result<const Backup*> backup_for(const Repository& repository, Timestamp target);

/// From which everything that was archived last is reached; sound before newest; null: from none.
const Backup* backup_for_the_end(const Repository& repository);

/// The same of a repository whose marks are not known: the newest backup before this time, whether
/// its WAL reaches it or not. PostgreSQL finds that out.
Result<const Backup*> backup_before(Repository& repository, Timestamp target);

/// The backup with broken pages that the newest one is, or is built upon; null: the newest is
/// sound, or there is none.
const Backup* broken(const Repository& repository);
/// The newest one that is not, nor is built upon one; null: there is none.
const Backup* newest_sound(const Repository& repository);

struct Policy {
    std::int64_t retention_days = 7;
    Duration full_every = std::chrono::hours(7 * 24);
    Duration differential_every = std::chrono::hours(24);
    /// After a backup failed: doubled each time.
    Duration retry_min = std::chrono::seconds(10);
    Duration retry_max = std::chrono::hours(1);
};

/// Of the attempts since the last one that succeeded.
struct Failures {
    std::int64_t count = 0;
    Timestamp last{};
};

/// The next attempt is not before this time.
Timestamp retry_at(const Policy& policy, const Failures& failures);

/// What is to be made now; none: nothing. REQUIRES: nothing waits to be archived that would close a
/// gap.
std::optional<Kind> due(const Repository& repository, const Policy& policy,
                        const Failures& failures, Timestamp now);

/// What nobody needs any more to restore to any second of the retention.
struct Expiry {
    std::vector<std::string> labels;  ///< newest first, so that a full one goes after its own
    /// WAL before this may go, but not what `kept` names; none: all of it stays.
    std::optional<SegmentNumber> wal_before;
    /// What backups on demand need to be restored at all.
    std::vector<WalArchive::Range> kept;

    friend bool operator==(const Expiry&, const Expiry&) = default;
};

Expiry expired(const Repository& repository, const Policy& policy, Timestamp now);

}  // namespace howdah::core::backup
