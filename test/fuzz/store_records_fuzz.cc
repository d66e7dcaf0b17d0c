// Everything that comes out of the store or from an agent as text: no input may crash, and what
// was read and written again reads the same.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/id.h"
#include "model/json.h"
#include "model/records.h"
#include "store/secret_box.h"

namespace howdah {
namespace {

template <typename Record>
void round_trip(std::string_view text) {
    const auto record = model::from_json<Record>(text);
    if (!record.ok()) return;
    const std::string written = model::to_json(*record);
    const auto again = model::from_json<Record>(written);
    if (!again.ok() || model::to_json(*again) != written) std::abort();
}

void unseal(std::string_view text) {
    FakeIdSource ids;
    const auto box = store::SecretBox::with_key(std::string(32, 'k'), ids);
    const std::string_view name = text.substr(0, text.find('\n'));
    const auto opened = box.unseal(name, text.substr(std::min(text.size(), name.size() + 1)));
    // Nobody without the key makes a text that opens.
    if (opened.ok()) std::abort();
    const Secret secret{std::string(text)};
    const auto back = box.unseal(name, box.seal(name, secret));
    if (!back.ok() || !(*back == secret)) std::abort();
}

}  // namespace
}  // namespace howdah

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace howdah;
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 8) {
        case 0:
            round_trip<model::ServerSpec>(text);
            break;
        case 1:
            round_trip<model::Operation>(text);
            break;
        case 2:
            round_trip<model::Action>(text);
            break;
        case 3:
            round_trip<model::PollRequest>(text);
            break;
        case 4:
            round_trip<model::ServerStatus>(text);
            break;
        case 5:
            round_trip<model::HostReport>(text);
            break;
        case 6:
            round_trip<model::RouteTable>(text);
            break;
        default:
            unseal(text);
    }
    return 0;
}
