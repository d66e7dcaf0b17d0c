#include "api/templates/expression.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "api/templates/templates.h"
#include "base/text.h"

namespace howdah::api::templates {
namespace {

// expression := (text | integer | call) suffix*
// call       := name ('.' name)* '(' [expression (',' expression)*] ')'
// suffix     := '.' ['?'] name | '[' ['?'] expression ']'
// text       := "'" (any byte but "'", or "''")* "'"

enum class Token {
    end,
    identifier,
    text,
    integer,
    left_parenthesis,
    right_parenthesis,
    left_bracket,
    right_bracket,
    comma,
    dot,
    question,
    unknown,
};

std::string_view name_of(Token token) {
    switch (token) {
        case Token::end:
            return "EndOfData";
        case Token::identifier:
            return "Identifier";
        case Token::text:
            return "String";
        case Token::integer:
            return "Integer";
        case Token::left_parenthesis:
            return "LeftParenthesis";
        case Token::right_parenthesis:
            return "RightParenthesis";
        case Token::left_bracket:
            return "LeftSquareBracket";
        case Token::right_bracket:
            return "RightSquareBracket";
        case Token::comma:
            return "Comma";
        case Token::dot:
            return "Dot";
        case Token::question:
            return "QuestionMark";
        case Token::unknown:
            return "Unknown";
    }
    return "Unknown";
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}

bool is_name_part(char c) { return is_name_start(c) || is_digit(c); }

/// Cuts the text into tokens, one at a time.
class Lexer {
  public:
    explicit Lexer(std::string_view text) : text_(text) { next(); }

    Token token() const { return token_; }
    const std::string& value() const { return value_; }
    std::size_t position() const { return start_; }

    void next() {
        while (at_ < text_.size() && is_space(text_[at_])) ++at_;
        start_ = at_;
        value_.clear();
        if (at_ == text_.size()) {
            token_ = Token::end;
            return;
        }
        const char c = text_[at_];
        if (is_name_start(c)) return identifier();
        if (c == '\'') return text();
        if (is_digit(c) ||
            ((c == '-' || c == '+') && at_ + 1 < text_.size() && is_digit(text_[at_ + 1])))
            return integer();
        ++at_;
        token_ = punctuation(c);
    }

  private:
    static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

    static Token punctuation(char c) {
        switch (c) {
            case '(':
                return Token::left_parenthesis;
            case ')':
                return Token::right_parenthesis;
            case '[':
                return Token::left_bracket;
            case ']':
                return Token::right_bracket;
            case ',':
                return Token::comma;
            case '.':
                return Token::dot;
            case '?':
                return Token::question;
            default:
                return Token::unknown;
        }
    }

    void identifier() {
        while (at_ < text_.size() && is_name_part(text_[at_])) value_ += text_[at_++];
        token_ = Token::identifier;
    }

    void integer() {
        if (text_[at_] == '+')
            ++at_;
        else if (text_[at_] == '-')
            value_ += text_[at_++];
        while (at_ < text_.size() && is_digit(text_[at_])) value_ += text_[at_++];
        token_ = Token::integer;
    }

    void text() {
        ++at_;
        while (at_ < text_.size()) {
            if (text_[at_] != '\'') {
                value_ += text_[at_++];
                continue;
            }
            const bool doubled = at_ + 1 < text_.size() && text_[at_ + 1] == '\'';
            at_ += doubled ? 2 : 1;
            if (!doubled) {
                token_ = Token::text;
                return;
            }
            value_ += '\'';
        }
        token_ = Token::unknown;  // no closing quote
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t start_ = 0;
    Token token_ = Token::end;
    std::string value_;
};

class Parser {
  public:
    explicit Parser(std::string_view text) : text_(text), lexer_(text) {}

    Result<Expression> run() {
        HD_TRY(Expression tree, expression(0));
        if (lexer_.token() != Token::end) return unexpected(Token::end);
        return tree;
    }

