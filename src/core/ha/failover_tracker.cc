#include "core/ha/failover_tracker.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace howdah::core::ha {
namespace {

using model::FailoverPart;
using model::FailoverStep;

constexpr std::size_t kSignsMax = 12;

FailoverStep make_step(std::int64_t at_ms, std::string_view kind, std::string text) {
    return {.at_ms = at_ms, .kind = std::string(kind), .rule = "", .text = std::move(text)};
}

FailoverStep make_step(std::int64_t at_ms, std::string_view kind, const Rule& rule) {
    return {.at_ms = at_ms,
            .kind = std::string(kind),
            .rule = std::string(rule.id),
            .text = std::string(rule.reason)};
}

bool has(const std::vector<FailoverStep>& steps, std::string_view kind) {
    return std::any_of(steps.begin(), steps.end(),
                       [&](const FailoverStep& each) { return each.kind == kind; });
}

bool is_well(const View& v) {
    const bool leads = v.record->primary == v.self;
    if (leads) return v.postgres == Postgres::primary && !v.is_hung && may_serve(v);
    return v.postgres == Postgres::standby && v.receives && !v.record->successor;
}

}  // namespace

std::string position_text(Lsn lsn) { return fmt::format("{:X}/{:X}", lsn >> 32, lsn & 0xffffffff); }

FailoverTracker::FailoverTracker(std::vector<FailoverPart> parts, std::optional<Record> known,
                                 bool is_promoting)
    : parts_(std::move(parts)), before_(std::move(known)), was_promoting_(is_promoting) {}

// ---------------------------------------------------------------------------------------------
// Parts and signs

/// The part of the term that the record was last seen in, while there is more to come.
FailoverPart* FailoverTracker::open_part() {
    if (parts_.empty() || !before_) return nullptr;
    FailoverPart& last = parts_.back();
    return last.term == before_->term && !last.is_over ? &last : nullptr;
}

void FailoverTracker::add(FailoverPart& part, FailoverStep step) {
    if (part.steps.size() >= kStepsMax || has(part.steps, step.kind)) return;
    part.steps.push_back(std::move(step));
}

void FailoverTracker::add_sign(FailoverStep step) {
    if (signs_.size() >= kSignsMax || has(signs_, step.kind)) return;
    signs_.push_back(std::move(step));
}

/// The record has another primary than when it was last seen.
void FailoverTracker::begin(const Sight& sight) {
    const Record& record = *sight.view.record;
    FailoverPart part{.term = record.term,
                      .host = host_,
                      .old_primary = before_->primary.node,
                      .new_primary = record.primary.node};
    const bool is_new = part.new_primary == host_;
    const bool is_old = part.old_primary == host_;
    if (is_new == is_old) return signs_.clear();
    part.was_in_sync_set = is_new && before_->sync_set.contains(sight.view.self);
    part.steps = std::exchange(signs_, {});
    const bool is_own =
        last_action_ == Action::hand_over ? is_old : last_action_ == Action::take_over && is_new;
    FailoverStep changed = make_step(
        sight.now_ms, step::kRecordSeen,
        fmt::format("the record of term {} names host '{}'", record.term, record.primary.node));
    if (is_own) {
        changed.kind = is_old ? step::kHandedOver : step::kTakenOver;
        changed.rule = last_rule_;
    }
    add(part, std::move(changed));
    // A file of a change that is under way would be in its way.
    has_news_ = has_news_ || is_old;
    if (parts_.size() >= kPartsMax) parts_.erase(parts_.begin());
    parts_.push_back(std::move(part));
}

/// An agent that was killed before its member let clients in.
void FailoverTracker::begin_again(const Sight& sight) {
    const View& v = sight.view;
    const bool is_under_way = was_promoting_ || v.postgres == Postgres::standby;
    const bool is_known = !parts_.empty() && parts_.back().term >= v.record->term;
    if (v.record->primary.node != host_ || !is_under_way || is_known) return;
    FailoverPart part{.term = v.record->term, .host = host_, .new_primary = host_};
    part.steps = std::exchange(signs_, {});
    if (parts_.size() >= kPartsMax) parts_.erase(parts_.begin());
    parts_.push_back(std::move(part));
}

// ---------------------------------------------------------------------------------------------
// What is seen

void FailoverTracker::look(const Sight& sight) {
    const View& v = sight.view;
    if (!v.record) return;
    host_ = v.self.node;
    const bool is_first = std::exchange(is_first_, false);
    if (is_first && before_)
        add_sign(make_step(sight.now_ms, step::kAgentStarted, "the agent was started anew"));
    const bool is_later = before_ && v.record->term > before_->term;
    if (is_later && v.record->primary.node != before_->primary.node) begin(sight);
    const bool is_same_term = before_ && v.record->term == before_->term;
    if (!before_ || *before_ != *v.record) before_ = v.record;
    if (is_first && is_same_term) begin_again(sight);
    if (!is_same_term && !is_first) {
        was_primary_ = false;
        was_received_ = false;
        last_action_ = Action::wait;
    }
    FailoverPart* part = open_part();
    if (part != nullptr && part->new_primary != host_) return follow_old_primary(sight, *part);
    if (part != nullptr) follow_new_primary(sight, *part);
    look_for_signs(sight);
}

