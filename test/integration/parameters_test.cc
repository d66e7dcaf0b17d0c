#include "core/sizing/parameters.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "core/sizing/sku.h"
#include "integration/postgres_support.h"

/// A value that the check lets through must never keep a real server from starting.
namespace howdah::test {
namespace {

constexpr std::int64_t kVcores = 1;
constexpr std::int64_t kMemoryMb = 512;

model::Engine read_engine(pg::Connection& session) {
    model::Engine engine;
    engine.major = engine_folder().substr(engine_folder().rfind('/') + 1);
    const auto settings = session.query(
        "SELECT name, vartype, coalesce(unit, ''), coalesce(min_val, ''), coalesce(max_val, ''), "
        "array_to_string(enumvals, '|'), coalesce(boot_val, ''), context, category, short_desc "
        "FROM pg_settings");
    EXPECT_TRUE(settings.ok());
    for (const pg::Row& row : settings->rows) {
        model::ParameterInfo info{.name = *row[0],
                                  .type = *row[1],
                                  .unit = *row[2],
                                  .minimum = *row[3],
                                  .maximum = *row[4],
                                  .boot_value = *row[6],
                                  .context = *row[7],
                                  .category = *row[8],
                                  .description = *row[9]};
        if (row[5]) info.allowed = split(*row[5], '|');
        engine.parameters.push_back(info);
    }
    const auto extensions = session.query("SELECT name FROM pg_available_extensions");
    for (const pg::Row& row : extensions->rows) engine.extensions.push_back(*row[0]);
    const auto locales =
        session.query("SELECT DISTINCT collcollate FROM pg_collation WHERE collprovider = 'c'");
    for (const pg::Row& row : locales->rows) engine.collations.push_back(*row[0]);
    return engine;
}

std::pair<std::string, std::string> edges(const core::CustomerParameter& parameter) {
    const std::string& text = parameter.allowed_values;
    if (parameter.data_type == "Integer" || parameter.data_type == "Numeric") {
        std::size_t dash = text.find('-', 1);
        while (text[dash - 1] == 'e') dash = text.find('-', dash + 1);
        return {text.substr(0, dash), text.substr(dash + 1)};
    }
    if (parameter.data_type == "String") return {parameter.default_value, parameter.default_value};
    if (parameter.data_type == "Set") return {"", text};
    return {text.substr(0, text.find(',')), text.substr(text.rfind(',') + 1)};
}

class Parameters : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (engine_folder().empty()) return;
        auto started = PostgresServer::start({});
        ASSERT_TRUE(started.ok()) << started.error().describe();
        server_ = std::move(started).value();
    }
    static void TearDownTestSuite() { server_.reset(); }
    void SetUp() override {
        if (engine_folder().empty()) GTEST_SKIP() << "PostgreSQL is not installed";
        ASSERT_NE(server_, nullptr) << "the server did not start";
        const Status fresh = server_->restart({});
        ASSERT_TRUE(fresh.ok()) << fresh.error().describe();
        auto session = server_->as_superuser();
        ASSERT_TRUE(session.ok());
        engine_ = read_engine(*session);
        shown_ = core::customer_parameters(engine_, core::sized_parameters(kVcores, kMemoryMb));
    }

    std::string checked(const core::CustomerParameter& parameter, const std::string& value) {
        const auto result = core::check_parameter(shown_, parameter.name, value);
        EXPECT_TRUE(result.ok()) << result.error().describe();
        return result.value_or("");
    }
    void expect_start(const std::map<std::string, std::string>& parameters) {
        const Status done = server_->restart(parameters);
        ASSERT_TRUE(done.ok()) << done.error().describe();
        auto session = server_->as_superuser();
        ASSERT_TRUE(session.ok()) << session.error().describe();
        const auto errors = session->query(
            "SELECT name || ': ' || error FROM pg_file_settings WHERE error IS NOT NULL");
        ASSERT_TRUE(errors.ok()) << errors.error().describe();
        EXPECT_TRUE(errors->rows.empty()) << errors->at(0, 0);
    }

    static inline std::unique_ptr<PostgresServer> server_;
    model::Engine engine_;
    std::vector<core::CustomerParameter> shown_;
};

TEST_F(Parameters, of_every_kind_start_at_both_ends_of_what_is_allowed) {
    std::map<std::string, std::string> lowest;
    std::map<std::string, std::string> highest;
    EXPECT_GT(shown_.size(), 200U);
    for (const core::CustomerParameter& each : shown_) {
        if (each.is_read_only) continue;
        const auto [low, high] = edges(each);
        const std::string checked_low = checked(each, low);
        const std::string checked_high = checked(each, high);
        lowest[each.name] = checked_low;
        // What is taken at the start is tried one by one below: together it is too much memory.
        if (each.is_dynamic || each.data_type == "Set") highest[each.name] = checked_high;
    }
    expect_start(lowest);
    expect_start(highest);
}

TEST_F(Parameters, that_are_static_start_one_by_one_at_their_highest) {
    for (const core::CustomerParameter& each : shown_) {
        if (each.is_read_only || each.is_dynamic) continue;
        SCOPED_TRACE(each.name);
        expect_start({{each.name, checked(each, edges(each).second)}});
    }
}

TEST_F(Parameters, default_to_what_the_server_has) {
    auto session = server_->as_administrator();
    ASSERT_TRUE(session.ok());
    for (const core::CustomerParameter& each : shown_) {
        if (each.name.find('.') != std::string::npos || each.name == "require_secure_transport" ||
            each.data_type == "Set" || each.is_read_only) {
            continue;
        }
        // reset_val: the session's own settings and the socket's are not asked for.
        const auto rows =
            session->query("SELECT reset_val FROM pg_settings WHERE name = $1", {each.name});
        ASSERT_TRUE(rows.ok()) << rows.error().describe();
        ASSERT_EQ(rows->rows.size(), 1U) << each.name;
        // -1 of wal_buffers stands for a number that the server works out.
        if (each.name == "wal_buffers") continue;
        EXPECT_EQ(rows->at(0, 0), each.default_value) << each.name;
    }
}

TEST_F(Parameters, time_zones_are_known_to_the_server) {
    auto session = server_->as_superuser();
    ASSERT_TRUE(session.ok());
    for (const core::CustomerParameter& each : shown_) {
        if (each.name != "TimeZone") continue;
        for (const std::string& zone : split(each.allowed_values, ',')) {
            const auto set =
                session->query("SELECT pg_catalog.set_config('TimeZone', $1, false)", {zone});
            EXPECT_TRUE(set.ok()) << zone;
        }
    }
}

}  // namespace
}  // namespace howdah::test
