#include "agent/backup/copy_check.h"

#include <fmt/core.h>

#include <algorithm>

#include "agent/backup/superuser_session.h"
#include "pg/connection.h"

namespace howdah::agent {
namespace {

constexpr std::size_t kDamagesMax = 10;
constexpr std::size_t kDamageBytesMax = 200;

constexpr std::string_view kPrepared =
    "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()";
constexpr std::string_view kTables =
    "SELECT c.oid, c.oid::pg_catalog.regclass, false FROM pg_catalog.pg_class c "
    "WHERE c.relkind IN ('r', 'm', 't') AND c.relpersistence = 'p' ORDER BY c.oid";
constexpr std::string_view kIndexes =
    "SELECT c.oid, c.oid::pg_catalog.regclass, i.indexprs IS NOT NULL OR i.indpred IS NOT NULL "
    "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid "
    "JOIN pg_catalog.pg_am a ON a.oid = c.relam "
    "WHERE c.relkind = 'i' AND c.relpersistence = 'p' AND a.amname = 'btree' "
    "AND i.indisvalid AND i.indisready ORDER BY c.oid";
constexpr std::string_view kCheckTable =
    "SELECT pg_catalog.concat('page ', blkno, ', row ', offnum, ': ', msg) "
    "FROM pg_catalog.verify_heapam($1::pg_catalog.regclass) LIMIT 3";
constexpr std::string_view kCheckIndex =
    "SELECT pg_catalog.bt_index_parent_check($1::pg_catalog.regclass, true)";
constexpr std::string_view kCheckIndexAlone =
    "SELECT pg_catalog.bt_index_parent_check($1::pg_catalog.regclass, false)";

/// data_corrupted, index_corrupted; all else is about a function of the index, or a lock.
bool is_damage(const Error& error) { return error.target == "XX001" || error.target == "XX002"; }

Status prepare(pg::Connection& session) {
    // No event trigger of an extension that the copy does not load.
    HD_CHECK(session.execute(
        "SET default_transaction_read_only = off; SET session_replication_role = 'replica'"));
    HD_TRY(const pg::Rows prepared, session.query(kPrepared));
    for (const pg::Row& row : prepared.rows)
        HD_CHECK(session.execute("ROLLBACK PREPARED " + pg::quote_literal(row[0].value_or(""))));
    // A customer's own may have had members added that fit better.
    HD_CHECK(session.execute("DROP EXTENSION IF EXISTS amcheck CASCADE"));
    return session.execute("CREATE EXTENSION amcheck SCHEMA pg_catalog");
}

class Check {
  public:
    Check(CopyFindings& findings, std::string database, Duration relation_max, Instant deadline,
          const std::stop_token& stop)
        : findings_(findings),
          database_(std::move(database)),
          relation_max_(relation_max),
          deadline_(deadline),
          stop_(stop) {}

    /// Each relation in a session of its own words: one that breaks it is followed by another.
    Status run(const SumsSource& copy) {
        HD_TRY(auto session, superuser_session(copy, database_));
        HD_CHECK(prepare(session));
        for (const auto& [list, check, count] :
             {std::tuple(kTables, kCheckTable, &findings_.tables),
              std::tuple(kIndexes, kCheckIndex, &findings_.indexes)}) {
            HD_TRY(const pg::Rows relations, session.query(list));
            for (const pg::Row& row : relations.rows) {
                if (stop_.stop_requested())
                    return Error{ErrorCode::cancelled, "the check was broken off"};
                look(session, check, row, *count);
                if (!session.is_broken()) continue;
                HD_TRY(session, superuser_session(copy, database_));
            }
        }
        return ok_status();
    }

  private:
    void look(pg::Connection& session, std::string_view check, const pg::Row& relation,
              std::int64_t& count) {
        const Duration left = deadline_ - SystemClock().now();
        if (left <= Duration::zero()) {
            ++findings_.unchecked;
            return;
        }
        const auto found =
            session.query(check, {relation[0]}, std::min(relation_max_, left), {.stop = stop_});
        const std::string name = relation[1].value_or("");
        if (!found.ok()) {
            // What an index's function returns depends on settings that are not known here.
            const bool may_differ = relation[2] == "t" && !session.is_broken() &&
                                    session
                                        .query(kCheckIndexAlone, {relation[0]},
                                               std::min(relation_max_, left), {.stop = stop_})
                                        .ok();
            if (is_damage(found.error()) && !may_differ) return note(name, found.error().message);
            ++findings_.unchecked;
            return;
        }
        ++count;
        for (const pg::Row& row : found->rows)
            if (row[0] && !row[0]->empty()) note(name, *row[0]);
    }

    void note(const std::string& relation, const std::string& what) {
        if (findings_.damages.size() >= kDamagesMax) return;
        std::string text = fmt::format("{}: {}: {}", database_, relation, what);
        text.resize(std::min(text.size(), kDamageBytesMax));
        findings_.damages.push_back(std::move(text));
    }

    CopyFindings& findings_;
    const std::string database_;
    const Duration relation_max_;
    const Instant deadline_;
    const std::stop_token& stop_;
};

}  // namespace

Result<CopyFindings> check_copy(const SumsSource& copy, Duration relation_max, Instant deadline,
                                const std::stop_token& stop) {
    CopyFindings findings;
    HD_TRY(const auto databases, databases_of(copy));
    for (const std::string& each : databases)
        HD_CHECK(Check(findings, each, relation_max, deadline, stop).run(copy));
    return findings;
}

}  // namespace howdah::agent
