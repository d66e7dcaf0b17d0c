#include "pooler/pgbouncer_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace howdah::pooler {
namespace {

using testing::HasSubstr;
using testing::Not;

PgBouncer bouncer() {
    return {.folder = "/home/pooler/p1",
            .port = 20001,
            .socket_folder = "/home/o'hara/s",
            .backend_port = 10241,
            .settings = {{"pool_mode", "transaction"}, {"default_pool_size", "7"}}};
}

TEST(pgbouncer_files, lead_every_database_to_the_socket_of_the_primary) {
    EXPECT_THAT(ini_file(bouncer()), HasSubstr("\n* = host='/home/o''hara/s' port=10241\n"));
}

TEST(pgbouncer_files, hold_what_the_customer_chose_and_what_is_howdahs_own) {
    const std::string text = ini_file(bouncer());
    EXPECT_THAT(text, HasSubstr("\ndefault_pool_size = 7\n"));
    EXPECT_THAT(text, HasSubstr("\nlisten_addr = 127.0.0.1\n"));
    EXPECT_THAT(text, HasSubstr("\nlisten_port = 20001\n"));
    // PgBouncer takes the last of two lines.
    EXPECT_GT(text.find("\nauth_type"), text.find("\npool_mode"));
}

TEST(pgbouncer_files, let_clients_in_from_the_gateway_alone_and_over_tls) {
    EXPECT_THAT(hba_file(bouncer()), HasSubstr("hostssl all  all  127.0.0.2/32  scram-sha-256\n"));
    EXPECT_THAT(ini_file(bouncer()), HasSubstr("\nclient_tls_sslmode = require\n"));
}

TEST(pgbouncer_files, let_plain_clients_in_where_the_server_does) {
    PgBouncer plain = bouncer();
    plain.require_tls = false;
    EXPECT_THAT(hba_file(plain), HasSubstr("host    all  all  127.0.0.2/32  scram-sha-256\n"));
    EXPECT_THAT(ini_file(plain), HasSubstr("\nclient_tls_sslmode = allow\n"));
}

TEST(pgbouncer_files, refuse_the_poolers_own_role_before_anything_else) {
    const std::string text = hba_file(bouncer());
    EXPECT_LT(text.find("howdah_pooler"), text.find("scram-sha-256"));
    EXPECT_THAT(text, HasSubstr("host    all  howdah_pooler  0.0.0.0/0  reject\n"));
}

TEST(pgbouncer_files, have_the_password_in_one_file_only) {
    EXPECT_EQ(users_file(Secret("p4ss")), "\"howdah_pooler\" \"p4ss\"\n");
    EXPECT_THAT(ini_file(bouncer()), Not(HasSubstr("p4ss")));
}

}  // namespace
}  // namespace howdah::pooler
