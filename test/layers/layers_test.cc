// The rules of docs/ARCHITECTURE.md and docs/STYLE.md that can be seen in the text of a file: who
// may include whom, and what is not written here at all. The table is tools/layers.txt.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "places.h"

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kColumns = 100;
constexpr int kFunctionLinesMax = 70;

struct Source {
    std::string path;    ///< below the root: "src/base/text.h"
    std::string module;  ///< "base"
    std::vector<std::string> lines;
    bool is_header() const { return path.ends_with(".h"); }
};

struct Table {
    std::map<std::string, std::set<std::string>> modules;
    std::vector<std::pair<std::string, std::set<std::string>>> third_party;  ///< "<curl/"
};

std::vector<std::string> words_of(const std::string& text) {
    std::istringstream in(text);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    return words;
}

Table read_table() {
    std::ifstream in(howdah::test::source_dir() + "/tools/layers.txt");
    Table table;
    for (std::string line; std::getline(in, line);) {
        const std::size_t colon = line.find(':');
        if (line.empty() || line[0] == '#' || colon == std::string::npos) continue;
        const std::string name = line.substr(0, colon);
        const auto words = words_of(line.substr(colon + 1));
        const std::set<std::string> allowed(words.begin(), words.end());
        if (name[0] == '<')
            table.third_party.emplace_back(name, allowed);
        else
            table.modules[name] = allowed;
    }
    return table;
}

std::vector<Source> read_sources(const std::string& folder) {
    const fs::path root = howdah::test::source_dir();
    std::vector<Source> sources;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
        const std::string extension = entry.path().extension();
        if (extension != ".h" && extension != ".cc") continue;
        Source source;
        const fs::path relative = entry.path().lexically_relative(root);
        source.path = relative.string();
        source.module = std::next(relative.begin())->string();
        std::ifstream in(entry.path());
        for (std::string line; std::getline(in, line);) source.lines.push_back(line);
        sources.push_back(std::move(source));
    }
    std::sort(sources.begin(), sources.end(),
              [](const Source& a, const Source& b) { return a.path < b.path; });
    return sources;
}

std::string at(const Source& source, std::size_t line) {
    return source.path + ":" + std::to_string(line + 1) + ": ";
}

/// Without what stands behind "//" and inside of quotes, so that only code is looked at.
std::string code_of(const std::string& line) {
    std::string code;
    char quote = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (quote != 0) {
            if (line[i] == '\\')
                ++i;
            else if (line[i] == quote)
                quote = 0;
            continue;
        }
        if (line[i] == '/' && i + 1 < line.size() && line[i + 1] == '/') break;
        // An apostrophe between digits (1'000) is no quote.
        const bool digit_before = i > 0 && std::isalnum(static_cast<unsigned char>(line[i - 1]));
        if (line[i] == '"' || (line[i] == '\'' && !digit_before)) {
            quote = line[i];
            code += ' ';
            continue;
        }
        code += line[i];
    }
    return code;
}

std::string join(const std::set<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

/// What is wrong with one #include line; empty if nothing.
std::string include_problem(const Table& table, const Source& source, const std::string& line) {
    static const std::regex kPattern(R"(^\s*#\s*include\s*(["<][^">]+)[">])");
    std::smatch match;
    if (line.find("include") == line.npos) return {};
    if (!std::regex_search(line, match, kPattern)) return {};
    const std::string what = match[1];
    if (what[0] == '"') {
        const std::size_t slash = what.find('/');
        if (slash == std::string::npos) return "include \"module/file.h\", not " + what + '"';
        const std::string target = what.substr(1, slash - 1);
        if (target == source.module) return {};
        const auto row = table.modules.find(source.module);
        if (row == table.modules.end()) return "the module has no row in tools/layers.txt";
        if (row->second.count(target) > 0) return {};
        return "module " + source.module + " may not include " + target;
    }
    for (const auto& [prefix, allowed] : table.third_party) {
        if (what.starts_with(prefix) && allowed.count(source.module) == 0) {
            return "only " + join(allowed) + " may include " + prefix + ">";
        }
    }
    return {};
}

std::vector<std::string> include_problems(const Table& table, const std::vector<Source>& sources) {
    std::vector<std::string> problems;
    for (const Source& source : sources) {
        for (std::size_t i = 0; i < source.lines.size(); ++i) {
            const std::string problem = include_problem(table, source, source.lines[i]);
            if (!problem.empty()) problems.push_back(at(source, i) + problem);
        }
    }
    return problems;
}

struct Banned {
    const char* word;
    bool is_call;  ///< only a call of it
    const char* instead;
    bool in_tests_only = false;
};

