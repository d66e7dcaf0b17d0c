#include "api/auth/device_page.h"

#include <fmt/core.h>

#include "base/text.h"

namespace howdah::api {
namespace {

constexpr std::string_view kStyle =
    "body{font:16px/1.5 system-ui,sans-serif;max-width:30rem;margin:3rem auto;padding:0 1rem;"
    "color:#222;background:#fff}"
    "label{display:block;margin:1rem 0 .2rem}"
    "input{font:inherit;width:100%;box-sizing:border-box;padding:.4rem}"
    "button{font:inherit;margin:1rem .5rem 0 0;padding:.4rem 1rem}"
    ".code{font:bold 1.5rem monospace;letter-spacing:.1rem}"
    ".message{border-left:4px solid #b00;padding-left:.8rem}";

}  // namespace

std::string html_escape(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            case '\'':
                out += "&#39;";
                break;
            default:
                out += c;
        }
    }
    return out;
}

std::string cookie_of(const http::Request& request, std::string_view name) {
    for (const std::string& pair : split(request.header("cookie"), ';')) {
        const std::string_view text = trim(pair);
        const std::size_t equals = text.find('=');
        if (equals != text.npos && text.substr(0, equals) == name)
            return std::string(text.substr(equals + 1));
    }
    return "";
}

bool is_same_site(const http::Request& request, std::string_view base_url) {
    const std::string_view site = request.header("sec-fetch-site");
    if (!site.empty() && site != "same-origin" && site != "none") return false;
    const std::string_view origin = request.header("origin");
    if (origin.empty() || iequals(origin, base_url)) return true;
    return iequals(origin, fmt::format("https://{}", request.header("host")));
}

http::Response DevicePage::page(int status, std::string_view title,
                                const std::string& content) const {
    http::Response response;
    response.status = status;
    response.headers = {
        {"content-type", "text/html; charset=utf-8"},
        {"cache-control", "no-store"},
        {"content-security-policy",
         fmt::format("default-src 'none'; style-src 'nonce-{}'; form-action 'self'; "
                     "frame-ancestors 'none'; base-uri 'none'",
                     nonce)},
        {"x-frame-options", "DENY"},
        {"cross-origin-opener-policy", "same-origin"},
        // Not no-referrer: browsers would send "Origin: null" with the form.
        {"referrer-policy", "same-origin"},
        {"set-cookie",
         fmt::format("{}={}; Path=/; Secure; HttpOnly; SameSite=Strict", kGuardCookie, guard)},
    };
    response.body = fmt::format(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width\"><title>Howdah: {0}</title>"
        "<style nonce=\"{1}\">{2}</style></head><body><main><h1>{0}</h1>{3}</main></body></html>\n",
        html_escape(title), nonce, kStyle, content);
    return response;
}

std::string DevicePage::form_begin() const {
    return fmt::format(
        "<form method=\"post\" action=\"/devicelogin\" autocomplete=\"off\">"
        "<input type=\"hidden\" name=\"guard\" value=\"{}\">",
        html_escape(guard));
}

http::Response DevicePage::ask_code(int status, std::string_view message) const {
    std::string content;
    if (!message.empty())
        content += fmt::format("<p class=\"message\" role=\"alert\">{}</p>", html_escape(message));
    content +=
        "<p>A program on a device of yours has shown you a code. Enter it here. If somebody else "
        "sent you a code, close this page.</p>" +
        form_begin() +
        "<label for=\"user_code\">Code</label>"
        "<input id=\"user_code\" name=\"user_code\" class=\"code\" maxlength=\"16\" required "
        "autofocus autocapitalize=\"characters\" spellcheck=\"false\">"
        "<button name=\"step\" value=\"code\">Next</button></form>";
    return page(status, "Log in on another device", content);
}

http::Response DevicePage::ask_identity(int status, const Program& program,
                                        std::string_view message) const {
    std::string content;
    if (!message.empty())
        content += fmt::format("<p class=\"message\" role=\"alert\">{}</p>", html_escape(message));
    content += fmt::format(
        "<p>The program below will act as you. Go on only if you started it yourself just now, and "
        "it shows this code:</p><p class=\"code\">{}</p><ul><li>It says that it is: {}</li>"
        "<li>It asked from: {}</li></ul>",
        html_escape(program.user_code), html_escape(program.name), html_escape(program.address));
    content +=
        form_begin() +
        fmt::format("<input type=\"hidden\" name=\"user_code\" value=\"{}\">",
                    html_escape(program.user_code)) +
        "<label for=\"client_id\">Client ID</label>"
        "<input id=\"client_id\" name=\"client_id\" maxlength=\"64\" spellcheck=\"false\">"
        "<label for=\"client_secret\">Client secret</label>"
        "<input id=\"client_secret\" name=\"client_secret\" type=\"password\" maxlength=\"512\">"
        "<button name=\"step\" value=\"login\">Log in</button>"
        "<button name=\"step\" value=\"decline\">Refuse</button></form>";
    return page(status, "Let this program in?", content);
}

http::Response DevicePage::end(int status, std::string_view title, std::string_view text) const {
    return page(status, title, fmt::format("<p>{}</p>", html_escape(text)));
}

}  // namespace howdah::api
