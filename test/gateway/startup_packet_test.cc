#include "gateway/startup_packet.h"

#include <gtest/gtest.h>

#include "gateway/gateway_support.h"

namespace howdah::gateway {
namespace {

using testing::big_endian_32;
using testing::cancel_request;
using testing::gss_request;
using testing::startup_message;

FirstPacket kind_of(std::string_view bytes) { return classify_first_packet(bytes).kind; }

TEST(startup_packet, every_kind_is_told_apart) {
    EXPECT_EQ(kind_of(ssl_request()), FirstPacket::ssl_request);
    EXPECT_EQ(kind_of(gss_request()), FirstPacket::gss_request);
    EXPECT_EQ(kind_of(startup_message()), FirstPacket::startup);
    EXPECT_EQ(kind_of(startup_message(3 << 16 | 2)), FirstPacket::startup);
    EXPECT_EQ(kind_of("\x16"), FirstPacket::direct_tls);
    const auto cancel = classify_first_packet(cancel_request(4711, "keyk"));
    EXPECT_EQ(cancel.kind, FirstPacket::cancel_request);
    EXPECT_EQ(cancel.cancel_pid, 4711);
    EXPECT_EQ(cancel.length, 16U);
}

TEST(startup_packet, every_cut_of_a_packet_is_incomplete) {
    for (const std::string& packet :
         {std::string(ssl_request()), gss_request(), startup_message(),
          cancel_request(1, std::string(256, 'k')), cancel_request(1, "keyk")}) {
        for (std::size_t cut = 0; cut < packet.size(); ++cut)
            EXPECT_EQ(kind_of(std::string_view(packet).substr(0, cut)), FirstPacket::incomplete);
        EXPECT_NE(kind_of(packet), FirstPacket::incomplete);
        EXPECT_EQ(classify_first_packet(packet + "more").length, packet.size());
    }
}

TEST(startup_packet, all_first_two_bytes_have_an_answer) {
    for (int first = 0; first < 256; ++first) {
        const char one = static_cast<char>(first);
        const FirstPacket expected = first == 0      ? FirstPacket::incomplete
                                     : first == 0x16 ? FirstPacket::direct_tls
                                                     : FirstPacket::malformed;
        EXPECT_EQ(kind_of({&one, 1}), expected) << first;
        for (int second = 0; second < 256; ++second) {
            const char two[] = {one, static_cast<char>(second)};
            const FirstPacket then = first == 0 && second != 0 ? FirstPacket::malformed : expected;
            EXPECT_EQ(kind_of({two, 2}), then) << first << " " << second;
        }
    }
}

TEST(startup_packet, all_lengths_have_an_answer_for_every_code) {
    for (std::uint32_t length = 0; length < 70000; ++length) {
        for (const std::uint32_t code : {80877102U, 80877103U, 80877104U, 196608U, 80877100U, 0U}) {
            const std::string head = big_endian_32(length) + big_endian_32(code);
            const FirstPacket kind = kind_of(head);
            const bool in_bounds = length >= 8 && length <= kStartupPacketMax;
            FirstPacket expected = FirstPacket::malformed;
            if (code == 80877103U && length == 8) expected = FirstPacket::ssl_request;
            if (code == 80877104U && length == 8) expected = FirstPacket::gss_request;
            if (code == 80877102U && length >= 16 && length <= 12 + kCancelKeyMax)
                expected = FirstPacket::incomplete;
            if (code == 196608U && in_bounds && length > 8) expected = FirstPacket::incomplete;
            ASSERT_EQ(kind, expected) << length << " " << code;
        }
    }
}

TEST(startup_packet, parameters_are_pairs_of_texts_up_to_the_last_byte) {
    using namespace std::string_literals;
    const auto packet = [](const std::string& body) {
        return big_endian_32(static_cast<std::uint32_t>(body.size() + 8)) + big_endian_32(3 << 16) +
               body;
    };
    EXPECT_EQ(kind_of(packet("\0"s)), FirstPacket::startup);
    EXPECT_EQ(kind_of(packet("user\0app\0\0"s)), FirstPacket::startup);
    EXPECT_EQ(kind_of(packet("options\0\0\0"s)), FirstPacket::startup);
    EXPECT_EQ(kind_of(packet("user\0app\0"s)), FirstPacket::malformed);
    EXPECT_EQ(kind_of(packet("user\0app"s)), FirstPacket::malformed);
    EXPECT_EQ(kind_of(packet("user\0\0"s)), FirstPacket::malformed);
    EXPECT_EQ(kind_of(packet("user\0app\0\0x"s)), FirstPacket::malformed);
    EXPECT_EQ(kind_of(packet("x"s)), FirstPacket::malformed);
}

TEST(startup_packet, an_old_protocol_is_refused_as_unsupported) {
    const auto facts = classify_first_packet(startup_message(2 << 16));
    EXPECT_EQ(facts.kind, FirstPacket::malformed);
    EXPECT_EQ(facts.sqlstate, "0A000");
}

TEST(startup_packet, an_error_response_has_its_fields_and_its_length) {
    using namespace std::string_literals;
    const std::string error = error_response("28000", "no", "Do.");
    EXPECT_EQ(error, "E\0\0\0\x23SFATAL\0VFATAL\0C28000\0Mno\0HDo.\0\0"s);
    EXPECT_EQ(error.size(), 1U + static_cast<unsigned char>(error[4]));
}

TEST(startup_packet, an_answer_that_says_not_now_is_told_from_all_others) {
    const auto answer_of = [](std::string_view state) {
        return classify_first_answer(error_response(state, "why", "what to do"));
    };
    EXPECT_EQ(answer_of("57P03"), FirstAnswer::not_now);
    EXPECT_EQ(answer_of("57P01"), FirstAnswer::not_now);
    EXPECT_EQ(answer_of("57P02"), FirstAnswer::other);
    EXPECT_EQ(answer_of("28P01"), FirstAnswer::other);
    EXPECT_EQ(answer_of(""), FirstAnswer::other);
    using namespace std::string_literals;
    for (const std::string& other :
         {"R\0\0\0\x08\0\0\0\0"s, "Ecould not fork new process"s, "E\0\0\0\x03"s, "E\0\0\x20\x01"s,
          "E\0\0\0\x04"s, "E\0\0\0\x08"s + "C57P"s, "E\0\0\0\x05\0"s})
        EXPECT_EQ(classify_first_answer(other), FirstAnswer::other) << other;
}

TEST(startup_packet, an_answer_cut_at_any_byte_is_waited_for) {
    const std::string answer = error_response("57P03", "the database system is starting up", "");
    for (std::size_t cut = 0; cut < answer.size(); ++cut)
        EXPECT_EQ(classify_first_answer(answer.substr(0, cut)), FirstAnswer::incomplete) << cut;
    EXPECT_EQ(classify_first_answer(answer + "more"), FirstAnswer::not_now);
}

}  // namespace
}  // namespace howdah::gateway
