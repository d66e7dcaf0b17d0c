#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "core/backup/backups.h"
#include "model/backups.h"

namespace howdah::agent {

/// What the agents that share a repository tell each other in it, beside pgBackRest's own files.
/// A stanza is a server's incarnation. Thread-safe: each call stands alone.
class RepositoryNotes {
  public:
    explicit RepositoryNotes(std::string repository) : repository_(std::move(repository)) {}

    /// Somebody has begun a repository here, and its disk is there.
    bool is_there() const;
    /// unavailable: `used_path`, a file of the agent's own, says that this repository has been
    /// used, but nothing of it is there: a disk that is not mounted. It must not be begun anew in
    /// its place.
    Status check(const std::string& used_path) const;
    /// From now on it must be there.
    Status note_used(const std::string& used_path) const;

    /// Nothing, if nobody has kept anything, or it cannot be read: the window is shorter for a
    /// while.
    model::KeptBackups kept(const std::string& stanza) const;
    /// Without waiting for the disk. A repository that is not there is not made.
    Status keep(const std::string& stanza, const model::KeptBackups& kept) const;
    Status forget(const std::string& stanza) const;

    /// Whoever looks after the server is to make a mark now and to have its WAL archived.
    Status ask_for_mark(const std::string& stanza) const;
    /// Whether somebody has asked; a question is taken once.
    bool take_question(const std::string& stanza) const;

  private:
    std::string kept_path(const std::string& stanza) const;
    std::string question_path(const std::string& stanza) const;

    std::string repository_;
};

std::vector<core::backup::Mark> marks_of(const model::KeptBackups& kept);

}  // namespace howdah::agent
