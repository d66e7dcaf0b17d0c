#include "api/templates/lenient_json.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "api/templates/values.h"

namespace howdah::api::templates {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' ||
           c == '$' || c == '-' || c == '+' || c == '.';
}

class Parser {
  public:
    Parser(std::string_view text, const LenientLimits& limits) : text_(text), limits_(limits) {}

    Result<Json> run() {
        HD_TRY(Json out, value(0));
        HD_CHECK(skip());
        if (at_ != text_.size()) return wrong("there is more after the end of the value");
        return out;
    }

  private:
    Error wrong(std::string_view why) const {
        return {ErrorCode::invalid_request,
                fmt::format("the request content was invalid and could not be deserialized: 'the "
                            "text is not JSON at byte {}: {}'",
                            at_, why)};
    }

    Error large(std::string_view what, std::size_t most) const {
        return {ErrorCode::too_large,
                fmt::format("the JSON has more than {} {} at byte {}", most, what, at_)};
    }

    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool starts(std::string_view what) const { return text_.substr(at_, what.size()) == what; }

    bool take(char c) {
        if (peek() != c || at_ == text_.size()) return false;
        ++at_;
        return true;
    }

    /// Skips white space and comments.
    Status skip() {
        while (at_ < text_.size()) {
            const char c = text_[at_];
            if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
                ++at_;
            } else if (starts("//")) {
                at_ = std::min(text_.find('\n', at_), text_.size());
            } else if (starts("/*")) {
                const std::size_t end = text_.find("*/", at_ + 2);
                if (end == std::string_view::npos) return wrong("a comment has no end");
                at_ = end + 2;
            } else {
                break;
            }
        }
        return ok_status();
    }

    Result<Json> value(int depth) {
        HD_CHECK(skip());
        if (++values_ > limits_.values) return large("values", limits_.values);
        if (depth > limits_.depth)
            return wrong(fmt::format("it is nested deeper than {} levels", limits_.depth));
        if (take('{')) return object(depth);
        if (take('[')) return array(depth);
        if (peek() == '"' || peek() == '\'') {
            HD_TRY(std::string out, quoted());
            return Json(std::move(out));
        }
        return literal();
    }

    Result<Json> object(int depth) {
        Json out = Json::object();
        std::set<std::string, std::less<>> names;
        while (true) {
            HD_CHECK(skip());
            if (take('}')) return out;
            if (names.size() >= limits_.fields) return large("fields in an object", limits_.fields);
            HD_TRY(std::string key, name());
            if (!names.insert(key).second) return wrong("a field is given twice");
            HD_CHECK(skip());
            if (!take(':')) return wrong("a ':' is missing");
            HD_TRY(Json each, value(depth + 1));
            // The set knows that the name is new: no search of ordered_json is needed.
            out.get_ref<Json::object_t&>().Container::emplace_back(std::move(key), std::move(each));
            HD_CHECK(skip());
            if (take(',')) continue;
            if (take('}')) return out;
            return wrong("a ',' or '}' is missing");
        }
    }

    Result<Json> array(int depth) {
        Json out = Json::array();
        while (true) {
            HD_CHECK(skip());
            if (take(']')) return out;
            HD_TRY(Json each, value(depth + 1));
            out.push_back(std::move(each));
            HD_CHECK(skip());
            if (take(',')) continue;
            if (take(']')) return out;
            return wrong("a ',' or ']' is missing");
        }
    }

    std::string_view word() {
        const std::size_t start = at_;
        while (at_ < text_.size() && is_word(text_[at_])) ++at_;
        return text_.substr(start, at_ - start);
    }

    Result<std::string> name() {
        if (peek() == '"' || peek() == '\'') return quoted();
        const std::string_view plain = word();
        if (plain.empty()) return wrong("a field's name is missing");
        return std::string(plain);
    }

    Result<Json> literal() {
        const std::size_t start = at_;
        const std::string_view plain = word();
        if (plain == "true") return Json(true);
        if (plain == "false") return Json(false);
        if (plain == "null") return Json(nullptr);
        Json out;
        if (number(plain, out)) return out;
        at_ = start;
        return wrong("a value is missing");
    }

    static bool number(std::string_view text, Json& out) {
        if (text.empty() || (!is_digit(text.back()) && text.back() != '.')) return false;
        const char* end = text.data() + text.size();
        std::int64_t whole = 0;
        const auto as_whole = std::from_chars(text.data(), end, whole);
        if (as_whole.ec == std::errc() && as_whole.ptr == end) {
            out = whole;
            return true;
        }
        double real = 0;
        const auto as_real = std::from_chars(text.data(), end, real);
        if (as_real.ec != std::errc() || as_real.ptr != end || !std::isfinite(real)) return false;
        out = real;
        return true;
    }

    Result<std::string> quoted() {
        const char quote = text_[at_++];
        std::string out;
        while (at_ < text_.size() && text_[at_] != quote) {
            if (out.size() >= limits_.text_bytes)
                return large("bytes in a text", limits_.text_bytes);
            if (text_[at_] == '\\') {
                HD_CHECK(escape(out));
                continue;
            }
            const auto byte = static_cast<unsigned char>(text_[at_]);
            if (byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t')
                return wrong("a control character must be escaped");
            out += text_[at_++];
        }
        if (!take(quote)) return wrong("a text has no closing quote");
        if (clean_utf8(out) != out) return wrong("a text is not UTF-8");
        return out;
    }

    Status escape(std::string& out) {
        ++at_;
        const char c = peek();
        const std::string_view names = "bfnrt\"'\\/";
        const std::string_view codes = "\b\f\n\r\t\"'\\/";
        const std::size_t index = names.find(c);
        if (c != '\0' && index != std::string_view::npos) {
            out += codes[index];
            ++at_;
            return ok_status();
        }
        if (c != 'u') return wrong("an escape is not known");
        HD_TRY(std::uint32_t unit, hexadecimal());
        if (unit >= 0xd800 && unit < 0xdc00 && starts("\\u")) {
            ++at_;
            HD_TRY(const std::uint32_t low, hexadecimal());
            if (low < 0xdc00 || low > 0xdfff) return wrong("a surrogate has no partner");
            unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        }
        if (unit >= 0xd800 && unit < 0xe000) return wrong("a surrogate has no partner");
        append_utf8(out, unit);
        return ok_status();
    }

    /// The four digits after the 'u' that is next.
    Result<std::uint32_t> hexadecimal() {
        const std::string_view digits = text_.substr(std::min(at_ + 1, text_.size()), 4);
        std::uint32_t unit = 0;
        const char* end = digits.data() + digits.size();
        const auto read = std::from_chars(digits.data(), end, unit, 16);
        if (digits.size() != 4 || read.ec != std::errc() || read.ptr != end)
            return wrong("an escape needs four hexadecimal digits");
        at_ += 5;
        return unit;
    }

    std::string_view text_;
    const LenientLimits& limits_;
    std::size_t at_ = 0;
    std::size_t values_ = 0;
};

}  // namespace

Result<Json> parse_lenient(std::string_view text, const LenientLimits& limits) {
    if (text.size() > limits.bytes)
        return Error{ErrorCode::too_large,
                     fmt::format("the JSON is larger than {} bytes", limits.bytes)};
    return Parser(text, limits).run();
}

}  // namespace howdah::api::templates
