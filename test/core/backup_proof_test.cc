#include <gtest/gtest.h>

#include "core/backup/proof.h"

namespace howdah::core::backup {
namespace {

TableSum table(const std::string& name, std::int64_t rows, const std::string& sum,
               const std::string& changes = "1") {
    return {.database = "d", .table = name, .rows = rows, .sum = sum, .changes = changes};
}

TEST(backup_proof, equal_sums_are_the_same_whatever_was_counted) {
    const auto result = compare({table("a", 3, "x"), table("b", 0, "")},
                                {table("a", 3, "x"), table("b", 0, "")}, {{{"d", "a"}, "2"}});
    EXPECT_EQ(result.same, 2);
    EXPECT_EQ(result.same_rows, 3);
    EXPECT_TRUE(result.different.empty());
}

TEST(backup_proof, what_differs_and_was_not_written_to_is_named) {
    auto locked = table("e", 0, "");
    locked.is_unread = true;
    const auto result =
        compare({table("a", 3, "x"), table("b", 4, "y"), table("c", 5, "z"), table("e", 1, "w")},
                {table("a", 3, "other"), table("b", 2, "y"), locked},
                {{{"d", "a"}, "1"}, {{"d", "b"}, "1"}, {{"d", "c"}, "1"}, {{"d", "e"}, "1"}});
    EXPECT_EQ(result.different, (std::vector<std::string>{
                                    "d: a: 3 rows, but not the same", "d: b: 2 rows instead of 4",
                                    "d: c: it is missing, or cannot be read",
                                    "d: e: it is missing, or cannot be read"}));
    EXPECT_EQ(result.same + result.changed + result.unread, 0);
}

TEST(backup_proof, what_may_have_been_written_to_says_nothing) {
    auto unread = table("c", 0, "");
    unread.is_unread = true;
    const auto result =
        compare({table("a", 3, "x"), table("b", 4, "y"), unread},
                {table("a", 2, "o"), table("b", 5, "p"), table("c", 9, "q")}, {{{"d", "a"}, "2"}});
    EXPECT_EQ(result.changed, 2) << "one was written to, one is not there any more";
    EXPECT_EQ(result.unread, 1);
    EXPECT_TRUE(result.different.empty());
}

TEST(backup_proof, a_server_that_cannot_be_asked_makes_no_alarm) {
    const auto result = compare({table("a", 3, "x")}, {table("a", 2, "y")}, {});
    EXPECT_EQ(result.changed, 1);
}

TEST(backup_proof, tables_of_one_name_in_two_databases_are_two) {
    auto here = table("a", 1, "x");
    auto there = table("a", 2, "y");
    there.database = "e";
    const auto result = compare({here, there}, {there, here}, {});
    EXPECT_EQ(result.same, 2);
}

TEST(backup_proof, nothing_compared_is_no_proof) {
    EXPECT_EQ(outcome_of({.tables = 3, .same = 1, .same_rows = 7}), "proved");
    EXPECT_EQ(outcome_of({.tables = 3, .same = 3}), "restored") << "no row anywhere";
    EXPECT_EQ(outcome_of({.tables = 3, .changed = 3}), "restored");
    EXPECT_EQ(outcome_of({}), "restored");
    EXPECT_EQ(outcome_of({.reason = "damaged", .same = 3}), "failed");
}

TEST(backup_proof, the_status_is_that_of_the_newest_that_says_something) {
    model::BackupReport report{.prove_every_s = 7 * 24 * 3600};
    const auto add = [&](const std::string& outcome, const std::string& at) {
        report.proofs.push_back(
            {{.outcome = outcome, .reason = outcome == "failed" ? "damaged" : "", .ended_at = at},
             ""});
        return proof_status(report).value();
    };
    EXPECT_FALSE(proof_status(report));
    EXPECT_EQ(add("restored", "2026-11-20T00:00:00.000Z").outcome, "restored");
    const auto proved = add("proved", "2026-11-21T00:00:00.000Z");
    EXPECT_EQ(proved.good_until, "2026-12-05T00:00:00.000Z");
    EXPECT_EQ(add("restored", "2026-11-22T00:00:00.000Z"), proved);
    EXPECT_EQ(add("failed", "2026-11-23T00:00:00.000Z").message, "damaged");
    EXPECT_EQ(add("restored", "2026-11-24T00:00:00.000Z").outcome, "failed");
    report.prove_every_s = 0;
    EXPECT_EQ(add("proved", "2026-11-25T00:00:00.000Z").good_until, "2026-12-09T00:00:00.000Z");
}

TEST(backup_proof, is_due_a_day_after_the_first_backup_and_then_every_week) {
    using std::chrono::hours;
    const Duration week = hours(7 * 24);
    const Timestamp begin = parse_iso8601("2026-11-20T00:00:00Z").value();
    model::BackupReport report;
    EXPECT_FALSE(proof_overdue(report, week, begin)) << "no backup";
    report.backups = {{.completed_at = "2026-11-20T00:00:00.000Z"}};
    EXPECT_FALSE(proof_overdue(report, week, begin + hours(23)));
    EXPECT_EQ(proof_overdue(report, week, begin + hours(25)), Duration(hours(1)));
    EXPECT_TRUE(proof_overdue(report, hours(2), begin + hours(3))) << "more often than once a day";
    EXPECT_FALSE(proof_overdue(report, Duration::zero(), begin + hours(999))) << "never";
    report.proofs = {{{.outcome = "proved", .ended_at = "2026-11-21T00:00:00.000Z"}, ""}};
    EXPECT_FALSE(proof_overdue(report, week, begin + hours(7 * 24)));
    EXPECT_EQ(proof_overdue(report, week, begin + hours(8 * 24)), Duration::zero());
    report.proofs[0].proof.outcome = "failed";
    EXPECT_TRUE(proof_overdue(report, week, begin + hours(49))) << "it is tried again";
    report.is_unknown = true;
    EXPECT_FALSE(proof_overdue(report, week, begin + hours(9 * 24)));
}

}  // namespace
}  // namespace howdah::core::backup
