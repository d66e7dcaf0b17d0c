#pragma once

#include <string>
#include <vector>

#include "agent/backup/pgbackrest.h"
#include "base/result.h"
#include "core/backup/backups.h"
#include "model/backups.h"

namespace howdah::agent {

/// What the agents that share a repository tell each other in it, beside pgBackRest's own files.
/// A stanza is a server's incarnation. Every call but those of `used_path` may wait for the
/// repository, minutes at most; `unavailable`: it does not answer. Thread-safe: each call stands
/// alone.
class RepositoryNotes {
  public:
    /// `folder`: of its own, for pgBackRest's configuration.
    RepositoryNotes(core::backup::RepositoryPlace place, std::string folder,
                    std::string program = "/usr/bin/pgbackrest");

    /// REQUIRES: before any other call, once.
    Status configure() const { return files_.configure(); }

    /// unavailable: `used_path`, a file of the agent's own, says that this repository has been
    /// used, but nothing of it is there: a disk that is not mounted. It must not be begun anew in
    /// its place.
    Status check(const std::string& used_path) const;
    /// From now on it must be there.
    Status note_used(const std::string& used_path) const;
    /// It was there and is not any more. Asked often: it looks at nothing but this machine, and
    /// does not know of others.
    bool has_gone() const;
    Result<bool> has_stanza(const std::string& stanza) const;

    /// Empty, if nobody has kept anything, or it is damaged: the window is shorter for a while.
    Result<model::KeptBackups> kept(const std::string& stanza) const;
    /// A repository that is not there is not made.
    Status keep(const std::string& stanza, const model::KeptBackups& kept) const;

    /// Whoever looks after the server is to make a mark now and to have its WAL archived.
    Status ask_for_mark(const std::string& stanza) const;
    /// The stanzas for which somebody has asked.
    Result<std::vector<std::string>> questions() const;
    Status take_question(const std::string& stanza) const;
    /// How often questions() should be asked.
    Duration asks_every() const;

    /// The time of a deleted server's backups runs from now on.
    Status mark_dropped(const std::string& stanza, Timestamp now) const;
    Status unmark_dropped(const std::string& stanza) const;
    struct Dropped {
        std::string stanza;
        Timestamp since{};
    };
    Result<std::vector<Dropped>> dropped() const;
    /// Everything of a server, and its mark last.
    Status remove_stanza(const std::string& stanza) const;

  private:
    Result<bool> is_there() const;

    const core::backup::RepositoryPlace place_;
    const PgBackRest files_;
};

std::vector<core::backup::Mark> marks_of(const model::KeptBackups& kept);

}  // namespace howdah::agent
