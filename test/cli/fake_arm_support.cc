#include <fmt/core.h>

#include "base/assert.h"
#include "base/text.h"
#include "cli/fake_arm.h"
#include "http/certificates.h"
#include "http/client.h"

namespace howdah::cli {
namespace {

constexpr std::size_t kPage = 2;
constexpr std::string_view kProgress[] = {"starting PostgreSQL", "claiming a data directory"};

http::Response answer(int status, const Json& body) { return {status, {}, to_text(body)}; }

http::Response error(int status, const std::string& code, const std::string& message,
                     const std::string& target = {}) {
    Json inner = {{"code", code}, {"message", message}};
    if (!target.empty()) inner["target"] = target;
    return answer(status, {{"error", inner}});
}

bool is_collection(const std::string& path) {
    for (const char* each : {"/subscriptions", "/resourcegroups", "/flexibleservers", "/databases",
                             "/firewallrules", "/configurations", "/capabilities"}) {
        if (path.ends_with(each)) return true;
    }
    return false;
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

FakeArm::FakeArm() {
    const Timestamp now = SystemClock().wall();
    const auto ca = http::CertificateAuthority::create("test", now);
    HD_ASSERT(ca.ok(), "the fake needs a certificate authority");
    const auto certificate = ca->issue({.common_name = kName, .dns_names = {kName}}, now);
    HD_ASSERT(certificate.ok(), "the fake needs a certificate");
    ca_pem_ = ca->certificate_pem();
    resources_[fmt::format("/subscriptions/{}", kSubscription)] = {
        {"id", fmt::format("/subscriptions/{}", kSubscription)},
        {"subscriptionId", kSubscription},
        {"tenantId", kTenant},
        {"displayName", "Howdah"},
        {"state", "Enabled"}};
    http::ServerOptions options;
    options.certificate_pem = certificate->certificate_pem;
    options.key_pem = certificate->key_pem.reveal();
    auto server = http::Server::start(
        options, [this](const http::Request& request, http::Responder responder) {
            responder.send(handle(request));
        });
    HD_ASSERT(server.ok(), server.error().message);
    server_ = std::move(server).value();
}

FakeArm::~FakeArm() = default;

std::string FakeArm::url() const { return fmt::format("https://localhost:{}", server_->port()); }

std::string FakeArm::credentials_json(const std::string& ca_path) const {
    return to_text({{"tenant_id", kTenant},
                    {"subscription_id", kSubscription},
                    {"client_id", kClient},
                    {"client_secret", kSecretText},
                    {"authority", url()},
                    {"api_url", url() + "/"},
                    {"ca_path", ca_path}});
}

std::vector<std::string> FakeArm::requests() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> all;
    for (const auto& [line, body] : requests_) {
        all.push_back(body.is_null() ? line : line + " " + to_text(body));
    }
    return all;
}

Json FakeArm::body_of_last(const std::string& method) const {
    const std::lock_guard lock(mutex_);
    for (auto each = requests_.rbegin(); each != requests_.rend(); ++each) {
        if (each->first.starts_with(method + " ")) return each->second;
    }
    return {};
}

void FakeArm::forget_requests() {
    const std::lock_guard lock(mutex_);
    requests_.clear();
}

void FakeArm::put(const std::string& path, Json resource) {
    const std::lock_guard lock(mutex_);
    resource["id"] = path;
    resource["name"] = name_of(path);
    resources_[to_lower(path)] = std::move(resource);
}

bool FakeArm::has(const std::string& path) const {
    const std::lock_guard lock(mutex_);
    return resources_.contains(to_lower(path));
}

Json FakeArm::resource(const std::string& path) const {
    const std::lock_guard lock(mutex_);
    const auto found = resources_.find(to_lower(path));
    return found == resources_.end() ? Json() : found->second;
}

void FakeArm::fail_next_operation(const std::string& code, const std::string& message) {
    const std::lock_guard lock(mutex_);
    next_failure_ = {{"code", code}, {"message", message}};
}

void FakeArm::answer_once(const std::string& path, http::Response response) {
    const std::lock_guard lock(mutex_);
    once_[to_lower(path)].push_back(std::move(response));
}

void FakeArm::accept_token(const std::string& token) {
    const std::lock_guard lock(mutex_);
    tokens_.insert(token);
}

void FakeArm::revoke_tokens() {
    const std::lock_guard lock(mutex_);
    tokens_.clear();
}

void FakeArm::be_away_for(int polls) {
    const std::lock_guard lock(mutex_);
    away_ = polls;
}

int FakeArm::tokens_given() const {
    const std::lock_guard lock(mutex_);
    return tokens_given_;
}

std::vector<std::string> FakeArm::operations() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    for (const auto& [name, operation] : operations_) names.push_back(name);
    return names;
}

void FakeArm::end_device_login_with(const std::string& error) {
    const std::lock_guard lock(mutex_);
    device_error_ = error;
}

std::string FakeArm::refresh_token() const {
    const std::lock_guard lock(mutex_);
    return refresh_token_;
}

void FakeArm::revoke_refresh_token() {
    const std::lock_guard lock(mutex_);
    refresh_token_.clear();
}

http::Response FakeArm::begin_device_login(const http::Request& request) {
    const auto fields = http::parse_form(request.body);
    if (!fields.ok() || fields->empty()) return error(400, "invalid_request", "No form.");
    device_polls_left_ = 2;
    return answer(200, {{"user_code", "BCDF-GHJK"},
                        {"device_code", "device-code"},
                        {"verification_uri", url() + "/devicelogin"},
                        {"expires_in", 900},
                        {"interval", 5}});
}

http::Response FakeArm::user_token(std::map<std::string, std::string>& form) {
    const auto refused = [](const std::string& error) {
        return answer(400, {{"error", error}, {"error_description", "AADSTS: " + error}});
    };
    if (form["grant_type"] == "refresh_token") {
        if (refresh_token_.empty() || form["refresh_token"] != refresh_token_)
            return refused("invalid_grant");
    } else {
        if (form["device_code"] != "device-code") return refused("bad_verification_code");
        if (device_polls_left_-- > 1) return refused("authorization_pending");
        if (device_polls_left_ == 0) return refused("slow_down");
        if (!device_error_.empty()) return refused(device_error_);
    }
    const std::string token = fmt::format("token-{}", ++tokens_given_);
    tokens_.insert(token);
    refresh_token_ = fmt::format("refresh-{}", ++refresh_tokens_given_);
    const Json claims = {{"preferred_username", kClient}, {"tid", kTenant}};
    return answer(200, {{"access_token", token},
                        {"token_type", "Bearer"},
                        {"expires_in", 3599},
                        {"refresh_token", refresh_token_},
                        {"id_token", "e30." + base64url_encode(to_text(claims)) + ".c2ln"}});
}

http::Response FakeArm::token(const http::Request& request) {
    std::map<std::string, std::string> form;
    const auto fields = http::parse_form(request.body);
    if (fields.ok()) form.insert(fields->begin(), fields->end());
    if (form.contains("grant_type") && form["grant_type"] != "client_credentials")
        return user_token(form);
    if (form["grant_type"] != "client_credentials" || form["client_id"] != kClient ||
        form["client_secret"] != kSecretText || form["scope"] != url() + "/.default") {
        return answer(401, {{"error", "invalid_client"},
                            {"error_description", "AADSTS7000215: Invalid client secret."}});
    }
    const std::string token = fmt::format("token-{}", ++tokens_given_);
    tokens_.insert(token);
    return answer(200, {{"access_token", token}, {"token_type", "Bearer"}, {"expires_in", 3599}});
}

http::Response FakeArm::handle(const http::Request& request) {
    const std::lock_guard lock(mutex_);
    for (const std::string tenant : {kTenant, "organizations"}) {
        if (request.path == fmt::format("/{}/oauth2/v2.0/token", tenant)) return token(request);
        if (request.path == fmt::format("/{}/oauth2/v2.0/devicecode", tenant))
            return begin_device_login(request);
    }
    const std::string_view authorization = request.header("authorization");
    const bool is_link = request.path.starts_with("/serverlogs/");
    if (is_link && !authorization.empty()) return error(400, "InvalidRequest", "A token came.");
    if (!is_link && (!authorization.starts_with("Bearer ") ||
                     !tokens_.contains(std::string(authorization.substr(7))))) {
        return error(401, "InvalidAuthenticationToken", "The access token is invalid.");
    }
    if (!is_link && !request.query_value("api-version")) {
        return error(400, "MissingApiVersionParameter", "The api-version is required.");
    }
    const std::string path = to_lower(request.path);
    if (path.find("/azureasyncoperation/") != std::string::npos) return poll(name_of(path));
    Json body;
    if (!request.body.empty()) {
        auto parsed = parse_json(request.body, "body");
        if (!parsed.ok()) return error(400, "InvalidRequestContent", "Not JSON.");
        body = std::move(parsed).value();
    }
    requests_.emplace_back(request.method + " " + request.path, body);
    if (const auto found = once_.find(path); found != once_.end()) {
        const http::Response response = found->second.front();
        found->second.pop_front();
        if (found->second.empty()) once_.erase(found);
        return response;
    }
    if (request.method != "GET") return change(request, request.path);
    if (is_collection(path)) return list(request, path);
    const auto found = resources_.find(path);
    if (found != resources_.end()) return answer(200, found->second);
    if (path.find("/providers/") == std::string::npos) {
        return error(404, "ResourceGroupNotFound",
                     fmt::format("Resource group '{}' could not be found.", name_of(request.path)));
    }
    return error(404, "ResourceNotFound",
                 fmt::format("The Resource '{}' was not found.", name_of(request.path)));
}

http::Response FakeArm::begin(const std::string& method, const std::string& path, int status,
                              const Json& body) {
    const std::string name = fmt::format("op-{}", operations_.size() + 1);
    operations_[name] = {path, method, 2, std::exchange(next_failure_, Json())};
    http::Response response = answer(status, body);
    if (body.is_null()) response.body.clear();
    const std::string base =
        fmt::format("{}/subscriptions/{}/providers/Microsoft.DBforPostgreSQL/locations/local",
                    url(), kSubscription);
    response.headers["azure-asyncoperation"] =
        fmt::format("{}/azureAsyncOperation/{}?api-version=2025-08-01", base, name);
    response.headers["location"] =
        fmt::format("{}/operationResults/{}?api-version=2025-08-01", base, name);
    return response;
}

http::Response FakeArm::change(const http::Request& request, const std::string& path) {
    const std::string key = to_lower(path);
    const Json body = request.body.empty() ? Json() : parse_json(request.body, "body").value();
    if (request.method == "PUT") {
        Json resource = body;
        resource["id"] = path;
        resource["name"] = name_of(path);
        resource["properties"]["provisioningState"] = "Succeeded";
        resources_[key] = resource;
        if (key.find("/providers/") == std::string::npos) return answer(201, resource);
        return begin("PUT", path, 202, resource);
    }
    if (key.ends_with("/checknameavailability")) {
        const std::string name = text_at(body, "name");
        for (const auto& [id, resource] : resources_) {
            if (id.ends_with("/flexibleservers/" + to_lower(name))) {
                return answer(200, {{"name", name},
                                    {"nameAvailable", false},
                                    {"reason", "AlreadyExists"},
                                    {"message", "Specified server name is already used."}});
            }
        }
        return answer(200, {{"name", name}, {"nameAvailable", true}});
    }
    if (request.method == "POST") {
        const std::string server = key.substr(0, key.rfind('/'));
        if (!resources_.contains(server)) return error(404, "ResourceNotFound", "No such server.");
        return begin("POST", path, 202, Json());
    }
    const auto found = resources_.find(key);
    if (found == resources_.end()) {
        if (request.method == "DELETE") return {204, {}, ""};
        return error(404, "ResourceNotFound", fmt::format("'{}' was not found.", name_of(path)));
    }
    if (request.method == "PATCH") found->second.merge_patch(body);
    return begin(request.method, path, 202, Json());
}

http::Response FakeArm::poll(const std::string& name) {
    if (away_ > 0) {
        --away_;
        return error(503, "ServiceUnavailable", "Starting.");
    }
    const auto found = operations_.find(name);
    if (found == operations_.end()) return error(404, "ResourceNotFound", "No such operation.");
    Operation& operation = found->second;
    Json body = {{"name", name}, {"status", "InProgress"}, {"startTime", "2026-01-01T00:00:00Z"}};
    if (operation.polls_left > 0) {
        --operation.polls_left;
        body["properties"]["progress"] = kProgress[operation.polls_left];
        return answer(200, body);
    }
    body["status"] = operation.error.is_null() ? "Succeeded" : "Failed";
    if (!operation.error.is_null()) body["error"] = operation.error;
    if (operation.error.is_null() && operation.method == "DELETE") {
        std::erase_if(resources_, [&](const auto& each) {
            return each.first == to_lower(operation.path) ||
                   each.first.starts_with(to_lower(operation.path) + "/");
        });
    }
    return answer(200, body);
}

http::Response FakeArm::list(const http::Request& request, const std::string& path) {
    const std::string after = request.query_value("$skiptoken").value_or("");
    // Of the whole subscription: in every group.
    const std::string kind = path.substr(path.rfind('/'));
    const bool anywhere = path.find("/resourcegroups/") == std::string::npos;
    Json page = Json::array();
    std::string next;
    for (const auto& [key, resource] : resources_) {
        const std::string parent = key.substr(0, key.rfind('/'));
        const bool inside = anywhere ? parent.ends_with(kind) : parent == path;
        if (!inside || key <= after) continue;
        if (page.size() == kPage) {
            next = fmt::format("{}{}?api-version=2025-08-01&$skiptoken={}", url(), request.path,
                               http::url_encode(to_lower(text_at(page.back(), "id"))));
            break;
        }
        page.push_back(resource);
    }
    Json body = {{"value", page}};
    if (!next.empty()) body["nextLink"] = next;
    return answer(200, body);
}

}  // namespace howdah::cli
