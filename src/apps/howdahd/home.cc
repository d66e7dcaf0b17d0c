#include "apps/howdahd/home.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "model/records.h"
#include "os/file.h"
#include "os/process.h"

namespace howdah::howdahd {
namespace {

using Json = nlohmann::ordered_json;

constexpr auto kRenewBefore = std::chrono::days(30);

Json read_json(const std::string& path) {
    const auto text = os::read_file(path, 1 << 20);
    if (!text.ok()) return Json::object();
    Json parsed = Json::parse(*text, nullptr, false);
    return parsed.is_object() ? parsed : Json::object();
}

std::uint16_t port_in(const Json& json, const char* name) {
    const auto found = json.find(name);
    if (found == json.end() || !found->is_number_unsigned()) return 0;
    const auto value = found->get<std::uint64_t>();
    return value <= 65535 ? static_cast<std::uint16_t>(value) : std::uint16_t{0};
}

Status set_mode(const std::string& path, mode_t mode) {
    if (chmod(path.c_str(), mode) == 0) return ok_status();
    return Error{ErrorCode::io, "cannot set the mode of " + path, "", "check who owns the home"};
}

/// An authority on disk.
struct AuthorityFiles {
    std::string certificate_path;
    std::string key_path;
    std::string seal;  ///< the name its key is sealed under
    std::function<Result<http::CertificateAuthority>(Timestamp)> make;
};

Result<http::CertificateAuthority> open_authority(const AuthorityFiles& files,
                                                  const store::SecretBox& secrets, Timestamp now) {
    const auto sealed = os::read_file(files.key_path, 1 << 16);
    if (!sealed.ok() && sealed.error().code != ErrorCode::not_found) return sealed.error();
    if (sealed.ok()) {
        HD_TRY(std::string certificate, os::read_file(files.certificate_path, 1 << 16));
        HD_TRY(Secret key, secrets.unseal(files.seal, *sealed));
        return http::CertificateAuthority::load(std::move(certificate), std::move(key));
    }
    HD_TRY(auto made, files.make(now));
    // The certificate first: with the sealed key the pair counts as made.
    HD_CHECK(os::write_file_atomic(files.certificate_path, made.certificate_pem(), 0644));
    HD_CHECK(os::write_file_atomic(files.key_path, secrets.seal(files.seal, made.key_pem()), 0600));
    return made;
}

std::string credentials_path(const Home& home) {
    return home.control() + "/bootstrap-credentials.json";
}

}  // namespace

std::string default_home() {
    if (os::is_root()) return "/var/lib/howdah";
    const char* home = getenv("HOME");
    return std::string(home != nullptr ? home : "/tmp") + "/.local/share/howdah";
}

std::string normal_home(const std::string& path) {
    std::error_code problem;
    std::string home = std::filesystem::absolute(path, problem).lexically_normal().string();
    while (home.size() > 1 && home.back() == '/') home.pop_back();
    return home;
}

std::string own_folder() {
    std::error_code problem;
    const auto path = std::filesystem::read_symlink("/proc/self/exe", problem);
    return problem ? "/usr/bin" : path.parent_path().string();
}

Status Home::prepare(int agents) const {
    std::vector<std::string> passable = {root};
    for (int i = 1; i <= agents; ++i) passable.push_back(agent(i));
    for (const std::string& folder : passable) {
        HD_CHECK(os::make_folders(folder, 0711));
        HD_CHECK(set_mode(folder, 0711));
    }
    for (const std::string& folder : {control(), pki(), gateway(), run(), log()}) {
        HD_CHECK(os::make_folders(folder, 0700));
    }
    return ok_status();
}

Ports load_ports(const Home& home) {
    const Json json = read_json(home.control() + "/ports.json");
    return {port_in(json, "api"), port_in(json, "agent_link"), port_in(json, "gateway")};
}

Status save_ports(const Home& home, const Ports& ports) {
    const Json json = {
        {"api", ports.api}, {"agent_link", ports.agent_link}, {"gateway", ports.gateway}};
    return os::write_file_atomic(home.control() + "/ports.json", json.dump(2) + "\n", 0600);
}

Result<control::Authorities> open_authorities(const Home& home, const store::SecretBox& secrets,
                                              Timestamp now) {
    HD_TRY(auto control_plane, open_authority({home.api_ca_path(), home.pki() + "/ca.key.sealed",
                                               "ca-key", control::make_control_plane_authority},
                                              secrets, now));
    HD_TRY(auto servers, open_authority({home.servers_ca_path(), home.pki() + "/servers.key.sealed",
                                         "servers-ca-key", control::make_server_authority},
                                        secrets, now));
    control::Authorities both{std::move(control_plane), std::move(servers)};
    HD_CHECK(os::write_file_atomic(home.ca_path(), both.for_users(), 0644));
    return both;
}

bool has_one_authority(const Home& home) {
    return os::exists(home.api_ca_path()) && !os::exists(home.servers_ca_path());
}

Result<bool> provide_agent_certificate(const Home& home,
                                       const http::CertificateAuthority& control_plane,
                                       const std::string& host_id, int number, Timestamp now) {
    const std::string folder = home.agent(number) + "/tls";
    HD_CHECK(os::make_folders(folder, 0700));
    HD_CHECK(os::write_file_atomic(folder + "/ca.pem", control_plane.certificate_pem(), 0600));
    const auto present = os::read_file(folder + "/agent.pem", 1 << 16);
    if (present.ok() && os::exists(folder + "/agent.key")) {
        const auto end = http::certificate_end(*present);
        const auto is_ours = control_plane.has_issued(*present);
        if (end.ok() && *end - now > kRenewBefore && is_ours.ok() && *is_ours) return false;
    }
    HD_TRY(const auto issued, control_plane.issue(control::agent_certificate(host_id), now));
    HD_CHECK(os::write_file_atomic(folder + "/agent.key", issued.key_pem.reveal(), 0600));
    HD_CHECK(os::write_file_atomic(folder + "/agent.pem", issued.certificate_pem, 0600));
    return present.ok();
}

Result<bool> note_arrangement(const Home& home, const std::string& arrangement) {
    const std::string path = home.run() + "/arrangement";
    const auto before = os::read_file(path, 1 << 16);
    if (before.value_or("") == arrangement) return false;
    HD_CHECK(os::write_file_atomic(path, arrangement, 0600));
    return before.ok() || os::exists(home.run() + "/endpoints.json");
}

Result<std::string> host_id(const Home& home, int number, IdSource& ids) {
    const std::string path = home.control() + "/host-id" + Home::suffix(number);
    const auto known = os::read_file(path, 64);
    if (known.ok() && is_uuid(*known)) return *known;
    std::string made = ids.uuid();
    HD_CHECK(os::write_file_atomic(path, made, 0600));
    return made;
}

Status publish_endpoints(const Home& home, const Endpoints& endpoints) {
    const Json json = {{"api", endpoints.api},
                       {"gateway_address", endpoints.gateway_address},
                       {"gateway_port", endpoints.gateway_port},
                       {"ca", home.ca_path()},
                       {"pid", getpid()}};
    return os::write_file_atomic(home.run() + "/endpoints.json", json.dump(2) + "\n", 0600);
}

Status publish_credentials(const Home& home, const Credentials& credentials) {
    const Json json = {{"tenant_id", credentials.tenant_id},
                       {"subscription_id", credentials.subscription_id},
                       {"client_id", credentials.client_id},
                       {"client_secret", credentials.client_secret.reveal()},
                       {"authority", credentials.api},
                       {"api_url", credentials.api},
                       {"ca_path", home.ca_path()},
                       {"api_ca_path", home.api_ca_path()},
                       {"api_name", model::kControlPlaneName}};
    return os::write_file_atomic(credentials_path(home), json.dump(2) + "\n", 0600);
}

Status refresh_credentials(const Home& home, const std::string& api) {
    Json json = read_json(credentials_path(home));
    if (json.empty()) return ok_status();
    const Json before = json;
    if (json.value("api_url", "") != api) {
        json["authority"] = api;
        json["api_url"] = api;
    }
    json["api_ca_path"] = home.api_ca_path();
    json["api_name"] = model::kControlPlaneName;
    if (json == before) return ok_status();
    return os::write_file_atomic(credentials_path(home), json.dump(2) + "\n", 0600);
}

}  // namespace howdah::howdahd
