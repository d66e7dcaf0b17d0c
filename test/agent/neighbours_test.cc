#include "agent/neighbours.h"

#include <gmock/gmock.h>
#include <poll.h>
#include <stdlib.h>

#include <atomic>
#include <thread>

#include "model/json.h"
#include "os/file.h"
#include "store/memory/memory_store.h"

namespace howdah::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

bool eventually(const std::function<bool()>& fact) {
    for (int i = 0; i < 2000; ++i) {
        if (fact()) return true;
        poll(nullptr, 0, 5);
    }
    return false;
}

std::string temporary_folder() {
    char path[] = "/tmp/howdah-neighbours-XXXXXX";
    return mkdtemp(path);
}

model::Route route(const std::string& server, const std::string& state = "open") {
    model::Route made;
    made.server_id = "/servers/" + server;
    made.server_name = server;
    made.state = state;
    made.backend_port = 5555;
    return made;
}

/// An agent as far as it talks to others.
class Speaker {
  public:
    Speaker(store::Store& store, const std::string& folder, const std::string& host,
            const std::string& address)
        : heard_path_(folder + "/" + host + "-heard.json"),
          routes_path_(folder + "/" + host + "-routes.json"),
          neighbours_({.own = {host, address, address + "1", {}},
                       .heard_path = heard_path_,
                       .routes_path = routes_path_},
                      store) {
        neighbours_.load();
    }
    void begin() {
        talks_ = std::jthread([this](std::stop_token stop) { neighbours_.talk(std::move(stop)); });
        listens_ = std::jthread([this](std::stop_token stop) {
            neighbours_.listen(std::move(stop), [this] { ++changes_; });
        });
    }
    Neighbours& operator*() { return neighbours_; }
    Neighbours* operator->() { return &neighbours_; }
    int changes() const { return changes_; }
    /// What its gateway reads.
    std::vector<model::Route> routes() const {
        const auto text = os::read_file(routes_path_);
        return text.ok() ? model::from_json<model::RouteTable>(*text).value().routes
                         : std::vector<model::Route>();
    }
    std::string heard() const { return os::read_file(heard_path_).value_or(""); }
    void damage() { ASSERT_TRUE(os::write_file_atomic(heard_path_, "{\"notices\":[{").ok()); }

  private:
    const std::string heard_path_;
    const std::string routes_path_;
    std::atomic<int> changes_ = 0;
    Neighbours neighbours_;
    std::jthread talks_;
    std::jthread listens_;
};

class NeighboursTest : public testing::Test {
  protected:
    ~NeighboursTest() override { (void)os::remove_tree(folder_); }

    SystemClock clock_;
    std::unique_ptr<store::Store> store_ = store::make_memory_store(clock_);
    const std::string folder_ = temporary_folder();
    Speaker a_{*store_, folder_, "a", "10.0.0.1"};
    Speaker b_{*store_, folder_, "b", "10.0.0.2"};
};

TEST_F(NeighboursTest, hear_where_the_others_are_and_what_they_route) {
    a_.begin();
    b_.begin();
    a_->tell({route("orders")});
    b_->tell({});
    ASSERT_TRUE(eventually([&] { return b_.routes().size() == 1; }));
    EXPECT_EQ(b_.routes()[0].backend_address, "10.0.0.1");
    EXPECT_EQ(b_.routes()[0].backend_port, 5555);
    ASSERT_TRUE(eventually([&] { return a_->others().size() == 1; }));
    EXPECT_EQ(a_->others()[0].address, "10.0.0.2");
    EXPECT_EQ(a_->others()[0].gateway_source, "10.0.0.21");
    EXPECT_THAT(a_.routes(), IsEmpty());
    EXPECT_TRUE(eventually([&] { return a_.changes() > 0; }));
}

TEST_F(NeighboursTest, a_change_of_routes_is_heard_and_is_no_change_of_addresses) {
    b_.begin();
    a_.begin();
    a_->tell({route("orders")});
    // Of an address whoever asks is told after the routes are written.
    ASSERT_TRUE(eventually([&] { return b_.routes().size() == 1 && b_.changes() > 0; }));
    const int changes = b_.changes();
    a_->tell({route("orders", "closed"), route("bills")});
    ASSERT_TRUE(eventually([&] { return b_.routes().size() == 2; }));
    EXPECT_EQ(b_.routes()[0].state, "closed");
    EXPECT_EQ(b_.changes(), changes);
}

