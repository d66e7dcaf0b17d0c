#include "control/fleet/joining.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include "base/text.h"
#include "control/pki/authorities.h"
#include "model/json.h"
#include "os/file.h"
#include "store/memory/memory_store.h"

namespace howdah::control {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kApi = "https://10.0.0.1:8443";

class JoiningTest : public testing::Test {
  protected:
    ~JoiningTest() override { (void)os::remove_tree(folder_); }

    Joining make(store::EtcdOptions etcd) {
        return Joining({kApi, "https://10.0.0.1:9443", std::move(etcd)}, *store_, secrets_,
                       authority_, clock_, ids_);
    }
    std::string file(const std::string& name, const std::string& content) {
        EXPECT_TRUE(os::write_file_atomic(folder_ + "/" + name, content).ok());
        return folder_ + "/" + name;
    }
    static model::JoinTicket opened(const Joining::Invitation& invitation) {
        return model::from_json<model::JoinTicket>(base64url_decode(invitation.ticket).value())
            .value();
    }

    static std::string made_folder() {
        char path[] = "/tmp/howdah-joining-XXXXXX";
        return mkdtemp(path);
    }

    const std::string folder_ = made_folder();
    FakeClock clock_;
    SystemIdSource ids_;
    std::unique_ptr<store::Store> store_ = store::make_memory_store(clock_);
    store::SecretBox secrets_ = store::SecretBox::with_key(std::string(32, 'k'), ids_);
    http::CertificateAuthority authority_ = make_control_plane_authority(clock_.wall()).value();
    Joining joining_ = make({.endpoints = {"https://10.0.0.1:2379"},
                             .ca_file = file("ca.pem", "the authority"),
                             .certificate_file = file("c.pem", "the certificate"),
                             .key_file = file("c.key", "the key")});
};

TEST_F(JoiningTest, a_ticket_says_where_to_go_and_whom_to_believe) {
    const auto invitation = joining_.invite("b", "2").value();
    const model::JoinTicket ticket = opened(invitation);
    EXPECT_EQ(ticket.api_url, kApi);
    EXPECT_EQ(ticket.ca, authority_.certificate_pem());
    EXPECT_EQ(invitation.expires_at, format_iso8601(clock_.wall() + Joining::kValidFor));
}

TEST_F(JoiningTest, its_token_gives_a_certificate_and_the_way_to_etcd_once) {
    const std::string token = opened(joining_.invite("b", "2").value()).token;
    const model::JoinedHost joined = joining_.join(token).value();
    EXPECT_EQ(joined.name, "b");
    EXPECT_EQ(joined.zone, "2");
    EXPECT_TRUE(is_uuid(joined.host));
    EXPECT_EQ(joined.agent_url, "https://10.0.0.1:9443");
    EXPECT_TRUE(authority_.has_issued(joined.certificate).value());
    EXPECT_THAT(joined.key, HasSubstr("PRIVATE KEY"));
    EXPECT_EQ(joined.etcd_endpoints, std::vector<std::string>{"https://10.0.0.1:2379"});
    EXPECT_EQ(joined.etcd_ca, "the authority");
    EXPECT_EQ(joined.etcd_certificate, "the certificate");
    EXPECT_EQ(joined.etcd_key, "the key");
    EXPECT_EQ(joining_.join(token).error().code, ErrorCode::permission_denied);
}

TEST_F(JoiningTest, a_token_that_is_none_is_refused_and_told_nothing) {
    (void)joining_.invite("b", "2").value();
    const auto other = store::SecretBox::with_key(std::string(32, 'x'), ids_);
    const std::string used = joining_.join("v1:AAAA").error().describe();
    for (const std::string& token :
         {std::string(), std::string("x"), other.seal("host-invitation", Secret(ids_.uuid())),
          secrets_.seal("host-invitation", Secret(ids_.uuid())),
          secrets_.seal("host-invitation", Secret("no-uuid")),
          secrets_.seal("other", Secret(ids_.uuid()))})
        EXPECT_EQ(joining_.join(token).error().describe(), used);
}

TEST_F(JoiningTest, a_token_expires) {
    const std::string token = opened(joining_.invite("b", "2").value()).token;
    clock_.advance(Joining::kValidFor);
    EXPECT_EQ(joining_.join(token).error().code, ErrorCode::permission_denied);
}

TEST_F(JoiningTest, open_invitations_are_bounded_and_expired_ones_removed) {
    for (std::size_t i = 0; i < Joining::kOpenMax; ++i) ASSERT_TRUE(joining_.invite("b", "2").ok());
    EXPECT_EQ(joining_.invite("b", "2").error().code, ErrorCode::too_many_requests);
    clock_.advance(Joining::kValidFor);
    EXPECT_TRUE(joining_.invite("b", "2").ok());
    EXPECT_EQ(store_->list("/invitation/").value().size(), 1U);
}

TEST_F(JoiningTest, an_unreadable_file_uses_no_ticket_up) {
    auto joining = make({.endpoints = {"https://10.0.0.1:2379"}, .ca_file = folder_ + "/none"});
    const std::string token = opened(joining.invite("b", "2").value()).token;
    EXPECT_EQ(joining.join(token).error().code, ErrorCode::not_found);
    EXPECT_TRUE(joining_.join(token).ok());
}

TEST_F(JoiningTest, one_machine_alone_invites_nobody) {
    auto alone = make({});
    const Error error = alone.invite("b", "2").error();
    EXPECT_EQ(error.code, ErrorCode::invalid_state);
    EXPECT_THAT(error.hint, HasSubstr("--etcd"));
}

TEST_F(JoiningTest, answers_over_http) {
    const std::string token = opened(joining_.invite("b", "2").value()).token;
    http::Request request{.method = "POST", .path = "/howdah/v1/join"};
    ASSERT_TRUE(Joining::takes(request));
    for (const std::string& body : {std::string(), std::string("[]"), std::string(5000, 'x')}) {
        request.body = body;
        EXPECT_GE(joining_.handle(request).status, 400);
    }
    request.body = model::to_json(model::JoinRequest{"x"});
    const http::Response refused = joining_.handle(request);
    EXPECT_EQ(refused.status, 403);
    EXPECT_THAT(refused.body, HasSubstr("howdah host add"));
    request.body = model::to_json(model::JoinRequest{token});
    const http::Response taken = joining_.handle(request);
    EXPECT_EQ(taken.status, 200);
    EXPECT_EQ(model::from_json<model::JoinedHost>(taken.body).value().name, "b");
    request.method = "GET";
    EXPECT_EQ(joining_.handle(request).status, 405);
}

TEST_F(JoiningTest, an_agent_gets_a_certificate_of_its_own_name_alone) {
    http::Request request{.method = "POST", .path = "/agent/v1/certificate"};
    request.peer_name = "host-b";
    ASSERT_TRUE(Joining::renews(request));
    const http::Response answer = joining_.renew(request);
    ASSERT_EQ(answer.status, 200);
    const auto issued = model::from_json<model::AgentCertificate>(answer.body).value();
    EXPECT_TRUE(authority_.has_issued(issued.certificate).value());
    EXPECT_THAT(issued.certificate, Not(testing::IsEmpty()));
}

}  // namespace
}  // namespace howdah::control
