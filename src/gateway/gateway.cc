#include "gateway/gateway.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>

#include "base/assert.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "gateway/merge.h"
#include "model/json.h"
#include "os/file.h"
#include "os/process.h"

namespace howdah::gateway {
namespace {

constexpr int kThreadsDefault = 2;
constexpr int kThreadsMax = 64;
constexpr Duration kTick = std::chrono::seconds(1);
constexpr Duration kDrainTick = std::chrono::milliseconds(20);
/// The log is written so long after the first of its events: one wake-up for many of them.
constexpr Duration kJournalPause = std::chrono::milliseconds(20);
constexpr Duration kPortsRetry = std::chrono::seconds(5);
constexpr Duration kWorkerPatience = std::chrono::seconds(1);
/// Descriptors beside those of sessions: ports, workers, files.
constexpr std::int64_t kDescriptorsSpare = 1024;

std::int64_t parent_of_process(std::int64_t pid) {
    if (pid <= 0) return 0;
    const auto facts = os::process_facts(static_cast<pid_t>(pid));
    return facts ? facts->parent : 0;
}

bool process_exists(std::int64_t pid) {
    return kill(static_cast<pid_t>(pid), 0) == 0 || errno != ESRCH;
}

}  // namespace

Result<os::Fd> gateway_signals() {
    signal(SIGPIPE, SIG_IGN);
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) sigaddset(&set, number);
    if (pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0)
        return Error{ErrorCode::internal, "signals cannot be blocked"};
    os::Fd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd.valid())
        return Error{ErrorCode::resource_exhausted, fmt::format("signalfd: {}", strerror(errno))};
    return fd;
}

