#include "api/auth/device_logins.h"

#include <algorithm>

#include "base/text.h"

namespace howdah::api {
namespace {

/// Letters that are not taken for one another, and no vowels, so that no words come out (RFC 8628,
/// section 6.1): 20^8 codes.
constexpr std::string_view kLetters = "BCDFGHJKLMNPQRSTVWXZ";
constexpr std::size_t kUserCodeLetters = 8;
constexpr std::size_t kDeviceCodeBytes = 32;
constexpr std::size_t kUserCodeBytesMax = 64;
/// Clocks and networks are not exact: a poll that is early by this is not hasty.
constexpr Duration kPollTolerance = std::chrono::seconds(1);
/// How long it is remembered that a code has expired, to say so.
constexpr Duration kRemembered = std::chrono::minutes(15);

std::string new_user_code(IdSource& ids) {
    std::string code;
    while (code.size() < kUserCodeLetters) {
        for (const char each : ids.random_bytes(kUserCodeLetters)) {
            const auto number = static_cast<unsigned char>(each);
            // The rest would make the first letters likelier.
            constexpr unsigned kFair = 256 / kLetters.size() * kLetters.size();
            if (number < kFair && code.size() < kUserCodeLetters)
                code += kLetters[number % kLetters.size()];
        }
    }
    return code;
}

/// As it is kept: upper-case letters alone.
std::string normal(std::string_view user_code) {
    std::string code;
    for (char each : user_code.substr(0, kUserCodeBytesMax)) {
        if (each >= 'a' && each <= 'z') each = static_cast<char>(each - 'a' + 'A');
        if (each != '-' && each != ' ') code += each;
    }
    return code;
}

std::string readable(const std::string& code) {
    return code.substr(0, kUserCodeLetters / 2) + "-" + code.substr(kUserCodeLetters / 2);
}

}  // namespace

void DeviceLogins::sweep(Instant now) {
    for (auto each = logins_.begin(); each != logins_.end();) {
        if (each->second.end + kRemembered > now) {
            ++each;
            continue;
        }
        by_user_code_.erase(each->second.user_code);
        each = logins_.erase(each);
    }
}

Result<DeviceLogins::Begun> DeviceLogins::begin(const Wanted& wanted) {
    const std::string device_code = base64url_encode(ids_.random_bytes(kDeviceCodeBytes));
    const std::lock_guard lock(mutex_);
    const Instant now = clock_.now();
    sweep(now);
    if (logins_.size() >= kLoginsMax)
        std::erase_if(logins_, [&](const auto& each) {
            if (each.second.end > now) return false;
            by_user_code_.erase(each.second.user_code);
            return true;
        });
    const auto of_address = std::count_if(logins_.begin(), logins_.end(), [&](const auto& each) {
        return each.second.wanted.address == wanted.address && each.second.end > now;
    });
    if (logins_.size() >= kLoginsMax ||
        static_cast<std::size_t>(of_address) >= kLoginsPerAddressMax)
        return Error{ErrorCode::too_many_requests, "too many logins wait for their codes"};
    std::string user_code = new_user_code(ids_);
    while (by_user_code_.contains(user_code)) user_code = new_user_code(ids_);
    by_user_code_.emplace(user_code, device_code);
    Login login{wanted, user_code, now + kLifetime, now - kInterval};
    logins_.emplace(device_code, std::move(login));
    return Begun{Secret(device_code), readable(user_code)};
}

DeviceLogins::Outcome DeviceLogins::poll(const Secret& device_code, std::string_view app_id) {
    const std::lock_guard lock(mutex_);
    const auto found = logins_.find(device_code.reveal());
    if (found == logins_.end() || !iequals(found->second.wanted.app_id, app_id)) return {};
    Login& login = found->second;
    const Instant now = clock_.now();
    if (login.end <= now) return {State::expired};
    if (login.state == State::pending) {
        const bool is_hasty = login.last_poll + login.interval - kPollTolerance > now;
        login.last_poll = now;
        if (!is_hasty) return {State::pending};
        login.interval += kSlowDown;
        return {State::too_fast};
    }
    Outcome outcome{login.state, std::move(login.wanted), std::move(login.identity)};
    by_user_code_.erase(login.user_code);
    logins_.erase(found);
    return outcome;
}

DeviceLogins::Login* DeviceLogins::waiting(std::string_view user_code) {
    const auto code = by_user_code_.find(normal(user_code));
    if (code == by_user_code_.end()) return nullptr;
    const auto found = logins_.find(code->second);
    if (found == logins_.end() || found->second.end <= clock_.now()) return nullptr;
    return found->second.state == State::pending ? &found->second : nullptr;
}

std::optional<DeviceLogins::Shown> DeviceLogins::find(std::string_view user_code) {
    const std::lock_guard lock(mutex_);
    const Login* login = waiting(user_code);
    if (login == nullptr) return std::nullopt;
    return Shown{readable(login->user_code), login->wanted};
}

bool DeviceLogins::approve(std::string_view user_code, const Identity& identity) {
    const std::lock_guard lock(mutex_);
    Login* login = waiting(user_code);
    if (login == nullptr) return false;
    login->state = State::approved;
    login->identity = identity;
    return true;
}

bool DeviceLogins::decline(std::string_view user_code) {
    const std::lock_guard lock(mutex_);
    Login* login = waiting(user_code);
    if (login == nullptr) return false;
    login->state = State::declined;
    return true;
}

void DeviceLogins::record_failure(std::string_view user_code) {
    const std::lock_guard lock(mutex_);
    Login* login = waiting(user_code);
    if (login != nullptr && ++login->failures >= kFailuresMax) login->state = State::declined;
}

std::size_t DeviceLogins::size() const {
    const std::lock_guard lock(mutex_);
    return logins_.size();
}

}  // namespace howdah::api
