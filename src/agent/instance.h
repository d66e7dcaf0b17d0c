#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "agent/backup/backup_keeper.h"
#include "agent/ha/ha_member.h"
#include "agent/ha/member_services.h"
#include "agent/machine.h"
#include "agent/postmaster.h"
#include "agent/prepared.h"
#include "agent/token_login/token_access.h"
#include "base/clock.h"
#include "base/result.h"
#include "core/lsn.h"
#include "core/plan/instance_plan.h"
#include "model/records.h"
#include "os/file.h"
#include "os/server_users.h"

namespace howdah::agent {

/// What others may know about an instance at any time.
struct InstanceView {
    model::InstanceReport report;
    model::Route route;
    std::string log_folder;  ///< empty: its files are not offered
    int watch_fd = -1;  ///< readable when the postmaster has ended; valid until the next change
    std::optional<BackupServer> backups;  ///< none: it is being deleted, or none are kept here
};

/// One server on this machine: its folder, its PostgreSQL, its state. Brings the spec about step
/// by step (core::next_step) and writes down what is in force after each, so that the agent may be
/// killed anywhere. One thread at a time works on an instance; view() may be called by any.
///
/// Of a highly available server it is one member: then a HaMember, in a thread of its own, decides
/// what PostgreSQL does, and the steps only ask it.
class Instance {
  public:
    /// `changed` is called, on the working thread or the member's, whenever the report or the route
    /// has changed; it must return only when the new route is published. `services`: none: it
    /// cannot be highly available.
    Instance(const Machine& machine, PreparedPool& pool, MemberServices* services,
             const Clock& clock, std::string incarnation, std::function<void()> changed);
    ~Instance();

    /// Reads state.json and takes over a running PostgreSQL. not_found: there is no such instance.
    Status load();

    /// Errors of this and all other actions: `conflict` for a term lower than one seen before, or
    /// when the instance is being deleted. An error leaves the spec that was in force before in
    /// force, as far as PostgreSQL allows.
    Status ensure(const model::InstanceSpec& spec, model::Term term);
    Status create_database(const model::DatabaseSpec& database, model::Term term);
    Status drop_database(const model::DatabaseSpec& database, model::Term term);
    /// Makes another member the primary. `planned`: at a clean end; else this one is ended at once.
    Status fail_over(bool is_planned, model::Term term);
    /// Removes every trace. Repeatable.
    Status remove(model::Term term);
    /// It is to be removed: what takes hours ends now. Any thread.
    void break_off();
    /// Ends the thread of its member, if it has one; PostgreSQL goes on as it is.
    void end_member();
    /// What is asked for with SQL is done here: the primary, or the only instance.
    bool is_primary() const;

    /// Starts PostgreSQL again if it died and shall run; refreshes what is reported.
    Status tend();

    InstanceView view() const;
    /// Who may log in with a token now; may be called by any thread.
    TokenAccess token_access() const;
    const std::string& incarnation() const { return incarnation_; }
    static constexpr int kScratchNice = 15;
    /// Without secrets; may be called by any thread.
    model::InstanceSpec spec() const;
    bool is_deleting() const;

  private:
    struct Files {
        std::string conf, hba, ident;
    };

    Status step(core::InstanceStep step);
    core::InstanceFacts facts();
    void add_member_facts(core::InstanceFacts& facts) const;
    Status claim();
    Status configure();
    Status load_configuration();
    Status start();
    Status start_or_fall_back();
    Status start_as_specified();
    bool put_back();
    void note_parameters_in_force();
    Status stop();
    void checkpoint() const;
    Status restart();
    Status set_administrator();
    Status set_token_administrators();
    std::vector<model::TokenAdministrator> token_administrators() const;
    void note_token_access();

    bool is_pooled() const;
    Status open_sockets();
    Status set_pooler_role();
    void let_pooler_in();
    void set_draining(bool is_draining);
    void wait_for_pooler();

    bool follows() const;
    Status mark_replica();
    Status write_source_password();
    bool note_upstream();
    std::string upstream_conninfo() const;
    Status set_follower_role();
    Result<core::Lsn> source_position() const;
    Status catch_up();
    Status promote();
    Status tend_replica();

    Status join();
    Status join_as_founder(const std::string& password);
    Status leave();
    Status follow();
    Status wait_for_member();
    Status begin_member(bool is_asked_to_start);
    Result<HaMember::Options> member_options(bool is_asked_to_start) const;
    Status forget_member();
    Status remove_member();
    static Status quiet(pg::Connection& session);
    Status write_replication_password(const std::string& password);
    Status restart_member();
    Status tend_member();
    void member_changed(const HaMember::View& next);
    void find_postmaster();
    void shut_down_unfenced() const;
    bool is_follower() const;

