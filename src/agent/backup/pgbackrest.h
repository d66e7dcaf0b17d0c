#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "core/backup/backups.h"
#include "core/backup/repository_place.h"
#include "model/pgbackrest.h"
#include "os/process.h"

namespace howdah::agent {

/// pgBackRest (2.45 or newer) for one server in one repository, encrypted. It runs as the
/// agent's own user, so that nobody who breaks into a server reaches its backups, and has the
/// data read as the server's, so that he does not reach ours through them (adr/0017). What
/// it makes is bounded in time only by `stop`: a backup may take hours.
///
/// Calls of different threads may overlap; pgBackRest itself refuses a second backup or expiry at
/// a time (`conflict`). All other errors: `unavailable`, with pgBackRest's own words, which do not
/// hold the key.
class PgBackRest {
  public:
    struct Options {
        std::string program = "/usr/bin/pgbackrest";
        /// Of one life of a server: restored and copied servers share a system identifier, but
        /// never a stanza (RULES Backup 2). Empty: of none; only what stands beside them is
        /// reached.
        std::string stanza;
        core::backup::RepositoryPlace repository;
        Secret key;          ///< of AES-256; without line breaks; empty: nothing is encrypted
        std::string folder;  ///< of its own, below which nobody else writes
        std::string data;    ///< the server's data directory
        std::string socket_folder;
        int port = 0;
        std::string database;  ///< that it connects to
        std::string user;      ///< of PostgreSQL; may begin and end a backup, and read settings
        int processes = 1;     ///< that compress
        int backup_nice = 0;
        /// Whoever owns the data: a process of this user reads it for a backup, so that a link
        /// in it leads nowhere that its owner cannot go himself. None: the caller reads it.
        std::optional<os::User> reads_as = std::nullopt;
    };
    /// What a backup on demand is called; its annotation.
    static constexpr std::string_view kNameNote = "howdah-name";
    static constexpr Duration kLookMax = std::chrono::minutes(2);
    static constexpr Duration kPushMax = std::chrono::minutes(5);
    static constexpr std::size_t kListBytesMax = 64U << 20;

    explicit PgBackRest(Options options) : options_(std::move(options)) {}

    /// Writes its configuration. REQUIRES: before any other call. unavailable: the repository's
    /// place cannot be used, and why.
    Status configure() const;
    /// Repeatable.
    Status create_stanza() const;
    /// One WAL segment, or history file, by its path. Repeatable. When it returns well, the
    /// repository has it on disk.
    Status push(const std::string& path) const;
    /// Whether the repository has what push() would take, by its name
    /// (core::backup::is_archive_name holds).
    Result<bool> has(const std::string& name) const;
    /// Brings what push() took back to `path`. False: the repository does not have it.
    Result<bool> fetch(const std::string& name, const std::string& path) const;
    /// Waits until the WAL that it needs is in the repository, which somebody else has to push.
    /// `name`: empty: by schedule. What damage_of() says of it: it is made all the same.
    Result<std::string> back_up(core::backup::Kind kind, const std::string& name,
                                std::stop_token stop) const;
    /// All but marks.
    Result<core::backup::Repository> list() const;
    /// Repeatable; one that was broken off goes on the next time.
    Status expire(const core::backup::Expiry& what) const;
    /// Brings a backup back into `data`, which must be empty or absent, and writes what PostgreSQL
    /// needs to recover up to `target` (none: to the end of the WAL) with `restore_command` (its %f
    /// and %p; runs as PostgreSQL's user; empty: the configuration has it), and to go on from
    /// there. Owners are those of the backup, as root.
    Status restore(const std::string& label, std::optional<Timestamp> target,
                   const std::string& data, const std::string& restore_command,
                   std::stop_token stop) const;

    /// Files beside the stanzas, by their path in the repository; a folder is there with its first
    /// file. not_found: there is none.
    Result<std::string> read(const std::string& path) const;
    Status write(const std::string& path, const std::string& text) const;
    /// Repeatable.
    Status remove(const std::string& path) const;
    Status remove_folder(const std::string& path) const;  ///< with all that is in it
    /// Of files and folders in a folder; empty: there is none, or it is empty.
    Result<std::vector<std::string>> names(const std::string& folder) const;

    /// That the stanza is there is known without the repository, when a server is deleted.
    Status note_stanza() const;
    std::string stanza_note_path() const { return options_.folder + "/has-stanza"; }

    /// For a command that runs as the same user.
    std::string configuration_path() const { return options_.folder + "/pgbackrest.conf"; }

  private:
    /// Runs what reads the data, in ssh's place.
    std::string reader_path() const { return options_.folder + "/as-server"; }
    std::vector<std::string> reader_arguments() const;
    Status write_reader() const;
    std::string general_lines() const;
    std::string stanza_lines() const;
    Result<os::Finished> run(const std::string& command, std::vector<std::string> arguments,
                             Duration timeout, std::stop_token stop = {}, Secret input = {}) const;
    /// The output; an error if it did not succeed.
    Result<std::string> ask(const std::string& command, std::vector<std::string> arguments,
                            Duration timeout, std::stop_token stop = {}) const;
    Status order(const std::string& command, std::vector<std::string> arguments, Duration timeout,
                 std::stop_token stop = {}) const;
    Result<model::pgbackrest::Info> look() const;
    /// Of the present database: below it are its segments. Empty: no WAL yet.
    std::string archive_folder(const model::pgbackrest::Info& info) const;
    Status add_wal(const std::string& folder, core::backup::WalArchive& wal) const;
    Result<std::vector<model::pgbackrest::File>> files(const std::string& folder) const;

    Options options_;
};

/// The pages with wrong checksums that pgBackRest's backup warned of, by their files below `data`:
/// "base/5/16384 at pages 3, 9-10; ...", kDamageBytesMax at most; empty: none. Pure.
std::string damage_of(std::string_view warnings, const std::string& data);
inline constexpr std::size_t kDamageBytesMax = 400;

/// PostgreSQL takes no "T" and "Z".
std::string postgres_time(Timestamp time);

/// Throws away what the rules do not know: incremental backups, which are never made here. Pure.
Result<core::backup::Backup> backup_of(const model::pgbackrest::Backup& told);

}  // namespace howdah::agent
