// Whose certificate is accepted by whom: each of howdahd, an agent and a PostgreSQL server shows
// what it has to everybody who checks.

#include "control/pki/authorities.h"

#include <gtest/gtest.h>

#include "control/reconcile/certificate_source.h"
#include "http/client.h"
#include "http/server.h"
#include "model/records.h"

namespace howdah::control {
namespace {

constexpr const char* kAddress = "127.0.0.1";
constexpr const char* kServerName = "orders.postgres.database.howdah.local";

class authorities : public testing::Test {
  protected:
    http::Certificate of_howdahd() const {
        return authorities_.control_plane.issue(howdahd_certificate({kAddress}), now_).value();
    }
    http::Certificate of_agent() const {
        return authorities_.control_plane.issue(agent_certificate("host-a"), now_).value();
    }
    /// What lies in the folder of a customer's server.
    http::Certificate of_server(const std::string& name = kServerName) {
        const model::TlsMaterial made = servers_.issue({name}, now_).value();
        return {made.certificate_pem, Secret(made.key_pem)};
    }
    /// What servers got before they had an authority of their own.
    http::Certificate of_old_server() const {
        return authorities_.control_plane
            .issue({.common_name = kServerName,
                    .dns_names = {kServerName},
                    .ip_addresses = {kAddress}},
                   now_)
            .value();
    }

    /// Whether a client with `options` talks to somebody who serves with `certificate`.
    bool is_trusted(const http::Certificate& certificate, http::ClientOptions options) const {
        http::ServerOptions server;
        server.certificate_pem = certificate.certificate_pem;
        server.key_pem = certificate.key_pem.reveal();
        const auto started = serve(server);
        return answers(*started, std::move(options));
    }
    /// Whether howdahd's door for agents opens for somebody who shows `certificate`.
    bool is_let_in(const http::Certificate& certificate) const {
        const http::Certificate own = of_howdahd();
        http::ServerOptions server;
        server.certificate_pem = own.certificate_pem;
        server.key_pem = own.key_pem.reveal();
        server.client_ca_pem = authorities_.control_plane.certificate_pem();
        http::ClientOptions client = of_agents_link();
        client.certificate_pem = certificate.certificate_pem;
        client.key_pem = certificate.key_pem;
        return answers(*serve(server), std::move(client));
    }
    http::ClientOptions of_agents_link() const {
        return {.ca_pem = authorities_.control_plane.certificate_pem(),
                .server_name = std::string(model::kControlPlaneName)};
    }

    SystemClock clock_;
    Timestamp now_ = clock_.wall();
    Authorities authorities_{make_control_plane_authority(now_).value(),
                             make_server_authority(now_).value()};
    AuthorityCertificates servers_{authorities_.servers};

  private:
    static std::unique_ptr<http::Server> serve(const http::ServerOptions& options) {
        return http::Server::start(options,
                                   [](const http::Request&, http::Responder responder) {
                                       responder.send({.body = "{}"});
                                   })
            .value();
    }
    static bool answers(const http::Server& server, http::ClientOptions options) {
        http::Client client(std::move(options));
        const auto answer =
            client.call({.url = "https://127.0.0.1:" + std::to_string(server.port()) + "/"});
        return answer.ok() && answer->status == 200;
    }
};

TEST_F(authorities, an_agent_takes_orders_from_howdahd_alone) {
    EXPECT_TRUE(is_trusted(of_howdahd(), of_agents_link()));
    EXPECT_FALSE(is_trusted(of_server(), of_agents_link()));
    EXPECT_FALSE(is_trusted(of_old_server(), of_agents_link()));
    EXPECT_FALSE(is_trusted(of_agent(), of_agents_link()));
    // The right name from the wrong authority.
    http::CertificateRequest forged = howdahd_certificate({kAddress});
    EXPECT_FALSE(is_trusted(authorities_.servers.issue(forged, now_).value(), of_agents_link()));
    forged.ip_addresses.clear();
    EXPECT_FALSE(is_trusted(authorities_.servers.issue(forged, now_).value(), of_agents_link()));
}

TEST_F(authorities, howdahd_lets_agents_in_and_nobody_else) {
    EXPECT_TRUE(is_let_in(of_agent()));
    EXPECT_FALSE(is_let_in(of_server()));
    EXPECT_FALSE(is_let_in(of_old_server()));
    EXPECT_FALSE(is_let_in(of_howdahd()));
    EXPECT_FALSE(is_let_in(authorities_.servers.issue(agent_certificate("host-a"), now_).value()));
}

TEST_F(authorities, who_pins_the_control_planes_authority_sends_no_token_to_a_server) {
    const http::ClientOptions pinned{.ca_pem = authorities_.control_plane.certificate_pem()};
    EXPECT_TRUE(is_trusted(of_howdahd(), pinned));
    EXPECT_FALSE(is_trusted(of_server(), pinned));
    EXPECT_FALSE(is_trusted(of_agent(), pinned));
}

TEST_F(authorities, with_the_users_file_the_api_is_trusted_and_a_server_in_its_place_is_not) {
    const http::ClientOptions of_user{.ca_pem = authorities_.for_users()};
    EXPECT_TRUE(is_trusted(of_howdahd(), of_user));
    EXPECT_FALSE(is_trusted(of_server(), of_user));
    // Not even a mistake of ours, a server's certificate for an address, would be one.
    http::CertificateRequest mistake{.common_name = kServerName, .ip_addresses = {kAddress}};
    EXPECT_FALSE(is_trusted(authorities_.servers.issue(mistake, now_).value(), of_user));
    http::ClientOptions of_command_line = of_user;
    of_command_line.server_name = model::kControlPlaneName;
    EXPECT_TRUE(is_trusted(of_howdahd(), of_command_line));
    EXPECT_FALSE(is_trusted(of_old_server(), of_command_line));
}

TEST_F(authorities, with_the_users_file_a_server_is_trusted_by_its_name) {
    http::ClientOptions of_user{.ca_pem = authorities_.for_users(), .server_name = kServerName};
    EXPECT_TRUE(is_trusted(of_server(), of_user));
    EXPECT_TRUE(is_trusted(of_old_server(), of_user)) << "until it is replaced";
    EXPECT_FALSE(is_trusted(of_howdahd(), of_user));
    EXPECT_FALSE(is_trusted(of_server("other.postgres.database.howdah.local"), of_user));
    of_user.ca_pem = authorities_.control_plane.certificate_pem();
    EXPECT_FALSE(is_trusted(of_server(), of_user));
}

TEST_F(authorities, no_server_gets_a_name_of_the_control_plane) {
    for (const char* name : {"howdahd", "HOWDAHD", "localhost"}) {
        EXPECT_EQ(servers_.issue({kServerName, name}, now_).error().code,
                  ErrorCode::invalid_argument)
            << name;
    }
}

TEST_F(authorities, a_servers_certificate_is_current_while_its_authority_issues) {
    EXPECT_TRUE(servers_.is_current(of_server().certificate_pem).value());
    EXPECT_FALSE(servers_.is_current(of_old_server().certificate_pem).value());
}

}  // namespace
}  // namespace howdah::control
