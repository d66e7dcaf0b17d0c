#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

/// What is said to etcd's JSON gateway (/v3, etcd 3.4 or newer) and what it answers, as values.
/// Pure; never throws. Keys and values are any bytes here, base64 there; numbers of 64 bits are
/// texts there; what is zero, false or empty is left out there.
///
/// A parser accepts only what answers its request: as many parts, of the same kinds, with keys in
/// the asked range and revisions that can be. All else is ErrorCode::corrupt. The caller bounds
/// the size.
namespace howdah::model::etcd {

inline constexpr int kDepthMax = 16;

struct KeyValue {
    std::string key;
    std::string value;
    std::int64_t created = 0;   ///< revision
    std::int64_t modified = 0;  ///< revision
};

/// Reads one key, or, with an `end`, those from `key` up to it.
struct Range {
    std::string key;
    std::string end = {};
    std::int64_t limit = 0;  ///< 0: none
    bool keys_only = false;  ///< without their values
};
struct Put {
    std::string key;
    std::string value;
    std::int64_t lease = 0;
};
struct Delete {
    std::string key;
};
using Step = std::variant<Range, Put, Delete>;

/// The key was last changed at this revision; 0: it does not exist.
struct Compare {
    std::string key;
    std::int64_t modified = 0;
};

/// If all compares hold, the steps of `success` are done, else those of `failure`; at one revision.
struct Txn {
    std::vector<Compare> compares = {};
    std::vector<Step> success = {};
    std::vector<Step> failure = {};
};

struct RangeAnswer {
    std::vector<KeyValue> entries;
    bool more = false;  ///< the limit was met
};
struct TxnAnswer {
    std::uint64_t cluster = 0;
    std::int64_t revision = 0;  ///< of the change, or of what was read
    bool succeeded = false;
    std::vector<RangeAnswer> steps;  ///< one for each step; empty for those that read nothing
};

std::string to_json(const Txn& txn);
Result<TxnAnswer> parse_txn_answer(std::string_view text, const Txn& asked);

/// An answer that is not "OK": a code of gRPC and a text. -1 if it is not of etcd.
struct Refusal {
    int code = -1;
    std::string message;  ///< shortened; of a stranger it is whatever came
};
Refusal parse_refusal(std::string_view text);

std::string compaction_json(std::int64_t revision);

struct Event {
    bool is_deletion = false;
    KeyValue entry;  ///< of a deletion only the key and `modified`
};
/// One line of the answer to a watch.
struct WatchMessage {
    std::int64_t revision = 0;   ///< 0 if it is not said
    bool created = false;        ///< the watch has begun
    bool cancelled = false;      ///< it has ended, because of what `reason` says
    std::int64_t compacted = 0;  ///< not 0: the history before this revision is gone
    bool is_fragment = false;    ///< the next message goes on within the same revision
    std::string reason;          ///< shortened
    std::vector<Event> events;   ///< in the order in which they happened
};
/// Changes of the keys from `key` up to `end`, beginning with a revision.
std::string watch_json(const std::string& key, const std::string& end, std::int64_t first);
/// ErrorCode::unavailable if it is the error with which etcd ends a stream.
Result<WatchMessage> parse_watch_message(std::string_view line, const std::string& key,
                                         const std::string& end);

struct LeaseAnswer {
    std::int64_t id = 0;
    std::int64_t seconds = 0;  ///< to live; 0: there is no such lease
};
std::string lease_grant_json(std::int64_t seconds);
std::string lease_json(std::int64_t id);  ///< for a renewal or a revocation
Result<LeaseAnswer> parse_lease_grant(std::string_view text);
Result<LeaseAnswer> parse_lease_renewal(std::string_view text);

}  // namespace howdah::model::etcd
