#include "pooler/pooler.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "gateway/merge.h"
#include "model/json.h"

namespace howdah::pooler {
namespace {

constexpr Duration kTick = std::chrono::seconds(1);
constexpr Duration kFilesTick = std::chrono::seconds(10);
constexpr Duration kRemovePoll = std::chrono::milliseconds(50);
/// A route may be missing for a moment, while its agent begins anew: clients must not notice.
constexpr Duration kForgetAfter = std::chrono::seconds(10);
constexpr Duration kUnknownMax = std::chrono::minutes(1);

}  // namespace

Pooler::Pooler(Options options, const Clock& clock)
    : options_(std::move(options)), places_{options_.home}, clock_(clock) {
    for (const std::string& path : options_.routes_paths)
        sources_.push_back({.file = std::make_unique<gateway::RoutesFile>(path)});
}

Status Pooler::begin() {
    begun_ = clock_.now();
    HD_CHECK(os::make_folders(places_.folder(), 0711));
    const auto text = os::read_file(places_.routes());
    if (text.ok()) {
        const auto table = model::from_json<model::RouteTable>(*text);
        if (table.ok()) revision_ = table->revision;
    }
    HD_TRY(const auto names, os::list_folder(places_.folder()));
    for (const std::string& name : names) {
        const auto server_id = os::read_file(places_.folder() + "/" + name + "/server", 4096);
        if (!server_id.ok()) continue;
        Entry entry{.bouncer = Bouncer(*server_id, places_), .wanted = begun_};
        const Status begun = entry.bouncer.begin();
        if (begun.ok() && entry.bouncer.name() == name)
            entries_.emplace(*server_id, std::move(entry));
        else
            log::error("a pooler cannot be taken over",
                       {{"folder", name}, {"reason", begun.ok() ? "" : begun.error().describe()}});
    }
    return ok_status();
}

/// Before, nothing is told to anybody and nothing is ended: clients are connected to what an
/// earlier run has left. A table that never comes is not waited for for ever.
bool Pooler::are_routes_known(Instant now) const {
    return now - begun_ > kUnknownMax ||
           std::all_of(sources_.begin(), sources_.end(),
                       [](const Source& source) { return source.is_known; });
}

void Pooler::read_routes() {
    for (Source& source : sources_) {
        source.is_unread = source.file->changed() || source.is_unread;
        if (!source.is_unread) continue;
        auto content = source.file->read();
        if (!content.ok()) {
            if (content.error().code != ErrorCode::not_found)
                log::error("a route table is not usable, the last good one stays in force",
                           {{"error", content.error().message}});
            continue;
        }
        source.table = std::move(content->table);
        source.is_unread = false;
        source.is_known = is_due_ = true;
    }
    if (!is_due_) return;
    std::vector<const model::RouteTable*> tables;
    for (const Source& source : sources_) tables.push_back(&source.table);
    routes_ = gateway::merge_tables(tables);
}

/// The entry of a server that wants a pooler; nullptr if there is none and it cannot be made.
Pooler::Entry* Pooler::entry_of(const model::Route& route) {
    const auto found = entries_.find(route.server_id);
    if (found != entries_.end()) return &found->second;
    Entry entry{.bouncer = Bouncer(route.server_id, places_)};
    const Status begun = entry.bouncer.begin();
    if (begun.ok()) return &entries_.emplace(route.server_id, std::move(entry)).first->second;
    log::error("a pooler cannot be made",
               {{"server", route.server_id}, {"reason", begun.error().describe()}});
    return nullptr;
}

void Pooler::follow_routes(Instant now) {
    const bool is_due = std::exchange(is_due_, false);
    for (const model::Route& route : routes_.routes) {
        if (!route.pooling || route.backend_port == 0) continue;
        Entry* const entry = entry_of(route);
        if (entry == nullptr) {
            is_due_ = true;
            continue;
        }
        entry->wanted = now;
        if (!is_due) continue;
        const Status followed = entry->bouncer.follow(route);
        if (followed.ok()) continue;
        // With the next tick.
        is_due_ = true;
        log::error("a pooler cannot follow its server",
                   {{"server", route.server_id}, {"reason", followed.error().describe()}});
    }
}

Instant Pooler::step() {
    const Instant now = clock_.now();
    if (now >= files_due_) {
        // Certificates change without the routes.
        files_due_ = now + kFilesTick;
        is_due_ = true;
        for (const auto& [server_id, entry] : entries_) entry.bouncer.bound_log();
    }
    read_routes();
    follow_routes(now);
    Instant next = now + kTick;
    for (auto each = entries_.begin(); each != entries_.end();) {
        const bool is_forgotten =
            are_routes_known(now) && each->second.wanted + kForgetAfter <= now;
        if (!is_forgotten) {
            next = std::min(next, each->second.bouncer.tend(now));
        } else if (each->second.bouncer.remove()) {
            each = entries_.erase(each);
            continue;
        } else {
            next = std::min(next, now + kRemovePoll);
        }
        ++each;
    }
    const Status published = are_routes_known(now) ? publish() : ok_status();
    if (!published.ok())
        log::error("the routes to poolers cannot be published",
                   {{"reason", published.error().describe()}});
    if (!gateway_ && !entries_.empty()) gateway_.emplace(options_.gateway);
    if (gateway_) next = std::min(next, gateway_->step(now));
    return next;
}

Status Pooler::publish() {
    model::RouteTable table;
    for (const auto& [server_id, entry] : entries_)
        if (auto route = entry.bouncer.route()) table.routes.push_back(std::move(*route));
    const std::string text = model::to_json(table);
    if (text == published_) return ok_status();
    table.revision = revision_ + 1;
    HD_CHECK(os::replace_file(places_.routes(), model::to_json(table), 0600));
    published_ = text;
    revision_ = table.revision;
    return ok_status();
}

std::vector<int> Pooler::watch_fds() const {
    std::vector<int> fds;
    for (const Source& source : sources_) fds.push_back(source.file->fd());
    for (const auto& [server_id, entry] : entries_) fds.push_back(entry.bouncer.watch_fd());
    if (gateway_) fds.push_back(gateway_->watch_fd());
    return fds;
}

}  // namespace howdah::pooler
