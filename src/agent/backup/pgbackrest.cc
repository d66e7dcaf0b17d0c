#include "agent/backup/pgbackrest.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"
#include "os/file.h"

namespace howdah::agent {
namespace {

using core::backup::Backup;
using core::backup::Expiry;
using core::backup::Kind;
using core::backup::Repository;
using core::backup::RepositoryPlace;
using core::backup::Segment;
using core::backup::WalArchive;

/// Exit codes of pgBackRest (its error.auto).
constexpr int kLockTaken = 50;
constexpr int kNotThere = 1;
constexpr Duration kRemoveMax = std::chrono::hours(1);

/// Effectively none: what expires is decided here (RULES Backup 6).
constexpr std::string_view kKeepAll = "9999999";
constexpr Duration kBackupMax = std::chrono::hours(7 * 24);
constexpr std::size_t kSegmentDigits = 24;
constexpr std::size_t kSegmentFolderDigits = 16;
constexpr std::string_view kHistory = ".history";

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool is_history(const std::string& name) {
    return name.size() == 8 + kHistory.size() && name.ends_with(kHistory);
}

/// What failed stands in the first line of an error; those behind it are hints and repetitions.
std::string words_of(const os::Finished& done) {
    constexpr std::size_t kWordsMax = 700;
    const std::size_t begin = done.error_output.find("ERROR: ");
    if (begin == std::string::npos) return done.describe();
    std::string words;
    for (const std::string& line : split(done.error_output.substr(begin), '\n'))
        if (!trim(line).empty()) words += (words.empty() ? "" : " ") + std::string(trim(line));
    return words.substr(0, kWordsMax);
}

std::string place_lines(const RepositoryPlace& place) {
    std::string lines = fmt::format("repo1-path={}\n", place.path);
    if (!place.is_remote()) return lines;
    // Small files together: each request of its own takes milliseconds. A store that is silent is
    // asked three times, and is to be reported within a minute.
    lines += fmt::format("repo1-bundle=y\nio-timeout=20\nrepo1-storage-port={}\n", place.port);
    if (!place.ca_file.empty()) lines += "repo1-storage-ca-file=" + place.ca_file + "\n";
    const std::string type = place.kind == RepositoryPlace::Kind::s3 ? "s3" : "azure";
    lines += "repo1-type=" + type + "\n";
    const auto add = [&](std::string_view name, const std::string& value) {
        if (!value.empty()) lines += fmt::format("repo1-{}-{}={}\n", type, name, value);
    };
    add("endpoint", place.endpoint);
    if (place.has_path_style) add("uri-style", "path");
    if (type == "s3") {
        add("bucket", place.bucket);
        add("region", place.region);
        add("key", place.account);
        add("key-secret", place.key.reveal());
    } else {
        add("container", place.bucket);
        add("account", place.account);
        add("key", place.key.reveal());
    }
    return lines;
}

std::uint32_t timeline_of(const std::string& history_name) {
    const auto number = std::strtoul(history_name.substr(0, 8).c_str(), nullptr, 16);
    return static_cast<std::uint32_t>(number);
}

}  // namespace

std::string damage_of(std::string_view warnings, const std::string& data) {
    constexpr std::string_view kFile = " found in file ";
    std::string found;
    for (const std::string& line : split(warnings, '\n')) {
        const std::size_t what = line.find("invalid page checksum");
        const std::size_t at = what == std::string::npos ? what : line.find(kFile, what);
        if (at == std::string::npos) continue;
        std::string_view where = trim(std::string_view(line).substr(at + kFile.size()));
        if (where.starts_with(data + "/")) where.remove_prefix(data.size() + 1);
        if (!found.empty()) found += "; ";
        found += where;
        if (found.size() > kDamageBytesMax) {
            found.resize(kDamageBytesMax);
            return found + " ...";
        }
    }
    return found;
}

std::string postgres_time(Timestamp time) {
    std::string text = format_iso8601(time);
    text.replace(text.find('T'), 1, " ");
    text.replace(text.find('Z'), 1, "+00");
    return text;
}

Result<Backup> backup_of(const model::pgbackrest::Backup& told) {
    if (told.type == "incr")
        return Error{ErrorCode::corrupt, "an incremental backup, which is never made here"};
    Backup backup;
    backup.label = told.label;
    backup.kind = told.type == "full" ? Kind::full : Kind::differential;
    backup.prior = told.prior;
    backup.started = Timestamp(std::chrono::seconds(told.started));
    backup.stopped = Timestamp(std::chrono::seconds(told.stopped + 1));
    HD_TRY(backup.first, core::backup::parse_segment(told.wal_first));
    HD_TRY(const Segment last, core::backup::parse_segment(told.wal_last));
    backup.last = last.number;
    backup.bytes = told.bytes;
    backup.repository_bytes = told.repository_bytes;
    backup.has_errors = told.has_errors;
    const auto name = told.annotations.find(std::string(PgBackRest::kNameNote));
    if (name != told.annotations.end()) backup.on_demand = name->second;
    return backup;
}

std::string PgBackRest::general_lines() const {
    // Locks by folder: stanzas of two agents of a machine never meet.
    return fmt::format(
        "repo1-retention-full={0}\n"
        "lock-path={1}/lock\n"
        "spool-path={1}/spool\n"
        "log-path={1}\n"
        "log-level-file=off\n"
        "log-level-console=off\n"
        "log-level-stderr=error\n"
        "compress-type=zst\n"
        "process-max={2}\n"
        "start-fast=y\n"
        // Standbys answer for what the primary has pushed (adr/0017).
        "archive-mode-check=n\n",
        kKeepAll, options_.folder, options_.processes);
}

std::string PgBackRest::stanza_lines() const {
    std::string lines;
    if (!options_.key.empty())
        lines = "repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=" + options_.key.reveal() + "\n";
    if (options_.stanza.empty()) return lines;
    return lines + fmt::format(
                       "[{}]\n"
                       "pg1-path={}\n"
                       "pg1-socket-path={}\n"
                       "pg1-port={}\n"
                       "pg1-database={}\n"
                       "pg1-user={}\n",
                       options_.stanza, options_.data, options_.socket_folder, options_.port,
                       options_.database, options_.user);
}

Status PgBackRest::configure() const {
    const RepositoryPlace& place = options_.repository;
    if (!place.trouble.empty()) return Error{ErrorCode::unavailable, place.trouble};
    HD_CHECK(os::make_folders(options_.folder, 0700));
    if (!options_.stanza.empty() && !place.is_remote())
        HD_CHECK(os::make_folders(place.path, 0700));
    if (options_.reads_as) HD_CHECK(write_reader());
    const std::string text = "# Written by howdah-agent; changes are lost.\n[global]\n" +
                             place_lines(place) + general_lines() + stanza_lines();
    return os::write_file_atomic(configuration_path(), text, 0600);
}

/// pgBackRest has the data of another machine read by a process that it starts there by ssh. Here
/// it is this machine, and another user. What is to be run is the last argument; the user who runs
/// it has no configuration and needs none.
Status PgBackRest::write_reader() const {
    const std::string text = fmt::format(
        "#!/bin/sh\n"
        "# Written by howdah-agent; changes are lost.\n"
        "for last; do :; done\n"
        "exec /usr/bin/setpriv --reuid={} --regid={} --clear-groups --no-new-privs \\\n"
        "    /usr/bin/env -i LC_ALL=C PATH=/usr/bin:/bin PGBACKREST_LOCK_PATH={} \\\n"
        "    /bin/sh -c \"$last\"\n",
        options_.reads_as->uid, options_.reads_as->gid, shell_quoted(options_.socket_folder));
    return os::write_file_atomic(reader_path(), text, 0700);
}

std::vector<std::string> PgBackRest::reader_arguments() const {
    if (!options_.reads_as) return {};
    return {"--cmd-ssh=" + reader_path(), "--pg1-host=localhost", "--pg1-host-user=server",
            "--pg1-host-config=/dev/null", "--compress-level-network=0"};
}

Result<os::Finished> PgBackRest::run(const std::string& command, std::vector<std::string> arguments,
                                     Duration timeout, std::stop_token stop, Secret input) const {
    std::vector<std::string> all{options_.program, "--config=" + configuration_path(), command};
    if (!options_.stanza.empty()) all.push_back("--stanza=" + options_.stanza);
    all.insert(all.end(), arguments.begin(), arguments.end());
    os::Command all_of_it{.arguments = std::move(all),
                          .environment = {"LC_ALL=C"},
                          .input = std::move(input),
                          .timeout = timeout,
                          .output_bytes_max = kListBytesMax,
                          .stop = std::move(stop)};
    if (command == "backup" || command == "restore") all_of_it.nice = options_.backup_nice;
    return os::run(all_of_it);
}

Result<std::string> PgBackRest::ask(const std::string& command, std::vector<std::string> arguments,
                                    Duration timeout, std::stop_token stop) const {
    HD_TRY(os::Finished done, run(command, std::move(arguments), timeout, std::move(stop)));
    if (done.succeeded()) return std::move(done.output);
    if (done.exit_code == kLockTaken)
        return Error{ErrorCode::conflict, "another backup or expiry of this server is under way"};
    return Error{ErrorCode::unavailable,
                 fmt::format("pgBackRest's {} failed: {}", command, words_of(done))};
}

Status PgBackRest::order(const std::string& command, std::vector<std::string> arguments,
                         Duration timeout, std::stop_token stop) const {
    const auto done = ask(command, std::move(arguments), timeout, std::move(stop));
    return done.ok() ? ok_status() : Status(done.error());
}

Status PgBackRest::create_stanza() const {
    return order("stanza-create", reader_arguments(), kLookMax);
}

Status PgBackRest::note_stanza() const {
    if (os::exists(stanza_note_path())) return ok_status();
    return os::write_file_atomic(stanza_note_path(), "", 0600);
}

Status PgBackRest::push(const std::string& path) const {
    return order("archive-push", {path}, kPushMax);
}

Result<bool> PgBackRest::has(const std::string& name) const {
    HD_TRY(const auto info, look());
    std::string folder = archive_folder(info);
    if (folder.empty()) return false;
    if (name.size() >= kSegmentDigits) folder += "/" + name.substr(0, kSegmentFolderDigits);
    std::string pattern;
    for (const char c : name) pattern += c == '.' ? "[.]" : std::string(1, c);
    HD_TRY(const std::string found,
           ask("repo-ls", {"--filter=^" + pattern + "(-|$)", folder}, kLookMax));
    return !trim(found).empty();
}

Result<bool> PgBackRest::fetch(const std::string& name, const std::string& path) const {
    HD_TRY(const os::Finished done, run("archive-get", {name, path}, kPushMax));
    if (done.succeeded()) return true;
    if (done.exit_code == kNotThere) return false;
    return Error{ErrorCode::unavailable,
                 fmt::format("pgBackRest's archive-get failed: {}", done.describe())};
}

Result<std::string> PgBackRest::back_up(Kind kind, const std::string& name,
                                        std::stop_token stop) const {
    std::vector<std::string> arguments = reader_arguments();
    arguments.emplace_back(kind == Kind::full ? "--type=full" : "--type=diff");
    if (!name.empty()) arguments.push_back(fmt::format("--annotation={}={}", kNameNote, name));
    // It would expire by itself what follows from the retention, which is: nothing.
    arguments.emplace_back("--no-expire-auto");
    arguments.emplace_back("--log-level-console=warn");
    HD_TRY(const std::string said,
           ask("backup", std::move(arguments), kBackupMax, std::move(stop)));
    return damage_of(said, options_.data);
}

// ---------------------------------------------------------------------------------------------
// What there is

Result<std::vector<model::pgbackrest::File>> PgBackRest::files(const std::string& folder) const {
    HD_TRY(const std::string text,
           ask("repo-ls", {"--output=json", "--recurse", folder}, kLookMax));
    return model::pgbackrest::parse_files(text);
}

std::string PgBackRest::archive_folder(const model::pgbackrest::Info& info) const {
    return info.archive.empty() ? "" : fmt::format("archive/{}/{}", options_.stanza, info.archive);
}

Status PgBackRest::add_wal(const std::string& folder, WalArchive& wal) const {
    HD_TRY(const auto all, files(folder));
    std::string history;
    std::uint32_t newest = 1;
    for (const auto& file : all) {
        const std::string name = last_part(file.path);
        // Behind the name stand a checksum and how it is compressed; ".backup" is another thing.
        const bool is_segment = name.size() > kSegmentDigits && name[kSegmentDigits] == '-';
        const auto segment = core::backup::parse_segment(name.substr(0, kSegmentDigits));
        if (is_segment && segment.ok()) {
            wal.add(*segment);
            newest = std::max(newest, segment->timeline);
        }
        if (is_history(name)) {
            newest = std::max(newest, timeline_of(name));
            if (history.empty() || timeline_of(name) > timeline_of(last_part(history)))
                history = file.path;
        }
    }
    std::vector<core::backup::TimelineStart> way{{newest, 1}};
    if (!history.empty() && timeline_of(last_part(history)) == newest) {
        HD_TRY(const std::string text, ask("repo-get", {folder + "/" + history}, kLookMax));
        HD_TRY(way, core::backup::parse_history(text, newest));
    }
    wal.set_history(std::move(way));
    return ok_status();
}

Result<model::pgbackrest::Info> PgBackRest::look() const {
    HD_TRY(const std::string text, ask("info", {"--output=json"}, kLookMax));
    HD_TRY(auto info, model::pgbackrest::parse_info(text, options_.stanza));
    if (info.trouble.empty()) return info;
    return Error{ErrorCode::unavailable, "the repository cannot be read: " + info.trouble};
}

Result<Repository> PgBackRest::list() const {
    HD_TRY(const auto info, look());
    Repository found;
    for (const auto& each : info.backups) {
        HD_TRY(Backup backup, backup_of(each));
        found.backups.push_back(std::move(backup));
    }
    const std::string folder = archive_folder(info);
    if (!folder.empty()) HD_CHECK(add_wal(folder, found.wal));
    return found;
}

// ---------------------------------------------------------------------------------------------
// Beside the stanzas

Result<std::string> PgBackRest::read(const std::string& path) const {
    HD_TRY(os::Finished done, run("repo-get", {"--ignore-missing", path}, kLookMax));
    if (done.succeeded()) return std::move(done.output);
    if (done.exit_code == kNotThere)
        return Error{ErrorCode::not_found, "the repository does not have " + path};
    return Error{ErrorCode::unavailable, "the repository cannot be read: " + done.describe()};
}

Status PgBackRest::write(const std::string& path, const std::string& text) const {
    HD_TRY(const os::Finished done, run("repo-put", {path}, kLookMax, {}, Secret(text)));
    if (done.succeeded()) return ok_status();
    return Error{ErrorCode::unavailable, "the repository cannot be written: " + done.describe()};
}

Status PgBackRest::remove(const std::string& path) const {
    return order("repo-rm", {path}, kLookMax);
}

Status PgBackRest::remove_folder(const std::string& path) const {
    return order("repo-rm", {"--recurse", path}, kRemoveMax);
}

Result<std::vector<std::string>> PgBackRest::names(const std::string& folder) const {
    std::vector<std::string> arguments;
    if (!folder.empty()) arguments.push_back(folder);
    HD_TRY(const std::string text, ask("repo-ls", std::move(arguments), kLookMax));
    std::vector<std::string> found;
    for (std::string& each : split(text, '\n'))
        if (!each.empty()) found.push_back(std::move(each));
    return found;
}

// ---------------------------------------------------------------------------------------------
// What goes, and what comes back

/// Backups first: one that is there without its WAL would be shown as one that can be restored.
Status PgBackRest::expire(const Expiry& what) const {
    HD_TRY(const auto present, look());
    for (const std::string& label : what.labels) {
        const bool is_there = std::any_of(present.backups.begin(), present.backups.end(),
                                          [&](const auto& each) { return each.label == label; });
        if (is_there) HD_CHECK(order("expire", {"--set=" + label}, kLookMax));
    }
    const std::string folder = archive_folder(present);
    if (!what.wal_before || folder.empty()) return ok_status();
    HD_TRY(const auto all, files(folder));
    for (const auto& file : all) {
        const std::string name = last_part(file.path);
        const auto segment = core::backup::parse_segment(name.substr(0, kSegmentDigits));
        if (!segment.ok() || segment->number >= *what.wal_before) continue;
        const bool is_kept =
            std::any_of(what.kept.begin(), what.kept.end(), [&](const WalArchive::Range& each) {
                return each.first <= segment->number && segment->number <= each.last;
            });
        if (is_kept) continue;
        HD_CHECK(order("repo-rm", {folder + "/" + file.path}, kLookMax));
    }
    return ok_status();
}

Status PgBackRest::restore(const std::string& label, std::optional<Timestamp> target,
                           const std::string& data, const std::string& restore_command,
                           std::stop_token stop) const {
    std::vector<std::string> arguments{"--set=" + label, "--pg1-path=" + data};
    if (target)
        for (const std::string& each :
             {std::string("--type=time"), "--target=" + postgres_time(*target),
              std::string("--target-action=promote")})
            arguments.push_back(each);
    if (!restore_command.empty())
        arguments.push_back("--recovery-option=restore_command=" + restore_command);
    return order("restore", std::move(arguments), kBackupMax, std::move(stop));
}

}  // namespace howdah::agent
