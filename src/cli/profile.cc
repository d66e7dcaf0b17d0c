#include "cli/profile.h"

#include <fmt/core.h>

#include "cli/json.h"
#include "os/file.h"

namespace howdah::cli {
namespace {

constexpr std::string_view kProfileFile = "profile.json";
constexpr std::string_view kTokenFile = "token.json";
constexpr std::string_view kCaFile = "ca.pem";
constexpr std::size_t kFileBytesMax = 1 << 20;

std::string folder_of(const World& world) {
    if (const std::string own = world.variable("HOWDAH_CONFIG_DIR"); !own.empty()) return own;
    if (const std::string all = world.variable("XDG_CONFIG_HOME"); !all.empty()) {
        return all + "/howdah";
    }
    const std::string home = world.variable("HOME");
    return (home.empty() ? "/root" : home) + "/.config/howdah";
}

}  // namespace

ProfileStore::ProfileStore(const World& world) : folder_(folder_of(world)) {}

Result<Profile> ProfileStore::load() const {
    if (!os::exists(path(kProfileFile))) {
        return Error{ErrorCode::unauthenticated,
                     "nobody is logged in",
                     {},
                     "run: howdah login --credentials FILE  (or --service-principal)"};
    }
    HD_TRY(const std::string text, os::read_file(path(kProfileFile), kFileBytesMax));
    HD_TRY(const Json json, parse_json(text, path(kProfileFile)));
    return Profile{text_at(json, "api_url"),   text_at(json, "authority"),
                   text_at(json, "tenant_id"), text_at(json, "subscription_id"),
                   text_at(json, "client_id"), Secret(text_at(json, "client_secret")),
                   text_at(json, "ca_pem"),    text_at(json, "api_ca_pem"),
                   text_at(json, "api_name"),  Secret(text_at(json, "refresh_token"))};
}

Status ProfileStore::save(const Profile& profile) const {
    const Json json = {
        {"api_url", profile.api_url},     {"authority", profile.authority},
        {"tenant_id", profile.tenant_id}, {"subscription_id", profile.subscription_id},
        {"client_id", profile.client_id}, {"client_secret", profile.client_secret.reveal()},
        {"ca_pem", profile.ca_pem},       {"api_ca_pem", profile.api_ca_pem},
        {"api_name", profile.api_name},   {"refresh_token", profile.refresh_token.reveal()}};
    HD_CHECK(os::make_folders(folder_, 0700));
    clear_token();
    if (!profile.ca_pem.empty()) {
        HD_CHECK(os::write_file_atomic(path(kCaFile), profile.ca_pem, 0600));
    }
    return os::write_file_atomic(path(kProfileFile), to_text(json, 2) + "\n", 0600);
}

Status ProfileStore::save_refresh_token(const Secret& token) const {
    HD_TRY(Profile profile, load());
    profile.refresh_token = token;
    return save(profile);
}

Status ProfileStore::clear() const {
    for (const std::string_view name : {kTokenFile, kProfileFile, kCaFile}) {
        HD_CHECK(os::remove_tree(path(name)));
    }
    return ok_status();
}

std::optional<Token> ProfileStore::load_token() const {
    const auto text = os::read_file(path(kTokenFile), kFileBytesMax);
    if (!text.ok()) return std::nullopt;
    const auto json = parse_json(*text, kTokenFile);
    if (!json.ok()) return std::nullopt;
    const auto end = parse_iso8601(text_at(*json, "expires_at"));
    if (!end.ok()) return std::nullopt;
    return Token{Secret(text_at(*json, "token")), *end};
}

Status ProfileStore::save_token(const Token& token) const {
    const Json json = {{"token", token.text.reveal()},
                       {"expires_at", format_iso8601(token.expires_at)}};
    return os::write_file_atomic(path(kTokenFile), to_text(json) + "\n", 0600);
}

void ProfileStore::clear_token() const {
    // A token that stays is harmless: the API refuses it, and it is renewed.
    static_cast<void>(os::remove_tree(path(kTokenFile)));
}

std::string ProfileStore::ca_path(const Profile& profile) const {
    return profile.ca_pem.empty() ? std::string() : path(kCaFile);
}

}  // namespace howdah::cli
