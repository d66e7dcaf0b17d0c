#include "base/id.h"

#include <fmt/core.h>
#include <sys/random.h>
#include <uuid/uuid.h>

#include <array>
#include <cctype>

#include "base/assert.h"

namespace howdah {

std::string SystemIdSource::uuid() {
    uuid_t raw;
    uuid_generate_random(raw);
    std::array<char, 37> text{};
    uuid_unparse_lower(raw, text.data());
    return text.data();
}

std::string SystemIdSource::random_bytes(std::size_t count) {
    std::string bytes(count, '\0');
    std::size_t done = 0;
    while (done < count) {
        const ssize_t got = getrandom(bytes.data() + done, count - done, 0);
        HD_ASSERT(got > 0, "the kernel gives no random bytes");
        done += static_cast<std::size_t>(got);
    }
    return bytes;
}

std::string FakeIdSource::uuid() { return fmt::format("00000000-0000-4000-8000-{:012x}", next_++); }

std::string FakeIdSource::random_bytes(std::size_t count) {
    std::string bytes(count, '\0');
    for (char& each : bytes) {
        next_ = next_ * 6364136223846793005ULL + 1442695040888963407ULL;
        each = static_cast<char>(next_ >> 56);
    }
    return bytes;
}

bool is_uuid(std::string_view text) {
    if (text.size() != 36) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : std::isxdigit(static_cast<unsigned char>(text[i])) == 0)
            return false;
    }
    return true;
}

std::string uuid_from_name(std::string_view space, std::string_view name) {
    uuid_t raw_space;
    const int parsed = uuid_parse(std::string(space).c_str(), raw_space);
    HD_ASSERT(parsed == 0, "the namespace of a UUID must be a UUID");
    uuid_t raw;
    uuid_generate_sha1(raw, raw_space, name.data(), name.size());
    std::array<char, 37> text{};
    uuid_unparse_lower(raw, text.data());
    return text.data();
}

}  // namespace howdah
