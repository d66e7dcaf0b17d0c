#include "core/ha/ha.h"

#include <algorithm>
#include <array>

namespace howdah::core::ha {
namespace {

// ---------------------------------------------------------------------------------------------
// What the rules ask

bool leads(const View& v) { return v.record && v.record->primary == v.self; }
bool is_in_set(const View& v) { return v.record && v.record->sync_set.contains(v.self); }
bool has_given_up(const View& v) { return v.record && v.record->given_up.contains(v.self); }
bool is_alone(const View& v) { return v.record->sync_set.empty(); }
bool is_primary(const View& v) { return v.postgres == Postgres::primary; }
bool is_standby(const View& v) { return v.postgres == Postgres::standby; }
bool is_absent(const View& v) { return v.postgres == Postgres::absent; }
bool is_stopped(const View& v) { return v.postgres == Postgres::stopped; }
bool is_down(const View& v) { return is_stopped(v) || is_absent(v); }

const Peer* find_peer(const View& v, const MemberId& id) {
    const auto found = std::find_if(v.peers.begin(), v.peers.end(),
                                    [&](const Peer& each) { return each.id == id; });
    return found == v.peers.end() ? nullptr : &*found;
}

/// The lease, or the word of every member that could be promoted: while the store is away the
/// members themselves can say that nobody takes over.
bool has_authority(const View& v) {
    if (v.lease_holds) return true;
    return std::all_of(v.record->sync_set.begin(), v.record->sync_set.end(),
                       [&](const MemberId& each) {
                           const Peer* peer = find_peer(v, each);
                           return peer != nullptr && peer->has_promised;
                       });
}

/// A running primary that answers, whose record was read just now and who may change it.
bool may_change(const View& v) {
    return leads(v) && is_primary(v) && !v.is_silent && v.store_answers && v.lease_holds;
}

bool is_within(const Members& some, const Members& all) {
    return std::includes(all.begin(), all.end(), some.begin(), some.end());
}

bool waits_for_all(const View& v) {
    return v.waits_for && is_within(v.record->sync_set, *v.waits_for);
}

/// It streams, and its directory stays.
bool may_join(const View& v, const Peer& peer) {
    return v.record->wants_standby && peer.is_streaming && !v.record->given_up.contains(peer.id);
}

/// The member that PostgreSQL was told to wait for and that is to join the sync_set.
const Peer* growing(const View& v) {
    for (const MemberId& each : v.told) {
        const Peer* peer = v.record->sync_set.contains(each) ? nullptr : find_peer(v, each);
        if (peer != nullptr && may_join(v, *peer)) return peer;
    }
    return nullptr;
}

/// A member of the sync_set that holds every commit up.
std::optional<MemberId> lost_standby(const View& v) {
    for (const MemberId& each : v.record->sync_set) {
        const Peer* peer = find_peer(v, each);
        if (peer == nullptr || !peer->is_streaming || !v.record->wants_standby) return each;
    }
    return std::nullopt;
}

/// Who would take the primary's place now. One that is only read of may be gone for long.
const Peer* candidate(const View& v) {
    const Peer* best = nullptr;
    for (const MemberId& each : v.record->sync_set) {
        const Peer* peer = find_peer(v, each);
        if (peer == nullptr || !peer->has_renewed) continue;
        if (best == nullptr || v.record->successor == each) best = peer;
    }
    return best;
}

bool may_be_alive(const View& v, const MemberId& id) {
    const Peer* peer = find_peer(v, id);
    return peer != nullptr && peer->is_alive;
}

const Peer* new_standby(const View& v) {
    for (const Peer& each : v.peers)
        if (may_join(v, each) && !v.told.contains(each.id)) return &each;
    return nullptr;
}

/// For others than those of the sync_set, while nobody is about to join it.
bool waits_for_others(const View& v) {
    const bool has_all = is_within(v.record->sync_set, v.told);
    return !has_all || (growing(v) == nullptr && v.told.size() > v.record->sync_set.size());
}

/// Every commit that is not on it waits for it.
bool may_grow(const View& v, const Peer& peer) {
    return v.waits_for && v.waits_for->contains(peer.id) && peer.has_caught_up;
}

bool primary_is_alive(const View& v) { return may_be_alive(v, v.record->primary); }

/// There is a primary to learn from.
bool can_follow(const View& v) { return !leads(v) && v.store_answers && primary_is_alive(v); }

// ---------------------------------------------------------------------------------------------
// The table. The first row that holds is what happens, so a row that waits guards those below it.

using enum Section;

constexpr std::array kRules = {
    // Fence: an instance that must not go on as primary.
    Rule{"F1", fence, [](const View& v) { return is_primary(v) && v.record && !leads(v); },
         Action::stop_now, "the record names another primary", true},
    Rule{"F2", fence,
         [](const View& v) {
             return is_primary(v) && leads(v) && !is_alone(v) && !has_authority(v);
         },
         Action::stop_now, "neither the lease nor promises hold, so a standby may have taken over",
         true},
    Rule{"F3", fence,
         [](const View& v) {
             return is_primary(v) && leads(v) && v.is_hung && v.store_answers &&
                    candidate(v) != nullptr;
         },
         Action::stop_now, "PostgreSQL does not answer, and a standby can go on"},
    Rule{"F4", fence, [](const View& v) { return v.postgres == Postgres::starting; }, Action::wait,
         "PostgreSQL starts"},
    Rule{"F5", fence, [](const View& v) { return !v.record.has_value(); }, Action::wait,
         "the record was never read"},

    // Lead: the record names this member.
    Rule{"L1", lead, [](const View& v) { return leads(v) && v.store_answers && v.change_in_doubt; },
         Action::touch, "an own change may still happen, and must not be built upon", true},
    Rule{"L2", lead,
         [](const View& v) {
             return is_down(v) && leads(v) && v.store_answers && !v.is_asked_to_start &&
                    candidate(v) != nullptr;
         },
         Action::hand_over, "the primary is down, and a member of the sync_set has every commit"},
    Rule{"L9", lead,
         [](const View& v) {
             return is_down(v) && leads(v) && v.store_answers && !v.is_asked_to_start &&
                    std::any_of(v.record->sync_set.begin(), v.record->sync_set.end(),
                                [&](const MemberId& each) { return may_be_alive(v, each); });
         },
         Action::wait, "whether a member of the sync_set lives is not known yet"},
    Rule{"L3", lead,
         [](const View& v) {
             return is_stopped(v) && leads(v) && v.store_answers && v.own_term != v.record->term;
         },
         Action::start_standby, "only a promotion leaves the timeline of the primary before", true},
    Rule{"L4", lead, [](const View& v) { return is_stopped(v) && leads(v) && v.store_answers; },
         Action::start_primary, "nobody else can go on"},
    Rule{"L5", lead, [](const View& v) { return is_stopped(v) && leads(v) && !is_alone(v); },
         Action::wait, "the store does not answer, and a standby may have been promoted"},
    Rule{"L6", lead,
         [](const View& v) { return is_stopped(v) && leads(v) && v.own_term == v.record->term; },
         Action::start_primary, "nobody else can ever have been promoted"},
    Rule{"L19", lead, [](const View& v) { return is_standby(v) && leads(v) && v.is_hung; },
         Action::stop_now, "PostgreSQL does not answer; started anew it can be promoted"},
    Rule{"L20", lead, [](const View& v) { return is_standby(v) && leads(v) && v.is_silent; },
         Action::wait, "whether the stream is cut cannot be seen"},
    Rule{"L7", lead, [](const View& v) { return is_standby(v) && leads(v) && v.receives; },
         Action::cut, "the old primary could still be acknowledged through the stream"},
    Rule{"L8", lead, [](const View& v) { return is_standby(v) && leads(v); }, Action::promote,
         "no other member can be acknowledged any more"},
    Rule{"L10", lead, [](const View& v) { return may_change(v) && !v.record->is_noted(); },
         Action::note_timeline, "a former primary must learn where this timeline began", true},
    Rule{"L11", lead, [](const View& v) { return may_change(v) && lost_standby(v).has_value(); },
         Action::shrink, "a standby is lost, and commits wait for it"},
    Rule{"L12", lead, [](const View& v) { return may_change(v) && waits_for_others(v); },
         Action::set_sync, "commits wait for others than the store says"},
    Rule{"L13", lead,
         [](const View& v) {
             return may_change(v) && growing(v) != nullptr && !may_grow(v, *growing(v));
         },
         Action::wait, "a commit from before PostgreSQL waited may not be on the new standby",
         true},
    Rule{"L14", lead, [](const View& v) { return may_change(v) && growing(v) != nullptr; },
         Action::grow, "the new standby has every commit, and PostgreSQL waits for it"},
    Rule{"L15", lead, [](const View& v) { return may_change(v) && new_standby(v) != nullptr; },
         Action::set_sync, "a standby streams and is to join the sync_set"},
    Rule{"L16", lead,
         [](const View& v) {
             return may_change(v) && v.record->successor &&
                    (!v.record->sync_set.contains(*v.record->successor) ||
                     !may_be_alive(v, *v.record->successor));
         },
         Action::forget_successor, "the successor cannot take over"},
    Rule{"L17", lead,
         [](const View& v) {
             return may_change(v) && v.record->successor && candidate(v) != nullptr;
         },
         Action::stop_clean, "a switchover is asked for"},
    Rule{"L18", lead, [](const View& v) { return leads(v); }, Action::wait, "all is well"},

    // Follow: another member is the primary.
    Rule{"W5", follow,
         [](const View& v) {
             const bool is_of_use = v.history == History::fits && !v.is_hopeless;
             return !is_in_set(v) && can_follow(v) && !is_absent(v) && !is_of_use &&
                    !has_given_up(v);
         },
         Action::give_up, "the primary must not count on a directory that is to be replaced", true},
    Rule{"W2", follow,
         [](const View& v) {
             return can_follow(v) && has_given_up(v) && v.history == History::diverged;
         },
         Action::rewind, "the directory has WAL of its own behind a switch"},
    Rule{"W1", follow,
         [](const View& v) {
             return !is_in_set(v) && can_follow(v) && (is_absent(v) || has_given_up(v));
         },
         Action::clone, "there is no directory, or none with a place in the record's history",
         true},
    Rule{"W3", follow,
         [](const View& v) { return is_stopped(v) && (is_in_set(v) || can_follow(v)); },
         Action::start_standby, "the primary needs a standby, or a successor"},
    Rule{"W4", follow,
         [](const View& v) {
             return is_standby(v) && can_follow(v) && v.follows != v.record->primary;
         },
         Action::follow, "another member is the primary now"},

    // Succeed: a standby beside a primary that may be gone.
    Rule{"S1", succeed, [](const View& v) { return is_standby(v) && !is_in_set(v); }, Action::wait,
         "only a member of the sync_set has every acknowledged commit", true},
    Rule{"S2", succeed, [](const View& v) { return is_standby(v) && !v.store_answers; },
         Action::wait, "without the store nobody can take over"},
    Rule{"S3", succeed, [](const View& v) { return is_standby(v) && primary_is_alive(v); },
         Action::wait, "the primary renews its lease", true},
    Rule{"S4", succeed, [](const View& v) { return is_standby(v) && v.has_promised; }, Action::wait,
         "the primary was promised that nobody takes over", true},
    Rule{"S5", succeed, [](const View& v) { return is_standby(v) && v.replay_is_paused; },
         Action::wait, "it would not come up while replay is paused"},
    Rule{"S6", succeed, [](const View& v) { return is_standby(v); }, Action::take_over,
         "the primary's lease ran out"},
    Rule{"S7", succeed, [](const View&) { return true; }, Action::wait,
         "there is no primary to learn from"},
};

Members names_for(const View& v) {
    Members names = v.record->sync_set;
    if (waits_for_others(v)) return names;
    names.insert(v.told.begin(), v.told.end());
    if (const Peer* joining = may_change(v) ? new_standby(v) : nullptr) names.insert(joining->id);
    return names;
}

std::optional<MemberId> peer_for(const View& v, Action action) {
    const auto id_of = [](const Peer* peer) {
        return peer == nullptr ? std::optional<MemberId>() : std::optional(peer->id);
    };
    switch (action) {
        case Action::grow:
            return id_of(growing(v));
        case Action::shrink:
            return lost_standby(v);
        case Action::hand_over:
            return id_of(candidate(v));
        default:
            return std::nullopt;
    }
}

}  // namespace

std::span<const Rule> rules() { return kRules; }

Decision decide(const View& view, std::span<const Rule> table) {
    for (const Rule& rule : table) {
        if (!rule.holds(view)) continue;
        Decision decision{&rule, rule.action};
        decision.peer = peer_for(view, rule.action);
        if (rule.action == Action::set_sync) decision.names = names_for(view);
        if (rule.action == Action::start_primary) decision.names = view.record->sync_set;
        return decision;
    }
    return {};
}

bool may_serve(const View& v) {
    return leads(v) && is_primary(v) && !v.is_hung && v.record->is_noted() &&
           !v.record->successor && waits_for_all(v) && (is_alone(v) || has_authority(v)) &&
           (is_alone(v) || !v.recovery_is_exposed);
}

namespace {

/// How many switches both have.
std::size_t common_switches(const Timelines& own, const Timelines& noted) {
    std::size_t same = 0;
    while (same < own.size() && same < noted.size() && own[same] == noted[same]) ++same;
    return same;
}

}  // namespace

Lsn common_end(const Timelines& own, Lsn end, const Timelines& noted) {
    const std::size_t same = common_switches(own, noted);
    if (same < own.size()) end = std::min(end, own[same].at);
    if (same < noted.size()) end = std::min(end, noted[same].at);
    return end;
}

History history_of(const Timelines& own, Lsn end, const Timelines& noted) {
    if (common_switches(own, noted) < own.size()) return History::unknown;
    return common_end(own, end, noted) < end ? History::diverged : History::fits;
}

Record next_term(Record record, const MemberId& primary) {
    ++record.term;
    record.primary = primary;
    record.sync_set.clear();
    record.successor.reset();
    return record;
}

Record without(Record record, const MemberId& member) {
    std::erase_if(record.given_up, [&](const MemberId& each) { return each.node == member.node; });
    record.given_up.insert(member);
    return record;
}

std::string_view to_string(Action action) {
    switch (action) {
        case Action::wait:
            return "wait";
        case Action::stop_now:
            return "stop_now";
        case Action::stop_clean:
            return "stop_clean";
        case Action::start_primary:
            return "start_primary";
        case Action::start_standby:
            return "start_standby";
        case Action::follow:
            return "follow";
        case Action::cut:
            return "cut";
        case Action::promote:
            return "promote";
        case Action::set_sync:
            return "set_sync";
        case Action::grow:
            return "grow";
        case Action::shrink:
            return "shrink";
        case Action::hand_over:
            return "hand_over";
        case Action::take_over:
            return "take_over";
        case Action::note_timeline:
            return "note_timeline";
        case Action::touch:
            return "touch";
        case Action::forget_successor:
            return "forget_successor";
        case Action::give_up:
            return "give_up";
        case Action::rewind:
            return "rewind";
        case Action::clone:
            return "clone";
    }
    return "?";
}

std::string_view to_string(Section section) {
    switch (section) {
        case fence:
            return "fence";
        case lead:
            return "lead";
        case follow:
            return "follow";
        case succeed:
            return "succeed";
    }
    return "?";
}

}  // namespace howdah::core::ha
