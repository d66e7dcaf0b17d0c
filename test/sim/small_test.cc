// All that can happen to two members within so many steps, with the real rules and no clock at all:
// any lease may hold or not at any time, any request may come late, twice or never. What has to
// hold then is that nothing acknowledged is lost.

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/ha/ha.h"

namespace howdah::sim {
namespace {

using core::ha::Action;
using core::ha::Decision;
using core::ha::History;
using core::ha::MemberId;
using core::ha::Members;
using core::ha::Peer;
using core::ha::Postgres;
using core::ha::Record;
using core::ha::Rule;
using core::ha::Timelines;
using core::ha::View;

// What keeps the world small.
constexpr std::size_t kCommits = 3;
constexpr core::ha::Term kTerms = 4;
constexpr int kDirectories = 4;
constexpr std::size_t kRequests = 2;

struct Request {
    std::int64_t base = 0;
    Record wanted;
};

struct Member {
    MemberId id;
    Postgres postgres = Postgres::absent;
    std::string wal;  ///< one letter for each commit
    Timelines timelines;
    bool follows = false;  ///< the other one
    bool is_open = false;  ///< clients were let in to this run
    bool tells = false;    ///< PostgreSQL was told to wait for the other one
    bool waits = false;    ///< it does
    std::optional<bool> proved;
    std::size_t heard = 0;  ///< up to where the other one has acknowledged
    std::size_t must_reach = 0;
    // On disk.
    Record known;
    std::int64_t revision = 1;
    std::int64_t doubt_base = 0;
    Members doubt_names;
    std::vector<Request> requests;  ///< on their way

    void stop() {
        postgres = Postgres::stopped;
        is_open = waits = false;
        proved.reset();
        heard = 0;
    }
};

struct Small {
    std::array<Member, 2> members;
    Record record;
    std::int64_t revision = 1;
    std::string acknowledged;
    core::ha::Term newest_term = 1;
    int newest = 0;
    int directories = 1;
    char next_commit = 'a';
    std::string wrong;

    std::string key() const;
};

std::string text_of(const Record& record) {
    std::string text =
        fmt::format("{}{}{}/", record.term, record.primary.node, record.primary.incarnation);
    for (const MemberId& each : record.sync_set) text += each.node + each.incarnation;
    for (const auto& each : record.timelines) text += fmt::format(",{}@{}", each.term, each.at);
    for (const MemberId& each : record.given_up) text += "-" + each.node + each.incarnation;
    return text;
}

std::string Small::key() const {
    std::string text = fmt::format("{}|{}|{}|{}", text_of(record), revision, acknowledged, newest);
    for (const Member& m : members) {
        text +=
            fmt::format("|{}{}{}{}{}{}{}{}{}-{}-{}|{}|{}-{}", m.id.incarnation,
                        static_cast<int>(m.postgres), m.wal, m.follows, m.is_open, m.tells, m.waits,
                        m.proved ? (*m.proved ? "y" : "n") : "?", m.heard, m.must_reach, m.revision,
                        text_of(m.known), m.doubt_base, m.doubt_names.size());
        for (const auto& each : m.timelines) text += fmt::format(",{}@{}", each.term, each.at);
        for (const Request& each : m.requests)
            text += fmt::format(";{}>{}", each.base, text_of(each.wanted));
    }
    return text;
}

/// Everything that an agent cannot know for sure, as it may be just now.
struct Guess {
    bool store_answers = true;
    bool lease_holds = true;
    bool rival_is_alive = true;
    bool standby_streams = true;
};

class Steps {
  public:
    Steps(const Small& from, std::span<const Rule> table) : from_(from), table_(table) {
        for (int i = 0; i < 2; ++i) add_all(i);
    }
    std::vector<std::pair<std::string, Small>> take() { return std::move(found_); }

  private:
    template <typename What>
    void add(std::string name, const What& what) {
        Small next = from_;
        if (what(next)) found_.emplace_back(std::move(name), std::move(next));
    }
    void add_all(int i);
    bool look(Small& w, int i, const Guess& guess, std::string* rule) const;
    static View view_of(const Small& w, int i, const Guess& guess);
    static bool carry_out(Small& w, int i, const Decision& decision);
    static bool ask(Small& w, int i, Record wanted, Members adds);
    static bool copy(Small& w, int i);
    static bool arrive(Small& w, int i, std::size_t which, bool is_answered, bool is_repeated);
    static bool write(Small& w, int i);
    static bool stream(Small& w, int i);
    static bool hear(Small& w, int i);
    static void release(Small& w, int i);
    static void promote(Small& w, int i);

