#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ha/ha.h"
#include "model/failovers.h"

namespace howdah::core::ha {

/// The kinds of steps of a failover, as they are written down and shown.
namespace step {
// Signs, before the record changed.
inline constexpr std::string_view kPlannedAsked = "plannedFailoverAsked";
inline constexpr std::string_view kForcedAsked = "forcedFailoverAsked";
inline constexpr std::string_view kAgentStarted = "agentStarted";
inline constexpr std::string_view kLastAnswer = "lastAnswer";        ///< of a PostgreSQL that hangs
inline constexpr std::string_view kLastRenewal = "lastRenewal";      ///< of the old primary's lease
inline constexpr std::string_view kStopAsked = "stopAsked";          ///< of the old primary
inline constexpr std::string_view kPostgresEnded = "postgresEnded";  ///< of the old primary
inline constexpr std::string_view kStreamEnded = "streamEnded";      ///< to the new primary
// The change itself.
inline constexpr std::string_view kHandedOver = "handedOver";
inline constexpr std::string_view kTakenOver = "takenOver";
inline constexpr std::string_view kRecordSeen = "recordSeen";  ///< changed by another one
// What the new primary did.
inline constexpr std::string_view kStreamCut = "streamCut";
inline constexpr std::string_view kOldPrimaryStopped = "oldPrimaryStopped";  ///< proved
inline constexpr std::string_view kPromoted = "promoted";
inline constexpr std::string_view kOpened = "opened";
// What became of the old one.
inline constexpr std::string_view kCopyBegun = "copyBegun";
inline constexpr std::string_view kDiscarded = "discarded";
inline constexpr std::string_view kRejoined = "rejoined";
}  // namespace step

/// What one member notes of every change of the primary, from what it sees and does anyway. Of what
/// came before a change it keeps signs, until the change comes or all is well again.
///
/// In memory, without I/O and bounded, as its calls stand in the way of a failover; whoever owns it
/// writes parts() down when has_news() says so, which is never before a new primary lets clients
/// in. Not thread-safe.
class FailoverTracker {
  public:
    static constexpr std::size_t kPartsMax = 8;   ///< the newest ones stay
    static constexpr std::size_t kStepsMax = 32;  ///< of a part; what comes later is left out

    /// What the member has looked at.
    struct Sight {
        std::int64_t now_ms = 0;  ///< of the calendar, as all that end in _ms
        const View& view;
        bool answers = false;  ///< PostgreSQL, in this look: `end` is known
        Lsn end = 0;
        std::int64_t last_answer_ms = 0;
        std::optional<std::int64_t> primary_renewed_ms = std::nullopt;
        /// The last one that the own directory went through.
        std::optional<Switch> own_switch = std::nullopt;
    };

    FailoverTracker() = default;
    /// An agent begins: with what was written down, the record as it was last read, and whether a
    /// promotion was under way.
    FailoverTracker(std::vector<model::FailoverPart> parts, std::optional<Record> known,
                    bool is_promoting);

    /// Before `decided`, with the same look.
    void look(const Sight& sight);
    /// The rule is about to be followed.
    void decided(const Sight& sight, const Rule& rule);
    void asked(std::int64_t now_ms, bool is_planned);
    /// Clients were let in, if they were not before.
    void opened(std::int64_t now_ms);
    /// The copy of the new primary has replaced the directory, which is kept for now; `bytes` of
    /// its WAL stood behind the switch, if that could be found out.
    void discarded(std::int64_t now_ms, std::optional<std::int64_t> bytes, std::string kept_at);
    void old_copy_removed();
    bool keeps_old_copy() const;

    const std::vector<model::FailoverPart>& parts() const { return parts_; }
    bool has_news() const { return has_news_; }
    void forget_news() { has_news_ = false; }

  private:
    model::FailoverPart* open_part();
    void begin(const Sight& sight);
    void begin_again(const Sight& sight);
    void look_for_signs(const Sight& sight);
    void follow_new_primary(const Sight& sight, model::FailoverPart& part);
    void follow_old_primary(const Sight& sight, model::FailoverPart& part);
    void add_sign(model::FailoverStep step);
    void add(model::FailoverPart& part, model::FailoverStep step);

    std::vector<model::FailoverPart> parts_;  ///< oldest first; the last one may be open
    std::vector<model::FailoverStep> signs_;
    std::optional<Record> before_;
    std::string host_;
    bool is_first_ = true;
    bool was_promoting_ = false;
    bool was_primary_ = false;    ///< PostgreSQL, when it was last seen in this term
    bool was_received_ = false;   ///< the primary's WAL, likewise
    std::string_view last_rule_;  ///< that asked for a change of the primary
    Action last_action_ = Action::wait;
    bool has_news_ = false;
};

/// "16/B374D848".
std::string position_text(Lsn lsn);

}  // namespace howdah::core::ha
