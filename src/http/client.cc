#include "http/client.h"

#include <curl/curl.h>
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include "base/text.h"

namespace howdah::http {

namespace {

constexpr std::size_t kHeaderBytesMax = 64 << 10;
constexpr std::chrono::milliseconds kConnectTimeoutMax{10'000};
/// How long one wait for the network may last before the clock is looked at again.
constexpr int kPollMilliseconds = 1000;

using Steady = std::chrono::steady_clock;

template <auto kFree>
struct CurlFree {
    template <typename T>
    void operator()(T* object) const {
        kFree(object);
    }
};
using Easy = std::unique_ptr<CURL, CurlFree<curl_easy_cleanup>>;
using Multi = std::unique_ptr<CURLM, CurlFree<curl_multi_cleanup>>;
using Lines = std::unique_ptr<curl_slist, CurlFree<curl_slist_free_all>>;
using Url = std::unique_ptr<CURLU, CurlFree<curl_url_cleanup>>;
using CurlText = std::unique_ptr<char, CurlFree<curl_free>>;

/// What goes out and what has come in during one call.
struct Transfer {
    std::string_view unsent;
    Response response;
    std::size_t body_bytes_max = 0;
    std::size_t header_bytes = 0;
    bool too_large = false;
    bool is_interim = false;   ///< the status is 1xx: another follows
    bool has_headers = false;  ///< all of them have come
};

std::size_t on_send(char* buffer, std::size_t size, std::size_t count, void* context) {
    auto& transfer = *static_cast<Transfer*>(context);
    const std::size_t taken = std::min(size * count, transfer.unsent.size());
    std::copy_n(transfer.unsent.data(), taken, buffer);
    transfer.unsent.remove_prefix(taken);
    return taken;
}

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* context) {
    auto& transfer = *static_cast<Transfer*>(context);
    const std::size_t length = size * count;
    if (length > transfer.body_bytes_max - transfer.response.body.size()) {
        transfer.too_large = true;
        return 0;
    }
    transfer.response.body.append(data, length);
    return length;
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* context) {
    auto& transfer = *static_cast<Transfer*>(context);
    const std::size_t length = size * count;
    const std::string_view line(data, length);
    transfer.header_bytes += length;
    if (transfer.header_bytes > kHeaderBytesMax) {
        transfer.too_large = true;
        return 0;
    }
    // A status line begins a new set: after "100 Continue" the real one follows.
    if (line.starts_with("HTTP/")) {
        transfer.response.headers.clear();
        transfer.is_interim = line.find(" 1") == line.find(' ');
    }
    if (trim(line).empty()) transfer.has_headers = !transfer.is_interim;
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
        transfer.response.headers[to_lower(trim(line.substr(0, colon)))] =
            std::string(trim(line.substr(colon + 1)));
    }
    return length;
}

Error invalid_url(const std::string& url, std::string_view why) {
    return {ErrorCode::invalid_argument, fmt::format("the address '{}' {}", url, why)};
}

std::string part_of(CURLU* url, CURLUPart which, unsigned flags = 0) {
    char* raw = nullptr;
    curl_url_get(url, which, &raw, flags);
    const CurlText owned(raw);
    return raw == nullptr ? std::string() : std::string(raw);
}

/// https anywhere; http only where nobody can listen in, and where no name has to be proved.
Result<Url> checked_url(const std::string& text, bool must_prove_name) {
    Url url(curl_url());
    HD_ASSERT(url != nullptr, "out of memory");
    if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) {
        return invalid_url(text, "is not a URL");
    }
    const std::string scheme = part_of(url.get(), CURLUPART_SCHEME);
    if (scheme == "https") return url;
    const std::string host = part_of(url.get(), CURLUPART_HOST);
    const bool is_here = host == "127.0.0.1" || host == "[::1]" || host == "localhost";
    if (scheme == "http" && is_here && !must_prove_name) return url;
    return invalid_url(text, "does not begin with https://");
}

/// Where a call goes when the server has to prove a name: the name takes the host's place in the
/// URL, so that TLS asks for it, and the connection still goes to the host.
struct Route {
    std::string url;
    std::string connect_to;   ///< "::host:port" of CURLOPT_CONNECT_TO
    std::string host_header;  ///< what it would have been
};

Route route_to(CURLU* url, const std::string& server_name) {
    const std::string host = part_of(url, CURLUPART_HOST);
    const std::string port = part_of(url, CURLUPART_PORT);
    Route route;
    route.connect_to =
        fmt::format("::{}:{}", host, part_of(url, CURLUPART_PORT, CURLU_DEFAULT_PORT));
    route.host_header = port.empty() ? host : fmt::format("{}:{}", host, port);
    curl_url_set(url, CURLUPART_HOST, server_name.c_str(), 0);
    route.url = part_of(url, CURLUPART_URL);
    return route;
}

