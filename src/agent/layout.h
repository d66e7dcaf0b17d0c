#pragma once

#include <string>
#include <string_view>

namespace howdah::agent {

/// Debian's place for it.
inline constexpr std::string_view kPgBackRest = "/usr/bin/pgbackrest";

/// What is restored to see that it works (Prover) is an instance too, whose name begins so and is
/// no server's. There is one at a time.
inline constexpr std::string_view kScratchPrefix = "scratch-";

/// Where the agent keeps what; a machine may have several, which share a home. The agent's folder
/// and `instances` can be passed through by every user, because PostgreSQL runs as another one;
/// what is below belongs to that one alone.
struct Layout {
    std::string home;
    std::string suffix;  ///< tells the agents of a home apart: "-2"; empty: the first

    std::string root() const { return home + "/agent" + suffix; }
    std::string instances() const { return root() + "/instances"; }
    std::string prepared() const { return root() + "/prepared"; }
    std::string engines() const { return root() + "/engines"; }
    std::string guards() const { return root() + "/guards"; }
    std::string journal() const { return root() + "/journal.json"; }
    /// Sockets have paths of at most 107 bytes, so they live apart, under a short name.
    std::string sockets() const { return root() + "/s"; }
    std::string routes() const { return home + "/gateway/routes" + suffix + ".json"; }
    /// What agents of other machines said last, and what of it is for this machine's gateway.
    std::string heard() const { return root() + "/neighbours.json"; }
    std::string routes_of_others() const { return home + "/gateway/others" + suffix + ".json"; }
    /// Where the gateway answers questions about itself.
    std::string gateway_socket() const { return home + "/gateway/gateway.sock"; }
    /// What howdah-pooler's gateway says of itself.
    std::string pooled_gateway_status() const { return home + "/run/gateway-pooled.json"; }
    std::string lock() const { return home + "/run/agent" + suffix + ".lock"; }
    /// Of whoever restores a copy to prove backups, among all agents of a home.
    std::string prover_lock() const { return home + "/run/prover.lock"; }
    std::string fence_lock() const { return home + "/run/fence" + suffix + ".lock"; }
    std::string fence_log() const { return home + "/log/howdah-fence" + suffix + ".log"; }
    /// What the agents of this machine agree on (store::HaRecords).
    std::string ha_records() const { return home + "/ha/records.db"; }
    /// The authority that the servers believe when they have a token checked: for all to read.
    std::string token_authority() const { return root() + "/token-authority.pem"; }
    std::string token_port() const { return root() + "/token-port"; }
    std::string token_trust() const { return root() + "/token-trust.json"; }
    /// Where howdah-archive asks, and its copy that every server's user can run.
    std::string archive_socket() const { return root() + "/s/archive"; }
    /// The repository that was used (RepositoryNotes).
    std::string used_repository() const { return root() + "/repository"; }
    std::string repository_notes() const { return root() + "/notes"; }
    /// Deleted servers whose backups are not marked yet, by stanza.
    std::string gone() const { return root() + "/gone"; }
    std::string archive_program() const { return root() + "/bin/howdah-archive"; }
};

/// The files of one instance, or of a prepared directory, which has the same shape.
struct InstancePaths {
    std::string folder;
    std::string socket_folder;

    std::string data() const { return folder + "/data"; }
    std::string config() const { return folder + "/config"; }
    std::string log() const { return folder + "/log"; }
    std::string lock() const { return folder + "/data.lock"; }
    std::string state() const { return folder + "/state.json"; }
    std::string start_log() const { return folder + "/start.log"; }
    /// Certificate and key in one file, so that they change together.
    std::string tls() const { return config() + "/server.pem"; }
    /// Of the agent alone: keys, configuration and memory of its backups.
    std::string backup() const { return folder + "/backup"; }
    std::string backup_key() const { return backup() + "/key"; }
    // Of a member of a highly available server.
    std::string member_state() const { return folder + "/ha.json"; }
    std::string member_failovers() const { return folder + "/ha-failovers.json"; }
    std::string member_fence() const { return folder + "/fence"; }
    std::string replication_password() const { return folder + "/replica.pass"; }
};

inline InstancePaths instance_paths(const Layout& layout, const std::string& incarnation) {
    return {layout.instances() + "/" + incarnation,
            layout.sockets() + "/" + incarnation.substr(0, 8)};
}

}  // namespace howdah::agent
