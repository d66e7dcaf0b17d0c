#pragma once

#include <sys/types.h>

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "os/fd.h"

namespace howdah::agent {

/// What PostgreSQL's archive_command or restore_command asks, through howdah-archive.
struct ArchiveQuestion {
    bool is_push = false;  ///< else: it wants the file
    std::string server;    ///< incarnation
    std::string file;      ///< core::backup::is_archive_name holds
    uid_t user = 0;        ///< who asks, as the kernel says
};

/// A push is answered without content. not_found: there is no such file, which PostgreSQL takes for
/// the end of the archive; all other errors let it ask again.
using ArchiveAnswer = Result<std::string>;

/// One line: "push SERVER FILE" or "get SERVER FILE". `corrupt`: it is none.
Result<ArchiveQuestion> parse_archive_question(std::string_view line);

/// The unix socket where the servers of a machine hand their WAL over and ask for it. Everybody may
/// connect; who may ask what is for `answer` to say. Answers: "ok BYTES", then the content;
/// "missing"; "error REASON"; each with a line break. howdah-archive reads them.
class ArchiveDoor {
  public:
    static constexpr int kOpenMax = 16;  ///< questions at a time; more wait in the kernel's queue
    static constexpr std::size_t kLineBytesMax = 256;
    static constexpr Duration kLineMax = std::chrono::seconds(5);
    static constexpr Duration kSendMax = std::chrono::seconds(60);

    /// Takes the place of a socket that an agent before left; its folder must exist.
    static Result<ArchiveDoor> open(const std::string& path);

    using Answer = std::function<ArchiveAnswer(const ArchiveQuestion&)>;
    /// Until `stop`; `answer` is called on several threads at a time.
    void run(const std::stop_token& stop, const Answer& answer) const;

  private:
    explicit ArchiveDoor(os::Fd listener) : listener_(std::move(listener)) {}
    os::Fd listener_;
};

}  // namespace howdah::agent