TEST_F(NeighboursTest, those_of_the_same_machine_are_left_to_their_files) {
    Speaker second(*store_, folder_, "a2", "10.0.0.1");
    a_.begin();
    b_.begin();
    second.begin();
    second->tell({route("orders")});
    ASSERT_TRUE(eventually([&] { return b_.routes().size() == 1; }));
    EXPECT_THAT(a_.routes(), IsEmpty());
    EXPECT_THAT(a_->others(), IsEmpty());
}

TEST_F(NeighboursTest, whoever_is_removed_is_forgotten) {
    a_.begin();
    b_.begin();
    a_->tell({route("orders")});
    ASSERT_TRUE(eventually([&] { return b_.routes().size() == 1; }));
    // Its agent is gone first, or it would tell again.
    ASSERT_TRUE(store_->commit(store::Transaction().remove("/agent/a")).ok());
    EXPECT_TRUE(eventually([&] { return b_->others().empty() && b_.routes().empty(); }));
}

TEST_F(NeighboursTest, what_was_heard_last_holds_without_the_store) {
    {
        Speaker before(*store_, folder_, "c", "10.0.0.3");
        before.begin();
        a_.begin();
        a_->tell({route("orders")});
        ASSERT_TRUE(eventually([&] { return before.routes().size() == 1; }));
    }
    Speaker after(*store_, folder_, "c", "10.0.0.3");
    EXPECT_THAT(after->others(), SizeIs(1));
    EXPECT_THAT(after.routes(), SizeIs(1));
}

TEST_F(NeighboursTest, a_damaged_file_is_heard_anew) {
    b_.damage();
    b_->load();
    EXPECT_THAT(b_->others(), IsEmpty());
    a_.begin();
    a_->tell({route("orders")});
    b_.begin();
    EXPECT_TRUE(eventually([&] { return b_.routes().size() == 1; }));
}

TEST_F(NeighboursTest, nonsense_is_left_alone) {
    const std::pair<const char*, const char*> addresses[] = {
        {"10.0.0.9", ""},          {"", "10.0.0.9"},
        {"10.0.0.9", "127.0.0.1"}, {"0.0.0.0", "10.0.0.9"},
        {"10.0.0.9", "224.0.0.1"}, {"10.0.0.9/32 trust\nhost all all 0.0.0.0", "10.0.0.9"}};
    std::vector<std::string> texts = {"", "{", "[]", R"({"host":"another"})"};
    for (const auto& [address, source] : addresses)
        texts.push_back(model::to_json(
            model::AgentNotice{"x" + std::to_string(texts.size()), address, source, {}}));
    for (std::size_t i = 0; i < texts.size(); ++i)
        ASSERT_TRUE(
            store_->commit(store::Transaction().put("/agent/x" + std::to_string(i), texts[i]))
                .ok());
    b_.begin();
    a_.begin();
    a_->tell({route("orders")});
    ASSERT_TRUE(eventually([&] { return b_.routes().size() == 1; }));
    EXPECT_THAT(b_->others(), SizeIs(1));
}

TEST_F(NeighboursTest, before_an_agent_has_routes_its_former_ones_stay) {
    a_.begin();
    a_->tell({route("orders")});
    ASSERT_TRUE(eventually([&] { return store_->get("/agent/a").value().has_value(); }));
    Speaker again(*store_, folder_, "a", "10.0.0.1");
    again.begin();
    b_.begin();
    ASSERT_TRUE(eventually([&] { return b_.routes().size() == 1; }));
}

TEST(routes_of_others, have_nothing_that_only_means_something_there) {
    model::Route pooled = route("orders");
    pooled.pooling = model::RoutePooling{};
    const auto routes = routes_of_others({{"a", "10.0.0.1", "10.0.0.11", {pooled}}});
    ASSERT_THAT(routes, SizeIs(1));
    EXPECT_FALSE(routes[0].pooling.has_value());
    EXPECT_EQ(routes[0].backend_address, "10.0.0.1");
}

}  // namespace
}  // namespace howdah::agent