Result<Lines> header_lines(const Headers& headers) {
    Lines lines;
    for (const auto& [name, value] : headers) {
        const std::string line = fmt::format("{}: {}", name, value);
        if (line.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
            return Error{ErrorCode::invalid_argument,
                         fmt::format("the header '{}' holds a line break", to_lower(name))};
        }
        curl_slist* longer = curl_slist_append(lines.get(), line.c_str());
        HD_ASSERT(longer != nullptr, "out of memory");
        static_cast<void>(lines.release());
        lines.reset(longer);
    }
    return lines;
}

curl_blob blob(const std::string& text) {
    // CURL_BLOB_NOCOPY: libcurl only reads it; the options outlive the handle.
    return {const_cast<char*>(text.data()), text.size(), CURL_BLOB_NOCOPY};
}

}  // namespace

struct Client::State {
    explicit State(ClientOptions given) : options(std::move(given)) {}
    ~State() { end_stream(); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    Result<Response> perform(const Call& call);
    void set_up();
    void set_body(const Call& call);
    void set_timeouts(const Call& call);
    Status prepare(const Call& call);
    Result<bool> step(const Call& call);
    Status run(const Call& call);
    Result<Response> begin(const Call& call);
    Result<std::string> more(Duration timeout);
    void end_stream();
    int status() const;
    Error failure(const Call& call, std::string_view why) const;

    ClientOptions options;
    Multi multi;
    Easy easy;
    Lines lines;       ///< of the transfer, like connect_to
    Lines connect_to;  ///< libcurl keeps pointers to both
    Transfer transfer;
    Call stream;  ///< whose answer goes on
    bool is_streaming = false;
    char detail[CURL_ERROR_SIZE] = {};
    std::atomic<bool> cancelled = false;
};

/// Everything that is the same for every call; curl_easy_reset keeps connections alive.
void Client::State::set_up() {
    CURL* const curl = easy.get();
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    // Howdah talks to its own machines: a proxy from the environment would only be in the way.
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
    if (!options.ca_pem.empty()) {
        const curl_blob authority = blob(options.ca_pem);
        curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &authority);
        // Otherwise the system's authorities would be trusted besides.
        curl_easy_setopt(curl, CURLOPT_CAINFO, nullptr);
        curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
    }
    if (!options.certificate_pem.empty()) {
        const curl_blob certificate = blob(options.certificate_pem);
        const curl_blob key = blob(options.key_pem.reveal());
        curl_easy_setopt(curl, CURLOPT_SSLCERT_BLOB, &certificate);
        curl_easy_setopt(curl, CURLOPT_SSLKEY_BLOB, &key);
    }
}

/// libcurl repeats a request on a new connection when a kept one turns out dead. For methods that
/// may be repeated that is welcome. For the others it is ruled out: a body is given without a way
/// to rewind, and without a body the connection is a fresh one.
void Client::State::set_body(const Call& call) {
    CURL* const curl = easy.get();
    const bool repeatable = call.method != "POST" && call.method != "PATCH";
    if (call.method == "HEAD") {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
        return;
    }
    if (!call.body.empty() || !repeatable || call.method == "PUT") {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                         static_cast<curl_off_t>(call.body.size()));
        if (repeatable || call.body.empty()) {
            curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call.body.c_str());
        } else {
            transfer.unsent = call.body;
            curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_send);
            curl_easy_setopt(curl, CURLOPT_READDATA, &transfer);
        }
    }
    if (!repeatable && call.body.empty()) curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call.method.c_str());
}

void Client::State::set_timeouts(const Call& call) {
    const auto whole = [](Duration wait) {
        return std::max(std::chrono::duration_cast<std::chrono::milliseconds>(wait),
                        std::chrono::milliseconds(1));
    };
    const auto connect =
        std::min({whole(call.timeout), whole(call.connect_timeout), kConnectTimeoutMax});
    curl_easy_setopt(easy.get(), CURLOPT_TIMEOUT_MS,
                     static_cast<long>(whole(call.timeout).count()));
    curl_easy_setopt(easy.get(), CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(connect.count()));
}

Error Client::State::failure(const Call& call, std::string_view why) const {
    const std::string what = fmt::format("{} {}: {}", call.method, call.url, why);
    if (transfer.too_large) {
        return {ErrorCode::too_large, fmt::format("{} {}: the answer is longer than {} bytes",
                                                  call.method, call.url, options.body_bytes_max)};
    }
    // Of all attempts: the last one may have found nobody after an earlier one had been sent.
    long bytes_sent = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_REQUEST_SIZE, &bytes_sent);
    const bool nothing_sent = bytes_sent == 0;
    return {nothing_sent ? ErrorCode::unavailable : ErrorCode::timeout, what};
}

/// Does what can be done now; true when the transfer has ended well.
Result<bool> Client::State::step(const Call& call) {
    if (cancelled) return Error{ErrorCode::unavailable, "the call was cancelled"};
    int running = 0;
    if (curl_multi_perform(multi.get(), &running) != CURLM_OK) {
        return Error{ErrorCode::internal, "libcurl cannot drive its transfer"};
    }
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi.get(), &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        const CURLcode code = message->data.result;
        if (code == CURLE_OK) return true;
        return failure(call, detail[0] != '\0' ? detail : curl_easy_strerror(code));
    }
    return false;
}

