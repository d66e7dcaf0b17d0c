#pragma once

#include <cstdint>
#include <string>
#include <vector>

/// What agents, control plane and API tell each other of a server's backups. What can be restored
/// is decided in core/backup. Times are ISO-8601 UTC texts.
namespace howdah::model {

/// Every second from `from` to `to` can be restored.
struct RestorableSpan {
    std::string from;
    std::string to;
    bool operator==(const RestorableSpan&) const = default;
};

/// A backup that is complete in the repository.
struct BackupEntry {
    std::string name;  ///< "backup-20261123-015616F"; of one on demand what its user called it
    std::string kind;  ///< full, differential
    bool on_demand = false;
    std::string started_at;
    std::string completed_at;
    std::int64_t bytes = 0;             ///< of the databases
    std::int64_t repository_bytes = 0;  ///< that it takes by itself
    bool operator==(const BackupEntry&) const = default;
};

/// What an agent sees in the repository of one server.
struct BackupReport {
    /// The repository has not been read since the agent began: the lists say nothing.
    bool is_unknown = false;
    std::vector<RestorableSpan> restorable;  ///< disjoint, oldest first
    std::vector<BackupEntry> backups;        ///< oldest first
    std::string activity;                    ///< what is being done now; empty: nothing
    std::string trouble;  ///< why there is not what there should be, and what to do
    bool operator==(const BackupReport&) const = default;
};

/// What an agent is told about the backups of a server.
struct BackupSettings {
    std::string key;  ///< of the repository's encryption; in clear only on the wire (mutual TLS)
    std::int64_t retention_days = 7;
};

/// What a server's data began with: another one's, as it was at a time.
struct RestoreSpec {
    std::string source_id;           ///< lower-case ARM id
    std::string source_incarnation;  ///< names its stanza
    std::string time;  ///< every commit up to it is there, and none after it; empty: the newest
    std::string key;   ///< of the source's repository; in clear only on the wire (mutual TLS)
};

/// A time that is known to be in a segment of WAL.
struct WalMark {
    std::int64_t segment = 0;  ///< its number
    std::string at;
};

/// What a backup found while it read the data.
struct BackupDamage {
    std::string label;  ///< of the backup; pgBackRest's
    std::string pages;  ///< "base/5/16384 at pages 3, 9-10; ...": the first of them
};

/// kept/<incarnation>.json in a repository: what pgBackRest does not tell of it.
struct KeptBackups {
    std::vector<WalMark> marks;         ///< oldest first
    std::int64_t failures = 0;          ///< backups that failed since the last one that did not
    std::string failed_at;              ///< the last of them
    std::vector<BackupDamage> damages;  ///< oldest first; of the last backups that had any
};

}  // namespace howdah::model
