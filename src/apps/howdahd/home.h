#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "control/pki/authorities.h"
#include "store/secret_box.h"

namespace howdah::howdahd {

/// Where all data is when nobody says otherwise.
std::string default_home();
/// Absolute, and without a slash at its end: processes are found by it.
std::string normal_home(const std::string& path);
/// The folder of the program that runs.
std::string own_folder();

/// The folders of one installation, see "Files of a home" in docs/ARCHITECTURE.md.
struct Home {
    std::string root;

    std::string control() const { return root + "/howdahd"; }
    /// `number`: of the agents that the installation runs on this machine; the first is 1.
    std::string agent(int number = 1) const { return root + "/agent" + suffix(number); }
    std::string routes(int number) const {
        return gateway() + "/routes" + suffix(number) + ".json";
    }
    /// Of other machines' agents; agent 1 writes it.
    std::string routes_of_others() const { return gateway() + "/others.json"; }
    static std::string suffix(int number) {
        return number == 1 ? "" : "-" + std::to_string(number);
    }
    std::string gateway() const { return root + "/gateway"; }
    std::string run() const { return root + "/run"; }
    std::string log() const { return root + "/log"; }
    std::string pki() const { return control() + "/pki"; }
    /// Of both authorities, for users.
    std::string ca_path() const { return root + "/ca.pem"; }
    /// Of the control plane's alone.
    std::string api_ca_path() const { return pki() + "/ca.pem"; }
    std::string servers_ca_path() const { return pki() + "/servers.pem"; }

    /// Makes the folders. The root and those of agents can be passed through by PostgreSQL's
    /// users, the others by nobody else.
    Status prepare(int agents) const;
};

/// Ports that were chosen once and are kept, so that addresses survive a restart. 0: not chosen.
struct Ports {
    std::uint16_t api = 0;
    std::uint16_t agent_link = 0;
    std::uint16_t gateway = 0;
    bool operator==(const Ports&) const = default;
};
Ports load_ports(const Home& home);
Status save_ports(const Home& home, const Ports& ports);

/// The certificate authorities of this installation. One that is absent is made: both at the first
/// start; that of servers in a home which is older than it. Their keys are sealed on disk, their
/// certificates are public (Home::ca_path).
Result<control::Authorities> open_authorities(const Home& home, const store::SecretBox& secrets,
                                              Timestamp now);

/// Whether the home is from before servers had an authority of their own. Ask before
/// open_authorities.
bool has_one_authority(const Home& home);

/// The client certificate with which an agent of this machine shows who it is, in
/// agent/tls/agent.pem and agent.key (of the first), and the authority it trusts. Made anew when it
/// is absent, ends within 30 days or is not of the control plane's authority. True if it takes the
/// place of another one, which a running agent still has.
Result<bool> provide_agent_certificate(const Home& home,
                                       const http::CertificateAuthority& control_plane,
                                       const std::string& host_id, int number, Timestamp now);

/// Notes what this machine is to the others. True if programs that already run here were started
/// for something else.
Result<bool> note_arrangement(const Home& home, const std::string& arrangement);

/// The id of an agent's host; made at its first start.
Result<std::string> host_id(const Home& home, int number, IdSource& ids);

struct Endpoints {
    std::string api;
    std::string gateway_address;
    std::uint16_t gateway_port = 0;
};
/// run/endpoints.json: where everything answers, for people and scripts.
Status publish_endpoints(const Home& home, const Endpoints& endpoints);

struct Credentials {
    std::string tenant_id;
    std::string subscription_id;
    std::string client_id;
    Secret client_secret;
    std::string api;
};
/// howdahd/bootstrap-credentials.json, mode 0600. An existing file keeps its secret and gets the
/// current addresses, and what the API is known by.
Status publish_credentials(const Home& home, const Credentials& credentials);
Status refresh_credentials(const Home& home, const std::string& api);

}  // namespace howdah::howdahd
