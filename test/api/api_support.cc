#include "api/api_support.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "http/client.h"
#include "model/json.h"
#include "store/keys.h"
#include "store/memory/memory_store.h"

namespace howdah::api {
namespace {

std::string field(const Body& body, const char* name) {
    if (!body.is_object() || !body.contains("error")) return "";
    const Body& error = body["error"];
    return error.is_object() && error.contains(name) ? error[name].get<std::string>() : "";
}

void replace(std::string& text, const std::string& what, const std::string& with) {
    const std::size_t at = text.find(what);
    if (at != std::string::npos) text.replace(at, what.size(), with);
}

/// What a first start makes. RSA keys take long to make, so one first start serves all tests.
const std::vector<store::Entry>& first_start() {
    static const std::vector<store::Entry> entries = [] {
        FakeClock clock;
        SystemIdSource ids;
        const auto store = store::make_memory_store(clock);
        const auto secrets = store::SecretBox::with_key(std::string(32, 'k'), ids);
        EXPECT_TRUE(bootstrap(*store, secrets, clock, ids).ok());
        return store->list("/").value();
    }();
    return entries;
}

model::ParameterInfo parameter(std::string name, std::string type, std::string minimum,
                               std::string maximum, std::string boot, std::string context) {
    return {
        std::move(name), std::move(type),    "",      std::move(minimum), std::move(maximum), {},
        std::move(boot), std::move(context), "Tests", "a parameter"};
}

}  // namespace

std::string Reply::code() const { return field(body, "code"); }
std::string Reply::target() const { return field(body, "target"); }
std::string Reply::message() const { return field(body, "message"); }

World::World()
    : store(store::make_memory_store(clock)),
      secrets(store::SecretBox::with_key(std::string(32, 'k'), ids)),
      operations(*store, clock, ids) {
    store::Transaction txn;
    for (const store::Entry& entry : first_start()) txn.put(entry.key, entry.value);
    EXPECT_TRUE(store->commit(txn).ok());
    boot = bootstrap(*store, secrets, clock, ids).value();
    restart();
    const Reply reply = login(form(boot.client_secret->reveal()));
    EXPECT_EQ(reply.status, 200) << reply.text;
    token = reply.body.value("access_token", "");
    put_host(host());
}

void World::restart() {
    api.reset();
    signing_keys = SigningKeys::open(*store, secrets, clock, ids).value();
    foreign_issuers = ForeignIssuers::open(trusted_issuers, *store, clock).value();
    api = std::make_unique<Api>(ApiContext{.store = *store,
                                           .operations = operations,
                                           .secrets = secrets,
                                           .clock = clock,
                                           .ids = ids,
                                           .signing_keys = *signing_keys,
                                           .tenant_id = boot.tenant_id,
                                           .base_url = "https://localhost:8443",
                                           .version = "0.1.0",
                                           .foreign_issuers = foreign_issuers.get()});
}

std::string World::form(const std::string& secret) const {
    return fmt::format(
        "client_id={}&client_secret={}&grant_type=client_credentials"
        "&client_info=1&scope=https%3A%2F%2Flocalhost%3A8443%2F%2F.default",
        boot.client_id, http::url_encode(secret));
}

Reply World::login(const std::string& form, const std::string& path) {
    http::Request request;
    request.method = "POST";
    request.path = path;
    request.headers["content-type"] = "application/x-www-form-urlencoded";
    request.body = form;
    request.client_address = "192.0.2.1";
    return send(std::move(request));
}

std::string World::expand(std::string path) const {
    replace(path, "{P}", "{S}/resourceGroups/rg1/providers/Microsoft.DBforPostgreSQL");
    replace(path, "{L}", "{S}/providers/Microsoft.DBforPostgreSQL/locations/local");
    replace(path, "{S}", "/subscriptions/" + boot.subscription_id);
    return path;
}

http::Request World::request(const std::string& method, const std::string& path,
                             const std::string& body, const std::string& version) const {
    http::Request request;
    request.method = method;
    const std::string full = expand(path);
    const std::size_t mark = full.find('?');
    request.path = http::url_decode(full.substr(0, mark)).value();
    if (mark != std::string::npos) {
        for (const std::string& pair : split(full.substr(mark + 1), '&')) {
            const std::size_t equals = pair.find('=');
            request.query.emplace_back(http::url_decode(pair.substr(0, equals)).value(),
                                       http::url_decode(pair.substr(equals + 1)).value());
        }
    } else if (!version.empty()) {
        request.query.emplace_back("api-version", version);
    }
    request.headers["authorization"] = "Bearer " + token;
    request.body = body;
    request.client_address = "192.0.2.1";
    return request;
}

Reply World::send(http::Request request) {
    const http::Response response = api->handle(request);
    Reply reply{response.status, response.headers, response.body, nullptr};
    if (!response.body.empty()) {
        reply.body = Body::parse(response.body, nullptr, false);
        EXPECT_FALSE(reply.body.is_discarded()) << response.body;
    }
    return reply;
}

Reply World::call_text(const std::string& method, const std::string& path, const std::string& body,
                       const std::string& version) {
    return send(request(method, path, body, version));
}

Reply World::call(const std::string& method, const std::string& path, const Body& body,
                  const std::string& version) {
    return call_text(method, path, body.is_null() ? "" : body.dump(), version);
}

void World::make_group(const std::string& name) {
    const Reply reply =
        call("PUT", "{S}/resourcegroups/" + name, {{"location", "local"}}, kManagerVersion);
    ASSERT_LE(reply.status, 201) << reply.text;
}

Body World::server_body() {
    return Body::parse(R"({
        "location": "local",
        "sku": {"name": "Standard_D2ds_v5", "tier": "GeneralPurpose"},
        "properties": {
            "administratorLogin": "elephant",
            "administratorLoginPassword": "Pa55w0rd!",
            "version": "15",
            "storage": {"storageSizeGB": 32}
        }
    })");
}

