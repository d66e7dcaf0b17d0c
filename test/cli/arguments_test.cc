// How arguments are understood, without any API.

#include <gmock/gmock.h>

#include "base/text.h"
#include "base/version.h"
#include "cli/cli_support.h"
#include "places.h"

namespace howdah::cli {
namespace {

using testing::HasSubstr;

struct Case {
    const char* line;
    int code;
    const char* said;  ///< a part of standard error
};

// Nobody is logged in, so that a command that is understood ends with 1.
constexpr Case kCases[] = {
    {"server list", 1, "nobody is logged in"},
    {"server list -g team -o table", 1, "nobody is logged in"},
    {"server list --output=json", 1, "nobody is logged in"},
    {"server show -g team -n orders", 1, "cannot show server orders"},
    {"server show --resource-group team --name orders", 1, "cannot show server orders"},
    {"postgres flexible-server show -g team -n orders", 1, "cannot show server orders"},
    {"postgres flexible-server db show -g t -s s -d d", 1, "cannot show database d of server s"},
    {"az postgres flexible-server restart -g t -n s", 1, "cannot restart server s"},
    {"server create -g t -n s --storage-size 64 -y", 1, "cannot create server s"},
    {"server update -g t -n s --sku-name Standard_B2s", 1, "cannot update server s"},
    {"server connect -g t -n s", 1, "cannot connect to server s"},
    {"firewall-rule create -g t -n s -r r --start-ip-address 1.2.3.4", 1, "firewall rule r"},
    {"parameter set -g t -s s -n work_mem -v 1", 1, "cannot set parameter work_mem of server s"},
    {"operation show -n x", 1, "cannot show operation x"},

    {"servers list", 2, "servers"},
    {"server", 2, "subcommand is required"},
    {"server show -g team", 2, "--name is required"},
    {"server show -n orders", 2, "--resource-group is required"},
    {"server show -g team -n orders --colour", 2, "--colour"},
    {"server show -g team -n orders extra", 2, "extra"},
    {"server list --query name", 2, "jq"},
    {"server list -o yaml", 2, "'yaml' is not a form of output"},
    {"server create -g t -n s --storage-size big", 2, "--storage-size"},
    {"server create -g t -n s --storage-size -1", 2, "--storage-size"},
    {"server create -g t -n s --public-access me", 2, "10.0.0.1-10.0.0.9"},
    {"server create -g t -n s --tags =x", 2, "key=value"},
    {"server create -g t -n s -p a --admin-password-file b", 2, "given twice"},
    {"server create -g t -n s --admin-password-file /nowhere/at/all", 2, "/nowhere/at/all"},
    {"server update -g t -n s --tier Burstable", 2, "--sku-name"},
    {"server update -g t -n s --maintenance-window Noon", 2, "Mon:3:30"},
    {"server update -g t -n s --public-access 1.2.3.4", 2, "firewall-rule create"},
    {"server list-skus", 2, "--location is required"},
    {"db create -g t -s s", 2, "--database-name is required"},
    {"parameter set -g t -s s -v 1", 2, "--name is required"},
    {"group create -n g", 2, "--location is required"},
    {"completion", 2, "subcommand is required"},
};

TEST(arguments, each_command_is_understood_or_refused_with_the_reason) {
    User user;
    for (const Case& each : kCases) {
        const Ran ran = user.run(words(each.line));
        EXPECT_EQ(ran.code, each.code) << each.line << "\n" << ran.err;
        EXPECT_THAT(ran.err, HasSubstr(each.said)) << each.line;
        EXPECT_THAT(ran.err, HasSubstr("error: ")) << each.line;
        EXPECT_THAT(ran.err, HasSubstr("\n  why: ")) << each.line;
        EXPECT_EQ(ran.out, "") << each.line;
    }
}

TEST(arguments, help_and_version_go_to_standard_output) {
    User user;
    for (const char* line : {"--help", "server --help", "server create -h", ""}) {
        const Ran ran = user.run(words(line));
        EXPECT_EQ(ran.code, 0) << line;
        EXPECT_THAT(ran.out, HasSubstr("Usage: howdah")) << line;
        EXPECT_EQ(ran.err, "") << line;
    }
    EXPECT_EQ(user.run({"--version"}).out, std::string("howdah ") + kVersion + "\n");
    EXPECT_EQ(user.run({"version", "-o", "tsv"}).out, std::string(kVersion) + "\n");
}

TEST(arguments, output_is_a_table_on_a_terminal_and_json_elsewhere) {
    User user;
    EXPECT_THAT(user.run({"version"}).out, HasSubstr("\"howdah\""));
    user.terminal = true;
    EXPECT_THAT(user.run({"version"}).out, HasSubstr("------"));
    EXPECT_EQ(user.run({"version", "-o", "none"}).out, "");
}

/// The lines of ```sh blocks that call howdah, with continuation lines put together.
std::vector<std::string> commands_in(const std::string& path) {
    std::ifstream in(test::source_dir() + "/" + path);
    std::vector<std::string> commands;
    bool in_block = false;
    std::string whole;
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("```")) {
            in_block = line == "```sh";
            continue;
        }
        if (!in_block) continue;
        whole += line;
        if (whole.ends_with("\\")) {
            whole.pop_back();
            continue;
        }
        std::string command(trim(whole));
        if (command.starts_with("howdah ")) commands.push_back(command.substr(7));
        whole.clear();
    }
    return commands;
}

TEST(arguments, every_command_of_the_readme_is_understood) {
    User user;
    const auto commands = commands_in("README.md");
    ASSERT_GE(commands.size(), 5U);
    for (std::string command : commands) {
        if (const std::size_t comment = command.find(" #"); comment != command.npos) {
            command.resize(comment);
        }
        // Nobody is logged in and no file is there: but it has to be understood.
        const Ran ran = user.run(words(command));
        EXPECT_EQ(ran.err.find("the command is not right"), std::string::npos) << command << "\n"
                                                                               << ran.err;
    }
}

}  // namespace
}  // namespace howdah::cli
