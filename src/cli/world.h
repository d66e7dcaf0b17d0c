#pragma once

#include <functional>
#include <iosfwd>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "base/secret.h"

namespace howdah::cli {

/// What becomes of this process when it turns into another one (`server connect`).
struct Successor {
    std::vector<std::string> arguments;  ///< [0] is looked for in PATH
    /// The content of a PostgreSQL password file, passed by a descriptor; may be empty.
    Secret password_file;
};

/// Everything outside of the program that a command touches, so that tests can stand in for it.
/// Borrowed by run(); used by one thread.
struct World {
    std::istream& in;
    std::ostream& out;
    std::ostream& err;
    bool in_is_terminal = false;
    bool out_is_terminal = false;
    bool err_is_terminal = false;
    std::map<std::string, std::string> environment;
    const Clock& clock;
    IdSource& ids;
    /// Waits while an operation runs.
    std::function<void(Duration)> pause;
    /// Reads one line from the terminal without showing it. REQUIRES: in_is_terminal.
    std::function<Result<Secret>(const std::string& prompt)> ask_secret;
    /// Does not return if it succeeds.
    std::function<Status(const Successor&)> become;

    /// "" if it is not set.
    std::string variable(const std::string& name) const {
        const auto found = environment.find(name);
        return found == environment.end() ? std::string() : found->second;
    }
};

inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitNotFound = 3;  ///< as az does

/// The whole program: parses the arguments (without the program's name), does what they say, and
/// returns the exit code. Results go to `out`, everything else to `err`.
int run(const std::vector<std::string>& arguments, World& world);

}  // namespace howdah::cli