constexpr Banned kBanned[] = {
    {"popen", true, "os::run"},
    {"system", true, "os::run"},
    {"detach", true, "a thread that is joined"},
    {"throw", false, "Result"},
    {"dynamic_cast", false, "a virtual function"},
    {"assert", true, "HD_ASSERT"},
    {"localtime", true, "base/clock.h"},
    {"gmtime", true, "base/clock.h"},
    {"strtok", true, "split"},
    {"rand", true, "IdSource"},
    {"sleep_for", true, "waiting for what happens", true},
    {"sleep_until", true, "waiting for what happens", true},
    {"usleep", true, "waiting for what happens", true},
    {"nanosleep", true, "waiting for what happens", true},
};

bool is_of_name(char c) { return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0; }

/// The word stands by itself in the code; if it has to be a call, with a parenthesis after it.
bool has_word(const std::string& code, const Banned& banned) {
    const std::string word = banned.word;
    for (std::size_t i = code.find(word); i != code.npos; i = code.find(word, i + 1)) {
        const std::size_t end = code.find_first_not_of(' ', i + word.size());
        const char next = end == code.npos ? ' ' : code[end];
        if (i > 0 && is_of_name(code[i - 1])) continue;
        if (i + word.size() < code.size() && is_of_name(code[i + word.size()])) continue;
        if (!banned.is_call || next == '(') return true;
    }
    return false;
}

std::vector<std::string> banned_words(const std::vector<Source>& sources, bool are_tests) {
    std::vector<std::string> problems;
    for (const Source& source : sources) {
        // The one throw of the project does not compile when it is reached.
        if (source.module == "layers" || source.path == "src/base/failpoint.h") continue;
        for (std::size_t i = 0; i < source.lines.size(); ++i) {
            const std::string code = code_of(source.lines[i]);
            for (const Banned& each : kBanned) {
                if (each.in_tests_only && !are_tests) continue;
                if (has_word(code, each)) {
                    problems.push_back(at(source, i) + each.word + ": instead use " + each.instead);
                }
            }
        }
    }
    return problems;
}

/// "TODO" without "(name, #issue)" behind it.
bool has_loose_end(const std::string& line) {
    static const std::regex kTodo(R"(\b(TODO|FIXME|XXX)\b(?!\([\w-]+, #\d+\)))");
    for (const char* word : {"TODO", "FIXME", "XXX"}) {
        if (line.find(word) != line.npos) return std::regex_search(line, kTodo);
    }
    return false;
}

/// What ends the raw string that goes on behind this line; empty: there is none. `end` is that of
/// the one before it.
std::string raw_string_end(const std::string& line, const std::string& end) {
    if (!end.empty()) return line.find(end) == line.npos ? end : "";
    const std::size_t begin = line.find("R\"");
    const std::size_t open = begin == line.npos ? line.npos : line.find('(', begin);
    if (open == line.npos) return "";
    const std::string own = ")" + line.substr(begin + 2, open - begin - 2) + "\"";
    return line.find(own, open) == line.npos ? own : "";
}

std::vector<std::string> text_problems(const std::vector<Source>& sources) {
    std::vector<std::string> problems;
    for (const Source& source : sources) {
        std::string raw_end;  // of the raw string that this line is in
        for (std::size_t i = 0; i < source.lines.size(); ++i) {
            const std::string& line = source.lines[i];
            const bool is_raw = !raw_end.empty() || line.find("R\"") != line.npos;
            raw_end = raw_string_end(line, raw_end);
            // Bytes above 0x7f continue a character in UTF-8 when they begin with 10.
            const auto columns =
                std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; });
            if (static_cast<std::size_t>(columns) > kColumns && line.find("http") == line.npos &&
                !is_raw) {
                problems.push_back(at(source, i) + "longer than 100 columns");
            }
            if (source.module != "layers" && has_loose_end(line)) {
                problems.push_back(at(source, i) + "write TODO(name, #issue)");
            }
        }
        if (source.is_header() && std::find(source.lines.begin(), source.lines.end(),
                                            "#pragma once") == source.lines.end()) {
            problems.push_back(source.path + ": no #pragma once");
        }
    }
    return problems;
}

/// Functions as clang-format lays them out: a line at the left margin (or inside of a class) that
/// ends with '{' up to the '}' under its first letter.
std::vector<std::string> long_functions(const std::vector<Source>& sources) {
    static const std::regex kNotFunction(
        R"(^\s*(namespace|class|struct|enum|union|extern|constexpr|inline constexpr|const|static const|TEST)\b)");
    std::vector<std::string> problems;
    for (const Source& source : sources) {
        for (std::size_t i = 0; i < source.lines.size(); ++i) {
            const std::string code = code_of(source.lines[i]);
            if (code.empty() || !code.ends_with("{") || code.find(')') == code.npos) continue;
            if (code[0] == ' ' || std::regex_search(code, kNotFunction)) continue;
            for (std::size_t end = i + 1; end < source.lines.size(); ++end) {
                if (!source.lines[end].starts_with("}")) continue;
                const int length = static_cast<int>(end - i) + 1;
                if (length > kFunctionLinesMax) {
                    problems.push_back(at(source, i) + "a function of " + std::to_string(length) +
                                       " lines; the most is 70");
                }
                break;
            }
        }
    }
    return problems;
}

