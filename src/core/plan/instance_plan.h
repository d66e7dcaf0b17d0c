#pragma once

#include <string_view>

namespace howdah::core {

/// What is known about an instance when the agent asks what to do next.
struct InstanceFacts {
    bool has_directory = false;
    bool is_running = false;     ///< there is a postmaster
    bool is_ready = false;       ///< and it accepts connections
    bool wants_restore = false;  ///< its data is to come from another server's backups, and has not
    bool wants_running = false;
    bool is_configured = false;             ///< the files on disk are those the spec asks for
    bool is_loaded = false;                 ///< a running PostgreSQL has read these files
    bool is_restart_due = false;            ///< a restart was asked for, or the size changed
    bool has_administrator = false;         ///< with the password of the spec
    bool has_token_administrators = false;  ///< those of the spec and no others
    bool is_replica = false;                ///< it replays what another server commits
    bool wants_promotion = false;           ///< and is to cease to

    // High availability: who is primary is decided by the members (core/ha), and not here.
    bool wants_member = false;  ///< the server is to have members, this one among them
    bool is_founder = false;    ///< its data is the server's
    bool is_member = false;     ///< it has joined
    bool is_begun = false;      ///< its rules run
    bool is_follower = false;   ///< another member is the primary, or is to be
};

enum class InstanceStep {
    claim,
    configure,
    restore,
    stop,
    restart,
    start,
    load,
    promote,
    administrator,
    token_administrators,
    join,    ///< the rules of high availability take PostgreSQL over
    leave,   ///< and give it back
    follow,  ///< the rules begin to run
    done
};

/// A step's name for logs, and what it means in one sentence of the progress line.
std::string_view to_string(InstanceStep step);
std::string_view describe(InstanceStep step);

/// The one step that brings an instance closer to its spec. Asked again after every step, so that
/// a crash between two steps is only a later question. Pure.
///
/// GUARANTEES: never starts an instance that shall be stopped, nor a member of a highly available
/// server; never touches roles of one that is not running, or not the primary; ends in `done` after
/// at most as many steps as there are kinds, if steps do what their names say.
InstanceStep next_step(const InstanceFacts& facts);

}  // namespace howdah::core
