#include "control/fleet/log_relay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "os/file.h"

namespace howdah::control {
namespace {

using std::chrono::seconds;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kHost = "host-a";

class log_relay : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/howdah-relay-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        folder_ = name;
        relay_.emplace(clock_, ids_, folder_);
    }
    void TearDown() override {
        relay_.reset();
        EXPECT_TRUE(os::remove_tree(folder_).ok());
    }

    /// Where the end of a request is put.
    using End = std::shared_ptr<std::optional<Result<LogPart>>>;
    End fetch(std::int64_t offset = 0, std::optional<std::int64_t> bytes = {},
              const std::string& incarnation = "inc") {
        End end = std::make_shared<std::optional<Result<LogPart>>>();
        relay_->fetch({kHost, incarnation, "postgresql-1.json", offset, bytes},
                      [end](Result<LogPart> part) { *end = std::move(part); });
        return end;
    }
    model::LogRequest ask() {
        auto requests = relay_->take_requests(kHost);
        EXPECT_THAT(requests, SizeIs(1));
        return requests.at(0);
    }
    static std::string text_of(const End& end) {
        const auto& part = end->value().value();
        return part.body->read(0, 1 << 20).value();
    }
    static ErrorCode code_of(const End& end) {
        return end->has_value() && !(*end)->ok() ? (*end)->error().code : ErrorCode::internal;
    }

    FakeClock clock_;
    FakeIdSource ids_;
    std::string folder_;
    std::optional<LogRelay> relay_;
};

TEST_F(log_relay, brings_a_file_piece_by_piece) {
    const End end = fetch();
    const auto request = ask();
    EXPECT_EQ(request.incarnation, "inc");
    EXPECT_EQ(request.name, "postgresql-1.json");
    model::LogReply reply = relay_->take(kHost, request.id, 0, 10, "01234");
    EXPECT_TRUE(reply.wanted);
    EXPECT_EQ(reply.offset, 5);
    EXPECT_FALSE(end->has_value());
    reply = relay_->take(kHost, request.id, 5, 10, "56789");
    EXPECT_FALSE(reply.wanted);
    EXPECT_EQ(text_of(end), "0123456789");
    EXPECT_EQ((*end)->value().body->size(), 10);
    EXPECT_THAT(os::list_folder(folder_).value(), IsEmpty());
}

TEST_F(log_relay, ends_where_the_file_ended_when_it_was_opened) {
    const End end = fetch();
    EXPECT_FALSE(relay_->take(kHost, ask().id, 0, 4, "0123 and what came later").wanted);
    EXPECT_EQ(text_of(end), "0123");
}

TEST_F(log_relay, an_empty_file_is_whole_at_once) {
    const End end = fetch();
    EXPECT_FALSE(relay_->take(kHost, ask().id, 0, 0, "").wanted);
    EXPECT_EQ(text_of(end), "");
}

TEST_F(log_relay, brings_the_part_that_is_wanted) {
    const End end = fetch(3, 4);
    const auto request = ask();
    EXPECT_EQ(request.offset, 3);
    EXPECT_FALSE(relay_->take(kHost, request.id, 3, 10, "3456789").wanted);
    EXPECT_EQ(text_of(end), "3456");
    EXPECT_EQ((*end)->value().file_bytes, 10);
}

TEST_F(log_relay, a_part_beyond_the_end_is_empty) {
    const End end = fetch(30);
    EXPECT_FALSE(relay_->take(kHost, ask().id, 30, 10, "").wanted);
    EXPECT_EQ((*end)->value().body->size(), 0);
    EXPECT_EQ((*end)->value().file_bytes, 10);
}

TEST_F(log_relay, a_piece_that_comes_twice_changes_nothing) {
    const End end = fetch();
    const auto request = ask();
    (void)relay_->take(kHost, request.id, 0, 6, "012");
    EXPECT_EQ(relay_->take(kHost, request.id, 0, 6, "012").offset, 3);
    (void)relay_->take(kHost, request.id, 3, 6, "345");
    EXPECT_EQ(text_of(end), "012345");
}

TEST_F(log_relay, an_agent_that_broke_off_is_asked_again_from_where_it_stood) {
    const End end = fetch();
    const std::string id = ask().id;
    (void)relay_->take(kHost, id, 0, 6, "012");
    EXPECT_THAT(relay_->take_requests(kHost), IsEmpty());
    clock_.advance(LogRelay::kAskAgainAfter);
    EXPECT_THAT(relay_->step(), SizeIs(1));
    const auto again = ask();
    EXPECT_EQ(again.id, id);
    EXPECT_EQ(again.offset, 3);
    (void)relay_->take(kHost, id, 3, 6, "345");
    EXPECT_EQ(text_of(end), "012345");
}

