// Whom the agent takes orders from.

#include <gtest/gtest.h>
#include <stdlib.h>

#include "agent/agent.h"
#include "http/certificates.h"
#include "http/server.h"
#include "model/records.h"
#include "os/file.h"

namespace howdah::agent {
namespace {

class AgentLink : public testing::Test {
  protected:
    AgentLink() {
        char name[] = "/tmp/howdah-link-XXXXXX";
        if (mkdtemp(name) != nullptr) folder_ = name;
        const auto own =
            control_plane_.issue({.common_name = "host-a", .client = true}, now_).value();
        write("ca.pem", control_plane_.certificate_pem());
        write("agent.pem", own.certificate_pem);
        write("agent.key", own.key_pem.reveal());
    }
    ~AgentLink() override { EXPECT_TRUE(os::remove_tree(folder_).ok()); }

    void write(const std::string& name, const std::string& text) const {
        EXPECT_TRUE(os::write_file_atomic(folder_ + "/" + name, text, 0600).ok());
    }
    /// Whether the agent says a word to somebody who waits where howdahd was.
    bool talks_to(const http::Certificate& certificate) {
        http::ServerOptions options;
        options.certificate_pem = certificate.certificate_pem;
        options.key_pem = certificate.key_pem.reveal();
        options.client_ca_pem = control_plane_.certificate_pem();
        const auto server = http::Server::start(options, [](const http::Request& request,
                                                            http::Responder responder) {
                                responder.send({.body = request.peer_name});
                            }).value();
        auto client = open_link({.url = "",
                                 .ca_path = folder_ + "/ca.pem",
                                 .certificate_path = folder_ + "/agent.pem",
                                 .key_path = folder_ + "/agent.key"});
        EXPECT_TRUE(client.ok());
        const auto answer =
            client->call({.url = "https://127.0.0.1:" + std::to_string(server->port()) + "/"});
        return answer.ok() && answer->body == "host-a";
    }

    std::string folder_;
    SystemClock clock_;
    Timestamp now_ = clock_.wall();
    http::CertificateAuthority control_plane_ =
        http::CertificateAuthority::create("control plane", now_).value();
    http::CertificateAuthority servers_ =
        http::CertificateAuthority::create("servers", now_).value();
};

TEST_F(AgentLink, the_control_plane_is_known_by_its_authority_and_its_name) {
    const std::string name(model::kControlPlaneName);
    EXPECT_TRUE(
        talks_to(control_plane_.issue({.common_name = name, .dns_names = {"localhost", name}}, now_)
                     .value()));
    // Good for the address, as servers had it before they had an authority of their own.
    EXPECT_FALSE(talks_to(control_plane_
                              .issue({.common_name = "orders.example",
                                      .dns_names = {"orders.example"},
                                      .ip_addresses = {"127.0.0.1"}},
                                     now_)
                              .value()));
    EXPECT_FALSE(talks_to(
        servers_
            .issue({.common_name = name, .dns_names = {name}, .ip_addresses = {"127.0.0.1"}}, now_)
            .value()));
}

TEST_F(AgentLink, without_its_files_there_is_none) {
    EXPECT_FALSE(open_link({.url = "",
                            .ca_path = folder_ + "/ca.pem",
                            .certificate_path = folder_ + "/nowhere",
                            .key_path = folder_ + "/agent.key"})
                     .ok());
    write("ca.pem", "");
    EXPECT_FALSE(open_link({.url = "",
                            .ca_path = folder_ + "/ca.pem",
                            .certificate_path = folder_ + "/agent.pem",
                            .key_path = folder_ + "/agent.key"})
                     .ok())
        << "the system's authorities must not take the place of ours";
}

}  // namespace
}  // namespace howdah::agent
