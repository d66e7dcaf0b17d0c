#include "model/pgbackrest.h"

#include <gtest/gtest.h>

#include <string>

namespace howdah::model::pgbackrest {
namespace {

// Printed by pgBackRest 2.45 itself, shortened.
const std::string kFull =
    R"({"archive":{"start":"000000010000000000000002","stop":"000000010000000000000003"},)"
    R"("backrest":{"format":5,"version":"2.45"},"database":{"id":1,"repo-key":1},"error":false,)"
    R"("info":{"delta":23731033,"repository":{"delta":2898874,"size":2898874},"size":23731033},)"
    R"("label":"20261122-231144F","lsn":{"start":"0/2000028","stop":"0/3000050"},"prior":null,)"
    R"("reference":null,"timestamp":{"start":1795389104,"stop":1795389111},"type":"full"})";
const std::string kDifferential =
    R"({"annotation":{"howdah-name":"before the upgrade"},)"
    R"("archive":{"start":"000000010000000000000006","stop":"000000020000000000000007"},)"
    R"("error":true,"info":{"delta":675318,"repository":{"delta":45406,"size":2899222},)"
    R"("size":23741312},"label":"20261122-231144F_20261122-231222D","prior":"20261122-231144F",)"
    R"("reference":["20261122-231144F"],"timestamp":{"start":1795389142,"stop":1795389148},)"
    R"("type":"diff"})";

std::string info_of(const std::string& backups) {
    return R"([{"archive":[{"database":{"id":1},"id":"15-1","max":"00000001000000000000000E",)"
           R"("min":"000000010000000000000001"}],"backup":[)" +
           backups +
           R"(],"cipher":"none","db":[{"id":1,"repo-key":1,"system-id":7711137362776057195,)"
           R"("version":"15"}],"name":"s","repo":[{"cipher":"none","key":1}],)"
           R"("status":{"code":0,"lock":{"backup":{"held":false}},"message":"ok"}}])";
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
    const std::size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return text.replace(at, what.size(), with);
}

TEST(pgbackrest, backups_are_read) {
    const Info info = parse_info(info_of(kDifferential + "," + kFull), "s").value();
    EXPECT_EQ(info.archive, "15-1");
    ASSERT_EQ(info.backups.size(), 2U);
    const Backup& full = info.backups[0];
    EXPECT_EQ(full.label, "20261122-231144F") << "the oldest first";
    EXPECT_EQ(full.type, "full");
    EXPECT_EQ(full.prior, "");
    EXPECT_EQ(full.started, 1795389104);
    EXPECT_EQ(full.stopped, 1795389111);
    EXPECT_EQ(full.wal_first, "000000010000000000000002");
    EXPECT_EQ(full.wal_last, "000000010000000000000003");
    EXPECT_EQ(full.bytes, 23731033);
    EXPECT_EQ(full.repository_bytes, 2898874);
    EXPECT_FALSE(full.has_errors);
    const Backup& differential = info.backups[1];
    EXPECT_EQ(differential.prior, full.label);
    EXPECT_TRUE(differential.has_errors);
    EXPECT_EQ(differential.annotations.at("howdah-name"), "before the upgrade");
}

TEST(pgbackrest, a_stanza_that_is_not_there_has_nothing) {
    EXPECT_TRUE(parse_info("[]", "s")->backups.empty());
    EXPECT_TRUE(parse_info(info_of(kFull), "other")->backups.empty());
    const Info missing =
        parse_info(R"([{"name":"s","backup":[],"db":[],"status":{"code":1,"message":"missing"}}])",
                   "s")
            .value();
    EXPECT_EQ(missing.trouble, "");
    EXPECT_TRUE(missing.backups.empty());
}

TEST(pgbackrest, a_repository_that_cannot_be_read_is_no_empty_one) {
    const Info locked =
        parse_info(R"([{"archive":[],"backup":[],"cipher":"aes-256-cbc","db":[],"name":"s",)"
                   R"("repo":[{"key":1,"status":{"code":99,"message":"[CryptoError] no\nHINT"}}],)"
                   R"("status":{"code":99,"message":"other"}}])",
                   "s")
            .value();
    EXPECT_EQ(locked.trouble, "[CryptoError] no");
    // With another key it quotes what it decrypted, byte by byte.
    const std::string garbage = "X\x1f\xdf\xfc\x04\x7f\b\xc3 \\\" of";
    const Info quoted =
        parse_info(R"([{"name":"s","repo":[{"status":{"code":99,"message":"[FormatError] )" +
                       garbage + R"("}}],"status":{"code":99,"message":"other"}}])",
                   "s")
            .value();
    EXPECT_EQ(quoted.trouble, "[FormatError] X??????? \" of");
    EXPECT_EQ(parse_info(info_of(""), "s")->trouble, "");
}

TEST(pgbackrest, what_cannot_be_is_corrupt) {
    const std::string good = info_of(kDifferential);
    ASSERT_TRUE(parse_info(good, "s").ok());
    for (const auto& [what, with] : std::initializer_list<std::pair<std::string, std::string>>{
             {R"("diff")", R"("other")"},
             {R"("prior":"20261122-231144F")", R"("prior":null)"},
             {R"("prior":"20261122-231144F")", R"("prior":"../../x")"},
             {R"(F_20261122-231222D")", R"(F --force")"},
             {R"("label":"2026)", R"("label":"--delta)"},
             {R"("start":"000000010000000000000006")", R"("start":"000000030000000000000006")"},
             {R"("size":23741312)", R"("size":-1)"},
             {R"("size":23741312)", R"("size":1e3)"},
             {R"("size":23741312)", R"("size":18446744073709551615)"},
             {R"("stop":1795389148)", R"("stop":1795389141)"},
             {R"("error":true)", R"("error":"no")"},
             {R"("before the upgrade")", "7"},
             {R"({"code":0,)", R"({)"},
             {R"("id":"15-1")", R"("id":15)"},
         }) {
        const auto answer = parse_info(replaced(good, what, with), "s");
        ASSERT_FALSE(answer.ok()) << with;
        EXPECT_EQ(answer.error().code, ErrorCode::corrupt) << with;
    }
    for (const char* text : {"", "{}", "7", "[7]", "[{}]", "[", R"([{"name":"s","backup":{}}])"})
        EXPECT_FALSE(parse_info(text, "s").ok()) << text;
    EXPECT_FALSE(parse_info(std::string(100'000, '['), "s").ok());
}

TEST(pgbackrest, files_are_read_without_folders_and_links) {
    const auto files =
        parse_files(R"({".":{"type":"path"},"15-1":{"type":"path"},)"
                    R"("15-1/b":{"type":"file","size":12,"time":1795389105},)"
                    R"("15-1/a":{"type":"file","size":0,"time":1},"l":{"type":"link"}})")
            .value();
    ASSERT_EQ(files.size(), 2U);
    EXPECT_EQ(files[0].path, "15-1/a");
    EXPECT_EQ(files[1].path, "15-1/b");
    EXPECT_EQ(files[1].bytes, 12);
    for (const char* text : {"", "[]", R"({"a":7})", R"({"a":{}})", R"({"a":{"type":"file"}})",
                             R"({"a":{"type":"file","size":-1,"time":1}})", R"({"a":{"type":7}})"})
        EXPECT_FALSE(parse_files(text).ok()) << text;
}

}  // namespace
}  // namespace howdah::model::pgbackrest