TEST_F(log_relay, an_agent_that_says_nothing_is_not_waited_for_for_ever) {
    const End end = fetch();
    const std::string id = ask().id;
    clock_.advance(LogRelay::kQuietMax + seconds(1));
    EXPECT_THAT(relay_->step(), IsEmpty());
    EXPECT_EQ(code_of(end), ErrorCode::unavailable);
    EXPECT_FALSE(relay_->take(kHost, id, 0, 3, "012").wanted);
}

TEST_F(log_relay, an_agent_that_drips_is_cut_after_a_while) {
    const End end = fetch();
    const std::string id = ask().id;
    const auto steps = LogRelay::kWholeMax / LogRelay::kAskAgainAfter + 1;
    for (std::int64_t i = 0; i < steps; ++i) {
        (void)relay_->take(kHost, id, i, 100'000, "x");
        clock_.advance(LogRelay::kAskAgainAfter);
        (void)relay_->step();
    }
    EXPECT_EQ(code_of(end), ErrorCode::unavailable);
}

TEST_F(log_relay, a_file_that_became_shorter_ends_in_an_error) {
    const End end = fetch();
    const std::string id = ask().id;
    (void)relay_->take(kHost, id, 0, 6, "012");
    EXPECT_FALSE(relay_->take(kHost, id, 3, 3, "").wanted);
    EXPECT_EQ(code_of(end), ErrorCode::unavailable);
}

TEST_F(log_relay, a_host_sends_only_what_it_was_asked_for) {
    const End end = fetch();
    const std::string id = ask().id;
    EXPECT_FALSE(relay_->take("host-b", id, 0, 3, "bad").wanted);
    relay_->take_failure("host-b", id, ErrorCode::not_found);
    EXPECT_THAT(relay_->take_requests("host-b"), IsEmpty());
    EXPECT_FALSE(end->has_value());
    (void)relay_->take(kHost, id, 0, 4, "good");
    EXPECT_EQ(text_of(end), "good");
}

TEST_F(log_relay, a_file_that_is_gone_is_not_found) {
    const End end = fetch();
    relay_->take_failure(kHost, ask().id, ErrorCode::not_found);
    EXPECT_EQ(code_of(end), ErrorCode::not_found);
}

TEST_F(log_relay, too_large_a_file_is_had_in_parts_only) {
    const End whole = fetch();
    EXPECT_FALSE(relay_->take(kHost, ask().id, 0, LogRelay::kPartBytesMax + 1, "0").wanted);
    EXPECT_EQ(code_of(whole), ErrorCode::too_large);
    const End part = fetch(0, 2);
    (void)relay_->take(kHost, ask().id, 0, LogRelay::kPartBytesMax + 1, "01");
    EXPECT_EQ(text_of(part), "01");
}

TEST_F(log_relay, what_is_being_read_counts_until_it_is_let_go) {
    std::vector<End> ends;
    const auto begin = [&](std::int64_t bytes) {
        ends.push_back(fetch(0, {}, "inc" + std::to_string(ends.size())));
        return relay_->take(kHost, ask().id, 0, bytes, "0").wanted;
    };
    const auto full = LogRelay::kSpoolBytesMax / LogRelay::kPartBytesMax;
    for (std::int64_t i = 0; i < full; ++i) EXPECT_TRUE(begin(LogRelay::kPartBytesMax));
    EXPECT_FALSE(begin(1));
    EXPECT_EQ(code_of(ends.back()), ErrorCode::too_many_requests);
    clock_.advance(LogRelay::kQuietMax + seconds(1));
    (void)relay_->step();
    EXPECT_FALSE(begin(1));
    EXPECT_EQ(text_of(ends.back()), "0");
}

TEST_F(log_relay, one_server_cannot_take_all_the_room) {
    const auto fits = LogRelay::kSpoolBytesPerServer / LogRelay::kPartBytesMax;
    for (std::int64_t i = 0; i <= fits; ++i) {
        const End end = fetch();
        (void)relay_->take(kHost, ask().id, 0, LogRelay::kPartBytesMax, "0");
        EXPECT_EQ(end->has_value(), i == fits);
    }
    const End other = fetch(0, {}, "another");
    EXPECT_TRUE(relay_->take(kHost, ask().id, 0, LogRelay::kPartBytesMax, "0").wanted);
    EXPECT_FALSE(other->has_value());
}

TEST_F(log_relay, one_server_cannot_take_all_places) {
    for (std::size_t i = 0; i < LogRelay::kTransfersPerServer; ++i)
        EXPECT_FALSE(fetch()->has_value());
    EXPECT_EQ(code_of(fetch()), ErrorCode::too_many_requests);
    EXPECT_FALSE(fetch(0, {}, "another")->has_value());
}

TEST_F(log_relay, requests_that_nobody_serves_are_bounded) {
    for (std::size_t i = 0; i < LogRelay::kTransfersMax; ++i)
        EXPECT_FALSE(fetch(0, {}, std::to_string(i))->has_value());
    EXPECT_EQ(code_of(fetch(0, {}, "one more")), ErrorCode::too_many_requests);
}

}  // namespace
}  // namespace howdah::control
