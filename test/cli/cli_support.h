#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "cli/fake_arm.h"
#include "cli/world.h"

namespace howdah::cli {

/// What one command did.
struct Ran {
    int code = 0;
    std::string out;
    std::string err;
};

/// A user at a terminal (or not), with a folder of settings of his own.
class User {
  public:
    User() {
        std::string pattern = std::filesystem::temp_directory_path() / "howdah-cli-XXXXXX";
        folder = mkdtemp(pattern.data());
        environment = {{"HOWDAH_CONFIG_DIR", folder + "/config"}, {"HOME", folder}};
    }
    User(const User&) = delete;
    User& operator=(const User&) = delete;
    ~User() { std::filesystem::remove_all(folder); }

    Ran run(const std::vector<std::string>& arguments, const std::string& input = {}) {
        std::istringstream in(input);
        std::ostringstream out;
        std::ostringstream err;
        World world{
            .in = in,
            .out = out,
            .err = err,
            .in_is_terminal = terminal,
            .out_is_terminal = terminal,
            .err_is_terminal = terminal,
            .environment = environment,
            .clock = clock,
            .ids = ids,
            .pause = [this](Duration time) { clock.advance(time); },
            .ask_secret = [this](const std::string&) -> Result<Secret> { return Secret(typed); },
            .become = [this](const Successor& successor) -> Status {
                became = successor;
                return ok_status();
            },
        };
        const int code = cli::run(arguments, world);
        return {code, out.str(), err.str()};
    }

    std::string write(const std::string& name, const std::string& content) const {
        const std::string path = folder + "/" + name;
        std::ofstream(path) << content;
        return path;
    }

    /// Logs in at the fake with its credentials file.
    void log_in(const FakeArm& arm) {
        const std::string ca = write("ca.pem", arm.ca_pem());
        const std::string file = write("credentials.json", arm.credentials_json(ca));
        const Ran ran = run({"login", "--credentials", file, "-o", "none"});
        ASSERT_EQ(ran.code, 0) << ran.err;
    }

    std::string folder;
    std::map<std::string, std::string> environment;
    FakeClock clock;
    FakeIdSource ids;
    bool terminal = false;
    std::string typed;
    Successor became;
};

/// "server create -n x" -> words; no quotes.
inline std::vector<std::string> words(const std::string& line) {
    std::istringstream in(line);
    std::vector<std::string> all;
    for (std::string word; in >> word;) all.push_back(word);
    return all;
}

}  // namespace howdah::cli
