#include "core/backup/repository_place.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace howdah::core::backup {
namespace {

using Kind = RepositoryPlace::Kind;

constexpr const char* kS3 = R"(# where backups go
type = "s3"
bucket = "vault"
endpoint = "s3.example.org:9000"
region = "eu-central-1"
access-key = "AKIA1"
secret-key = "se/cr+et="
)";
constexpr const char* kAzure = R"(type = "azure"
container = "vault"
account = "howdah"
account-key = "c2VjcmV0"
)";

std::string refusal(const std::string& text) {
    const auto place = parse_repository_file(text);
    if (place.ok()) return "taken";
    EXPECT_EQ(place.error().code, ErrorCode::invalid_argument);
    EXPECT_FALSE(place.error().hint.empty());
    return place.error().message;
}

TEST(repository_file, says_what_a_bucket_needs) {
    const auto place = parse_repository_file(kS3).value();
    EXPECT_EQ(place.kind, Kind::s3);
    EXPECT_EQ(place.path, "/howdah");
    EXPECT_EQ(place.port, 9000);
    EXPECT_EQ(place.key.reveal(), "se/cr+et=");
    EXPECT_FALSE(place.has_path_style);
    EXPECT_EQ(place_name(place), "s3://s3.example.org:9000/vault/howdah");
}

TEST(repository_file, of_azure_needs_no_endpoint) {
    const auto place = parse_repository_file(kAzure).value();
    EXPECT_EQ(place.kind, Kind::azure);
    EXPECT_EQ(place.port, 443);
    EXPECT_EQ(place_name(place), "azure://howdah/vault/howdah");
    const auto here = parse_repository_file(std::string(kAzure) +
                                            "endpoint = \"localhost:1\"\nuri-style = \"path\"\n"
                                            "path = \"/a/b\"\nca-file = \"/etc/ca.pem\"\n")
                          .value();
    EXPECT_TRUE(here.has_path_style);
    EXPECT_EQ(here.ca_file, "/etc/ca.pem");
    EXPECT_EQ(place_name(here), "azure://localhost:1/vault/a/b");
}

TEST(repository_file, is_refused_by_what_is_wrong_in_it) {
    EXPECT_EQ(refusal(""), "'type' is missing");
    EXPECT_EQ(refusal("type = \"ftp\""), "'type' is neither \"s3\" nor \"azure\"");
    EXPECT_EQ(refusal("type = \"azure\"\ncontainer = \"c\"\naccount = \"a\""),
              "'account-key' is missing");
    EXPECT_EQ(refusal(std::string(kS3) + "color = \"red\""), "'color' is not known");
    EXPECT_EQ(refusal(std::string(kS3) + "region = \"other\""), "line 8 says 'region' again");
    EXPECT_EQ(refusal(std::string(kS3) + "path = \"relative\""), "'path' does not begin with /");
    EXPECT_EQ(refusal(std::string(kS3) + "uri-style = \"round\""),
              "'uri-style' is neither \"host\" nor \"path\"");
    for (const char* endpoint :
         {"https://s3.example.org", "s3.example.org:0", "127.0.0.1:9000", "s3:x", "a@b", ":"})
        EXPECT_NE(refusal(std::string(kAzure) + "endpoint = \"" + endpoint + "\""), "taken")
            << endpoint;
}

TEST(repository_file, refuses_what_would_be_another_line_of_a_configuration_and_shows_no_value) {
    const std::vector<std::string> values{"a b",   "a\tb", "a\rb",     "a\"b",
                                          "a\\nb", "a#b",  "\xc3\xa9", std::string(1025, 'x')};
    for (const std::string& value : values) {
        const std::string why = refusal("type = \"s3\"\nsecret-key = \"" + value + "\"\n");
        EXPECT_EQ(why, "line 2 is not NAME = \"VALUE\" in plain letters") << value;
    }
    for (const char* line : {"type", "= \"x\"", "type = s3", "type = \"s3", "type = \""})
        EXPECT_NE(refusal(line).find("line 1"), std::string::npos) << line;
}

TEST(repository_place, of_a_folder_is_its_path) {
    EXPECT_EQ(folder_place("").kind, Kind::none);
    EXPECT_EQ(folder_place("/srv/backups").kind, Kind::folder);
    EXPECT_EQ(place_name(folder_place("/srv/backups")), "/srv/backups");
}

}  // namespace
}  // namespace howdah::core::backup
