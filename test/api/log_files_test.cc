#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/api_support.h"
#include "api/log_downloads.h"
#include "api/postgres/log_links.h"
#include "http/client.h"
#include "model/json.h"
#include "store/keys.h"

namespace howdah::api {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kFile = "postgresql-2026-11-21_150000.json";
constexpr const char* kList = "{P}/flexibleServers/pg1/logFiles";

class Text final : public http::BodySource {
  public:
    explicit Text(std::string text) : text_(std::move(text)) {}
    std::int64_t size() const override { return static_cast<std::int64_t>(text_.size()); }
    Result<std::string> read(std::int64_t offset, std::size_t bytes_max) const override {
        return text_.substr(static_cast<std::size_t>(offset), bytes_max);
    }

  private:
    std::string text_;
};

class LogFiles : public testing::Test {
  protected:
    LogFiles()
        : downloads_(*world_.store, world_.secrets, world_.clock, world_.ids,
                     [this](control::LogWanted wanted, control::LogDone done) {
                         wanted_ = wanted;
                         const auto size = static_cast<std::int64_t>(kContent.size());
                         const auto first = std::min(wanted.offset, size);
                         const auto bytes = wanted.bytes.value_or(size);
                         done(control::LogPart{
                             std::make_shared<Text>(kContent.substr(
                                 static_cast<std::size_t>(first), static_cast<std::size_t>(bytes))),
                             size});
                     }) {
        world_.make_group();
        make_server();
    }

    void make_server() {
        world_.make_server();
        put_report();
        switch_downloads("on");
    }
    void put_report() {
        model::InstanceReport report;
        report.server_id = world_.server_id().key();
        report.incarnation = world_.spec().incarnation;
        report.logs = {{kFile, 2049, "2026-11-21T15:00:00.000Z", "2026-11-21T15:10:00.000Z"}};
        world_.store
            ->commit(store::Transaction().put(store::keys::report(report.server_id, "host-1"),
                                              model::to_json(report)))
            .value();
    }
    void switch_downloads(const std::string& value) {
        const Reply reply =
            world_.call("PATCH", "{P}/flexibleServers/pg1/configurations/logfiles.download_enable",
                        {{"properties", {{"value", value}, {"source", "user-override"}}}});
        ASSERT_EQ(reply.status, 202) << reply.text;
        world_.finish();
    }
    std::string url() {
        const Reply reply = world_.call("GET", kList);
        return reply.body["value"].empty()
                   ? ""
                   : reply.body["value"][0]["properties"]["url"].get<std::string>();
    }
    http::Response get(const std::string& url, const std::string& range = "",
                       const std::string& method = "GET") {
        http::Request request;
        request.method = method;
        const std::size_t path = url.find('/', url.find("//") + 2);
        const std::size_t mark = url.find('?');
        request.path = http::url_decode(url.substr(path, mark - path)).value();
        request.query = http::parse_form(url.substr(mark + 1)).value();
        if (!range.empty()) request.headers["range"] = range;
        EXPECT_TRUE(LogDownloads::takes(request));
        http::Response response;
        downloads_.handle(request, [&](http::Response got) { response = std::move(got); });
        return response;
    }
    static std::string text_of(const http::Response& response) {
        return response.source == nullptr ? response.body
                                          : response.source->read(0, 1 << 20).value();
    }
    void expect_refused(const std::string& url) {
        const http::Response response = get(url);
        EXPECT_EQ(response.status, 403) << url;
        EXPECT_EQ(response.source, nullptr);
        // Word by word the same whatever was wrong.
        EXPECT_EQ(response.body, get("https://x/serverlogs/a/b?se=&sp=r&sig=").body);
    }

    const std::string kContent = "0123456789";
    World world_;
    std::optional<control::LogWanted> wanted_;
    LogDownloads downloads_;
};

TEST_F(LogFiles, are_listed_in_the_shape_of_azure) {
    for (const char* version : {kNewVersion, kOldVersion}) {
        const Reply reply = world_.call("GET", kList, nullptr, version);
        ASSERT_EQ(reply.status, 200) << reply.text;
        ASSERT_EQ(reply.body["value"].size(), 1U);
        const Body& file = reply.body["value"][0];
        EXPECT_EQ(file["name"], kFile);
        EXPECT_EQ(file["type"], "Microsoft.DBforPostgreSQL/flexibleServers/logFiles");
        EXPECT_THAT(file["id"].get<std::string>(),
                    HasSubstr("/flexibleServers/pg1/logFiles/" + std::string(kFile)));
        EXPECT_EQ(file["properties"]["sizeInKb"], 3);
        EXPECT_EQ(file["properties"]["createdTime"], "2026-11-21T15:00:00.000Z");
        EXPECT_EQ(file["properties"]["lastModifiedTime"], "2026-11-21T15:10:00.000Z");
        EXPECT_EQ(file["properties"]["type"], "LOG");
        EXPECT_THAT(file["properties"]["url"].get<std::string>(), HasSubstr("/serverlogs/"));
    }
}

TEST_F(LogFiles, are_not_listed_while_downloads_are_off) {
    switch_downloads("off");
    const Reply reply = world_.call("GET", kList);
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body["value"].size(), 0U);
}

TEST_F(LogFiles, of_a_server_that_is_not_there_are_not_found) {
    EXPECT_EQ(world_.call("GET", "{P}/flexibleServers/nobody/logFiles").status, 404);
}

