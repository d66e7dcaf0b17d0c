#pragma once

#include <string>
#include <string_view>

#include "http/server.h"

namespace howdah::api {

/// The page where a person lets a program in: plain HTML without scripts and without anything from
/// elsewhere, under a Content-Security-Policy that says so. Pure; every text is escaped.
struct DevicePage {
    std::string nonce;  ///< random, of this answer
    std::string guard;  ///< random, of this browser: in the form and in a cookie

    /// Asks for the code. `message` may be empty.
    http::Response ask_code(int status, std::string_view message) const;

    struct Program {
        std::string user_code;
        std::string name;
        std::string address;
    };
    /// Shows which program asked, and asks who the person is.
    http::Response ask_identity(int status, const Program& program, std::string_view message) const;
    http::Response end(int status, std::string_view title, std::string_view text) const;

  private:
    http::Response page(int status, std::string_view title, const std::string& content) const;
    std::string form_begin() const;
};

/// The name of the cookie that DevicePage sets. Browsers keep other hosts and plain HTTP from
/// setting it.
inline constexpr std::string_view kGuardCookie = "__Host-howdah-login";

/// A cookie of a request; "" if there is none.
std::string cookie_of(const http::Request& request, std::string_view name);
/// False if a browser says that another site sent this form.
bool is_same_site(const http::Request& request, std::string_view base_url);

std::string html_escape(std::string_view text);

}  // namespace howdah::api
