#include <gmock/gmock.h>

#include "cli/cli_support.h"

namespace howdah::cli {
namespace {

using testing::HasSubstr;

const std::string kHosts = "/providers/Howdah.Platform/hosts";

class HostVerbs : public testing::Test {
  protected:
    void SetUp() override { ASSERT_NO_FATAL_FAILURE(user.log_in(arm)); }
    FakeArm arm;
    User user;
};

TEST_F(HostVerbs, the_machines_are_listed) {
    Json values = Json::array();
    values.push_back(
        {{"name", "h1"},
         {"properties", {{"hostName", "b"}, {"availabilityZone", "2"}, {"state", "Silent"}}}});
    arm.answer_once(kHosts, {200, {}, to_text({{"value", values}})});
    const Ran ran = user.run(words("host list -o table"));
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("Silent"));
    EXPECT_THAT(ran.out, HasSubstr("h1"));
}

TEST_F(HostVerbs, a_new_one_gets_a_command_whose_arguments_are_no_secret) {
    arm.answer_once(
        kHosts + "/b/invite",
        {200,
         {},
         to_text({{"name", "b"}, {"properties", {{"ticket", "abc"}, {"expiresAt", "soon"}}}})});
    const Ran ran = user.run(words("host add b --zone 2 -o json"));
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json shown = parse_json(ran.out, "out").value();
    EXPECT_EQ(shown["ticket"], "abc");
    EXPECT_EQ(shown["availabilityZone"], "2");
    EXPECT_THAT(shown["command"].get<std::string>(), HasSubstr("--ticket - <<< abc"));
}

TEST_F(HostVerbs, a_refusal_is_told) {
    arm.answer_once(
        kHosts + "/b/invite",
        {409,
         {},
         to_text({{"error", {{"code", "InvalidState"}, {"message", "There is no etcd."}}}})});
    const Ran ran = user.run(words("host add b"));
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, HasSubstr("There is no etcd."));
}

}  // namespace
}  // namespace howdah::cli