Gateway::Gateway(GatewayOptions options, const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      journal_(wake_.get()),
      shared_{.clock = clock,
              .limits = options_.limits,
              .journal = journal_,
              .parent_of = parent_of_process,
              .exists = process_exists} {}

Gateway::~Gateway() {
    stop_workers();
    journal_.write(clock_.now());
}

Result<std::unique_ptr<Gateway>> Gateway::start(GatewayOptions options, const Clock& clock) {
    std::unique_ptr<Gateway> gateway(new Gateway(std::move(options), clock));
    HD_CHECK(gateway->begin());
    return gateway;
}

Status Gateway::begin() {
    if (options_.routes_paths.empty() || options_.routes_paths.size() > kRoutesFilesMax)
        return Error{ErrorCode::invalid_argument,
                     fmt::format("{} files with routes: 1 to {} are possible",
                                 options_.routes_paths.size(), kRoutesFilesMax),
                     "routes"};
    if (!options_.source.empty()) {
        HD_TRY(shared_.source, Address::parse(options_.source, 0));
    }
    const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    int threads = options_.threads > 0 ? options_.threads : std::min(kThreadsDefault, cores);
    threads = std::min(threads, kThreadsMax);
    raise_descriptor_limit();
    for (int i = 0; i < threads; ++i) {
        workers_.push_back(std::make_unique<Worker>(shared_));
        HD_CHECK(workers_.back()->open());
        shared_.workers.push_back(workers_.back().get());
    }
    listeners_ = std::make_unique<Listeners>(options_.address, shared_.workers);
    for (const std::string& path : options_.routes_paths) {
        Source& source = sources_.emplace_back();
        source.path = os::canonical_path(path);
        source.file = std::make_unique<RoutesFile>(source.path);
    }
    admin_ = std::make_unique<AdminServer>(
        options_.admin_path,
        [this](const std::string& command, int client) { return answer_admin(command, client); });
    HD_CHECK(options_.resume_fd >= 0 ? begin_resumed() : begin_fresh());
    load_routes();
    write_status();
    start_workers();
    log::info("gateway serves", {{"address", options_.address},
                                 {"port", listeners_->shared_port()},
                                 {"threads", threads},
                                 {"sessions", shared_.sessions.load()},
                                 {"sessions_max", shared_.limits.sessions_max},
                                 {"upgrades", upgrades_}});
    return ok_status();
}

Status Gateway::begin_fresh() {
    HD_CHECK(take_lock());
    HD_CHECK(listeners_->open_shared({.wanted = options_.port,
                                      .may_differ = options_.port_fallback,
                                      .earlier = earlier_port()}));
    if (!options_.admin_path.empty()) HD_CHECK(admin_->open());
    return ok_status();
}

Status Gateway::take_lock() {
    if (options_.lock_path.empty()) return ok_status();
    auto lock = os::FileLock::try_lock(options_.lock_path);
    if (!lock.ok()) return lock.error().in("another gateway runs");
    // The lock lives as long as any descriptor of it: a copy of our own can go through an upgrade.
    lock_ = os::Fd(fcntl(lock->fd().get(), F_DUPFD_CLOEXEC, 0));
    const std::string pid = fmt::format("{}\n", getpid());
    if (ftruncate(lock_.get(), 0) != 0 ||
        pwrite(lock_.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
        return Error{ErrorCode::io, fmt::format("{}: {}", options_.lock_path, strerror(errno))};
    return ok_status();
}

void Gateway::raise_descriptor_limit() {
    const std::int64_t wanted = 2 * shared_.limits.sessions_max + kDescriptorsSpare;
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    const auto want = static_cast<rlim_t>(wanted);
    if (limit.rlim_cur < want) {
        rlimit raised{.rlim_cur = want, .rlim_max = std::max(limit.rlim_max, want)};
        if (setrlimit(RLIMIT_NOFILE, &raised) != 0) {
            raised = {.rlim_cur = std::min(limit.rlim_max, want), .rlim_max = limit.rlim_max};
            setrlimit(RLIMIT_NOFILE, &raised);
        }
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    const auto had = static_cast<std::int64_t>(limit.rlim_cur);
    shared_.limits.sockets_max = std::max<std::int64_t>(had / 2, had - kDescriptorsSpare);
    if (limit.rlim_cur >= want) return;
    log::warn("the limit of open files bounds the sessions",
              {{"open_files", had}, {"sessions", shared_.limits.sockets_max / 2}});
}

void Gateway::start_workers() {
    HD_ASSERT(threads_.empty(), "the workers run already");
    int index = 0;
    for (const auto& worker : workers_) {
        // The table must be in force before the first client is.
        worker->take_mail();
        threads_.emplace_back([each = worker.get(), index] {
            pthread_setname_np(pthread_self(), fmt::format("gateway-{}", index).c_str());
            each->run();
        });
        ++index;
    }
}

void Gateway::stop_workers() {
    if (threads_.empty()) return;
    for (const auto& worker : workers_) worker->stop();
    threads_.clear();  // joins
}

// -------------------------------------------------------------------------------------------------
// Routes and ports

void Gateway::load_routes() {
    bool is_new = false;
    for (Source& source : sources_) is_new = load(source) || is_new;
    if (!is_new) return;
    use_tables();
    HD_FAILPOINT("gateway.routes.loaded");
}

bool Gateway::load(Source& source) {
    if (!source.file->changed()) return false;
    auto content = source.file->read();
    const Status usable = content.ok() ? check(content->table) : content.error();
    if (!usable.ok()) {
        source.error = usable.error().message;
        log::error("a route table is not usable, the last good one of this file stays in force",
                   {{"path", source.path}, {"error", source.error}});
        return false;
    }
    source.error.clear();
    if (content->text == source.text) return false;
    source.text = std::move(content->text);
    source.table = std::move(content->table);
    log::info("route table read", {{"path", source.path}, {"revision", source.table.revision}});
    return true;
}

Status Gateway::check(const model::RouteTable& table) {
    // A fault in one file must not keep the others from being in force: each is tried by itself.
    CounterBook book;
    std::vector<std::string> faults;
    const auto routes = Routes::compile(table, book, faults);
    return routes.ok() ? ok_status() : Status(routes.error());
}

void Gateway::use_tables() {
    std::vector<const model::RouteTable*> tables;
    for (const Source& source : sources_) tables.push_back(&source.table);
    std::vector<std::string> faults;
    auto routes = Routes::compile(merge_tables(tables), book_, faults);
    HD_ASSERT(routes.ok(), "what is made of good tables is good");
    for (const std::string& fault : faults)
        log::warn("part of the route table is left out", {{"fault", fault}});
    routes_ = *routes;
    for (const auto& worker : workers_)
        worker->post([table = routes_](Worker& each) { each.use_routes(table); });
    const bool changed = !draining_ && listeners_->follow(*routes_);
    log::info("route table in force",
              {{"revision", routes_->revision()}, {"routes", routes_->all().size()}});
    if (changed) write_status();
    book_.sweep();
}

void Gateway::write_status() {
    if (options_.status_path.empty()) return;
    const model::GatewayStatus status{.pid = getpid(),
                                      .address = options_.address,
                                      .port = listeners_->shared_port(),
                                      .requested_port = options_.port,
                                      .admin = options_.admin_path,
                                      .ports = listeners_->ports()};
    const Status written =
        os::write_file_atomic(options_.status_path, model::to_json(status) + "\n", 0644);
    if (!written.ok())
        log::error("the status file cannot be written", {{"error", written.error().message}});
}

std::int64_t Gateway::earlier_port() const {
    // After a restart the clients' connection strings should still be right.
    if (options_.status_path.empty()) return 0;
    const auto text = os::read_file(options_.status_path, 1 << 20);
    if (!text.ok()) return 0;
    const auto status = model::from_json<model::GatewayStatus>(*text);
    if (!status.ok() || status->requested_port != options_.port) return 0;
    return status->port > 0 && status->port <= 65535 ? status->port : 0;
}

// -------------------------------------------------------------------------------------------------
// The control thread

void Gateway::run(int signal_fd) {
    std::vector<pollfd> polled;
    while (true) {
        polled.clear();
        const auto add = [&polled](int fd) {
            if (fd >= 0) polled.push_back({fd, POLLIN, 0});
        };
        if (!journal_waits_) add(wake_.get());
        add(signal_fd);
        for (const Source& source : sources_) add(source.file->fd());
        admin_->add_to(polled);
        poll(polled.data(), polled.size(), timeout_ms());
        const Instant now = clock_.now();
        step_journal(now);
        load_routes();
        if (!draining_ && listeners_->has_failed() && now >= ports_retry_) {
            ports_retry_ = now + kPortsRetry;
            if (listeners_->follow(*routes_)) write_status();
        }
        admin_->step(now);
        read_signals(signal_fd);
        if (stop_requests_ > 0) begin_drain();
        if (drained()) break;
    }
    stop_workers();
    journal_.write(clock_.now());
    log::info("gateway ends", {{"sessions_cut", shared_.sessions.load()}});
}

void Gateway::request_stop() {
    ++stop_requests_;
    eventfd_write(wake_.get(), 1);
}

void Gateway::step_journal(Instant now) {
    eventfd_t count = 0;
    if (eventfd_read(wake_.get(), &count) == 0 && !journal_waits_) {
        journal_waits_ = true;
        journal_due_ = now + kJournalPause;
    }
    if (now < journal_due_) return;
    journal_waits_ = false;
    journal_.write(now);
}

int Gateway::timeout_ms() const {
    const Duration tick = draining_ ? kDrainTick : journal_waits_ ? kJournalPause : kTick;
    return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(tick).count());
}

void Gateway::read_signals(int signal_fd) {
    if (signal_fd < 0) return;
    signalfd_siginfo info{};
    while (read(signal_fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
        switch (info.ssi_signo) {
            case SIGUSR2:
                log::error("the upgrade failed, the gateway goes on as before",
                           {{"error", upgrade(-1).describe()}});
                break;
            case SIGHUP:
                for (Source& source : sources_)
                    source.file = std::make_unique<RoutesFile>(source.path);
                load_routes();
                break;
            default:
                ++stop_requests_;
        }
    }
}

void Gateway::begin_drain() {
    if (draining_) return;
    draining_ = true;
    drain_deadline_ = clock_.now() + options_.drain_timeout;
    log::info("gateway drains", {{"sessions", shared_.sessions.load()}});
    listeners_->close_all();
}

bool Gateway::drained() const {
    return draining_ &&
           (shared_.sessions.load() == 0 || stop_requests_ > 1 || clock_.now() >= drain_deadline_);
}

// -------------------------------------------------------------------------------------------------
// Answers

template <typename Answer>
Answer Gateway::ask_workers(void (*question)(Worker&, Answer&)) {
    struct Board {
        std::mutex mutex;
        std::condition_variable all_said;
        std::size_t left = 0;
        Answer answer;
    };
    // Shared, because a worker may answer after we stopped waiting.
    const auto board = std::make_shared<Board>();
    board->left = workers_.size();
    for (const auto& worker : workers_) {
        worker->post([board, question](Worker& each) {
            const std::lock_guard lock(board->mutex);
            question(each, board->answer);
            if (--board->left == 0) board->all_said.notify_one();
        });
    }
    std::unique_lock lock(board->mutex);
    board->all_said.wait_for(lock, kWorkerPatience, [&] { return board->left == 0; });
    return std::move(board->answer);
}

std::string Gateway::answer_admin(const std::string& command, int client) {
    if (command == "stats") return stats() + "\n";
    if (command == "sessions") return sessions() + "\n";
    if (command == "drain") {
        ++stop_requests_;
        return fmt::format("{{\"draining\":true,\"sessions\":{}}}\n", shared_.sessions.load());
    }
    const Error error = command == "upgrade" ? upgrade(client)
                                             : Error{ErrorCode::invalid_argument, "unknown command",
                                                     "", "Send stats, sessions, upgrade or drain."};
    return model::to_json(model::Failure{.code = std::string(to_string(error.code)),
                                         .message = error.message,
                                         .hint = error.hint}) +
           "\n";
}

std::string Gateway::stats() {
    using LiveBytes = std::unordered_map<const Counters*, std::array<std::int64_t, 2>>;
    const auto live = ask_workers<LiveBytes>(
        [](Worker& worker, LiveBytes& sums) { worker.add_live_bytes(sums); });
    model::GatewayStats stats{.pid = getpid(),
                              .upgrades = upgrades_,
                              .table_revision = routes_->revision(),
                              .table_error = {},
                              .tables = {},
                              .sessions = shared_.sessions,
                              .sessions_max = shared_.limits.sessions_max,
                              .log_lines_dropped = journal_.dropped(),
                              .draining = draining_,
                              .ports = listeners_->ports(),
                              .refused = shared_.nowhere.refusals()};
    for (const Source& source : sources_) {
        stats.tables.push_back({source.path, source.table.revision, source.error});
        if (!stats.table_error.empty() || source.error.empty()) continue;
        stats.table_error =
            sources_.size() > 1 ? fmt::format("{}: {}", source.path, source.error) : source.error;
    }
    for (const auto& [server_id, counters] : book_.all()) {
        model::GatewayServerStats server = counters->stats();
        const Route* route = routes_->by_id(server_id);
        if (route != nullptr) server.state = to_string(route->state);
        const auto moving = live.find(counters.get());
        if (moving != live.end()) {
            server.bytes_in += moving->second[kClient];
            server.bytes_out += moving->second[kBackend];
        }
        stats.servers.push_back(std::move(server));
    }
    return model::to_json(stats);
}

std::string Gateway::sessions() {
    const auto sessions = ask_workers<std::vector<model::GatewaySession>>(
        [](Worker& worker, std::vector<model::GatewaySession>& out) {
            worker.describe_sessions(out);
        });
    // One object at a time: a document of ten thousand would take many times the text's memory.
    std::string text = "[";
    for (const model::GatewaySession& session : sessions) {
        if (text.size() > 1) text += ',';
        text += model::to_json(session);
    }
    return text + "]";
}

// -------------------------------------------------------------------------------------------------
// Upgrade

Status Gateway::check_program() const {
    if (options_.program.empty())
        return Error{ErrorCode::not_supported, "this gateway does not know its own program"};
    const auto finished = os::run(
        {.arguments = {options_.program[0], "--check-handover", std::to_string(kHandoverVersion)},
         .environment = {},
         .timeout = std::chrono::seconds(5)});
    if (!finished.ok()) return finished.error().in("the new program does not start");
    if (!finished->succeeded())
        return Error{ErrorCode::invalid_state,
                     fmt::format("the new program cannot take over: {}", finished->describe()), "",
                     "Drain this gateway and start the new one."};
    return ok_status();
}

Error Gateway::upgrade(int admin_client) {
    if (draining_) return {ErrorCode::invalid_state, "the gateway is draining"};
    // A program that cannot be loaded, or reads another state, must be found out while there is a
    // way back.
    const Status checked = check_program();
    if (!checked.ok()) return checked.error();
    stop_workers();
    for (const auto& worker : workers_) worker->take_mail();
    journal_.write(clock_.now());
    std::vector<int> fds;
    const auto state = store_state(write_state(admin_client, fds));
    Error error;
    if (!state.ok()) {
        error = state.error();
    } else {
        fds.push_back(state->get());
        std::vector<std::string> arguments = options_.program;
        arguments.push_back(fmt::format("--resume-fd={}", state->get()));
        std::vector<char*> argv;
        for (std::string& each : arguments) argv.push_back(each.data());
        argv.push_back(nullptr);
        log::info("gateway upgrades",
                  {{"program", arguments[0]}, {"sessions", shared_.sessions.load()}});
        set_close_on_exec(fds, false);
        execv(arguments[0].c_str(), argv.data());
        error = {ErrorCode::io, fmt::format("{}: {}", arguments[0], strerror(errno))};
        set_close_on_exec(fds, true);
    }
    start_workers();
    return error;
}

std::string Gateway::write_state(int admin_client, std::vector<int>& fds) const {
    StateWriter out;
    out.number(kHandoverVersion);
    out.number(upgrades_ + 1);
    out.number(static_cast<std::int64_t>(sources_.size()));
    for (const Source& source : sources_) {
        out.text(source.path);
        out.text(source.text);
    }
    for (const int fd : {lock_.get(), admin_->listener(), admin_client}) {
        out.fd(fd);
        fds.push_back(fd);
    }
    listeners_->write_state(out, fds);
    write_counters(out, shared_.nowhere);
    out.number(static_cast<std::int64_t>(book_.all().size()));
    for (const auto& [server_id, counters] : book_.all()) {
        out.text(server_id);
        out.text(counters->server_name);
        write_counters(out, *counters);
    }
    out.number(shared_.sessions);
    for (const auto& worker : workers_) {
        worker->visit([&](const Session& session) {
            write_session(out, session);
            fds.push_back(session.fds[kClient]);
            fds.push_back(session.fds[kBackend]);
        });
    }
    return out.bytes();
}

Status Gateway::begin_resumed() {
    const os::Fd state(options_.resume_fd);
    HD_TRY(const std::string bytes, fetch_state(state.get()));
    return read_state(bytes);
}

Status Gateway::read_state(const std::string& bytes) {
    StateReader in(bytes);
    const std::int64_t version = in.number();
    if (!can_take_over(version))
        return Error{ErrorCode::corrupt, "the state is of another version"};
    upgrades_ = in.number();
    read_tables(in, version);
    lock_ = os::Fd(static_cast<int>(in.number()));
    const int listener = static_cast<int>(in.number());
    const int client = static_cast<int>(in.number());
    listeners_->read_state(in);
    read_counters(in, shared_.nowhere);
    for (std::size_t left = in.count(); left > 0; --left) {
        const std::string server_id = in.text();
        const std::string server_name = in.text();
        read_counters(in, *book_.of(server_id, server_name));
    }
    std::vector<int> fds = {lock_.get(), listener, client};
    std::size_t next = 0;
    for (std::size_t left = in.count(); left > 0 && in.ok(); --left) {
        Session session = read_session(in, book_, version);
        if (!in.ok() || session.phase >= Phase::done)
            return Error{ErrorCode::corrupt, "a session of the state is damaged"};
        fds.push_back(session.fds[kClient]);
        fds.push_back(session.fds[kBackend]);
        const bool held = session.phase == Phase::held;
        workers_[next++ % workers_.size()]->restore(std::move(session), held);
    }
    if (!in.ok() || !in.at_end()) return Error{ErrorCode::corrupt, "the state is damaged"};
    set_close_on_exec(fds, true);
    use_tables();
    admin_->resume(listener, client,
                   fmt::format("{{\"upgraded\":true,\"upgrades\":{},\"sessions\":{}}}\n", upgrades_,
                               shared_.sessions.load()),
                   clock_.now());
    return ok_status();
}

void Gateway::read_tables(StateReader& in, std::int64_t version) {
    const bool is_one = version < kHandoverTables;
    for (std::size_t left = is_one ? 1 : in.count(); left > 0; --left) {
        const std::string path = is_one ? sources_.front().path : in.text();
        std::string text = in.text();
        auto table = model::from_json<model::RouteTable>(text);
        if (!table.ok() || !check(*table).ok()) continue;  // the file will tell
        for (Source& source : sources_) {
            if (source.path != path) continue;
            source.text = text;
            source.table = *table;
        }
    }
}

}  // namespace howdah::gateway
