#include "simulation_support.h"

#include <fmt/core.h>

#include "base/text.h"
#include "control/reconcile/records.h"
#include "model/json.h"
#include "store/keys.h"
#include "store/memory/memory_store.h"

namespace howdah::control {
namespace {

namespace keys = store::keys;
using std::chrono::milliseconds;
using std::chrono::seconds;

const model::ResourceId kGroup = model::ResourceId::group("sub", "Rg");

model::ResourceId server_id(const std::string& name) {
    return model::ResourceId::server("sub", "Rg", name);
}

}  // namespace

std::vector<store::Entry> entries_of(Result<std::vector<store::Entry>> listed) {
    return listed.value();
}

// ---------------------------------------------------------------------------------------------
// DyingStore

Result<std::optional<store::Entry>> DyingStore::get(std::string_view key) {
    if (dead_) return dead();
    return inner_.get(key);
}
Result<std::vector<store::Entry>> DyingStore::list(std::string_view prefix,
                                                   const store::ListOptions& options) {
    if (dead_) return dead();
    return inner_.list(prefix, options);
}
Result<store::Revision> DyingStore::revision() {
    if (dead_) return dead();
    return inner_.revision();
}
Result<std::unique_ptr<store::Watch>> DyingStore::watch(std::string_view prefix,
                                                        store::Revision after) {
    if (dead_) return dead();
    return inner_.watch(prefix, after);
}
Result<store::Revision> DyingStore::commit(const store::Transaction& transaction) {
    if (before_commit) before_commit();
    if (dead_) return dead();
    if (commits_left_ < 0 || --commits_left_ > 0) return inner_.commit(transaction);
    commits_left_ = -1;
    dead_ = true;
    if (after_) (void)inner_.commit(transaction).ok();
    return Error{ErrorCode::timeout, "the process died at a commit"};
}

// ---------------------------------------------------------------------------------------------
// FakeCertificates

Result<model::TlsMaterial> FakeCertificates::issue(const std::vector<std::string>& dns_names,
                                                   Timestamp now) {
    ++issued;
    const Timestamp end = now + std::chrono::days(825);
    return model::TlsMaterial{format_iso8601(end), "key of " + dns_names.at(0), "ca"};
}

Result<Timestamp> FakeCertificates::end_of(const std::string& certificate_pem) {
    return parse_iso8601(certificate_pem);
}

// ---------------------------------------------------------------------------------------------
// FakeAgent

model::InstanceReport FakeAgent::report_of(const std::string& incarnation) const {
    model::InstanceReport report;
    report.incarnation = incarnation;
    const auto found = instances.find(incarnation);
    if (found == instances.end()) {
        report.server_id = deleted_.at(incarnation);
        return report;
    }
    const Instance& instance = found->second;
    report.server_id = instance.spec.server_id;
    report.term = 1;
    report.observed_generation = instance.spec.generation;
    report.state = instance.spec.running ? "running" : "stopped";
    if (instance.spec.running)
        for (const std::string& each : instance.databases)
            report.databases.push_back({each, "UTF8", "C"});
    return report;
}

void FakeAgent::poll(const Deliver& deliver) {
    if (has_poll_out()) return;
    model::PollRequest request;
    request.host = host_;
    request.wait_ms = 2000;
    if (!host_reported_) {
        model::HostReport report;
        report.host = host_;
        report.engines.push_back({"15", "15.20"});
        request.host_report = report;
    }
    sent_.clear();
    std::vector<std::string> incarnations;
    for (const auto& [incarnation, instance] : instances) incarnations.push_back(incarnation);
    for (const auto& [incarnation, server] : deleted_) incarnations.push_back(incarnation);
    for (const std::string& each : incarnations) {
        const model::InstanceReport report = report_of(each);
        const std::string text = model::to_json(report);
        if (reported_[each] == text) continue;
        sent_[each] = text;
        request.reports.push_back(report);
    }
    for (const auto& [id, result] : unacknowledged_) request.results.push_back(result);
    for (const auto& [id, action] : queue_) request.running.push_back(id);
    dirty_ = false;
    in_flight_ = std::make_shared<InFlight>();
    const std::string body = model::to_json(request);
    const auto send = [&] {
        deliver(body, [flight = in_flight_](int status, std::string answer) {
            if (flight->answered) return;  // of a duplicate
            flight->answered = true;
            flight->status = status;
            flight->body = std::move(answer);
        });
    };
    if (chance(loss_rate)) return crash();  // as good as never sent: begins anew
    send();
    if (chance(loss_rate)) send();
    if (chance(loss_rate)) {  // the answer is lost
        in_flight_.reset();
        dirty_ = true;
    }
}

void FakeAgent::receive() {
    if (in_flight_ == nullptr || !in_flight_->answered) return;
    const std::shared_ptr<InFlight> flight = std::move(in_flight_);
    in_flight_.reset();
    if (flight->status != 200) {
        dirty_ = true;
        return;
    }
    const auto response = model::from_json<model::PollResponse>(flight->body).value();
    for (const auto& [incarnation, text] : sent_) reported_[incarnation] = text;
    host_reported_ = !response.want_host_report;
    for (const std::string& each : response.acknowledged) unacknowledged_.erase(each);
    for (const model::Action& each : response.actions) {
        const auto done = journal_.find(each.id);
        if (done != journal_.end()) {
            unacknowledged_[each.id] = done->second;
        } else if (each.instance && each.instance->tls.key_pem.empty()) {
            complaints.push_back("an action came without its key: " + each.id);
        } else if (each.instance && each.instance->administrator_verifier != "verifier") {
            complaints.push_back("an action came with a sealed verifier: " + each.id);
        } else {
            queue_[each.id] = each;
        }
    }
}

bool FakeAgent::work_one() {
    if (queue_.empty()) return false;
    // A newer generation replaces an older one; what is for databases comes after it.
    auto next = queue_.begin();
    for (auto each = queue_.begin(); each != queue_.end(); ++each)
        if (each->second.generation > next->second.generation) next = each;
    const model::Action action = next->second;
    if (chance(crash_rate)) {
        crash();
        return true;
    }
    const auto failure = execute(action);
    if (chance(crash_rate)) {
        crash();
        return true;
    }
    const model::ActionResult result{action.id,   action.server_id,  action.incarnation,
                                     action.kind, action.generation, failure};
    journal_[action.id] = result;
    unacknowledged_[action.id] = result;
    queue_.erase(action.id);
    dirty_ = true;
    if (chance(crash_rate)) crash();
    return true;
}

void FakeAgent::use_sql() {
    for (auto& [incarnation, instance] : instances) {
        if (!instance.spec.running || !chance(0.5)) continue;
        if (chance(0.7))
            instance.databases.erase("db0");
        else
            instance.databases.insert("db0");
        dirty_ = true;
    }
}

std::string FakeAgent::describe() const {
    std::string text = fmt::format("{} poll out", has_poll_out() ? "a" : "no");
    for (const auto& [id, action] : queue_) text += ", works on " + id;
    for (const auto& [id, result] : unacknowledged_) text += ", wants to tell " + id;
    return text;
}

void FakeAgent::crash() {
    queue_.clear();
    reported_.clear();
    host_reported_ = false;
    in_flight_.reset();
    dirty_ = true;
}

std::optional<model::Failure> FakeAgent::execute(const model::Action& action) {
    if (chance(failure_rate)) {
        const bool passes = chance(0.7);
        return model::Failure{
            std::string(to_string(passes ? ErrorCode::io : ErrorCode::invalid_argument)),
            "the simulation wants it so", ""};
    }
    switch (action.kind) {
        case model::ActionKind::ensure_instance:
            if (deleted_.contains(action.incarnation)) {
                // An older action that was overtaken is refused; a newer one must not exist.
                if (action.generation > deleted_generation_[action.incarnation])
                    complaints.push_back("a deleted instance was wanted again: " + action.id);
                return model::Failure{std::string(to_string(ErrorCode::cancelled)),
                                      "the instance was deleted", ""};
            }
            return ensure(*action.instance);
        case model::ActionKind::delete_instance:
            instances.erase(action.incarnation);
            deleted_[action.incarnation] = action.server_id;
            deleted_generation_[action.incarnation] = action.generation;
            return {};
        default:
            return change_database(action);
    }
}

std::optional<model::Failure> FakeAgent::ensure(const model::InstanceSpec& spec) {
    Instance& instance = instances[spec.incarnation];
    if (spec.generation < instance.spec.generation) return {};
    if (instance.spec.generation == 0) {
        ++instance.creations;
        instance.spec.password_version = spec.password_version;
        instance.spec.restart_sequence = spec.restart_sequence;
    }
    if (spec.password_version != instance.spec.password_version) ++instance.password_changes;
    if (spec.restart_sequence > instance.spec.restart_sequence) ++instance.restarts;
    instance.spec = spec;
    ++instance.ensured[spec.generation];
    return {};
}

std::optional<model::Failure> FakeAgent::change_database(const model::Action& action) {
    const auto found = instances.find(action.incarnation);
    if (found == instances.end() || !found->second.spec.running) {
        return model::Failure{std::string(to_string(ErrorCode::unavailable)), "it does not run",
                              ""};
    }
    std::set<std::string>& databases = found->second.databases;
    // Done already, and the agent crashed before it wrote that down: that is success, too.
    if (action.kind == model::ActionKind::create_database)
        databases.insert(action.database->name);
    else
        databases.erase(action.database->name);
    return {};
}

// ---------------------------------------------------------------------------------------------
// Simulation

Simulation::Simulation(std::uint64_t seed, int agent_count)
    : random(seed),
      durable(store::make_memory_store(clock)),
      store(*durable),
      secrets(store::SecretBox::with_key(std::string(32, 'k'), ids)) {
    for (int i = 0; i < agent_count; ++i) agents.emplace_back(fmt::format("host-{}", i), random);
    store.before_commit = [this] { interfere(); };
    start_control();
}

/// Something that falls between the read and the commit of somebody else.
void Simulation::interfere() {
    if (is_interfering_ || fault_rate == 0 || pick(5) != 0) return;
    is_interfering_ = true;
    const Doing interrupted = doing_;
    FakeAgent& agent = agents[pick(agents.size())];
    switch (pick(3)) {
        case 0:
            random_request();
            break;
        case 1:
            if (interrupted == Doing::reconciling) break;
            (void)reconciler->feed(Duration::zero()).ok();
            work_one();
            break;
        default:
            if (interrupted == Doing::serving) break;
            agent.work_one();
            poll(agent);
    }
    doing_ = interrupted;
    is_interfering_ = false;
}

bool Simulation::work_one() {
    doing_ = Doing::reconciling;
    const bool worked = reconciler->work_one();
    doing_ = Doing::nothing;
    return worked;
}

void Simulation::poll(FakeAgent& agent) {
    doing_ = Doing::serving;
    agent.poll([&](const std::string& body, Fleet::Reply reply) {
        fleet->poll(agent.host(), body, std::move(reply));
    });
    doing_ = Doing::nothing;
}

void Simulation::start_control() {
    fleet.reset();
    reconciler.reset();
    store.revive();
    ReconcilerOptions options;
    options.host_suffix = "db.test";
    options.first_port = 20001;
    options.last_port = 20100;
    reconciler = std::make_unique<Reconciler>(store, clock, ids, secrets, certificates, options);
    fleet = std::make_unique<Fleet>(store, clock, secrets);
    operations = std::make_unique<Operations>(store, clock, ids);
    for (FakeAgent& each : agents) each.lose_connection();
}

void Simulation::revive_if_dead() {
    if (!store.is_dead()) return;
    ++restarts_of_control;
    start_control();
}

bool Simulation::create_group() {
    model::ResourceGroup group;
    group.id = kGroup.to_string();
    group.name = "Rg";
    const std::string key = keys::group(kGroup);
    return store.commit(store::Transaction().expect_absent(key).put(key, model::to_json(group)))
        .ok();
}

bool Simulation::delete_group() {
    const std::string key = keys::group(kGroup);
    const auto group = read_record<model::ResourceGroup>(store, key);
    if (!group.ok() || !group->record || group->record->deleting) return false;
    model::ResourceGroup changed = *group->record;
    changed.deleting = true;
    store::Transaction transaction;
    transaction.expect(key, group->modified).put(key, model::to_json(changed));
    operations->begin(transaction, {.kind = "DeleteGroup", .resource_id = kGroup.to_string()});
    return operations->commit(transaction).ok();
}

bool Simulation::create_server(const std::string& name) {
    const auto group = read_record<model::ResourceGroup>(store, keys::group(kGroup));
    if (!group.ok() || !group->record || group->record->deleting) return false;
    const model::ResourceId id = server_id(name);
    model::ServerSpec spec;
    spec.id = id.to_string();
    spec.name = name;
    spec.version = "15";
    spec.sku = {"Standard_D2ds_v5", "GeneralPurpose"};
    spec.sealed_verifier = secrets.seal(keys::seal_name_of_verifier(id.key()), Secret("verifier"));
    spec.incarnation = ids.uuid();
    store::Transaction transaction;
    transaction.expect(keys::group(kGroup), group->modified);
    transaction.expect_absent(keys::server(id)).put(keys::server(id), model::to_json(spec));
    transaction.expect_absent(keys::server_name(name)).put(keys::server_name(name), id.key());
    operations->begin(transaction, {.kind = "CreateServer",
                                    .resource_id = spec.id,
                                    .server_key = id.key(),
                                    .incarnation = spec.incarnation,
                                    .generation = 1});
    return operations->commit(transaction).ok();
}

bool Simulation::change_server(const std::string& name, const std::string& kind) {
    const model::ResourceId id = server_id(name);
    const auto read = read_record<model::ServerSpec>(store, keys::server(id));
    if (!read.ok() || !read->record) return false;
    model::ServerSpec spec = *read->record;
    if (spec.deleting && kind != "DeleteServer") return false;
    if (kind == "StopServer") spec.running = false;
    if (kind == "StartServer") spec.running = true;
    if (kind == "RestartServer") spec.restart_sequence = spec.generation + 1;
    if (kind == "DeleteServer") spec.deleting = true;
    if (kind == "ResetPassword") spec.password_version = spec.generation + 1;
    if (kind == "UpdateServer") spec.parameters["work_mem"] = std::to_string(++passwords_);
    ++spec.generation;
    store::Transaction transaction;
    transaction.expect(keys::server(id), read->modified)
        .put(keys::server(id), model::to_json(spec));
    operations->begin(transaction, {.kind = kind,
                                    .resource_id = spec.id,
                                    .server_key = id.key(),
                                    .incarnation = spec.incarnation,
                                    .generation = spec.generation});
    // Also when it is not known to have been committed.
    ++asked_[spec.incarnation + kind];
    return operations->commit(transaction).ok();
}

bool Simulation::change_database(const std::string& server, const std::string& database,
                                 bool create) {
    const model::ResourceId id = server_id(server);
    const auto read = read_record<model::ServerSpec>(store, keys::server(id));
    if (!read.ok() || !read->record || read->record->deleting) return false;
    const model::ResourceId child = id.child("databases", database);
    if (!read->record->running) return false;
    const auto record = store.get(keys::database(child));
    if (!record.ok()) return false;
    store::Transaction transaction;
    transaction.expect(keys::server(id), read->modified);
    transaction.expect(keys::database(child), *record ? (*record)->modified : 0);
    std::optional<model::DatabaseSpec> spec;
    if (create) {
        spec = model::DatabaseSpec{child.to_string(), database};
        transaction.put(keys::database(child), model::to_json(*spec));
    } else {
        transaction.remove(keys::database(child));
    }
    operations->begin(transaction, {.kind = create ? "CreateDatabase" : "DropDatabase",
                                    .resource_id = child.to_string(),
                                    .server_key = id.key(),
                                    .incarnation = read->record->incarnation,
                                    .action_id = ids.uuid(),
                                    .database = spec});
    return operations->commit(transaction).ok();
}

void Simulation::random_request() {
    const std::string name = fmt::format("pg{}", pick(3));
    const std::string database = fmt::format("db{}", pick(2));
    constexpr const char* kKinds[] = {"UpdateServer", "RestartServer", "StopServer",
                                      "StartServer",  "ResetPassword", "StartServer"};
    switch (pick(12)) {
        case 0:
        case 1:
        case 2:
            create_server(name);
            break;
        case 3:
            delete_server(name);
            break;
        case 4:
        case 5:
        case 6:
            change_database(name, database, pick(3) != 0);
            break;
        case 7:
            if (pick(10) == 0)
                delete_group();
            else
                create_group();
            break;
        default:
            change_server(name, kKinds[pick(std::size(kKinds))]);
    }
}

void Simulation::one_random_step() {
    if (fault_rate > 0 && pick(1000) < static_cast<std::size_t>(fault_rate * 1000))
        store.die_at(static_cast<int>(pick(4)) + 1, pick(2) == 0);
    FakeAgent& agent = agents[pick(agents.size())];
    switch (pick(9)) {
        case 0:
            random_request();
            break;
        case 1:
            (void)reconciler->feed(Duration::zero()).ok();
            break;
        case 2:
        case 3:
            work_one();
            break;
        case 4:
            (void)fleet->step(Duration::zero()).ok();
            break;
        case 5:
            poll(agent);
            break;
        case 6:
            agent.receive();
            break;
        case 7:
            agent.work_one();
            if (pick(20) == 0) agent.use_sql();
            break;
        default:
            clock.advance(milliseconds(pick(1500)));
    }
    revive_if_dead();
}

/// True if anything was left to do.
bool Simulation::one_round() {
    bool busy = false;
    (void)reconciler->feed(Duration::zero()).ok();
    for (int i = 0; i < 200 && work_one(); ++i) busy = true;
    (void)fleet->step(Duration::zero()).ok();
    for (FakeAgent& agent : agents) {
        busy |= !agent.is_idle();
        agent.receive();
        while (agent.work_one()) busy = true;
        poll(agent);
        agent.receive();
    }
    revive_if_dead();
    return busy;
}

/// What is unfinished, for the message of a test that failed.
std::string Simulation::unfinished() {
    std::string text;
    for (FakeAgent& each : agents) text += fmt::format("{}: {}\n", each.host(), each.describe());
    for (const char* prefix : {"/pending/", "/action/", "/result/"})
        for (const auto& entry : entries_of(durable->list(prefix)))
            text += entry.key + " " + entry.value.substr(0, 300) + "\n";
    for (const auto& entry : entries_of(durable->list("/operation/")))
        if (entry.value.find("end_time") == std::string::npos) text += entry.value + "\n";
    for (const auto& entry : entries_of(durable->list("/status/"))) text += entry.value + "\n";
    return text;
}

bool Simulation::run_until_idle(int idle_rounds_wanted) {
    int idle_rounds = 0;
    for (int round = 0; round < 5000; ++round) {
        idle_rounds = one_round() ? 0 : idle_rounds + 1;
        clock.advance(milliseconds(500));
        if (idle_rounds > idle_rounds_wanted) return true;
    }
    return false;
}

bool Simulation::settle() {
    store.die_at(-1, false);
    fault_rate = 0;
    for (FakeAgent& each : agents) each.failure_rate = each.crash_rate = each.loss_rate = 0;
    return run_until_idle(80);
}

// ---------------------------------------------------------------------------------------------
// The promises

std::string Simulation::check() {
    for (const FakeAgent& each : agents)
        if (!each.complaints.empty()) return each.complaints.front();
    std::string problem = check_leftovers();
    for (const auto& entry : entries_of(durable->list("/server/"))) {
        if (!problem.empty()) break;
        problem = check_server(model::from_json<model::ServerSpec>(entry.value).value());
    }
    return problem;
}

std::string Simulation::check_leftovers() {
    for (const char* prefix : {"/pending/", "/action/", "/result/", "/silent/"}) {
        const auto left = durable->list(prefix).value();
        if (!left.empty()) return "left over: " + left[0].key + " " + left[0].value;
    }
    for (const auto& entry : entries_of(durable->list("/operation/"))) {
        const auto operation = model::from_json<model::Operation>(entry.value).value();
        if (operation.end_time.empty()) return "never ended: " + entry.value;
        if (operation.status == "InProgress") return "ended in progress: " + entry.value;
        if ((operation.status == "Succeeded") == operation.failure.has_value())
            return "ended without a reason: " + entry.value;
        // Requests for one database queue, and each creation has its wishes with it.
        if (operation.failure && operation.failure->message == "the database's record is gone")
            return "lost its record: " + entry.value;
    }
    std::set<std::string> incarnations;
    std::set<std::string> servers;
    for (const auto& entry : entries_of(durable->list("/server/"))) {
        const auto spec = model::from_json<model::ServerSpec>(entry.value).value();
        incarnations.insert(spec.incarnation);
        servers.insert(to_lower(spec.id));
    }
    for (const FakeAgent& agent : agents) {
        for (const auto& [incarnation, instance] : agent.instances) {
            if (!incarnations.contains(incarnation))
                return "an instance without a server: " + instance.spec.server_id;
            if (instance.creations > 1) return "created twice: " + instance.spec.server_id;
            for (const auto& [generation, count] : instance.ensured)
                if (count > 1 && agent.crash_rate == 0 && restarts_of_control == 0)
                    return fmt::format("generation {} done {} times", generation, count);
        }
    }
    for (const char* family : {"/status", "/report", "/revisions", "/secret/tls"}) {
        for (const auto& entry : entries_of(durable->list(std::string(family) + "/"))) {
            const std::string id = entry.key.substr(std::string_view(family).size());
            if (!servers.contains(id.substr(0, id.find('|')))) return "left over: " + entry.key;
        }
    }
    for (const char* prefix : {"/name/", "/port/"})
        for (const auto& entry : entries_of(durable->list(prefix)))
            if (!servers.contains(entry.value)) return "left over: " + entry.key;
    return "";
}

std::string Simulation::check_server(const model::ServerSpec& spec) {
    const std::string key = to_lower(spec.id);
    const auto status =
        read_record<model::ServerStatus>(*durable, keys::status(key)).value().record;
    if (!status) return "no status: " + key;
    if (std::max(status->observed_generation, status->failed_generation) != spec.generation)
        return "not settled: " + key + model::to_json(*status);
    if (status->observed_generation != spec.generation) {
        if (!status->failure) return "failed without a reason: " + key;
        return "";
    }
    const FakeAgent::Instance* instance = nullptr;
    for (const FakeAgent& agent : agents) {
        const auto found = agent.instances.find(spec.incarnation);
        if (found != agent.instances.end()) instance = &found->second;
    }
    if (instance == nullptr) return "no instance: " + key;
    const model::InstanceSpec& is = instance->spec;
    if (is.generation != spec.generation || is.running != spec.running ||
        is.restart_sequence != spec.restart_sequence ||
        is.password_version != spec.password_version || is.parameters != spec.parameters) {
        return "the instance is not as wanted: " + key;
    }
    if (instance->restarts > asked_[spec.incarnation + "RestartServer"])
        return "restarted too often: " + key;
    // Each may have been made and, because nobody heard of it, taken back.
    if (instance->password_changes > 2 * asked_[spec.incarnation + "ResetPassword"])
        return "too many passwords: " + key;
    if (status->state != (spec.running ? "Ready" : "Stopped"))
        return "state " + status->state + ": " + key;
    return "";
}

}  // namespace howdah::control