    const Small& from_;
    const std::span<const Rule> table_;
    std::vector<std::pair<std::string, Small>> found_;
};

void Steps::add_all(int i) {
    const std::string& self = from_.members[static_cast<std::size_t>(i)].id.node;
    for (int bits = 0; bits < 16; ++bits) {
        const Guess guess{(bits & 1) == 0, (bits & 2) == 0, (bits & 4) == 0, (bits & 8) == 0};
        std::string rule;
        Small next = from_;
        if (look(next, i, guess, &rule)) found_.emplace_back(self + " " + rule, std::move(next));
    }
    add(self + " crashes", [i](Small& w) {
        Member& m = w.members[static_cast<std::size_t>(i)];
        const bool runs = m.postgres == Postgres::primary || m.postgres == Postgres::standby;
        if (runs) m.stop();
        return runs;
    });
    add(self + "'s agent is started anew", [i](Small& w) {
        return std::exchange(w.members[static_cast<std::size_t>(i)].proved, std::nullopt)
            .has_value();
    });
    add(self + " waits as told", [i](Small& w) {
        Member& m = w.members[static_cast<std::size_t>(i)];
        if (m.postgres != Postgres::primary || m.waits == m.tells) return false;
        m.waits = m.tells;
        release(w, i);
        return true;
    });
    add(self + " commits", [i](Small& w) { return write(w, i); });
    add(self + " receives", [i](Small& w) { return stream(w, i); });
    add(self + " hears of the other", [i](Small& w) { return hear(w, i); });
    for (std::size_t which = 0; which < kRequests; ++which) {
        add(self + "'s request arrives",
            [=](Small& w) { return arrive(w, i, which, true, false); });
        add(self + "'s request arrives, its answer not",
            [=](Small& w) { return arrive(w, i, which, false, false); });
        add(self + "'s request arrives and is repeated",
            [=](Small& w) { return arrive(w, i, which, true, true); });
    }
}

View Steps::view_of(const Small& w, int i, const Guess& guess) {
    const Member& m = w.members[static_cast<std::size_t>(i)];
    const Member& other = w.members[static_cast<std::size_t>(1 - i)];
    View view;
    view.self = m.id;
    view.record = m.known;
    view.store_answers = guess.store_answers;
    view.lease_holds = guess.lease_holds;
    view.change_in_doubt = m.doubt_base != 0;
    if (!guess.store_answers)
        view.record->sync_set.insert(m.doubt_names.begin(), m.doubt_names.end());
    view.postgres = m.postgres;
    view.own_term = m.timelines.empty() ? 0 : m.timelines.back().term;
    if (m.tells) view.told = {other.id};
    if (m.proved) view.waits_for = *m.proved ? Members{other.id} : Members{};
    view.receives = m.follows && m.postgres == Postgres::standby;
    if (m.follows) view.follows = other.id;
    view.history = core::ha::history_of(m.timelines, m.wal.size(), m.known.timelines);
    if (other.id.incarnation.empty()) return view;
    Peer peer{
        .id = other.id, .is_alive = guess.rival_is_alive, .has_renewed = guess.rival_is_alive};
    peer.is_streaming = guess.standby_streams && m.postgres == Postgres::primary && m.heard > 0;
    peer.has_caught_up = m.heard > m.must_reach;
    view.peers.push_back(peer);
    return view;
}

bool Steps::look(Small& w, int i, const Guess& guess, std::string* rule) const {
    Member& m = w.members[static_cast<std::size_t>(i)];
    if (guess.store_answers) {
        m.known = w.record;
        m.revision = w.revision;
        if (m.revision > m.doubt_base) {
            m.doubt_base = 0;
            m.doubt_names.clear();
        }
    }
    if (m.postgres == Postgres::primary && m.waits == m.tells && m.proved != m.tells) {
        m.proved = m.tells;
        m.must_reach = m.wal.size();
    }
    const View view = view_of(w, i, guess);
    const Decision decision = core::ha::decide(view, table_);
    m.is_open |= core::ha::may_serve(view);
    *rule = decision.rule == nullptr ? "none" : std::string(decision.rule->id);
    return carry_out(w, i, decision);
}

bool Steps::carry_out(Small& w, int i, const Decision& decision) {
    Member& m = w.members[static_cast<std::size_t>(i)];
    const MemberId other = w.members[static_cast<std::size_t>(1 - i)].id;
    Record next = m.known;
    switch (decision.action) {
        case Action::stop_now:
        case Action::stop_clean:
            m.stop();
            return true;
        case Action::start_primary:
            m.stop();
            m.postgres = Postgres::primary;
            m.tells = decision.names.contains(other);
            return true;
        case Action::start_standby:
            m.stop();
            m.postgres = Postgres::standby;
            m.follows = m.known.primary == other;
            return true;
        case Action::follow:
        case Action::cut:
            m.follows = decision.action == Action::follow && m.known.primary == other;
            return true;
        case Action::promote:
            promote(w, i);
            return true;
        case Action::set_sync:
            m.tells = decision.names.contains(other);
            if (m.proved && *m.proved && !m.tells) m.proved = false;
            return true;
        case Action::grow:
            next.sync_set.insert(*decision.peer);
            return ask(w, i, next, {*decision.peer});
        case Action::shrink:
            next.sync_set.erase(*decision.peer);
            return ask(w, i, next, {});
        case Action::hand_over:
            return ask(w, i, core::ha::next_term(next, *decision.peer), {});
        case Action::take_over:
            return ask(w, i, core::ha::next_term(next, m.id), {});
        case Action::note_timeline:
            next.timelines = m.timelines;
            return ask(w, i, next, {});
        case Action::touch:
            return ask(w, i, next, m.doubt_names);
        case Action::give_up:
            return ask(w, i, core::ha::without(next, m.id), {});
        case Action::rewind:
        case Action::clone:
            return copy(w, i);
        default:
            return true;
    }
}

bool Steps::ask(Small& w, int i, Record wanted, Members adds) {
    Member& m = w.members[static_cast<std::size_t>(i)];
    if (m.requests.size() >= kRequests || wanted.term > kTerms) return false;
    m.doubt_base = m.revision;
    m.doubt_names.insert(adds.begin(), adds.end());
    m.requests.push_back({m.revision, std::move(wanted)});
    return true;
}

bool Steps::arrive(Small& w, int i, std::size_t which, bool is_answered, bool is_repeated) {
    Member& m = w.members[static_cast<std::size_t>(i)];
    if (which >= m.requests.size()) return false;
    const Request request = m.requests[which];
    const auto position = m.requests.begin() + static_cast<std::ptrdiff_t>(which);
    if (!is_repeated) m.requests.erase(position);
    const bool happens = request.base == w.revision;
    if (happens) {
        w.record = request.wanted;
        ++w.revision;
    }
    // An answer that nobody waits for any more is none.
    const bool is_last = which + 1 == m.requests.size() + (is_repeated ? 0 : 1);
    if (!is_answered || !is_last || !happens || m.doubt_base != request.base) return true;
    m.known = w.record;
    m.revision = w.revision;
    m.doubt_base = 0;
    m.doubt_names.clear();
    return true;
}

bool Steps::copy(Small& w, int i) {
    Member& m = w.members[static_cast<std::size_t>(i)];
    const Member& other = w.members[static_cast<std::size_t>(1 - i)];
    if (other.postgres != Postgres::primary || w.directories >= kDirectories) return false;
    m.stop();
    m.wal = other.wal;
    m.timelines = other.timelines;
    m.id.incarnation = fmt::format("{}", ++w.directories);
    return true;
}

bool Steps::write(Small& w, int i) {
    Member& m = w.members[static_cast<std::size_t>(i)];
    const bool may = m.postgres == Postgres::primary && m.is_open;
    if (!may || static_cast<std::size_t>(w.next_commit - 'a') >= kCommits) return false;
    m.wal += w.next_commit++;
    release(w, i);
    return true;
}

/// All that the primary has; it is refused from another history.
bool Steps::stream(Small& w, int i) {
    Member& m = w.members[static_cast<std::size_t>(i)];
    const Member& other = w.members[static_cast<std::size_t>(1 - i)];
    const bool runs =
        m.postgres == Postgres::standby && m.follows && other.postgres == Postgres::primary;
    if (!runs || core::ha::history_of(m.timelines, m.wal.size(), other.timelines) != History::fits)
        return false;
    if (m.wal.size() > other.wal.size()) return false;
    m.wal = other.wal;
    m.timelines = other.timelines;
    return true;
}

/// How far a standby is; it may have been cut off meanwhile. One more than the position: 0 is
/// nothing heard.
bool Steps::hear(Small& w, int i) {
    Member& m = w.members[static_cast<std::size_t>(i)];
    const Member& other = w.members[static_cast<std::size_t>(1 - i)];
    const bool is_ours = other.timelines == m.timelines && other.wal.size() <= m.wal.size();
    if (m.postgres != Postgres::primary || other.postgres != Postgres::standby || !is_ours)
        return false;
    if (m.heard > other.wal.size()) return false;
    m.heard = other.wal.size() + 1;
    release(w, i);
    return true;
}

/// A client is told of every commit that waits for nobody any more.
void Steps::release(Small& w, int i) {
    const Member& m = w.members[static_cast<std::size_t>(i)];
    if (!m.is_open) return;
    const std::size_t reached = m.waits ? std::max<std::size_t>(m.heard, 1) - 1 : m.wal.size();
    for (std::size_t at = 0; at < std::min(reached, m.wal.size()); ++at) {
        if (w.acknowledged.find(m.wal[at]) != std::string::npos) continue;
        w.acknowledged += m.wal[at];
        const Member& newest = w.members[static_cast<std::size_t>(w.newest)];
        if (newest.wal.find(m.wal[at]) == std::string::npos)
            w.wrong = fmt::format("{} acknowledges '{}', which {} does not have", m.id.node,
                                  m.wal[at], newest.id.node);
    }
}

void Steps::promote(Small& w, int i) {
    Member& m = w.members[static_cast<std::size_t>(i)];
    m.postgres = Postgres::primary;
    m.follows = m.tells = m.waits = m.is_open = false;
    m.proved.reset();
    m.heard = 0;
    m.timelines.push_back({m.known.term, m.wal.size()});
    if (m.known.term <= w.newest_term) w.wrong = m.id.node + " is promoted in an old term";
    w.newest_term = m.known.term;
    w.newest = i;
    for (const char each : w.acknowledged)
        if (m.wal.find(each) == std::string::npos)
            w.wrong = fmt::format("{} is promoted without '{}'", m.id.node, each);
}

/// A primary alone, and another host.
Small beginning() {
    Small world;
    world.record.term = 1;
    world.record.primary = {"a", "1"};
    world.record.timelines = {{1, 0}};
    Member& a = world.members[0];
    a.id = world.record.primary;
    a.postgres = Postgres::primary;
    a.timelines = world.record.timelines;
    a.known = world.members[1].known = world.record;
    world.members[1].id.node = "b";
    return world;
}

/// The same with its standby.
Small healthy() {
    Small world = beginning();
    Member& a = world.members[0];
    Member& b = world.members[1];
    b.id.incarnation = "2";
    world.directories = 2;
    b.postgres = Postgres::standby;
    b.timelines = a.timelines;
    b.follows = a.tells = a.waits = a.is_open = true;
    a.proved = true;
    a.heard = 1;
    world.record.sync_set = {b.id};
    a.known = b.known = world.record;
    return world;
}

struct Search {
    std::size_t states = 0;
    int depth = 0;      ///< all sequences of so many steps
    std::string story;  ///< the shortest that goes wrong
};

/// Breadth first; two ways to the same state are one.
Search search(const Small& from, std::span<const Rule> table, std::size_t states_max) {
    struct Found {
        Small world;
        std::size_t parent = 0;
        std::string step;
    };
    std::vector<Found> all = {{from, 0, ""}};
    std::unordered_set<std::string> seen = {from.key()};
    Search result;
    std::size_t layer_end = 1;
    for (std::size_t at = 0; at < all.size() && all.size() < states_max; ++at) {
        if (at == layer_end) {
            ++result.depth;
            layer_end = all.size();
        }
        auto steps = Steps(all[at].world, table).take();
        for (auto& [step, world] : steps) {
            const bool is_wrong = !world.wrong.empty();
            if (!is_wrong && !seen.insert(world.key()).second) continue;
            if (is_wrong) {
                result.story = step + ": " + world.wrong;
                for (std::size_t back = at; back != 0; back = all[back].parent)
                    result.story = all[back].step + ", " + result.story;
                result.states = all.size();
                return result;
            }
            all.push_back({std::move(world), at, std::move(step)});
        }
    }
    result.states = all.size();
    return result;
}

#ifdef HOWDAH_SANITIZED
constexpr std::size_t kStatesMax = 2'000;
#else
constexpr std::size_t kStatesMax = 15'000;
#endif

TEST(small_world, nothing_acknowledged_is_lost_whatever_happens_in_so_many_steps) {
    for (const Small& from : {beginning(), healthy()}) {
        const Search found = search(from, core::ha::rules(), kStatesMax);
        EXPECT_EQ(found.story, "");
        fmt::print("{} states, every sequence of {} steps\n", found.states, found.depth);
    }
}

/// Those whose lack shows without a clock, with the shortest way to a loss.
TEST(small_world, a_rule_that_commits_rest_on_is_missed) {
    if (kStatesMax < 15'000) GTEST_SKIP() << "takes long, and finds nothing new with a sanitizer";
    for (const std::string_view without : {"S1", "L13"}) {
        std::vector<Rule> table;
        for (const Rule& each : core::ha::rules())
            if (each.id != without) table.push_back(each);
        std::string story;
        for (const Small& from : {healthy(), beginning()})
            if (story.empty()) story = search(from, table, kStatesMax).story;
        EXPECT_NE(story, "") << without;
        fmt::print("without {}: {}\n", without, story);
    }
}

}  // namespace
}  // namespace howdah::sim
