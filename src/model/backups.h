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

/// A restore that was made to see that it works: what came back, and whether it is what was there.
struct Proof {
    std::string name;
    std::string server_id;    ///< lower-case ARM id
    std::string incarnation;  ///< of the server
    std::string host;         ///< where it was made; as people call it
    std::string host_id;      ///< of the same; the name in the certificate that signs the proof
    std::string outcome;      ///< proved, restored (nothing could be compared), failed
    std::string reason;       ///< why it failed, in a sentence or some; empty: it did not
    std::string time;         ///< that was restored to
    std::string backup;       ///< what it began with; pgBackRest's label; empty: it found none
    std::string started_at;
    std::string ended_at;
    std::int64_t restore_ms = 0;  ///< until the copy took sessions
    std::int64_t check_ms = 0;    ///< of that, not: reading all of it
    std::int64_t databases = 0;
    std::int64_t tables = 0;     ///< of the server, when its backups were tried
    std::int64_t same = 0;       ///< of them: with the same rows in the copy
    std::int64_t same_rows = 0;  ///< in those
    std::int64_t changed = 0;    ///< written to meanwhile, so that nothing can be said
    std::int64_t unread = 0;     ///< too large, or locked
    std::int64_t indexes = 0;    ///< B-trees of the copy that fit their tables
    std::int64_t unchecked = 0;  ///< tables and indexes of the copy that could not be checked
    std::vector<std::string>
        different;                     ///< "database: schema.table: 3 rows instead of 4"; the first
    std::vector<std::string> damages;  ///< what pg_amcheck said; the first
    bool operator==(const Proof&) const = default;
};

/// A proof, and the same with a signature of the machine that made it.
struct SignedProof {
    Proof proof;
    std::string token;  ///< JWS (RFC 7515), ES256; "x5c" has the certificates; empty: not signed
    bool operator==(const SignedProof&) const = default;
};

/// What an agent sees in the repository of one server.
struct BackupReport {
    /// The repository has not been read since the agent began: the lists say nothing.
    bool is_unknown = false;
    std::vector<RestorableSpan> restorable;  ///< disjoint, oldest first
    std::vector<BackupEntry> backups;        ///< oldest first
    std::string activity;                    ///< what is being done now; empty: nothing
    std::string trouble;              ///< why there is not what there should be, and what to do
    std::vector<SignedProof> proofs;  ///< oldest first
    std::int64_t prove_every_s = 0;   ///< how often its backups are tried; 0: when asked for
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
    /// A read replica: it goes on replaying what the source commits. False, of one that did: it was
    /// promoted, and is a server of its own.
    bool follows = false;
    std::string password;  ///< of the source for those that follow it; likewise
    std::string
        promotion;  ///< how it ceased to follow: planned (with all that the source had), forced
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
    std::vector<SignedProof> proofs;    ///< oldest first; the last ones
};

}  // namespace howdah::model
