#include "gateway/client_hello.h"

#include <gtest/gtest.h>

#include "gateway/gateway_support.h"

namespace howdah::gateway {
namespace {

using testing::client_hello;
using testing::client_hello_message;
using testing::in_records;
using State = ClientHelloReader::State;

State read_all(std::string_view bytes, ClientHelloReader& reader) { return reader.advance(bytes); }

TEST(client_hello, names_the_server_in_lower_case_without_a_final_dot) {
    ClientHelloReader reader;
    EXPECT_EQ(read_all(client_hello({.server_name = "One.DB.test."}), reader), State::complete);
    EXPECT_EQ(reader.server_name(), "one.db.test");
}

TEST(client_hello, may_name_no_server) {
    ClientHelloReader reader;
    EXPECT_EQ(read_all(client_hello({}), reader), State::complete);
    EXPECT_EQ(reader.server_name(), "");
}

TEST(client_hello, cut_at_every_byte_is_incomplete_and_then_goes_on) {
    const std::string whole = client_hello({.server_name = "one.db.test"});
    for (std::size_t cut = 0; cut < whole.size(); ++cut) {
        ClientHelloReader reader;
        ASSERT_EQ(reader.advance(whole.substr(0, cut)), State::incomplete) << cut;
        ASSERT_EQ(reader.advance(whole), State::complete) << cut;
        ASSERT_EQ(reader.server_name(), "one.db.test") << cut;
    }
}

TEST(client_hello, arrives_byte_by_byte_in_records_of_every_size) {
    const std::string message = client_hello_message({.server_name = "one.db.test"});
    for (std::size_t size = 1; size <= message.size(); ++size) {
        const std::string whole = in_records(message, size);
        ClientHelloReader reader;
        for (std::size_t length = 1; length < whole.size(); ++length)
            ASSERT_EQ(reader.advance(std::string_view(whole).substr(0, length)), State::incomplete);
        ASSERT_EQ(reader.advance(whole), State::complete) << size;
        ASSERT_EQ(reader.server_name(), "one.db.test") << size;
    }
}

TEST(client_hello, bytes_behind_it_are_not_looked_at) {
    ClientHelloReader reader;
    EXPECT_EQ(reader.advance(client_hello({.server_name = "one.db.test"}) + "anything"),
              State::complete);
    EXPECT_EQ(reader.server_name(), "one.db.test");
}

TEST(client_hello, of_nearly_64_kib_is_read_and_a_longer_one_refused) {
    ClientHelloReader fits;
    EXPECT_EQ(fits.advance(client_hello({.server_name = "one.db.test", .padding = 60000})),
              State::complete);
    EXPECT_EQ(fits.server_name(), "one.db.test");

    ClientHelloReader too_long;
    std::string endless;
    while (too_long.state() == State::incomplete) {
        ASSERT_LE(endless.size(), ClientHelloReader::kBytesMax);
        // A message that claims 65,000 bytes, in records of one byte: the headers are the load.
        endless += endless.empty() ? in_records(std::string_view("\x01\x00\xfd\xe8", 4), 1)
                                   : in_records("x", 1);
        too_long.advance(endless);
    }
    EXPECT_EQ(too_long.state(), State::malformed);
    EXPECT_EQ(too_long.alert(), TlsAlert::record_overflow);
}

TEST(client_hello, a_claimed_length_beyond_the_bound_is_refused_at_once) {
    ClientHelloReader message;
    EXPECT_EQ(message.advance(in_records(std::string_view("\x01\xff\xff\xff", 4), 4)),
              State::malformed);
    EXPECT_EQ(message.alert(), TlsAlert::record_overflow);
    ClientHelloReader record;
    EXPECT_EQ(record.advance(std::string_view("\x16\x03\x01\x40\x01", 5)), State::malformed);
    EXPECT_EQ(record.alert(), TlsAlert::record_overflow);
}

TEST(client_hello, what_is_no_tls_is_refused_with_the_first_byte) {
    for (int byte = 0; byte < 256; ++byte) {
        ClientHelloReader reader;
        const char c = static_cast<char>(byte);
        EXPECT_EQ(reader.advance({&c, 1}), byte == 0x16 ? State::incomplete : State::malformed);
    }
    ClientHelloReader version;
    EXPECT_EQ(version.advance("\x16\x02"), State::malformed);
    EXPECT_EQ(version.alert(), TlsAlert::protocol_version);
    ClientHelloReader empty_record;
    EXPECT_EQ(empty_record.advance(std::string_view("\x16\x03\x01\0\0", 5)), State::malformed);
    ClientHelloReader server_hello;
    EXPECT_EQ(server_hello.advance(in_records("\x02", 1)), State::malformed);
    EXPECT_EQ(server_hello.alert(), TlsAlert::unexpected_message);
}

TEST(client_hello, a_name_given_twice_or_malformed_is_refused) {
    const std::string message = client_hello_message({.server_name = "one.db.test"});
    const std::string extension = [&] {
        const std::size_t at = message.find(std::string("\0\0\0\x10\0\x0e\0\0\x0b", 9));
        EXPECT_NE(at, message.npos);
        return message.substr(at);
    }();
    // The same extension once more, all lengths around it made right.
    std::string twice = message + extension;
    const auto grow = [&](std::size_t at) {
        const std::size_t high = static_cast<unsigned char>(twice[at]);
        const std::size_t low = static_cast<unsigned char>(twice[at + 1]);
        const std::size_t value = (high << 8) + low + extension.size();
        twice[at] = static_cast<char>(value >> 8);
        twice[at + 1] = static_cast<char>(value & 0xff);
    };
    grow(2);
    grow(4 + 2 + 32 + 33 + 6 + 2);
    ClientHelloReader reader;
    EXPECT_EQ(reader.advance(in_records(twice, 16384)), State::malformed);
    EXPECT_EQ(reader.alert(), TlsAlert::illegal_parameter);

    std::string with_zero = message;
    with_zero[message.find("one.db")] = '\0';
    ClientHelloReader zero;
    EXPECT_EQ(zero.advance(in_records(with_zero, 16384)), State::malformed);
}

TEST(client_hello, every_single_damaged_byte_ends_in_an_answer) {
    const std::string whole = client_hello({.server_name = "one.db.test"});
    int complete = 0;
    for (std::size_t at = 0; at < whole.size(); ++at) {
        for (int bit = 0; bit < 8; ++bit) {
            std::string damaged = whole;
            damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
            ClientHelloReader reader;
            if (reader.advance(damaged) == State::complete) ++complete;
        }
    }
    EXPECT_GT(complete, 0);  // a damaged random or name is none of our business
}

TEST(client_hello, an_alert_is_one_record_of_seven_bytes) {
    EXPECT_EQ(alert_record(TlsAlert::unrecognized_name),
              std::string("\x15\x03\x03\x00\x02\x02\x70", 7));
}

}  // namespace
}  // namespace howdah::gateway
