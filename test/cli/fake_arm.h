#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "cli/json.h"
#include "http/server.h"

namespace howdah::cli {

inline constexpr const char* kTenant = "11111111-1111-4111-8111-111111111111";
inline constexpr const char* kSubscription = "22222222-2222-4222-8222-222222222222";
inline constexpr const char* kClient = "33333333-3333-4333-8333-333333333333";
inline constexpr const char* kSecretText = "the-secret of the client";

/// An API that behaves as Azure Resource Manager does towards a client: tokens, resources by path,
/// pages of two, operations that take some polls. It keeps what it is given and knows nothing of
/// PostgreSQL. Thread-safe.
class FakeArm {
  public:
    FakeArm();
    ~FakeArm();

    /// "https://localhost:PORT"; the certificate is signed by ca_pem().
    std::string url() const;
    const std::string& ca_pem() const { return ca_pem_; }
    std::string credentials_json(const std::string& ca_path) const;
    /// The name in its certificate.
    static constexpr const char* kName = "localhost";

    /// "PUT /subscriptions/.../x {body}" in their order, without polls of operations and tokens.
    std::vector<std::string> requests() const;
    Json body_of_last(const std::string& method) const;
    void forget_requests();

    void put(const std::string& path, Json resource);
    bool has(const std::string& path) const;
    Json resource(const std::string& path) const;

    /// The next operation ends like this instead of succeeding.
    void fail_next_operation(const std::string& code, const std::string& message);
    /// The next request to this path is answered with this, and one after it with what is said
    /// next. Below /serverlogs requests must have no token, elsewhere they need one.
    void answer_once(const std::string& path, http::Response response);
    /// A token that somebody else gave is good.
    void accept_token(const std::string& token);
    /// Every token given so far is void.
    void revoke_tokens();
    /// So many answers to polls are 503, as of a howdahd that starts.
    void be_away_for(int polls);

    /// What the next login by device code comes to: "" (it succeeds after two polls) or an error.
    void end_device_login_with(const std::string& error);
    /// The refresh token that is good now; "" before the first.
    std::string refresh_token() const;
    void revoke_refresh_token();

    int tokens_given() const;
    /// Names of the operations that were begun.
    std::vector<std::string> operations() const;

  private:
    struct Operation {
        std::string path;
        std::string method;
        int polls_left = 2;
        Json error;
    };
    http::Response handle(const http::Request& request);
    http::Response token(const http::Request& request);
    http::Response begin_device_login(const http::Request& request);
    http::Response user_token(std::map<std::string, std::string>& form);
    http::Response change(const http::Request& request, const std::string& path);
    http::Response poll(const std::string& name);
    http::Response list(const http::Request& request, const std::string& path);
    http::Response begin(const std::string& method, const std::string& path, int status,
                         const Json& body);

    std::string ca_pem_;
    mutable std::mutex mutex_;
    std::map<std::string, Json> resources_;  ///< by lower-case path
    std::map<std::string, Operation> operations_;
    std::map<std::string, std::deque<http::Response>> once_;
    std::set<std::string> tokens_;
    std::vector<std::pair<std::string, Json>> requests_;
    Json next_failure_;
    int tokens_given_ = 0;
    std::string device_error_;
    int device_polls_left_ = 0;
    int refresh_tokens_given_ = 0;
    std::string refresh_token_;
    int away_ = 0;
    std::unique_ptr<http::Server> server_;  ///< last: it calls into the rest
};

}  // namespace howdah::cli
