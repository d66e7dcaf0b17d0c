#include "agent/backup/repository_notes.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "model/json.h"
#include "os/file.h"

namespace howdah::agent {
namespace {

using core::backup::place_name;
using core::backup::RepositoryPlace;

constexpr std::size_t kNameBytesMax = 8192;
constexpr Duration kAskedHere = std::chrono::milliseconds(250);
constexpr Duration kAskedElsewhere = std::chrono::seconds(5);  // each costs a request
constexpr const char* kArchive = "archive";

std::string kept_path(const std::string& stanza) { return "kept/" + stanza + ".json"; }
std::string question_path(const std::string& stanza) { return "asked/" + stanza; }
std::string dropped_path(const std::string& stanza) { return "dropped/" + stanza; }

}  // namespace

RepositoryNotes::RepositoryNotes(RepositoryPlace place, std::string folder, std::string program)
    : place_(std::move(place)),
      files_({.program = std::move(program), .repository = place_, .folder = std::move(folder)}) {}

Result<bool> RepositoryNotes::is_there() const {
    HD_TRY(const auto names, files_.names(""));
    return std::find(names.begin(), names.end(), kArchive) != names.end();
}

Status RepositoryNotes::check(const std::string& used_path) const {
    const std::string name = place_name(place_);
    if (os::read_file(used_path, kNameBytesMax).value_or("") != name) return ok_status();
    HD_TRY(const bool is_here, is_there());
    if (is_here) return ok_status();
    return Error{ErrorCode::unavailable, "the repository of the backups is not there", name,
                 place_.is_remote()
                     ? "bring back what was in " + name +
                           "; if it is lost for good, name another path in the repository's file"
                     : "bring its disk back to " + name +
                           "; if it is lost for good, make the folder 'archive' in it, and backups "
                           "begin anew"};
}

Status RepositoryNotes::note_used(const std::string& used_path) const {
    const std::string name = place_name(place_);
    if (os::read_file(used_path, kNameBytesMax).value_or("") == name) return ok_status();
    return os::write_file_atomic(used_path, name, 0600);
}

bool RepositoryNotes::has_gone() const {
    return place_.kind == RepositoryPlace::Kind::folder &&
           !os::exists(place_.path + "/" + kArchive);
}

Result<bool> RepositoryNotes::has_stanza(const std::string& stanza) const {
    HD_TRY(const auto names, files_.names("archive/" + stanza));
    return std::find(names.begin(), names.end(), "archive.info") != names.end();
}

// ---------------------------------------------------------------------------------------------
// What is kept

Result<model::KeptBackups> RepositoryNotes::kept(const std::string& stanza) const {
    const auto text = files_.read(kept_path(stanza));
    if (!text.ok() && text.error().code != ErrorCode::not_found) return text.error();
    return model::from_json<model::KeptBackups>(text.value_or("{}")).value_or(model::KeptBackups());
}

Status RepositoryNotes::keep(const std::string& stanza, const model::KeptBackups& kept) const {
    if (has_gone()) return ok_status();
    return files_.write(kept_path(stanza), model::to_json(kept));
}

// ---------------------------------------------------------------------------------------------
// Questions

Status RepositoryNotes::ask_for_mark(const std::string& stanza) const {
    return files_.write(question_path(stanza), "asked");
}

Result<std::vector<std::string>> RepositoryNotes::questions() const {
    if (place_.is_remote()) return files_.names("asked");
    return os::list_folder(place_.path + "/asked").value_or({});
}

Status RepositoryNotes::take_question(const std::string& stanza) const {
    return files_.remove(question_path(stanza));
}

Duration RepositoryNotes::asks_every() const {
    return place_.is_remote() ? kAskedElsewhere : kAskedHere;
}

// ---------------------------------------------------------------------------------------------
// What deleted servers left

Status RepositoryNotes::mark_dropped(const std::string& stanza, Timestamp now) const {
    if (has_gone()) return Error{ErrorCode::unavailable, "the repository is not there"};
    return files_.write(dropped_path(stanza), format_iso8601(now));
}

Status RepositoryNotes::unmark_dropped(const std::string& stanza) const {
    return files_.remove(dropped_path(stanza));
}

/// Only what an agent has marked: a repository may have stanzas of somebody else.
Result<std::vector<RepositoryNotes::Dropped>> RepositoryNotes::dropped() const {
    HD_TRY(const auto stanzas, files_.names("dropped"));
    std::vector<Dropped> found;
    for (const std::string& each : stanzas) {
        HD_TRY(const std::string since, files_.read(dropped_path(each)));
        const auto time = parse_iso8601(trim(since));
        if (time.ok()) found.push_back({each, *time});
    }
    return found;
}

Status RepositoryNotes::remove_stanza(const std::string& stanza) const {
    for (const char* each : {"archive/", "backup/"}) HD_CHECK(files_.remove_folder(each + stanza));
    HD_CHECK(files_.remove(kept_path(stanza)));
    return unmark_dropped(stanza);
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
