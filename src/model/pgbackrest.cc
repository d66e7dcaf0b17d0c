#include "model/pgbackrest.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "model/json_text.h"

namespace howdah::model::pgbackrest {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kLabelBytesMax = 64;
/// Year 9999; what can be is far below.
constexpr std::int64_t kSecondsMax = 253'402'300'799;
constexpr std::int64_t kBytesMax = 1LL << 60;
/// status.code of what is no trouble: all is well; the stanza is not there; it has no backup yet.
constexpr std::int64_t kWell = 0;
constexpr std::int64_t kNoStanza = 1;
constexpr std::int64_t kNoBackup = 2;
constexpr std::size_t kTroubleBytesMax = 300;

Error unexpected(std::string_view what) {
    return {ErrorCode::corrupt, fmt::format("pgBackRest's answer cannot be understood: {}", what)};
}

/// With a wrong key it quotes in its message what it decrypted, as it is: any bytes at all. What it
/// is asked for here is ASCII, and what JSON itself needs of control characters are line breaks.
Result<Json> parse(std::string_view text) {
    std::string plain(text);
    for (char& c : plain)
        if (c != '\n' && (c < 0x20 || c > 0x7e)) c = '?';
    return parse_json_text<Json>(plain, kDepthMax, "pgBackRest's answer");
}

/// Members of an object by their path; the first that is not what it should be is remembered.
class Reader {
  public:
    Reader(const Json& object, std::optional<Error>& problem)
        : object_(object), problem_(problem) {}

    const Json* find(std::initializer_list<const char*> path) const {
        const Json* at = &object_;
        for (const char* each : path) {
            if (!at->is_object()) return nullptr;
            const auto found = at->find(each);
            if (found == at->end() || found->is_null()) return nullptr;
            at = &*found;
        }
        return at;
    }
    std::int64_t number(std::initializer_list<const char*> path, std::int64_t most) const {
        const Json* const found = find(path);
        if (found != nullptr && found->is_number_unsigned()) {
            const auto value = found->get<std::uint64_t>();
            if (value <= static_cast<std::uint64_t>(most)) return static_cast<std::int64_t>(value);
        }
        refuse(path);
        return 0;
    }
    /// Empty where there is none, if it may be absent.
    std::string text(std::initializer_list<const char*> path, bool may_be_absent = false) const {
        const Json* const found = find(path);
        if (found == nullptr && may_be_absent) return {};
        if (found != nullptr && found->is_string()) return found->get<std::string>();
        refuse(path);
        return {};
    }
    void refuse(std::initializer_list<const char*> path) const {
        if (problem_) return;
        std::string name;
        for (const char* each : path) name += (name.empty() ? "" : ".") + std::string(each);
        problem_ = unexpected(name + " is missing, or not what it should be");
    }

  private:
    const Json& object_;
    std::optional<Error>& problem_;
};

/// Labels become arguments of commands, and parts of paths.
bool is_label(std::string_view text) {
    return !text.empty() && text.size() <= kLabelBytesMax &&
           std::all_of(text.begin(), text.end(),
                       [](char c) {
                           return (c >= '0' && c <= '9') || c == '-' || c == '_' || c == 'F' ||
                                  c == 'D' || c == 'I';
                       }) &&
           text.front() >= '0' && text.front() <= '9';
}

Result<Backup> parse_backup(const Json& value) {
    std::optional<Error> problem;
    const Reader reader(value, problem);
    Backup backup;
    backup.label = reader.text({"label"});
    backup.type = reader.text({"type"});
    backup.prior = reader.text({"prior"}, /*may_be_absent=*/true);
    backup.started = reader.number({"timestamp", "start"}, kSecondsMax);
    backup.stopped = reader.number({"timestamp", "stop"}, kSecondsMax);
    backup.wal_first = reader.text({"archive", "start"});
    backup.wal_last = reader.text({"archive", "stop"});
    backup.bytes = reader.number({"info", "size"}, kBytesMax);
    backup.repository_bytes = reader.number({"info", "repository", "delta"}, kBytesMax);
    // Absent where the database has no checksums.
    if (const Json* const error = reader.find({"error"})) {
        if (!error->is_boolean()) reader.refuse({"error"});
        backup.has_errors = error->is_boolean() && error->get<bool>();
    }
    if (const Json* const notes = reader.find({"annotation"})) {
        if (!notes->is_object()) return unexpected("an annotation is no object");
        for (const auto& [name, note] : notes->items()) {
            if (!note.is_string()) return unexpected("an annotation is no text");
            backup.annotations.emplace(name, note.get<std::string>());
        }
    }
    if (problem) return *problem;
    const bool is_full = backup.type == "full";
    const bool is_known = is_full || backup.type == "diff" || backup.type == "incr";
    if (!is_label(backup.label) || !is_known) return unexpected("a backup has no label or type");
    if (is_full != backup.prior.empty() || (!is_full && !is_label(backup.prior)))
        return unexpected("a backup's prior is not what its type needs");
    if (backup.wal_first.empty() || backup.wal_last < backup.wal_first)
        return unexpected("a backup's WAL is none");
    if (backup.stopped < backup.started) return unexpected("a backup ended before it began");
    return backup;
}

Status parse_stanza(const Json& value, Info& info) {
    std::optional<Error> problem;
    const Reader reader(value, problem);
    const std::int64_t code = reader.number({"status", "code"}, 1000);
    if (code != kWell && code != kNoStanza && code != kNoBackup) {
        info.trouble = reader.text({"status", "message"});
        const Json* const repositories = reader.find({"repo"});
        if (repositories != nullptr && repositories->is_array() && !repositories->empty())
            info.trouble = Reader(repositories->front(), problem).text({"status", "message"});
        info.trouble = info.trouble.substr(0, info.trouble.find('\n')).substr(0, kTroubleBytesMax);
    }
    // The newest of each stands last.
    if (const Json* const archives = reader.find({"archive"});
        archives != nullptr && archives->is_array() && !archives->empty())
        info.archive = Reader(archives->back(), problem).text({"id"});
    if (const Json* const backups = reader.find({"backup"})) {
        if (!backups->is_array()) return unexpected("its backups are no list");
        for (const Json& each : *backups) {
            HD_TRY(Backup backup, parse_backup(each));
            info.backups.push_back(std::move(backup));
        }
    }
    if (problem) return *problem;
    std::stable_sort(info.backups.begin(), info.backups.end(),
                     [](const Backup& a, const Backup& b) { return a.stopped < b.stopped; });
    return ok_status();
}

}  // namespace

Result<Info> parse_info(std::string_view text, std::string_view stanza) {
    HD_TRY(const Json parsed, parse(text));
    if (!parsed.is_array()) return unexpected("it is no list");
    Info info;
    for (const Json& each : parsed) {
        if (!each.is_object() || !each.contains("name")) return unexpected("a stanza has no name");
        if (each["name"] != stanza) continue;
        HD_CHECK(parse_stanza(each, info));
    }
    return info;
}

Result<std::vector<File>> parse_files(std::string_view text) {
    HD_TRY(const Json parsed, parse(text));
    if (!parsed.is_object()) return unexpected("it is no object");
    std::vector<File> files;
    for (const auto& [path, value] : parsed.items()) {
        std::optional<Error> problem;
        const Reader reader(value, problem);
        if (reader.text({"type"}) != "file") {
            if (problem) return *problem;
            continue;
        }
        File file{path, reader.number({"size"}, kBytesMax)};
        if (problem) return *problem;
        files.push_back(std::move(file));
    }
    return files;
}

}  // namespace howdah::model::pgbackrest
