#include "core/lsn.h"

#include <gtest/gtest.h>

namespace howdah::core {
namespace {

TEST(lsn, positions_are_read_as_postgresql_writes_them) {
    EXPECT_EQ(parse_lsn("0/0").value(), 0U);
    EXPECT_EQ(parse_lsn("16/B374D848").value(), 0x16B374D848U);
    EXPECT_EQ(format_lsn(0x16B374D848), "16/B374D848");
    for (const char* text : {"", "/", "1", "1/", "/1", "1/2/3", "g/1", "1/100000000", "-1/1"})
        EXPECT_FALSE(parse_lsn(text).ok()) << text;
}

}  // namespace
}  // namespace howdah::core