  private:
    Error error(std::string_view why) const {
        return {
            ErrorCode::invalid_template,
            fmt::format("Unable to parse language expression '{}': {}", text_.substr(0, 256), why)};
    }

    Error unexpected(Token wanted) const {
        return error(fmt::format("expected token '{}' and actual '{}'", name_of(wanted),
                                 name_of(lexer_.token())));
    }

    Status expect(Token wanted) {
        if (lexer_.token() != wanted) return unexpected(wanted);
        lexer_.next();
        return ok_status();
    }

    Error too_deep() const {
        return error(fmt::format("it is nested deeper than {} levels", kExpressionDepthMax));
    }

    Result<Expression> expression(int depth) {
        if (depth >= kExpressionDepthMax) return too_deep();
        HD_TRY(Expression tree, primary(depth));
        while (lexer_.token() == Token::dot || lexer_.token() == Token::left_bracket) {
            HD_TRY(Expression longer, suffix(std::move(tree), depth));
            tree = std::move(longer);
            if (tree.height > kExpressionDepthMax) return too_deep();
        }
        return tree;
    }

    static void adopt(Expression& parent, Expression child) {
        parent.height = std::max(parent.height, child.height + 1);
        parent.children.push_back(std::move(child));
    }

    Result<Expression> primary(int depth) {
        switch (lexer_.token()) {
            case Token::text: {
                Expression out{.kind = Expression::Kind::text, .text = lexer_.value()};
                lexer_.next();
                return out;
            }
            case Token::integer:
                return integer();
            case Token::identifier:
                return call(depth);
            default:
                return unexpected(Token::identifier);
        }
    }

    Result<Expression> integer() {
        const auto number = parse_integer(lexer_.value(), INT64_MIN, INT64_MAX);
        if (!number.ok()) return error("a number does not fit into 64 bits");
        lexer_.next();
        return Expression{.kind = Expression::Kind::integer, .integer = *number};
    }

    Result<Expression> call(int depth) {
        Expression out{.kind = Expression::Kind::call, .text = lexer_.value()};
        lexer_.next();
        while (lexer_.token() == Token::dot) {
            lexer_.next();
            if (lexer_.token() != Token::identifier) return unexpected(Token::identifier);
            out.text += "." + lexer_.value();
            lexer_.next();
        }
        HD_CHECK(expect(Token::left_parenthesis));
        if (lexer_.token() == Token::right_parenthesis) {
            lexer_.next();
            return out;
        }
        while (true) {
            HD_TRY(Expression argument, expression(depth + 1));
            adopt(out, std::move(argument));
            if (lexer_.token() != Token::comma) break;
            lexer_.next();
        }
        HD_CHECK(expect(Token::right_parenthesis));
        return out;
    }

    Result<Expression> suffix(Expression head, int depth) {
        const bool is_member = lexer_.token() == Token::dot;
        lexer_.next();
        Expression out{.kind = is_member ? Expression::Kind::member : Expression::Kind::index};
        if (lexer_.token() == Token::question) {
            out.is_optional = true;
            lexer_.next();
        }
        adopt(out, std::move(head));
        if (is_member) {
            out.text = lexer_.value();
            HD_CHECK(expect(Token::identifier));
            return out;
        }
        HD_TRY(Expression index, expression(depth + 1));
        adopt(out, std::move(index));
        HD_CHECK(expect(Token::right_bracket));
        return out;
    }

    std::string_view text_;
    Lexer lexer_;
};

}  // namespace

Result<Expression> parse_expression(std::string_view text) {
    if (text.size() > kExpressionBytesMax)
        return Error{ErrorCode::invalid_template,
                     fmt::format("The language expression length limit exceeded. Limit: '{}' and "
                                 "actual: '{}'.",
                                 kExpressionBytesMax, text.size())};
    return Parser(text).run();
}

bool is_expression(std::string_view text) {
    return text.size() >= 2 && text.front() == '[' && text.back() == ']' && text[1] != '[';
}

}  // namespace howdah::api::templates
