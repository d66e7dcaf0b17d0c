#include "agent/backup/repository_notes.h"

#include "model/json.h"
#include "os/file.h"

namespace howdah::agent {
namespace {

constexpr std::size_t kFileBytesMax = 1U << 20;

}  // namespace

std::string RepositoryNotes::kept_path(const std::string& stanza) const {
    return repository_ + "/kept/" + stanza + ".json";
}

std::string RepositoryNotes::question_path(const std::string& stanza) const {
    return repository_ + "/asked/" + stanza;
}

model::KeptBackups RepositoryNotes::kept(const std::string& stanza) const {
    const auto text = os::read_file(kept_path(stanza), kFileBytesMax);
    return model::from_json<model::KeptBackups>(text.value_or("{}")).value_or(model::KeptBackups());
}

bool RepositoryNotes::is_there() const { return os::exists(repository_ + "/archive"); }

Status RepositoryNotes::check(const std::string& used_path) const {
    if (is_there() || os::read_file(used_path, kFileBytesMax).value_or("") != repository_)
        return ok_status();
    return Error{ErrorCode::unavailable, "the repository of the backups is not there", repository_,
                 "bring its disk back to " + repository_ +
                     "; if it is lost for good, make the folder 'archive' in it, and backups "
                     "begin anew"};
}

Status RepositoryNotes::note_used(const std::string& used_path) const {
    if (os::read_file(used_path, kFileBytesMax).value_or("") == repository_) return ok_status();
    return os::write_file_atomic(used_path, repository_, 0600);
}

Status RepositoryNotes::keep(const std::string& stanza, const model::KeptBackups& kept) const {
    if (!is_there()) return ok_status();
    HD_CHECK(os::make_folders(repository_ + "/kept", 0700));
    return os::replace_file(kept_path(stanza), model::to_json(kept), 0600);
}

Status RepositoryNotes::forget(const std::string& stanza) const {
    return os::remove_tree(kept_path(stanza));
}

Status RepositoryNotes::ask_for_mark(const std::string& stanza) const {
    HD_CHECK(os::make_folders(repository_ + "/asked", 0700));
    return os::replace_file(question_path(stanza), "", 0600);
}

bool RepositoryNotes::take_question(const std::string& stanza) const {
    const std::string path = question_path(stanza);
    return os::exists(path) && os::remove_tree(path).ok();
}

std::vector<core::backup::Mark> marks_of(const model::KeptBackups& kept) {
    std::vector<core::backup::Mark> marks;
    for (const model::WalMark& each : kept.marks) {
        const auto at = parse_iso8601(each.at);
        if (at.ok()) marks.push_back({static_cast<std::uint64_t>(each.segment), *at});
    }
    return marks;
}

}  // namespace howdah::agent
