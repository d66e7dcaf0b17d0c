#include "cli/progress.h"

#include <fmt/core.h>

#include <algorithm>
#include <ostream>

namespace howdah::cli {
namespace {

constexpr std::size_t kTextBytesMax = 200;

}  // namespace

Progress::Progress(World& world, std::string what, bool quiet)
    : world_(world), what_(std::move(what)), quiet_(quiet), start_(world.clock.now()) {}

Progress::~Progress() {
    if (shown_ && world_.err_is_terminal) world_.err << "\r\033[K" << std::flush;
}

void Progress::show(const std::string& doing) {
    if (quiet_) return;
    std::string text = doing.empty() ? what_ : what_ + ": " + doing;
    text.resize(std::min(text.size(), kTextBytesMax));
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c >= 0 && c < ' '; }, '?');
    if (world_.err_is_terminal) {
        const std::chrono::duration<double> taken = world_.clock.now() - start_;
        world_.err << fmt::format("\r{} ({:.1f} s)\033[K", text, taken.count()) << std::flush;
    } else if (text != last_) {
        world_.err << text << "\n" << std::flush;
    }
    shown_ = true;
    last_ = std::move(text);
}

}  // namespace howdah::cli
