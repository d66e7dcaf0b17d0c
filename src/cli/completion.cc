#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <ostream>

#include "base/text.h"
#include "cli/session.h"

// howdah completion: the script that a shell needs, made from the tree of commands itself.

namespace howdah::cli {
namespace {

constexpr std::string_view kFormats = "table json tsv none";

/// One place in the tree: what may follow the words that lead there.
struct Place {
    std::string path;   ///< " server create"; "" for the root
    std::string words;  ///< nouns, verbs and options
};

void collect(const CLI::App& app, const std::string& path, std::vector<Place>& places) {
    std::vector<std::string> words;
    const auto children = app.get_subcommands([](const CLI::App*) { return true; });
    for (const CLI::App* child : children) words.push_back(child->get_name());
    for (const CLI::Option* option : app.get_options()) {
        for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
        for (const std::string& name : option->get_snames()) words.push_back("-" + name);
    }
    places.push_back({path, join(words, " ")});
    for (const CLI::App* child : children) collect(*child, path + " " + child->get_name(), places);
}

/// The options that take the name of a file.
std::vector<std::string> file_options() {
    return {"--credentials", "--ca-file", "--password-file", "--admin-password-file"};
}

std::string quoted_paths(const std::vector<Place>& places, std::string_view separator) {
    std::vector<std::string> paths;
    for (const Place& each : places) {
        if (!each.path.empty()) paths.push_back("\"" + each.path + "\"");
    }
    return join(paths, separator);
}

std::string bash(const std::vector<Place>& places) {
    std::string cases;
    for (const Place& each : places) {
        cases += fmt::format("        \"{}\") words=\"{}\" ;;\n", each.path, each.words);
    }
    return fmt::format(R"(# Completion of howdah for bash:  source <(howdah completion bash)
_howdah() {{
    local path="" words="" i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "$path ${{COMP_WORDS[i]}}" in
            {}) path="$path ${{COMP_WORDS[i]}}" ;;
        esac
    done
    case "$path" in
{}    esac
    case "${{COMP_WORDS[COMP_CWORD - 1]}}" in
        -o | --output) words="{}" ;;
        {})
            COMPREPLY=($(compgen -f -- "${{COMP_WORDS[COMP_CWORD]}}"))
            return
            ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -F _howdah howdah
)",
                       quoted_paths(places, " | "), cases, kFormats, join(file_options(), " | "));
}

std::string zsh(const std::vector<Place>& places) {
    return "# Completion of howdah for zsh:  source <(howdah completion zsh)\n"
           "autoload -U +X compinit && compinit\n"
           "autoload -U +X bashcompinit && bashcompinit\n" +
           bash(places);
}

std::string fish(const std::vector<Place>& places) {
    std::string script =
        fmt::format(R"(# Completion of howdah for fish:  howdah completion fish | source
function __howdah_path
    set -l path ""
    set -l words (commandline -opc)
    for word in $words[2..-1]
        switch "$path $word"
            case {}
                set path "$path $word"
        end
    end
    echo $path
end
function __howdah_at
    set -l path (__howdah_path)
    test "$path" = "$argv[1]"
end
complete -c howdah -f
complete -c howdah -s o -l output -x -a "{}"
)",
                    quoted_paths(places, " "), kFormats);
    for (const std::string& option : file_options()) {
        script += fmt::format("complete -c howdah -l {} -r -F\n", option.substr(2));
    }
    for (const Place& each : places) {
        script += fmt::format("complete -c howdah -n '__howdah_at \"{}\"' -a \"{}\"\n", each.path,
                              each.words);
    }
    return script;
}

using Generator = std::string (*)(const std::vector<Place>&);

void add_shell(Commands& commands, CLI::App& noun, const std::string& shell, Generator generate) {
    const CLI::App& root = commands.root;
    commands.verb(noun, shell, "Completion for " + shell,
                  [&root, generate](Session& session) -> Result<Output> {
                      std::vector<Place> places;
                      collect(root, "", places);
                      session.world.out << generate(places);
                      return Output{};
                  });
}

}  // namespace

void add_completion(Commands& commands) {
    CLI::App& noun = commands.noun("completion", "Completion for a shell, as a script");
    add_shell(commands, noun, "bash", bash);
    add_shell(commands, noun, "zsh", zsh);
    add_shell(commands, noun, "fish", fish);
}

}  // namespace howdah::cli
