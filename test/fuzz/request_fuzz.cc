#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "api/api.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "http/jwt.h"
#include "model/json.h"
#include "store/keys.h"
#include "store/memory/memory_store.h"

// Any request with a good token gets an answer of JSON, with a status that fits. The first line of
// the input is "METHOD path?api-version"; the rest is the body. {S} stands for the subscription.

namespace {

using namespace howdah;

struct World {
    World()
        : store(store::make_memory_store(clock)),
          secrets(store::SecretBox::with_key(std::string(32, 'k'), ids)),
          operations(*store, clock, ids),
          boot(api::bootstrap(*store, secrets, clock, ids).value()),
          signing_keys(api::SigningKeys::open(*store, secrets, clock, ids).value()) {
        model::HostReport host;
        host.host = "h";
        host.cpus = 4;
        host.memory_mb = 16384;
        host.disk_gb = 500;
        model::Engine engine;
        engine.major = "15";
        engine.parameters = {
            {"work_mem", "integer", "kB", "64", "2147483647", {}, "4096", "user", "", ""}};
        host.engines = {engine};
        store::Transaction txn;
        txn.put(store::keys::host("h"), model::to_json(host));
        if (!store->commit(txn).ok()) std::abort();
        api = std::make_unique<api::Api>(api::ApiContext{.store = *store,
                                                         .operations = operations,
                                                         .secrets = secrets,
                                                         .clock = clock,
                                                         .ids = ids,
                                                         .signing_keys = *signing_keys,
                                                         .tenant_id = boot.tenant_id,
                                                         .base_url = "https://localhost:8443"});
        http::Request login;
        login.method = "POST";
        login.path = "/adfs/oauth2/token";
        login.body = "grant_type=client_credentials&client_id=" + boot.client_id +
                     "&client_secret=" + boot.client_secret->reveal();
        const std::string answer = api->handle(login).body;
        const std::string name = "\"access_token\":\"";
        const std::size_t begin = answer.find(name) + name.size();
        token = answer.substr(begin, answer.find('"', begin) - begin);
        send("PUT", "/subscriptions/" + boot.subscription_id + "/resourcegroups/rg", "2021-04-01",
             R"({"location":"local"})");
        send("PUT",
             "/subscriptions/" + boot.subscription_id +
                 "/resourcegroups/rg/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg1",
             "2025-08-01",
             R"({"location":"local","sku":{"name":"Standard_B1ms","tier":"Burstable"},
                 "properties":{"version":"15","administratorLogin":"elephant",
                 "administratorLoginPassword":"Pa55w0rd!"}})");
    }

    http::Response send(const std::string& method, const std::string& path,
                        const std::string& version, const std::string& body) {
        http::Request request;
        request.method = method;
        request.path = path;
        if (!version.empty()) request.query.emplace_back("api-version", version);
        request.headers["authorization"] = "Bearer " + token;
        request.body = body;
        return api->handle(request);
    }

    SystemClock clock;
    SystemIdSource ids;
    std::unique_ptr<store::Store> store;
    store::SecretBox secrets;
    control::Operations operations;
    api::Bootstrap boot;
    std::unique_ptr<api::SigningKeys> signing_keys;
    std::unique_ptr<api::Api> api;
    std::string token;
};

/// A new world now and then, so that memory stays bounded.
World& world() {
    static std::unique_ptr<World> current;
    static int uses = 0;
    if (current == nullptr || ++uses > 20'000) {
        current = std::make_unique<World>();
        uses = 0;
    }
    return *current;
}

/// A password's verifier never comes back. Its first word alone may: a 404 names the path it was
/// asked for, and tags hold any text.
bool shows_verifier(std::string_view text) {
    constexpr std::string_view kBegin = "SCRAM-SHA-256$4096:";
    constexpr std::size_t kSalt = 24;  // bytes of base64
    constexpr std::size_t kKey = 44;
    for (std::size_t at = text.find(kBegin); at != text.npos; at = text.find(kBegin, at + 1)) {
        const std::string_view rest = text.substr(at + kBegin.size());
        if (rest.size() >= kSalt + kKey + kKey + 2 && rest[kSalt] == '$' &&
            rest[kSalt + 1 + kKey] == ':')
            return true;
    }
    return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const bool quiet = [] {
        log::init("fuzz", log::Level::error);
        return true;
    }();
    (void)quiet;
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::size_t line_end = std::min(input.find('\n'), input.size());
    const std::string_view line = input.substr(0, line_end);
    const std::size_t space = std::min(line.find(' '), line.size());
    std::string path(line.substr(std::min(space + 1, line.size())));
    std::string version;
    if (const std::size_t mark = path.find('?'); mark != std::string::npos) {
        version = path.substr(mark + 1);
        path.resize(mark);
    }
    World& now = world();
    if (path.starts_with("{S}")) path.replace(0, 3, "/subscriptions/" + now.boot.subscription_id);
    const std::string body(input.substr(std::min(line_end + 1, input.size())));
    const http::Response response =
        now.send(std::string(line.substr(0, space)), path, version, body);
    if (response.status < 200 || response.status > 599) std::abort();
    if (response.status >= 500 && response.status != 503) std::abort();
    // The one page for people; what it is given never becomes a part of it that does something.
    const auto type = response.headers.find("content-type");
    const bool is_page = type != response.headers.end() && type->second.starts_with("text/html");
    if (is_page && (!response.headers.contains("content-security-policy") ||
                    response.body.find("<script") != std::string::npos))
        std::abort();
    if (response.status >= 400 && line.substr(0, space) != "HEAD" && !is_page &&
        response.body.find("\"error\"") == std::string::npos)
        std::abort();
    if (shows_verifier(response.body)) std::abort();
    return 0;
}
