#include "base/failpoint.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace howdah {

void pass_failpoint(std::size_t index) {
    static const char* const folder = getenv("HOWDAH_FAILPOINTS");
    if (folder == nullptr) [[likely]]
        return;
    const std::string armed = std::string(folder) + "/" + std::string(kFailpoints[index]);
    if (rename(armed.c_str(), (armed + ".hit").c_str()) == 0) kill(getpid(), SIGKILL);
}

}  // namespace howdah