TEST_F(LogFiles, a_link_brings_the_file_without_a_token) {
    const http::Response response = get(url());
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(text_of(response), kContent);
    EXPECT_EQ(response.headers.at("cache-control"), "no-store");
    EXPECT_EQ(response.headers.at("content-type"), "application/octet-stream");
    ASSERT_TRUE(wanted_);
    EXPECT_EQ(wanted_->host, world_.status().host);
    EXPECT_NE(wanted_->host, "");
    EXPECT_EQ(wanted_->name, kFile);
    EXPECT_EQ(wanted_->incarnation, world_.spec().incarnation);
}

TEST_F(LogFiles, a_link_brings_a_range) {
    const http::Response middle = get(url(), "bytes=2-4");
    EXPECT_EQ(middle.status, 206);
    EXPECT_EQ(text_of(middle), "234");
    EXPECT_EQ(middle.headers.at("content-range"), "bytes 2-4/10");
    const http::Response rest = get(url(), "bytes=7-");
    EXPECT_EQ(rest.status, 206);
    EXPECT_EQ(text_of(rest), "789");
    const http::Response beyond = get(url(), "bytes=10-");
    EXPECT_EQ(beyond.status, 416);
    EXPECT_EQ(beyond.headers.at("content-range"), "bytes */10");
}

TEST_F(LogFiles, a_range_that_is_not_understood_is_ignored) {
    for (const char* range : {"bytes=-5", "bytes=5-2", "bytes=1-2,4-5", "lines=1-2", "bytes=x-"}) {
        const http::Response response = get(url(), range);
        EXPECT_EQ(response.status, 200) << range;
        EXPECT_EQ(text_of(response), kContent);
    }
}

TEST_F(LogFiles, a_link_that_was_changed_is_refused_everywhere) {
    const std::string good = url();
    const std::size_t begin = good.find(postgres::kLogLinkPath) + postgres::kLogLinkPath.size();
    for (std::size_t i = begin; i < good.size(); ++i) {
        if (std::string_view("/?&=%").find(good[i]) != std::string_view::npos) continue;
        std::string bad = good;
        bad[i] = bad[i] == 'a' ? 'b' : 'a';
        const auto decoded = http::url_decode(bad);
        // %3A may be written %3a.
        if (decoded.ok() && *decoded != http::url_decode(good).value()) expect_refused(bad);
    }
    expect_refused(good.substr(0, good.size() - 1));
    expect_refused(good + "A");
    EXPECT_EQ(get(good).status, 200);
}

TEST_F(LogFiles, a_link_does_not_name_another_file) {
    std::string bad = url();
    bad.replace(bad.find("150000"), 6, "140000");
    expect_refused(bad);
    bad = url();
    bad.replace(bad.find(kFile), std::string(kFile).size(), "..%2F..%2Fstate.json");
    expect_refused(bad);
}

TEST_F(LogFiles, a_link_does_not_last_longer_than_it_says) {
    const std::string link = url();
    world_.clock.advance(postgres::kLogLinkLife - std::chrono::seconds(1));
    EXPECT_EQ(get(link).status, 200);
    world_.clock.advance(std::chrono::seconds(1));
    expect_refused(link);
    // Another time of expiry beside the old signature.
    const std::string later =
        http::url_encode(format_iso8601(world_.clock.wall() + std::chrono::hours(1)));
    std::string bad = link;
    const std::size_t from = bad.find("se=") + 3;
    bad.replace(from, bad.find('&') - from, later);
    expect_refused(bad);
}

TEST_F(LogFiles, a_link_of_a_deleted_server_is_refused) {
    const std::string link = url();
    world_.remove_server();
    expect_refused(link);
}

TEST_F(LogFiles, a_link_is_not_good_for_a_new_server_of_the_name) {
    const std::string link = url();
    world_.remove_server();
    make_server();
    expect_refused(link);
    EXPECT_EQ(get(url()).status, 200);
}

TEST_F(LogFiles, a_link_is_refused_once_downloads_are_off) {
    const std::string link = url();
    switch_downloads("off");
    expect_refused(link);
}

TEST_F(LogFiles, a_link_of_another_howdah_is_refused) {
    const auto other = store::SecretBox::with_key(std::string(32, 'x'), world_.ids);
    expect_refused(postgres::log_link(other, "https://x",
                                      {world_.server_id().key(), world_.spec().incarnation, kFile},
                                      world_.clock.wall()));
}

TEST_F(LogFiles, a_link_can_be_used_again_while_it_is_good) {
    const std::string link = url();
    EXPECT_EQ(get(link).status, 200);
    EXPECT_EQ(get(link).status, 200);
}

TEST_F(LogFiles, a_link_only_reads) {
    for (const char* method : {"PUT", "POST", "DELETE", "HEAD"}) {
        const http::Response response = get(url(), "", method);
        EXPECT_EQ(response.status, 405);
        EXPECT_EQ(response.headers.at("allow"), "GET");
    }
}

TEST_F(LogFiles, the_log_has_no_signature) {
    const std::string link = url();
    const std::string signature = link.substr(link.find("sig=") + 4);
    testing::internal::CaptureStderr();
    (void)get(link);
    world_.clock.advance(std::chrono::hours(2));
    (void)get(link);
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_THAT(log, Not(HasSubstr(signature)));
}

}  // namespace
}  // namespace howdah::api
