#include "agent/backup/pgbackrest.h"

#include <gtest/gtest.h>

namespace howdah::agent {
namespace {

constexpr const char* kData = "/srv/howdah/data";

TEST(damage_of, names_each_file_below_the_data_and_its_pages) {
    EXPECT_EQ(damage_of("", kData), "");
    EXPECT_EQ(damage_of("2026-11-23 12:03:44.301 P00   WARN: a timeline was not there\n", kData),
              "");
    EXPECT_EQ(damage_of("2026-11-23 12:03:44.301 P00   WARN: invalid page checksums found in file "
                        "/srv/howdah/data/base/5/16384 at pages 3, 9-10\n"
                        "2026-11-23 12:03:45.301 P02   WARN: invalid page checksum found in file "
                        "/srv/howdah/data/global/1260 at page 0\n",
                        kData),
              "base/5/16384 at pages 3, 9-10; global/1260 at page 0");
    EXPECT_EQ(damage_of("WARN: invalid page checksum found in file /other/1 at page 7", kData),
              "/other/1 at page 7");
}

TEST(damage_of, has_a_bound) {
    std::string warnings;
    for (int i = 0; i < 1000; ++i)
        warnings += "WARN: invalid page checksum found in file /srv/howdah/data/base/1 at page 1\n";
    const std::string found = damage_of(warnings, kData);
    EXPECT_EQ(found.size(), kDamageBytesMax + 4);
    EXPECT_TRUE(found.ends_with(" ..."));
}

}  // namespace
}  // namespace howdah::agent
