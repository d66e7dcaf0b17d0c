#include "core/backup/proof.h"

#include <fmt/core.h>

#include <algorithm>

namespace howdah::core::backup {
namespace {

using Name = std::pair<std::string, std::string>;

std::string difference(const TableSum& before, const TableSum* restored) {
    const std::string table = before.database + ": " + before.table;
    if (restored == nullptr || restored->is_unread)
        return table + ": it is missing, or cannot be read";
    if (restored->rows != before.rows)
        return fmt::format("{}: {} rows instead of {}", table, restored->rows, before.rows);
    return fmt::format("{}: {} rows, but not the same", table, before.rows);
}

}  // namespace

SumsComparison compare(const std::vector<TableSum>& before, const std::vector<TableSum>& restored,
                       const TableChanges& after) {
    std::map<Name, const TableSum*> copies;
    for (const TableSum& each : restored) copies[{each.database, each.table}] = &each;
    SumsComparison result;
    for (const TableSum& each : before) {
        if (each.is_unread) {
            ++result.unread;
            continue;
        }
        const Name name{each.database, each.table};
        const auto copy = copies.find(name);
        const TableSum* const found = copy == copies.end() ? nullptr : copy->second;
        const bool is_same = found != nullptr && !found->is_unread && found->rows == each.rows &&
                             found->sum == each.sum;
        const auto now = after.find(name);
        if (is_same) {
            ++result.same;
            result.same_rows += each.rows;
        } else if (now == after.end() || now->second != each.changes) {
            ++result.changed;
        } else {
            result.different.push_back(difference(each, found));
        }
    }
    return result;
}

std::string_view outcome_of(const model::Proof& proof) {
    if (!proof.reason.empty()) return "failed";
    return proof.same_rows > 0 ? "proved" : "restored";
}

std::optional<model::ProofStatus> proof_status(const model::BackupReport& report) {
    constexpr Duration kGoodUnasked = std::chrono::hours(14 * 24);
    if (report.proofs.empty()) return std::nullopt;
    const auto told = std::find_if(
        report.proofs.rbegin(), report.proofs.rend(),
        [](const model::SignedProof& each) { return each.proof.outcome != "restored"; });
    const model::Proof& proof =
        told == report.proofs.rend() ? report.proofs.back().proof : told->proof;
    model::ProofStatus status{.outcome = proof.outcome, .at = proof.ended_at};
    // One that is late is no alarm, two are.
    const Duration good = report.prove_every_s > 0
                              ? 2 * Duration(std::chrono::seconds(report.prove_every_s))
                              : kGoodUnasked;
    const auto ended = parse_iso8601(proof.ended_at);
    if (ended.ok())
        status.good_until =
            format_iso8601(*ended + std::chrono::duration_cast<std::chrono::milliseconds>(good));
    if (proof.outcome == "failed")
        status.message = proof.reason;
    else if (proof.outcome == "proved")
        status.message = fmt::format(
            "restored to {}, {} of {} tables are the same, the others "
            "could not be compared",
            proof.time, proof.same, proof.tables);
    else
        status.message =
            fmt::format("restored to {} and read, but no table could be compared", proof.time);
    return status;
}

std::optional<Duration> proof_overdue(const model::BackupReport& report, Duration every,
                                      Timestamp now) {
    constexpr Duration kFirst = std::chrono::hours(24);
    if (every <= Duration::zero() || report.is_unknown || report.backups.empty())
        return std::nullopt;
    const bool is_first = report.proofs.empty();
    const auto last = parse_iso8601(is_first ? report.backups.front().completed_at
                                             : report.proofs.back().proof.ended_at);
    if (!last.ok()) return std::nullopt;
    // One that failed is not believed for a week.
    const bool is_soon = is_first || report.proofs.back().proof.outcome == "failed";
    const Duration overdue = (now - *last) - (is_soon ? std::min(kFirst, every) : every);
    if (overdue < Duration::zero()) return std::nullopt;
    return overdue;
}

}  // namespace howdah::core::backup