void World::make_server(const std::string& name) {
    const Reply reply = call("PUT", "{P}/flexibleServers/" + name, server_body());
    ASSERT_EQ(reply.status, 202) << reply.text;
    finish(name);
}

model::ResourceId World::server_id(const std::string& name) const {
    return model::ResourceId::server(boot.subscription_id, "rg1", name);
}

model::ServerSpec World::spec(const std::string& name) {
    const auto entry = store->get(store::keys::server(server_id(name))).value();
    EXPECT_TRUE(entry.has_value());
    return entry ? model::from_json<model::ServerSpec>(entry->value).value() : model::ServerSpec{};
}

model::ServerStatus World::status(const std::string& name) {
    const auto entry = store->get(store::keys::status(server_id(name).key())).value();
    return entry ? model::from_json<model::ServerStatus>(entry->value).value()
                 : model::ServerStatus{};
}

void World::set_status(const std::string& name, const model::ServerStatus& status) {
    store::Transaction txn;
    txn.put(store::keys::status(server_id(name).key()), model::to_json(status));
    ASSERT_TRUE(store->commit(txn).ok());
}

void World::end_operations(const std::string& name, const std::string& status,
                           const std::optional<model::Failure>& failure) {
    const std::string prefix = store::keys::pending_of(server_id(name).key());
    const auto entries = store->list(prefix).value();
    for (const store::Entry& entry : entries) {
        const std::string id = entry.key.substr(prefix.size());
        model::Operation operation = operations.find(id).value();
        operation.status = status;
        operation.failure = failure;
        operation.end_time = format_iso8601(clock.wall());
        store::Transaction txn;
        txn.put(store::keys::operation(id), model::to_json(operation));
        txn.remove(entry.key);
        ASSERT_TRUE(store->commit(txn).ok());
    }
}

void World::finish(const std::string& name) {
    const model::ServerSpec now = spec(name);
    model::ServerStatus next = status(name);
    next.server_id = server_id(name).key();
    if (next.incarnation != now.incarnation) next.databases = {{"postgres", "UTF8", "en_US.utf8"}};
    next.incarnation = now.incarnation;
    next.observed_generation = now.generation;
    next.state = now.running ? "Ready" : "Stopped";
    next.host = "host-1";
    next.port = 54321;
    next.minor_version = "15.20";
    set_status(name, next);
    end_operations(name, "Succeeded", std::nullopt);
}

void World::fail_operations(const std::string& name, const model::Failure& failure) {
    end_operations(name, "Failed", failure);
}

void World::remove_server(const std::string& name) {
    end_operations(name, "Succeeded", std::nullopt);
    store::Transaction txn;
    txn.remove(store::keys::server(server_id(name)));
    txn.remove(store::keys::status(server_id(name).key()));
    txn.remove(store::keys::server_name(name));
    ASSERT_TRUE(store->commit(txn).ok());
}

void World::put_host(const model::HostReport& host) {
    store::Transaction txn;
    txn.put(store::keys::host(host.host), model::to_json(host));
    ASSERT_TRUE(store->commit(txn).ok());
}

model::HostReport World::host() {
    model::HostReport host;
    host.host = "host-1";
    host.name = "machine";
    host.zone = "1";
    host.address = "127.0.0.1";
    host.gateway_port = 5432;
    host.cpus = 4;
    host.memory_mb = 16384;
    host.disk_gb = 200;
    host.disk_free_gb = 150;
    for (const char* major : {"17", "15"}) {
        model::Engine engine;
        engine.major = major;
        engine.version = std::string(major) + ".7";
        engine.collations = {"C", "C.utf8", "POSIX", "en_US.utf8"};
        engine.extensions = {"hstore", "pg_trgm", "plpgsql"};
        engine.parameters = {
            parameter("array_nulls", "bool", "", "", "on", "user"),
            parameter("max_connections", "integer", "1", "262143", "100", "postmaster"),
            parameter("work_mem", "integer", "64", "2147483647", "4096", "user"),
            parameter("search_path", "string", "", "", "\"$user\", public", "user"),
        };
        host.engines.push_back(std::move(engine));
    }
    return host;
}

std::string World::operation_of(const Reply& reply) {
    const auto header = reply.headers.find("azure-asyncoperation");
    if (header == reply.headers.end()) return "";
    const std::string& url = header->second;
    const std::size_t begin = url.rfind('/') + 1;
    return url.substr(begin, url.find('?') - begin);
}

}  // namespace howdah::api
