#include "agent/neighbours.h"

#include <arpa/inet.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "model/json.h"
#include "os/file.h"

namespace howdah::agent {
namespace {

constexpr std::string_view kPrefix = "/agent/";
constexpr std::size_t kFileBytesMax = 64 << 20;
constexpr Duration kWatchWait = std::chrono::seconds(1);

std::string key_of(const std::string& host) { return std::string(kPrefix) + host; }

bool has_same_place(const model::AgentNotice& one, const model::AgentNotice& other) {
    return one.host == other.host && one.address == other.address &&
           one.gateway_source == other.gateway_source;
}

/// Of another machine: it goes into pg_hba.conf, where loopback is for nobody.
bool is_foreign_address(const std::string& text) {
    in_addr parsed{};
    if (inet_pton(AF_INET, text.c_str(), &parsed) != 1) return false;
    const std::uint32_t number = ntohl(parsed.s_addr);
    const std::uint32_t first = number >> 24;
    return first != 0 && first != 127 && first < 224;
}

/// What other machines say is not believed unseen: whoever is root on one of them may write it.
bool is_sound(const model::AgentNotice& notice) {
    return !notice.host.empty() && is_foreign_address(notice.address) &&
           is_foreign_address(notice.gateway_source);
}

}  // namespace

std::vector<model::Route> routes_of_others(const std::vector<model::AgentNotice>& notices) {
    std::vector<model::Route> routes;
    for (const model::AgentNotice& notice : notices) {
        for (model::Route route : notice.routes) {
            route.backend_address = notice.address;
            route.pooling.reset();
            routes.push_back(std::move(route));
        }
    }
    return routes;
}

void Neighbours::load() {
    const auto table = os::read_file(options_.routes_path, kFileBytesMax);
    if (table.ok()) {
        const auto known = model::from_json<model::RouteTable>(*table);
        if (known.ok()) revision_ = known->revision;
    }
    const auto text = os::read_file(options_.heard_path, kFileBytesMax);
    if (!text.ok()) return;
    auto heard = model::from_json<model::AgentNotices>(*text);
    if (!heard.ok()) {
        log::warn("what other agents said last cannot be read",
                  {{"path", options_.heard_path}, {"reason", heard.error().describe()}});
        return;
    }
    const std::lock_guard lock(mutex_);
    for (model::AgentNotice& each : heard->notices) {
        if (!is_sound(each)) continue;
        std::string host = each.host;
        heard_.emplace(std::move(host), std::move(each));
    }
}

std::vector<model::AgentNotice> Neighbours::others() const {
    const std::lock_guard lock(mutex_);
    std::vector<model::AgentNotice> all;
    for (const auto& [host, notice] : heard_)
        all.push_back({notice.host, notice.address, notice.gateway_source, {}});
    return all;
}

// ---------------------------------------------------------------------------------------------
// Telling

void Neighbours::tell(const std::vector<model::Route>& routes) {
    const std::lock_guard lock(mutex_);
    own_ = options_.own;
    own_.routes = routes;
    is_untold_ = has_routes_ = true;
    wake_.notify_all();
}

/// Only what differs: a revision of etcd is everybody's.
Status Neighbours::put(const std::string& text) {
    HD_TRY(const auto present, store_.get(key_of(options_.own.host)));
    if (present && present->value == text) return ok_status();
    HD_CHECK(store_.commit(store::Transaction().put(key_of(options_.own.host), text)));
    return ok_status();
}

void Neighbours::talk(std::stop_token stop) {
    Duration wait = kPauseMin;
    bool has_failed = false;
    while (!stop.stop_requested()) {
        std::string text;
        bool has_news = false;
        {
            std::unique_lock lock(mutex_);
            (void)wake_.wait_for(lock, stop, kRepeat, [&] { return is_untold_; });
            if (stop.stop_requested()) return;
            if (!has_routes_) continue;
            has_news = std::exchange(is_untold_, false);
            text = model::to_json(own_);
        }
        const Status told = put(text);
        if (told.ok()) {
            wait = kPauseMin;
            has_failed = false;
            continue;
        }
        if (!std::exchange(has_failed, true))
            log::warn("the other agents cannot be told of this one's servers; it is tried again",
                      {{"reason", told.error().describe()}});
        if (!pause(stop, wait)) return;
        wait = std::min(wait * 2, kPauseMax);
        const std::lock_guard lock(mutex_);
        is_untold_ = is_untold_ || has_news;
    }
}

/// False if it is time to end.
bool Neighbours::pause(std::stop_token stop, Duration longest) {
    std::unique_lock lock(mutex_);
    (void)wake_.wait_for(lock, stop, longest, [] { return false; });
    return !stop.stop_requested();
}

// ---------------------------------------------------------------------------------------------
// Listening

void Neighbours::take(std::string_view key, const std::optional<store::Entry>& entry) {
    const std::string host(key.substr(kPrefix.size()));
    const std::lock_guard lock(mutex_);
    if (!entry) {
        is_unnoted_ = heard_.erase(host) > 0 || is_unnoted_;
        return;
    }
    auto notice = model::from_json<model::AgentNotice>(entry->value);
    if (!notice.ok() || notice->host != host || !is_sound(*notice)) {
        log::warn("an agent says something that is not understood", {{"host", host}});
        return;
    }
    // Agents of one machine know each other's routes from files, which are newer.
    if (host == options_.own.host || notice->address == options_.own.address) return;
    if (heard_.size() >= kNoticesMax && !heard_.contains(host)) {
        log::warn("there are too many agents; one is not listened to", {{"host", host}});
        return;
    }
    heard_[host] = std::move(*notice);
    is_unnoted_ = true;
}

/// Everything there is, and a watch on what comes after it.
Status Neighbours::hear_from_scratch(std::unique_ptr<store::Watch>& watch) {
    watch.reset();
    HD_TRY(const store::Revision revision, store_.revision());
    HD_TRY(const auto entries, store_.list(kPrefix, {.limit = store::kListMax}));
    HD_TRY(watch, store_.watch(kPrefix, revision));
    {
        const std::lock_guard lock(mutex_);
        const std::size_t gone = std::erase_if(heard_, [&](const auto& each) {
            return std::none_of(entries.begin(), entries.end(), [&](const store::Entry& entry) {
                return entry.key == key_of(each.first);
            });
        });
        is_unnoted_ = is_unnoted_ || gone > 0;
    }
    for (const store::Entry& each : entries) take(each.key, each);
    return ok_status();
}

/// Writes what was heard, unless it stands there: the gateway's table first, which somebody may
/// wait for.
Status Neighbours::note() {
    if (!is_unnoted_) return ok_status();
    model::AgentNotices all;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [host, notice] : heard_) all.notices.push_back(notice);
    }
    const model::RouteTable table{++revision_, routes_of_others(all.notices)};
    HD_CHECK(os::replace_file(options_.routes_path, model::to_json(table), 0600));
    HD_CHECK(os::replace_file(options_.heard_path, model::to_json(all), 0600));
    is_unnoted_ = false;
    return ok_status();
}

void Neighbours::listen(std::stop_token stop, const std::function<void()>& changed) {
    Duration wait = kPauseMin;
    bool has_failed = false;
    std::unique_ptr<store::Watch> watch;
    while (!stop.stop_requested()) {
        const std::vector<model::AgentNotice> before = others();
        Status heard;
        if (!watch) {
            heard = hear_from_scratch(watch);
        } else {
            const std::stop_callback end(stop, [&] { watch->stop(); });
            auto events = watch->next(kWatchWait);
            if (events.ok())
                for (const store::Event& each : *events) take(each.key, each.entry);
            else
                heard = events.error();
        }
        if (heard.ok()) heard = note();
        const std::vector<model::AgentNotice> after = others();
        if (!std::equal(before.begin(), before.end(), after.begin(), after.end(), has_same_place))
            changed();
        if (heard.ok()) {
            wait = kPauseMin;
            has_failed = false;
            continue;
        }
        watch.reset();
        if (!std::exchange(has_failed, true))
            log::warn("the other agents are not heard; what was heard last holds",
                      {{"reason", heard.error().describe()}});
        if (!pause(stop, wait)) return;
        wait = std::min(wait * 2, kPauseMax);
    }
}

}  // namespace howdah::agent
