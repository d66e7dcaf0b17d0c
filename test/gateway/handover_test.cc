#include "gateway/handover.h"

#include <gtest/gtest.h>

#include "gateway/gateway_support.h"

namespace howdah::gateway {
namespace {

Session sample(CounterBook& book) {
    Session session;
    session.phase = Phase::relay;
    session.fds[kClient] = 17;
    session.fds[kBackend] = 18;
    session.tls = session.counted_held = session.ended[kBackend] = true;
    session.listen_port = 5432;
    session.backend_port = 41000;
    session.accepted = Instant(std::chrono::seconds(5));
    session.since = Instant(std::chrono::seconds(6));
    session.held_since = Instant(std::chrono::seconds(7));
    session.bytes[kClient] = 123;
    session.bytes[kBackend] = std::int64_t{5} << 32;
    session.client = Address::parse("2001:db8::1", 40000).value();
    session.backend = {Address::parse("127.0.0.1", 7001).value(), 4711};
    session.term = 6;
    session.counters = book.of("/servers/one", "one");
    session.pending[kClient].append("last words");
    session.pending[kClient].consume(5);
    return session;
}

TEST(handover, a_session_comes_through_whole) {
    CounterBook book;
    StateWriter out;
    write_session(out, sample(book));
    StateReader in(out.bytes());
    const Session read = read_session(in, book);
    EXPECT_TRUE(in.ok());
    EXPECT_TRUE(in.at_end());
    EXPECT_EQ(read.phase, Phase::relay);
    EXPECT_EQ(read.fds[kClient], 17);
    EXPECT_EQ(read.fds[kBackend], 18);
    EXPECT_TRUE(read.tls && read.counted_held && read.ended[kBackend]);
    EXPECT_FALSE(read.own_port || read.cancel || read.ended[kClient]);
    EXPECT_EQ(read.listen_port, 5432);
    EXPECT_EQ(read.backend_port, 41000);
    EXPECT_EQ(read.accepted, Instant(std::chrono::seconds(5)));
    EXPECT_EQ(read.since, Instant(std::chrono::seconds(6)));
    EXPECT_EQ(read.held_since, Instant(std::chrono::seconds(7)));
    EXPECT_EQ(read.bytes[kClient], 123);
    EXPECT_EQ(read.bytes[kBackend], std::int64_t{5} << 32);
    EXPECT_EQ(read.client.text(), "2001:db8::1");
    EXPECT_EQ(read.client.port(), 40000);
    EXPECT_EQ(read.backend.address.port(), 7001);
    EXPECT_EQ(read.backend.postmaster_pid, 4711);
    EXPECT_EQ(read.term, 6);
    EXPECT_EQ(read.counters, book.of("/servers/one", "one"));
    EXPECT_EQ(read.pending[kClient].rest(), "words");
    EXPECT_TRUE(read.pending[kBackend].empty());
    EXPECT_EQ(read.opening, nullptr);
}

TEST(handover, a_session_of_the_version_before_is_understood) {
    CounterBook book;
    const Session before = sample(book);
    StateWriter out;
    write_session(out, before);
    StateWriter behind_the_term;
    behind_the_term.text(before.counters->server_id);
    behind_the_term.number(0);
    behind_the_term.text(before.pending[kClient].rest());
    behind_the_term.text("");
    std::string bytes = out.bytes();
    bytes.erase(bytes.size() - behind_the_term.bytes().size() - 8, 8);
    StateReader in(bytes);
    const Session read = read_session(in, book, kHandoverTables - 1);
    EXPECT_TRUE(in.ok() && in.at_end());
    EXPECT_EQ(read.term, 0);
    EXPECT_EQ(read.backend.postmaster_pid, 4711);
    EXPECT_EQ(read.pending[kClient].rest(), "words");
}

TEST(handover, versions_that_are_known_are_taken_over_and_newer_ones_never) {
    EXPECT_TRUE(can_take_over(kHandoverVersion));
    EXPECT_TRUE(can_take_over(kHandoverOldest));
    EXPECT_FALSE(can_take_over(kHandoverOldest - 1));
    EXPECT_FALSE(can_take_over(kHandoverVersion + 1));
}

TEST(handover, a_first_packet_goes_on_where_it_was) {
    CounterBook book;
    Session session;
    session.phase = Phase::answering;
    session.term = 3;
    session.opening = std::make_unique<Opening>();
    session.opening->bytes = "0123456789";
    session.opening->sent = 4;
    StateWriter out;
    write_session(out, session);
    StateReader in(out.bytes());
    const Session read = read_session(in, book);
    EXPECT_TRUE(in.ok() && in.at_end());
    EXPECT_EQ(read.phase, Phase::answering);
    ASSERT_NE(read.opening, nullptr);
    EXPECT_EQ(read.opening->bytes, "0123456789");
    EXPECT_EQ(read.opening->sent, 4U);
}

TEST(handover, a_hello_cut_anywhere_goes_on_after_it) {
    const std::string hello = testing::client_hello({.server_name = "one.db.test"});
    for (std::size_t cut = 0; cut < hello.size(); ++cut) {
        CounterBook book;
        Session session;
        session.phase = Phase::hello;
        session.tls = true;
        session.opening = std::make_unique<Opening>();
        session.opening->bytes = hello.substr(0, cut);
        StateWriter out;
        write_session(out, session);
        StateReader in(out.bytes());
        const Session read = read_session(in, book);
        ASSERT_NE(read.opening, nullptr);
        ASSERT_EQ(read.opening->bytes, hello.substr(0, cut));
        ASSERT_EQ(read.opening->hello.advance(hello), ClientHelloReader::State::complete);
        ASSERT_EQ(read.opening->hello.server_name(), "one.db.test");
    }
}

TEST(handover, a_state_cut_at_any_byte_is_found_damaged) {
    CounterBook book;
    StateWriter out;
    write_session(out, sample(book));
    for (std::size_t cut = 0; cut < out.bytes().size(); ++cut) {
        StateReader in(std::string_view(out.bytes()).substr(0, cut));
        read_session(in, book);
        EXPECT_FALSE(in.ok()) << cut;
    }
}

TEST(handover, counts_come_through_by_the_names_of_their_reasons) {
    Counters before;
    before.accepted = 5;
    before.held_ms = 77;
    before.count(Refusal::firewall);
    before.count(Refusal::cancel_target);
    before.count(Refusal::cancel_target);
    StateWriter out;
    write_counters(out, before);
    StateReader in(out.bytes());
    Counters after;
    read_counters(in, after);
    EXPECT_TRUE(in.ok() && in.at_end());
    EXPECT_EQ(after.accepted, 5);
    EXPECT_EQ(after.held_ms, 77);
    EXPECT_EQ(testing::refusals(after.refusals(), "firewall"), 1);
    EXPECT_EQ(testing::refusals(after.refusals(), "cancel_target"), 2);
}

TEST(handover, a_memfd_gives_back_what_was_stored) {
    const std::string bytes = std::string(100'000, 'x') + std::string("\0end", 4);
    const auto fd = store_state(bytes);
    ASSERT_TRUE(fd.ok());
    EXPECT_EQ(fetch_state(fd->get()).value(), bytes);
    EXPECT_EQ(fetch_state(fd->get()).value(), bytes) << "reading does not use it up";
    EXPECT_FALSE(fetch_state(-1).ok());
}

}  // namespace
}  // namespace howdah::gateway
