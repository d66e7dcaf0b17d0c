#include <fmt/core.h>

#include <algorithm>

#include "api/auth/trusted_issuer.h"

// The part of TOML that the file of trusted issuers needs: sections, texts in quotes, lists of
// them, comments. Whatever else stands there is a mistake: a file that says whom to trust is not
// guessed at, as the reader of --config would.

namespace howdah::api {
namespace {

constexpr std::string_view kHint =
    "write it as [keycloak], and below it issuer = \"https://...\" and audiences = [\"...\"]";

class Reader {
  public:
    explicit Reader(std::string_view text) : text_(text) {}

    Result<std::vector<IssuerSection>> read() {
        std::vector<IssuerSection> sections;
        for (skip_lines(); !at_end(); skip_lines()) {
            if (peek() == '[') {
                HD_TRY(std::string name, section_name());
                const auto same = [&](const IssuerSection& each) { return each.name == name; };
                if (std::any_of(sections.begin(), sections.end(), same))
                    return mistake(fmt::format("the section [{}] stands there twice", name));
                sections.push_back({std::move(name), {}, {}});
            } else if (sections.empty()) {
                return mistake("something stands in no section");
            } else {
                HD_CHECK(read_value(sections.back()));
            }
            HD_CHECK(end_of_line());
        }
        return sections;
    }

  private:
    bool at_end() const { return at_ == text_.size(); }
    char peek() const { return at_end() ? '\0' : text_[at_]; }
    Error mistake(std::string_view what) const {
        const auto line = std::count(text_.begin(), text_.begin() + static_cast<long>(at_), '\n');
        return {ErrorCode::invalid_argument, fmt::format("line {}: {}", line + 1, what),
                std::string(), std::string(kHint)};
    }

    void skip_blanks() {
        while (peek() == ' ' || peek() == '\t' || peek() == '\r') ++at_;
        if (peek() == '#')
            while (!at_end() && peek() != '\n') ++at_;
    }
    void skip_lines() {
        for (skip_blanks(); peek() == '\n'; skip_blanks()) ++at_;
    }
    Status end_of_line() {
        skip_blanks();
        if (at_end() || peek() == '\n') return ok_status();
        return mistake("something stands behind the end");
    }

    /// Letters, digits, - and _.
    std::string word() {
        const std::size_t begin = at_;
        const auto fits = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '-' || c == '_';
        };
        while (!at_end() && fits(peek())) ++at_;
        return std::string(text_.substr(begin, at_ - begin));
    }

    Result<std::string> section_name() {
        ++at_;
        std::string name = word();
        if (name.empty() || peek() != ']')
            return mistake("a section's name has other letters than a-z, 0-9, - and _");
        ++at_;
        return name;
    }

    Result<std::string> quoted() {
        const char quote = peek();
        if (quote != '"' && quote != '\'') return mistake("a value is not a text in quotes");
        const std::size_t begin = ++at_;
        while (!at_end() && peek() != quote && peek() != '\n' && peek() != '\\') ++at_;
        if (peek() == '\\') return mistake("a text has a backslash");
        if (peek() != quote) return mistake("a text has no quote at its end");
        return std::string(text_.substr(begin, at_++ - begin));
    }

    Status read_list(std::vector<std::string>& values) {
        ++at_;
        for (skip_lines(); peek() != ']'; skip_lines()) {
            HD_TRY(std::string value, quoted());
            values.push_back(std::move(value));
            skip_lines();
            if (peek() == ',')
                ++at_;
            else if (peek() != ']')
                return mistake("a list has no ] at its end, or no comma");
        }
        ++at_;
        return ok_status();
    }

    Status read_value(IssuerSection& section) {
        const std::string name = word();
        skip_blanks();
        if (name.empty() || peek() != '=') return mistake("what stands there is no 'name = value'");
        ++at_;
        skip_blanks();
        std::vector<std::string> values;
        if (peek() == '[') {
            HD_CHECK(read_list(values));
        } else {
            HD_TRY(std::string value, quoted());
            values.push_back(std::move(value));
        }
        if (section.values.emplace(name, std::move(values)).second) return ok_status();
        return mistake(fmt::format("[{}] has '{}' twice", section.name, name));
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace

Result<std::vector<IssuerSection>> parse_issuer_file(std::string_view text) {
    return Reader(text).read();
}

}  // namespace howdah::api
