#include "store/secret_box.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/text.h"
#include "os/file.h"
#include "store/keys.h"
#include "store/store_support.h"

namespace howdah::store {
namespace {

TEST(secret_box, opens_what_it_sealed) {
    SystemIdSource ids;
    const SecretBox box = SecretBox::with_key(ids.random_bytes(32), ids);
    for (const std::string& text : {std::string(), std::string("s"), std::string(100'000, 'x')}) {
        const std::string sealed = box.seal("/secret/a", Secret(text));
        EXPECT_EQ(box.unseal("/secret/a", sealed).value().reveal(), text);
        EXPECT_EQ(sealed.find("xxxxxxxx"), std::string::npos);
    }
    EXPECT_NE(box.seal("/secret/a", Secret("same")), box.seal("/secret/a", Secret("same")));
}

TEST(secret_box, refuses_another_name_and_another_key) {
    SystemIdSource ids;
    const SecretBox box = SecretBox::with_key(ids.random_bytes(32), ids);
    const SecretBox other = SecretBox::with_key(ids.random_bytes(32), ids);
    const std::string sealed = box.seal("/secret/a", Secret("text"));
    EXPECT_EQ(box.unseal("/secret/b", sealed).error().code, ErrorCode::corrupt);
    EXPECT_EQ(other.unseal("/secret/a", sealed).error().code, ErrorCode::corrupt);
}

TEST(secret_box, recognises_a_secret_by_a_fingerprint_of_its_key_and_name) {
    SystemIdSource ids;
    const SecretBox box = SecretBox::with_key(ids.random_bytes(32), ids);
    const SecretBox other = SecretBox::with_key(ids.random_bytes(32), ids);
    const std::string print = box.fingerprint("a", Secret("text"));
    EXPECT_EQ(print.size(), 64U);
    EXPECT_EQ(print, box.fingerprint("a", Secret("text")));
    EXPECT_NE(print, box.fingerprint("a", Secret("tex")));
    EXPECT_NE(print, box.fingerprint("at", Secret("ext")));
    EXPECT_NE(print, other.fingerprint("a", Secret("text")));
}

TEST(secret_box, notices_every_changed_byte_and_every_cut) {
    SystemIdSource ids;
    const SecretBox box = SecretBox::with_key(ids.random_bytes(32), ids);
    const std::string sealed = box.seal("/secret/a", Secret("text"));
    const std::string bytes = base64_decode(sealed.substr(3)).value();
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        std::string changed = bytes;
        changed[i] = static_cast<char>(changed[i] ^ 1);
        EXPECT_FALSE(box.unseal("/secret/a", "v1:" + base64_encode(changed)).ok()) << i;
        EXPECT_FALSE(box.unseal("/secret/a", "v1:" + base64_encode(bytes.substr(0, i))).ok()) << i;
    }
    for (const char* bad : {"", "v1", "v1:", "v2:AAAA", "v1:not base64"})
        EXPECT_FALSE(box.unseal("/secret/a", bad).ok()) << bad;
}

TEST(secret_box, makes_its_key_file_once_and_for_its_owner_only) {
    SystemIdSource ids;
    const TemporaryFolder folder;
    const std::string path = folder.file("master.key");
    EXPECT_EQ(SecretBox::open(path, false, ids).error().code, ErrorCode::not_found);
    const SecretBox box = SecretBox::open(path, true, ids).value();
    struct stat facts {};
    ASSERT_EQ(stat(path.c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777U, 0600U);
    const std::string sealed = box.seal("a", Secret("text"));
    const SecretBox again = SecretBox::open(path, true, ids).value();
    EXPECT_EQ(again.unseal("a", sealed).value().reveal(), "text");
}

TEST(secret_box, refuses_a_damaged_key_file) {
    SystemIdSource ids;
    const TemporaryFolder folder;
    for (const std::string& text : {std::string(), std::string(63, 'a'), std::string(64, 'g')}) {
        ASSERT_TRUE(os::write_file_atomic(folder.file("key"), text).ok());
        EXPECT_EQ(SecretBox::open(folder.file("key"), true, ids).error().code, ErrorCode::corrupt);
    }
}

TEST(keys, are_lower_case_and_lists_of_one_server_hold_no_other) {
    const auto id = model::ResourceId::server("SUB", "Group", "Pg1");
    EXPECT_EQ(keys::server(id),
              "/server/subscriptions/sub/resourcegroups/group/providers/"
              "microsoft.dbforpostgresql/flexibleservers/pg1");
    EXPECT_TRUE(keys::server(id).starts_with(keys::servers_in("SUB")));
    EXPECT_TRUE(keys::server(id).starts_with(keys::servers_in("sub", "GROUP")));
    EXPECT_FALSE(keys::server(id).starts_with(keys::servers_in("sub", "grou")));
    EXPECT_TRUE(keys::report("/a/pg1", "Host-A").starts_with(keys::reports_of("/a/pg1")));
    EXPECT_FALSE(keys::report("/a/pg10", "h").starts_with(keys::reports_of("/a/pg1")));
    EXPECT_FALSE(keys::old_report("/a/pg1").starts_with(keys::reports_of("/a/pg1")));
    const auto other = model::ResourceId::server("SUB", "Group", "Pg10");
    EXPECT_TRUE(
        keys::database(id.child("databases", "App")).starts_with(keys::databases_of(id.key())));
    EXPECT_FALSE(
        keys::database(other.child("databases", "App")).starts_with(keys::databases_of(id.key())));
    EXPECT_TRUE(keys::result(id.key(), "x").starts_with(keys::results_of(id.key())));
    EXPECT_FALSE(keys::pending(other.key(), "x").starts_with(keys::pending_of(id.key())));
    EXPECT_EQ(keys::action("host-1", "abc-1-ensure"), "/action/host-1/abc-1-ensure");
    EXPECT_EQ(keys::port(20001), "/port/20001");
}

}  // namespace
}  // namespace howdah::store
