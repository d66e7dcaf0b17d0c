#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "http/certificates.h"
#include "store/secret_box.h"

namespace howdah::howdahd {

/// The folders of one installation, see "Files of a home" in docs/ARCHITECTURE.md.
struct Home {
    std::string root;

    std::string control() const { return root + "/howdahd"; }
    std::string agent() const { return root + "/agent"; }
    std::string gateway() const { return root + "/gateway"; }
    std::string run() const { return root + "/run"; }
    std::string log() const { return root + "/log"; }
    std::string ca_path() const { return root + "/ca.pem"; }

    /// Makes the folders. The root and `agent` can be passed through by PostgreSQL's users, the
    /// others by nobody else.
    Status prepare() const;
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

/// The certificate authority of this installation; made at the first start. Its key is sealed on
/// disk, its certificate is public (Home::ca_path).
Result<http::CertificateAuthority> open_authority(const Home& home, const store::SecretBox& secrets,
                                                  Timestamp now);

/// The client certificate with which the agent of this machine shows who it is, in
/// agent/tls/agent.pem and agent.key. Made anew when it is absent or ends within 30 days.
Status provide_agent_certificate(const Home& home, const http::CertificateAuthority& authority,
                                 const std::string& host_id, Timestamp now);

/// The id of this machine; made at the first start.
Result<std::string> host_id(const Home& home, IdSource& ids);

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
/// current addresses.
Status publish_credentials(const Home& home, const Credentials& credentials);
Status refresh_credentials(const Home& home, const std::string& api);

}  // namespace howdah::howdahd