std::string list(const std::vector<std::string>& problems) {
    std::string text;
    for (const std::string& problem : problems) text += "\n  " + problem;
    return text;
}

TEST(layers, every_include_line_follows_the_table) {
    const Table table = read_table();
    const auto sources = read_sources("src");
    ASSERT_GT(table.modules.size(), 10U);
    ASSERT_GT(sources.size(), 40U);
    const auto problems = include_problems(table, sources);
    EXPECT_TRUE(problems.empty()) << list(problems);
}

TEST(layers, the_table_has_no_circle_and_every_folder_has_a_row) {
    const Table table = read_table();
    for (const auto& [module, allowed] : table.modules) {
        for (const std::string& other : allowed) {
            ASSERT_TRUE(table.modules.count(other)) << module << " may include unknown " << other;
            EXPECT_FALSE(table.modules.at(other).count(module))
                << module << " and " << other << " may include each other";
        }
    }
    for (const auto& entry : fs::directory_iterator(howdah::test::source_dir() + "/src")) {
        const std::string module = entry.path().filename();
        // guard is C code for PostgreSQL, built apart.
        if (!entry.is_directory() || module == "guard") continue;
        EXPECT_TRUE(table.modules.count(module)) << "src/" << module << " has no row";
    }
}

TEST(layers, a_wrong_include_is_found) {
    const Table table = read_table();
    Source source{"src/core/x.cc", "core", {}};
    EXPECT_EQ(include_problem(table, source, "#include \"model/records.h\""), "");
    EXPECT_EQ(include_problem(table, source, "#include \"core/x.h\""), "");
    EXPECT_EQ(include_problem(table, source, "#include <vector>"), "");
    EXPECT_NE(include_problem(table, source, "#include \"store/store.h\""), "");
    EXPECT_NE(include_problem(table, source, "#include <nlohmann/json.hpp>"), "");
    EXPECT_NE(include_problem(table, source, "#include \"x.h\""), "");
}

TEST(layers, every_test_folder_is_of_a_module_or_a_known_kind) {
    const Table table = read_table();
    const std::set<std::string> kinds = {"layers", "integration", "e2e",      "fuzz",
                                         "bench",  "sim",         "terraform"};
    for (const auto& entry : fs::directory_iterator(howdah::test::source_dir() + "/test")) {
        const std::string name = entry.path().filename();
        if (!entry.is_directory()) continue;
        EXPECT_TRUE(table.modules.count(name) || kinds.count(name))
            << "test/" << name << " belongs to no module";
    }
}

TEST(layers, nothing_is_written_that_the_style_rules_out) {
    auto problems = banned_words(read_sources("src"), false);
    const auto tests = banned_words(read_sources("test"), true);
    problems.insert(problems.end(), tests.begin(), tests.end());
    EXPECT_TRUE(problems.empty()) << list(problems);
}

TEST(layers, a_banned_word_is_found_in_code_and_not_in_a_comment) {
    Source source{"src/os/x.cc", "os", {"// system(\"x\") is banned", "    puts(\"system(1)\");"}};
    EXPECT_TRUE(banned_words({source}, false).empty());
    source.lines = {"    if (system(command) != 0) return;"};
    EXPECT_EQ(banned_words({source}, false).size(), 1U);
    source.lines = {"    std::this_thread::sleep_for(x);"};
    EXPECT_TRUE(banned_words({source}, false).empty());
    EXPECT_EQ(banned_words({source}, true).size(), 1U);
    source.lines = {"    auto x = subsystem(1) + operating_system + rethrow;"};
    EXPECT_TRUE(banned_words({source}, true).empty());
    EXPECT_TRUE(has_loose_end("// TODO: mend"));
    EXPECT_FALSE(has_loose_end("// TODO(ann, #12): mend"));
}

TEST(layers, files_keep_to_the_width_and_headers_are_read_once) {
    auto problems = text_problems(read_sources("src"));
    const auto tests = text_problems(read_sources("test"));
    problems.insert(problems.end(), tests.begin(), tests.end());
    EXPECT_TRUE(problems.empty()) << list(problems);
}

TEST(layers, functions_are_short_enough_to_read) {
    const auto problems = long_functions(read_sources("src"));
    EXPECT_TRUE(problems.empty()) << list(problems);
}

}  // namespace
