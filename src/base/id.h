#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace howdah {

/// Where ids and random bytes come from; tests give a predictable one. Thread-safe.
class IdSource {
  public:
    virtual ~IdSource() = default;
    /// A version 4 UUID, lower case: "6f1c...-....".
    virtual std::string uuid() = 0;
    /// `count` bytes fit for keys and passwords.
    virtual std::string random_bytes(std::size_t count) = 0;
};

class SystemIdSource final : public IdSource {
  public:
    std::string uuid() override;
    std::string random_bytes(std::size_t count) override;
};

/// Deterministic ids for tests: 00000000-0000-4000-8000-000000000001, ...
class FakeIdSource final : public IdSource {
  public:
    std::string uuid() override;
    std::string random_bytes(std::size_t count) override;

  private:
    std::uint64_t next_ = 1;
};

/// True for the 36-character form of a UUID, in either case.
bool is_uuid(std::string_view text);

/// The version 5 UUID (RFC 4122, section 4.3: SHA-1) of `name` in a namespace that is a UUID
/// itself; lower case. REQUIRES: is_uuid(space).
std::string uuid_from_name(std::string_view space, std::string_view name);

}  // namespace howdah