/// Drives the transfer until it ends, fails or is cancelled.
Status Client::State::run(const Call& call) {
    for (;;) {
        HD_TRY(const bool has_ended, step(call));
        if (has_ended) return ok_status();
        // The timeout of the call is libcurl's own; this wait only ends early.
        curl_multi_poll(multi.get(), nullptr, 0, kPollMilliseconds, nullptr);
    }
}

void Client::State::end_stream() {
    if (is_streaming) curl_multi_remove_handle(multi.get(), easy.get());
    is_streaming = false;
}

Status Client::State::prepare(const Call& call) {
    HD_TRY(const Url url, checked_url(call.url, !options.server_name.empty()));
    Headers headers = call.headers;
    Route route{.url = call.url};
    if (!options.server_name.empty()) {
        route = route_to(url.get(), options.server_name);
        headers.try_emplace("host", route.host_header);
    }
    HD_TRY(lines, header_lines(headers));
    connect_to.reset(
        route.connect_to.empty() ? nullptr : curl_slist_append(nullptr, route.connect_to.c_str()));
    detail[0] = '\0';
    transfer = Transfer{.body_bytes_max = options.body_bytes_max};
    set_up();
    set_body(call);
    CURL* const curl = easy.get();
    set_timeouts(call);
    curl_easy_setopt(curl, CURLOPT_URL, route.url.c_str());
    curl_easy_setopt(curl, CURLOPT_CONNECT_TO, connect_to.get());
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lines.get());
    if (curl_multi_add_handle(multi.get(), curl) != CURLM_OK) {
        return Error{ErrorCode::internal, "libcurl cannot begin a transfer"};
    }
    return ok_status();
}

int Client::State::status() const {
    long code = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &code);
    return static_cast<int>(code);
}

Result<Response> Client::State::perform(const Call& call) {
    end_stream();
    HD_CHECK(prepare(call));
    const Status status_of_run = run(call);
    curl_multi_remove_handle(multi.get(), easy.get());
    if (!status_of_run.ok()) return status_of_run.error();
    transfer.response.status = status();
    return std::move(transfer.response);
}

Result<Response> Client::State::begin(const Call& call) {
    end_stream();
    stream = call;  // libcurl reads from it
    HD_CHECK(prepare(stream));
    is_streaming = true;
    // The body lasts longer than the call's timeout, which is for its beginning.
    curl_easy_setopt(easy.get(), CURLOPT_TIMEOUT_MS, 0L);
    const Steady::time_point give_up =
        Steady::now() + std::chrono::duration_cast<Steady::duration>(call.timeout);
    for (;;) {
        const auto ended = step(stream);
        if (!ended.ok()) {
            end_stream();
            return ended.error();
        }
        if (transfer.has_headers || *ended) break;
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(give_up - Steady::now()).count();
        if (left <= 0) {
            const Error error = failure(call, "no answer in time");
            end_stream();
            return error;
        }
        curl_multi_poll(multi.get(), nullptr, 0,
                        static_cast<int>(std::min<long long>(left, kPollMilliseconds)), nullptr);
    }
    return Response{.status = status(), .headers = transfer.response.headers};
}

Result<std::string> Client::State::more(Duration timeout) {
    const Error has_ended{ErrorCode::unavailable, "the answer has ended"};
    const Steady::time_point give_up =
        Steady::now() + std::chrono::duration_cast<Steady::duration>(
                            std::min<Duration>(timeout, std::chrono::hours(24)));
    for (;;) {
        if (cancelled) return Error{ErrorCode::unavailable, "the call was cancelled"};
        if (!transfer.response.body.empty()) return std::exchange(transfer.response.body, {});
        if (!is_streaming) return has_ended;
        const auto ended = step(stream);
        // What came before the end is handed out first.
        if (!ended.ok() || *ended) end_stream();
        if (!transfer.response.body.empty()) continue;
        if (!ended.ok()) return Error{ErrorCode::unavailable, ended.error().message};
        if (*ended) return has_ended;
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(give_up - Steady::now()).count();
        if (left <= 0) return std::string();
        curl_multi_poll(multi.get(), nullptr, 0,
                        static_cast<int>(std::min<long long>(left, kPollMilliseconds)), nullptr);
    }
}

Client::Client(ClientOptions options) : state_(std::make_unique<State>(std::move(options))) {
    // Thread-safe since libcurl 7.84; counts its calls. Lasts until the process ends.
    static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
    HD_ASSERT(global == CURLE_OK, "libcurl cannot be initialised");
    state_->multi.reset(curl_multi_init());
    state_->easy.reset(curl_easy_init());
    HD_ASSERT(state_->multi != nullptr && state_->easy != nullptr, "out of memory");
}

Client::~Client() = default;
Client::Client(Client&&) noexcept = default;

Result<Response> Client::call(const Call& call) { return state_->perform(call); }
Result<Response> Client::begin(const Call& call) { return state_->begin(call); }
Result<std::string> Client::more(Duration timeout) { return state_->more(timeout); }

void Client::cancel() {
    state_->cancelled = true;
    curl_multi_wakeup(state_->multi.get());
}

}  // namespace howdah::http
