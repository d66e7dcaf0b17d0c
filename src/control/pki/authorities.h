#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/certificates.h"

namespace howdah::control {

/// The two certificate authorities of an installation, see docs/adr/0007-two-authorities.md. The
/// key of a customer's server lies where that customer may come to see it, so its certificate must
/// prove nothing to who looks for howdahd. Thread-safe.
struct Authorities {
    /// Issues for howdahd and for agents. Agents and howdahd trust this one alone.
    http::CertificateAuthority control_plane;
    /// Issues for PostgreSQL servers.
    http::CertificateAuthority servers;

    /// PEM text of both, for users, who verify the API and their servers with one file.
    std::string for_users() const;
};

Result<http::CertificateAuthority> make_control_plane_authority(Timestamp now);
Result<http::CertificateAuthority> make_server_authority(Timestamp now);

/// howdahd's own certificate, for its API and its door for agents, which are on loopback and at
/// these addresses; empty ones are left out.
http::CertificateRequest howdahd_certificate(const std::vector<std::string>& addresses);
/// What an agent shows to howdahd. It is good for no server.
http::CertificateRequest agent_certificate(const std::string& host_id);

}  // namespace howdah::control