    Status use_directory(const InstalledEngine& engine);
    Postmaster::Options postmaster_options(const InstalledEngine& engine,
                                           std::optional<os::User> user) const;
    Result<Files> render() const;
    Status write_configuration();
    Status write_tls();
    Status write_backup_key() const;
    std::string archive_command(std::string_view question) const;
    bool wants_restore() const;
    bool is_scratch() const { return incarnation_.starts_with(kScratchPrefix); }
    void add_backups_locked();
    Status renew_client_rules();
    Status check_files(pg::Connection& session);
    Status apply_limits(std::int64_t memory_mb, bool with_io = true);
    void limit_io(bool is_limited);
    Status set_limits_locked(bool with_io);
    Status restore();
    Result<PgBackRest> source_of_restore() const;
    Result<core::backup::Backup> newest_backup(const PgBackRest& source) const;
    Result<core::backup::Backup> first_backup(const PgBackRest& source) const;
    Result<core::backup::Backup> backup_to_restore(const PgBackRest& source,
                                                   Timestamp target) const;
    Status restore_data();
    std::stop_token restore_stop() const;
    Status check_wanted() const;
    Status archive_rest() const;
    Status note_gone() const;
    Status recover();
    Status choose_port();
    Status refresh(std::string_view detail = "");
    void prune();
    void note_logs();
    Status read_facts(pg::Connection& session);
    std::string restart_token(std::int64_t sequence) const;
    bool is_restart_due() const;
    Status check_term(model::Term term);
    Status check_database_action(model::Term term);
    void fall_back_to_previous();
    void undo();
    Status settle();
    Status save();
    void publish(std::string_view state, std::string_view detail);
    bool compose_locked();
    void add_member_locked();
    Result<std::optional<os::Owner>> file_owner() const;
    Result<pg::Connection> connect(const std::string& database) const;
    Status change(pg::Connection& session, std::string_view sql, Duration timeout) const;
    std::string lock_holders(int waiting_pid) const;
    /// Members of one server may share a machine, but no limits.
    std::string group_name() const;

    const Machine& machine_;
    PreparedPool& pool_;
    MemberServices* const services_;
    const Clock& clock_;
    const std::string incarnation_;
    const InstancePaths paths_;
    const std::function<void()> changed_;

    model::InstanceState state_;
    std::string saved_text_;           ///< of state.json
    std::string verifier_;             ///< of the spec being brought about; not kept
    std::string backup_key_;           ///< likewise; empty: what is on disk
    std::string restore_key_;          ///< likewise
    std::string source_password_;      ///< likewise; of the server that this one follows
    std::string replica_password_;     ///< likewise; of this server, for those that follow it
    std::optional<os::User> runs_as_;  ///< whom PostgreSQL runs as; none: its data is not made yet
    std::string tls_pem_;              ///< certificate and key, likewise; empty: what is on disk
    std::optional<Postmaster> postmaster_;
    Instant logs_noted_{};  ///< when the sizes of the log files were last reported
    bool is_configured_ = false;
    bool is_loaded_ = false;

    /// What view_ is made of, beside what stands in it.
    struct Base {
        model::InstanceSpec spec;  ///< without secrets
        std::string state;
        std::string detail;
        model::Term member_term = 0;
        std::int64_t postmaster_pid = 0;
        int watch_fd = -1;
        std::optional<os::User> runs_as;
        bool is_restored = false;
        bool is_replica = false;
    };

    mutable std::mutex mutex_;
    std::condition_variable view_changed_;
    Base base_;                                  ///< guarded by mutex_
    bool is_draining_ = false;                   ///< guarded by mutex_; new sessions wait
    std::optional<HaMember::View> member_view_;  ///< guarded by mutex_; none: there never was one
    InstanceView view_;                          ///< guarded by mutex_
    std::string published_text_;  ///< guarded by mutex_; what `changed` was last called for
    /// Guarded by mutex_; likewise. They are not compared, as that would take its time.
    std::shared_ptr<const std::vector<model::FailoverPart>> published_failovers_;
    TokenAccess token_access_;       ///< guarded by mutex_
    std::stop_source restore_stop_;  ///< guarded by mutex_

    std::mutex limits_mutex_;
    /// Guarded by limits_mutex_; with I/O, whether that is in force or not. None: never set.
    std::optional<os::Limits> limits_;

    std::unique_ptr<HaMember> member_;  ///< changed by the working thread alone
    std::jthread member_thread_;
};

/// The route of a server from its spec and what its instance does. Pure.
model::Route make_route(const model::InstanceSpec& spec, std::string_view state,
                        std::int64_t backend_port, std::int64_t postmaster_pid);

}  // namespace howdah::agent
