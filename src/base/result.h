#pragma once

#include <optional>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "base/error.h"

namespace howdah {

/// A value of type T, or the Error that kept us from having one. Taking the wrong side aborts.
template <typename T>
class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::move(value)) {}      // NOLINT(google-explicit-constructor)
    Result(Error error) : state_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

    bool ok() const { return std::holds_alternative<T>(state_); }
    explicit operator bool() const { return ok(); }

    const T& value() const& {
        HD_ASSERT(ok(), std::get_if<Error>(&state_)->message);
        return *std::get_if<T>(&state_);
    }
    T& value() & {
        HD_ASSERT(ok(), std::get_if<Error>(&state_)->message);
        return *std::get_if<T>(&state_);
    }
    T&& value() && {
        HD_ASSERT(ok(), std::get_if<Error>(&state_)->message);
        return std::move(*std::get_if<T>(&state_));
    }
    const Error& error() const {
        HD_ASSERT(!ok(), "error() of a result that holds a value");
        return *std::get_if<Error>(&state_);
    }

    const T& operator*() const& { return value(); }
    T& operator*() & { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    const T* operator->() const { return &value(); }
    T* operator->() { return &value(); }

    T value_or(T fallback) const { return ok() ? value() : std::move(fallback); }

  private:
    std::variant<T, Error> state_;
};

/// Success, or the Error that prevented it.
class [[nodiscard]] Status {
  public:
    Status() = default;
    Status(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

    bool ok() const { return !error_.has_value(); }
    explicit operator bool() const { return ok(); }
    const Error& error() const {
        HD_ASSERT(!ok(), "error() of a status that is ok");
        return *error_;
    }

  private:
    std::optional<Error> error_;
};

inline Status ok_status() { return {}; }

}  // namespace howdah

#define HD_CONCAT_(a, b) a##b
#define HD_CONCAT(a, b) HD_CONCAT_(a, b)

/// HD_TRY(auto x, expression): x is the value, or the function returns the error.
#define HD_TRY(declaration, expression) \
    HD_TRY_(HD_CONCAT(hd_try_, __LINE__), declaration, expression)
#define HD_TRY_(temporary, declaration, expression) \
    auto temporary = (expression);                  \
    if (!temporary.ok()) return temporary.error();  \
    declaration = std::move(temporary).value()

/// HD_CHECK(expression): goes on if the Status (or Result) is ok, else the function returns its
/// error.
#define HD_CHECK(expression)                                       \
    do {                                                           \
        auto hd_check_status = (expression);                       \
        if (!hd_check_status.ok()) return hd_check_status.error(); \
    } while (false)