void FailoverTracker::look_for_signs(const Sight& sight) {
    const View& v = sight.view;
    if (is_well(v)) {
        signs_.clear();
        last_action_ = Action::wait;
        was_received_ = v.receives;
    }
    if (v.record->primary == v.self) {
        if (v.postgres == Postgres::primary) was_primary_ = true;
        if (v.is_hung)
            add_sign(make_step(sight.last_answer_ms, step::kLastAnswer,
                               "PostgreSQL answered for the last time"));
        if (was_primary_ && v.postgres == Postgres::stopped)
            add_sign(make_step(sight.now_ms, step::kPostgresEnded, "PostgreSQL has ended"));
        return;
    }
    if (v.record->successor == v.self)
        add_sign(make_step(sight.now_ms, step::kPlannedAsked,
                           "the record names this member as the successor"));
    const bool has_ended =
        was_received_ && sight.answers && v.postgres == Postgres::standby && !v.receives;
    if (!has_ended || has(signs_, step::kStreamEnded)) return;
    FailoverStep ended =
        make_step(sight.now_ms, step::kStreamEnded,
                  "no WAL comes from the primary, which waits for this member at every commit");
    ended.position = position_text(sight.end);
    add_sign(std::move(ended));
}

void FailoverTracker::follow_new_primary(const Sight& sight, FailoverPart& part) {
    const View& v = sight.view;
    if (v.postgres != Postgres::primary || !sight.answers) return;
    if (has(part.steps, step::kPromoted) || !sight.own_switch) return;
    if (sight.own_switch->term != part.term) return;
    part.switched_at = position_text(sight.own_switch->at);
    FailoverStep promoted = make_step(sight.now_ms, step::kPromoted,
                                      "PostgreSQL has replayed all that it has and is the primary");
    promoted.position = part.switched_at;
    add(part, std::move(promoted));
}

void FailoverTracker::follow_old_primary(const Sight& sight, FailoverPart& part) {
    const View& v = sight.view;
    if (v.postgres == Postgres::stopped && !has(part.steps, step::kPostgresEnded)) {
        add(part, make_step(sight.now_ms, step::kPostgresEnded, "PostgreSQL has ended"));
        has_news_ = true;
    }
    if (v.postgres != Postgres::standby || !v.receives || v.follows != v.record->primary) return;
    // Without a copy its history is a part of the new one.
    if (!has(part.steps, step::kCopyBegun)) part.discarded_bytes = 0;
    add(part, make_step(sight.now_ms, step::kRejoined, "the former primary follows the new one"));
    part.is_over = true;
    has_news_ = true;
}

// ---------------------------------------------------------------------------------------------
// What is done

void FailoverTracker::decided(const Sight& sight, const Rule& rule) {
    if (!sight.view.record) return;
    FailoverPart* part = open_part();
    const bool is_new = part != nullptr && part->new_primary == host_;
    switch (rule.action) {
        case Action::stop_now:
        case Action::stop_clean: {
            FailoverStep stop = make_step(sight.now_ms, step::kStopAsked, rule);
            if (sight.answers) stop.position = position_text(sight.end);
            part != nullptr ? add(*part, std::move(stop)) : add_sign(std::move(stop));
            return;
        }
        case Action::take_over:
            if (sight.primary_renewed_ms)
                add_sign(make_step(*sight.primary_renewed_ms, step::kLastRenewal,
                                   "the lease of the primary's host was last seen to move"));
            [[fallthrough]];
        case Action::hand_over:
            last_action_ = rule.action;
            last_rule_ = rule.id;
            return;
        case Action::cut:
            if (is_new) add(*part, make_step(sight.now_ms, step::kStreamCut, rule));
            return;
        case Action::promote: {
            if (!is_new || has(part->steps, step::kOldPrimaryStopped)) return;
            FailoverStep stopped = make_step(sight.now_ms, step::kOldPrimaryStopped, rule);
            if (sight.answers) part->received = stopped.position = position_text(sight.end);
            return add(*part, std::move(stopped));
        }
        case Action::rewind:
        case Action::clone:
            if (part == nullptr || is_new || has(part->steps, step::kCopyBegun)) return;
            add(*part, make_step(sight.now_ms, step::kCopyBegun, rule));
            has_news_ = true;
            return;
        default:
            return;
    }
}

void FailoverTracker::asked(std::int64_t now_ms, bool is_planned) {
    if (is_planned)
        return add_sign(make_step(now_ms, step::kPlannedAsked, "a planned failover was asked for"));
    add_sign(make_step(now_ms, step::kForcedAsked, "a forced failover was asked for"));
    add_sign(make_step(now_ms, step::kStopAsked, "the primary is ended at once, as was asked"));
}

void FailoverTracker::opened(std::int64_t now_ms) {
    FailoverPart* part = open_part();
    if (part == nullptr || part->new_primary != host_) return;
    add(*part, make_step(now_ms, step::kOpened, "clients are let in"));
    part->is_over = true;
    has_news_ = true;
}

void FailoverTracker::discarded(std::int64_t now_ms, std::optional<std::int64_t> bytes,
                                std::string kept_at) {
    FailoverPart* part = open_part();
    if (part == nullptr || part->new_primary == host_) return;
    part->discarded_bytes = bytes;
    part->kept_at = std::move(kept_at);
    add(*part, make_step(now_ms, step::kDiscarded,
                         "a copy of the new primary has replaced the former directory"));
    has_news_ = true;
}

void FailoverTracker::old_copy_removed() {
    for (FailoverPart& each : parts_) {
        has_news_ = has_news_ || !each.kept_at.empty();
        each.kept_at.clear();
    }
}

bool FailoverTracker::keeps_old_copy() const {
    return std::any_of(parts_.begin(), parts_.end(),
                       [](const FailoverPart& each) { return !each.kept_at.empty(); });
}

}  // namespace howdah::core::ha
