#include "control/fleet/joining.h"

#include <fmt/core.h>

#include "base/log.h"
#include "base/text.h"
#include "control/pki/authorities.h"
#include "control/reconcile/records.h"
#include "model/json.h"
#include "os/file.h"
#include "store/keys.h"

namespace howdah::control {
namespace {

constexpr std::string_view kSeal = "host-invitation";
constexpr std::size_t kRequestBytesMax = 4096;
constexpr std::size_t kPemBytesMax = 1 << 20;

/// The same for every token that is not good, so that it tells nothing.
Error refused() {
    return {ErrorCode::permission_denied,
            "the ticket is not valid: it was used, has expired or is of another Howdah", "",
            "Make a new one: howdah host add."};
}

/// Empty for a file that is not named.
Result<std::string> content_of(const std::string& path) {
    if (path.empty()) return std::string();
    return os::read_file(path, kPemBytesMax);
}

http::Response problem(const Error& error) {
    const model::Failure failure{std::string(to_string(error.code)), error.message, error.hint};
    return {http_status(error.code), {}, model::to_json(failure)};
}

}  // namespace

Joining::Joining(Options options, store::Store& store, const store::SecretBox& secrets,
                 const http::CertificateAuthority& authority, const Clock& clock, IdSource& ids)
    : options_(std::move(options)),
      store_(store),
      secrets_(secrets),
      authority_(authority),
      clock_(clock),
      ids_(ids) {}

Status Joining::remove_expired(std::size_t& left) {
    store::Transaction expired;
    left = 0;
    const std::string now = format_iso8601(clock_.wall());
    HD_CHECK(for_each(store_, store::keys::invitation(""), [&](const auto& entry) -> Status {
        HD_TRY(const auto invitation, model::from_json<model::HostInvitation>(entry.value));
        if (invitation.expires_at > now)
            ++left;
        else if (expired.changes().size() < store::kTransactionChangesMax)
            expired.remove(entry.key);
        return ok_status();
    }));
    if (!expired.empty()) HD_CHECK(store_.commit(expired));
    return ok_status();
}

Result<Joining::Invitation> Joining::invite(const std::string& name, const std::string& zone) {
    if (options_.etcd.endpoints.empty())
        return Error{ErrorCode::invalid_state,
                     "this Howdah has one machine: what several have in common is kept in an etcd",
                     "",
                     "Start howdahd with --address and --etcd (docs/guide/several-machines.md)."};
    std::size_t open = 0;
    HD_CHECK(remove_expired(open));
    if (open >= kOpenMax)
        return Error{ErrorCode::too_many_requests,
                     fmt::format("{} machines are invited and have not come yet", open), "",
                     "Use those tickets, or wait until they expire."};
    const std::string id = ids_.uuid();
    const model::HostInvitation invitation{name, zone, format_iso8601(clock_.wall() + kValidFor)};
    HD_CHECK(store_.commit(store::Transaction()
                               .expect_absent(store::keys::invitation(id))
                               .put(store::keys::invitation(id), model::to_json(invitation))));
    const model::JoinTicket ticket{options_.api_url, authority_.certificate_pem(),
                                   secrets_.seal(kSeal, Secret(id))};
    log::info("a machine is invited", {{"name", name}, {"zone", zone}});
    return Invitation{base64url_encode(model::to_json(ticket)), invitation.expires_at};
}

Status Joining::add_etcd(model::JoinedHost& joined) const {
    joined.etcd_endpoints = options_.etcd.endpoints;
    HD_TRY(joined.etcd_ca, content_of(options_.etcd.ca_file));
    HD_TRY(joined.etcd_certificate, content_of(options_.etcd.certificate_file));
    HD_TRY(joined.etcd_key, content_of(options_.etcd.key_file));
    return ok_status();
}

Result<model::JoinedHost> Joining::join(std::string_view token) {
    const auto id = secrets_.unseal(kSeal, token);
    if (!id.ok() || !is_uuid(id->reveal())) return refused();
    const std::string key = store::keys::invitation(id->reveal());
    HD_TRY(const auto entry, store_.get(key));
    if (!entry) return refused();
    HD_TRY(const auto invitation, model::from_json<model::HostInvitation>(entry->value));
    if (invitation.expires_at <= format_iso8601(clock_.wall())) return refused();
    model::JoinedHost joined{.host = ids_.uuid(),
                             .name = invitation.name,
                             .zone = invitation.zone,
                             .agent_url = options_.agent_url,
                             .ca = authority_.certificate_pem()};
    HD_CHECK(add_etcd(joined));
    HD_TRY(auto issued, certify(joined.host));
    joined.certificate = std::move(issued.certificate);
    joined.key = std::move(issued.key);
    // Whoever comes second with the same token gets nothing.
    const auto used = store_.commit(store::Transaction().expect(key, entry->modified).remove(key));
    if (!used.ok())
        return used.error().code == ErrorCode::conflict ? refused() : Error(used.error());
    log::info("a machine has joined", {{"name", joined.name}, {"host", joined.host}});
    return joined;
}

Result<model::AgentCertificate> Joining::certify(const std::string& host) {
    HD_TRY(const auto issued, authority_.issue(agent_certificate(host), clock_.wall()));
    return model::AgentCertificate{issued.certificate_pem, issued.key_pem.reveal()};
}

bool Joining::renews(const http::Request& request) { return request.path == kRenewPath; }

http::Response Joining::renew(const http::Request& request) {
    if (request.method != "POST") return problem({ErrorCode::method_not_allowed, "only POST"});
    const auto issued = certify(request.peer_name);
    if (!issued.ok()) return problem(issued.error());
    log::info("an agent has a new certificate", {{"host", request.peer_name}});
    return {200, {}, model::to_json(*issued)};
}

bool Joining::takes(const http::Request& request) { return request.path == kPath; }

http::Response Joining::handle(const http::Request& request) {
    if (request.method != "POST") return problem({ErrorCode::method_not_allowed, "only POST"});
    if (request.body.size() > kRequestBytesMax)
        return problem({ErrorCode::too_large, "the request is too large"});
    const auto asked = model::from_json<model::JoinRequest>(request.body);
    if (!asked.ok()) return problem({ErrorCode::invalid_request, asked.error().message});
    const auto joined = join(asked->token);
    if (joined.ok()) return {200, {}, model::to_json(*joined)};
    log::warn("a machine may not join",
              {{"address", request.client_address}, {"reason", joined.error().describe()}});
    return problem(joined.error());
}

}  // namespace howdah::control
