#include <gmock/gmock.h>

#include "cli/cli_support.h"
#include "os/process.h"

namespace howdah::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

os::Finished shell(const std::string& script, const std::string& flag = "-s") {
    auto done = os::run({.arguments = {"/bin/bash", "--norc", flag}, .input = Secret(script)});
    EXPECT_TRUE(done.ok());
    return done.ok() ? *done : os::Finished{};
}

/// What bash offers for the words so far; the last one is unfinished.
std::string offered(const std::string& line) {
    User user;
    std::string script = user.run({"completion", "bash"}).out;
    std::string typed;
    const auto all = words(line);
    for (const std::string& word : all) typed += "'" + word + "' ";
    const bool fresh = line.ends_with(" ");
    if (fresh) typed += "''";
    script += "COMP_WORDS=(" + typed +
              ")\nCOMP_CWORD=" + std::to_string(fresh ? all.size() : all.size() - 1) +
              "\n_howdah\nprintf '%s ' \"${COMPREPLY[@]}\"\n";
    const os::Finished done = shell(script);
    EXPECT_TRUE(done.succeeded()) << done.describe();
    return " " + done.output;
}

TEST(completion, the_bash_script_is_right) {
    User user;
    const os::Finished done = shell(user.run({"completion", "bash"}).out, "-n");
    EXPECT_TRUE(done.succeeded()) << done.error_output;
    EXPECT_EQ(done.error_output, "");
}

TEST(completion, nouns_verbs_and_options_are_offered_where_they_belong) {
    EXPECT_THAT(offered("howdah "),
                AllOf(HasSubstr(" server "), HasSubstr(" group "), Not(HasSubstr(" restart "))));
    EXPECT_EQ(offered("howdah serv"), " server ");
    EXPECT_THAT(offered("howdah server "),
                AllOf(HasSubstr(" create "), HasSubstr(" connect "), Not(HasSubstr(" group "))));
    EXPECT_THAT(offered("howdah server create -g team --s"),
                AllOf(HasSubstr(" --sku-name "), HasSubstr(" --storage-size "),
                      Not(HasSubstr(" --name "))));
    EXPECT_THAT(offered("howdah ad sp "), HasSubstr(" create-for-rbac "));
    EXPECT_THAT(offered("howdah server logs "), HasSubstr(" download "));
    EXPECT_THAT(offered("howdah role assignment create --as"), HasSubstr(" --assignee "));
    EXPECT_EQ(offered("howdah server list -o t"), " table tsv ");
    EXPECT_EQ(offered("howdah server show -n list --resource"), " --resource-group ")
        << "a value that is also a verb leads nowhere else";
}

TEST(completion, zsh_and_fish_have_scripts_of_their_own) {
    User user;
    EXPECT_THAT(user.run({"completion", "zsh"}).out, HasSubstr("bashcompinit"));
    EXPECT_THAT(user.run({"completion", "fish"}).out,
                HasSubstr("complete -c howdah -n '__howdah_at \" server create\"'"));
}

}  // namespace
}  // namespace howdah::cli
