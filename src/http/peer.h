#pragma once

#include <gnutls/gnutls.h>

#include <string>

namespace howdah::http {

/// Makes `session`, before its handshake, demand a client certificate that is signed by a trusted
/// authority, in its time, and made for clients; otherwise the handshake fails.
void require_client_certificate(gnutls_session_t session);

/// Common name of the peer's certificate, which the handshake has verified; "" without one.
std::string peer_common_name(gnutls_session_t session);

}  // namespace howdah::http
