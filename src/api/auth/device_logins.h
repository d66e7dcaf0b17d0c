#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "base/secret.h"

namespace howdah::api {

/// Who proved to be who, with which of the principal's credentials.
struct Identity {
    std::string client_id;
    std::string object_id;
    std::string display_name;
    std::string credential_id;
};

/// Logins by device code that are under way (RFC 8628): a program shows a short code, a person
/// enters it on a page and says who they are, the program polls for the outcome.
///
/// In memory only: nobody who is not logged in makes the store write, and a restart of howdahd
/// costs a person one more try. Bounded by the constants below. Thread-safe; no call blocks.
class DeviceLogins {
  public:
    static constexpr Duration kLifetime = std::chrono::minutes(15);
    static constexpr Duration kInterval = std::chrono::seconds(5);  ///< between polls, at first
    static constexpr Duration kSlowDown = std::chrono::seconds(5);  ///< more, for each hasty poll
    static constexpr std::size_t kLoginsMax = 1000;
    static constexpr std::size_t kLoginsPerAddressMax = 20;
    static constexpr int kFailuresMax = 5;  ///< wrong secrets for one code; then it is void

    DeviceLogins(const Clock& clock, IdSource& ids) : clock_(clock), ids_(ids) {}

    /// What the program asked for.
    struct Wanted {
        std::string app_id;  ///< the program's own id: nobody has checked that
        std::string scope;
        std::string resource;
        std::string address;
    };
    struct Begun {
        Secret device_code;
        std::string user_code;  ///< "BCDF-GHJK"
    };
    /// ErrorCode::too_many_requests beyond the bounds.
    Result<Begun> begin(const Wanted& wanted);

    enum class State { unknown, pending, too_fast, declined, expired, approved };
    struct Outcome {
        State state = State::unknown;
        Wanted wanted = {};
        Identity identity = {};  ///< of an approved one
    };
    /// An approved or declined login is told once and is gone then.
    Outcome poll(const Secret& device_code, std::string_view app_id);

    /// What a person is shown before they log in; none if no login waits for this code. The code
    /// may be written in any case, with or without its dash.
    struct Shown {
        std::string user_code;
        Wanted wanted;
    };
    std::optional<Shown> find(std::string_view user_code);
    /// False if no login waits for this code (any more).
    bool approve(std::string_view user_code, const Identity& identity);
    bool decline(std::string_view user_code);
    void record_failure(std::string_view user_code);

    std::size_t size() const;

  private:
    struct Login {
        Wanted wanted;
        std::string user_code;
        Instant end;
        Instant last_poll;
        Duration interval = kInterval;
        State state = State::pending;
        Identity identity;
        int failures = 0;
    };
    void sweep(Instant now);
    Login* waiting(std::string_view user_code);

    const Clock& clock_;
    IdSource& ids_;
    mutable std::mutex mutex_;
    std::map<std::string, Login> logins_;  ///< by device code; guarded by mutex_
    std::map<std::string, std::string, std::less<>> by_user_code_;  ///< guarded by mutex_
};

}  // namespace howdah::api
