#include "api/filter.h"

#include <fmt/core.h>

#include "base/text.h"

namespace howdah::api {
namespace {

/// Reads a filter from left to right.
class Scanner {
  public:
    explicit Scanner(std::string_view text) : rest_(text) {}

    bool at_end() {
        rest_ = trim(rest_);
        return rest_.empty();
    }
    /// Letters, digits and what names of fields have.
    std::string word() {
        rest_ = trim(rest_);
        std::size_t length = 0;
        while (length < rest_.size() && is_of_word(rest_[length])) ++length;
        return take(length);
    }
    bool skip(char c) {
        rest_ = trim(rest_);
        if (rest_.empty() || rest_[0] != c) return false;
        rest_.remove_prefix(1);
        return true;
    }
    /// 'a text', with '' for a quote; or a number, a time or a namespace without quotes.
    bool value(std::string& out) {
        if (!skip('\'')) {
            out = word();
            if (out.empty()) return false;
            return (out[0] >= '0' && out[0] <= '9') || out.find('.') != std::string::npos;
        }
        while (!rest_.empty()) {
            const char c = rest_[0];
            rest_.remove_prefix(1);
            if (c != '\'') {
                out += c;
            } else if (!rest_.empty() && rest_[0] == '\'') {
                out += c;
                rest_.remove_prefix(1);
            } else {
                return true;
            }
        }
        return false;
    }

  private:
    static bool is_of_word(char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               std::string_view("-_.:/+").find(c) != std::string_view::npos;
    }
    std::string take(std::size_t length) {
        std::string taken(rest_.substr(0, length));
        rest_.remove_prefix(length);
        return taken;
    }

    std::string_view rest_;
};

bool read_term(Scanner& scanner, FilterTerm& term) {
    term.name = to_lower(scanner.word());
    if (term.name.empty()) return false;
    if (scanner.skip('(')) {
        term.op = "()";
        if (scanner.skip(')')) return true;
        return scanner.value(term.value) && scanner.skip(')');
    }
    term.op = to_lower(scanner.word());
    return !term.op.empty() && scanner.value(term.value);
}

}  // namespace

Result<std::vector<FilterTerm>> parse_filter(std::string_view text) {
    const Error bad{ErrorCode::invalid_argument,
                    fmt::format("the filter '{}' cannot be read", text.substr(0, 128)), "$filter",
                    "use terms like name eq 'value', joined by 'and'"};
    if (text.size() > kFilterBytesMax) return bad;
    std::vector<FilterTerm> terms;
    Scanner scanner(text);
    if (scanner.at_end()) return terms;
    do {
        FilterTerm term;
        if (terms.size() >= kFilterTermsMax || !read_term(scanner, term)) return bad;
        terms.push_back(std::move(term));
        if (scanner.at_end()) return terms;
    } while (iequals(scanner.word(), "and"));
    return bad;
}

bool TagFilter::take(const FilterTerm& term) {
    if (term.op != "eq") return false;
    if (term.name == "tagname")
        name = term.value;
    else if (term.name == "tagvalue")
        value = term.value;
    else
        return false;
    return true;
}

bool TagFilter::fits(const std::map<std::string, std::string>& tags) const {
    if (name.empty()) return !value.has_value();
    for (const auto& [each, its_value] : tags)
        if (iequals(each, name)) return !value || *value == its_value;
    return false;
}

Error unknown_filter(std::string_view filter, std::string_view known) {
    return {ErrorCode::invalid_argument,
            fmt::format("the filter '{}' is not supported", filter.substr(0, 128)), "$filter",
            fmt::format("use terms like {}, joined by 'and'", known)};
}

}  // namespace howdah::api
