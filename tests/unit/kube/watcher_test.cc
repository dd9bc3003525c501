// Scenarios: the requests that the watcher makes, in order, and what the sink has in the end.
#include "kube/watcher.h"

#include <gtest/gtest.h>

#include <map>

#include "kube/fakes.h"

namespace matriarch::kube {
namespace {

using testing::event_line;
using testing::json;
using testing::list_json;
using testing::pod_json;
using testing::status_json;

class MapSink final : public WatchSink {
  public:
    void list_begin() override { incoming.clear(); }
    void list_item(const std::string& key, const json& object) override {
        incoming[key] = object["metadata"]["resourceVersion"];
    }
    void list_end(const std::string& version) override {
        objects = incoming;
        resource_version = version;
        ++lists;
    }
    void changed(const std::string& key, const std::string& version, const json&) override {
        objects[key] = version;
        resource_version = version;
        ++changes;
    }
    void removed(const std::string& key, const std::string& version) override {
        objects.erase(key);
        resource_version = version;
    }
    void bookmark(const std::string& version) override { resource_version = version; }

    std::map<std::string, std::string> objects, incoming;
    std::string resource_version;
    int lists = 0;
    int changes = 0;
};

using Objects = std::map<std::string, std::string>;

class WatcherTest : public ::testing::Test {
  protected:
    // Runs until the script is used up.
    void run() {
        watcher_.run(stop_.get_token());
        EXPECT_TRUE(transport_.used_up());
    }
    // "list" or "watch N" of each request that the script answered.
    std::vector<std::string> story() const {
        std::vector<std::string> out;
        for (const Request& request : transport_.requests) {
            const std::size_t at = request.target.find("resourceVersion=");
            if (request.target.find("watch=1") == std::string::npos) {
                out.push_back(request.target.find("continue=") == std::string::npos ? "list"
                                                                                    : "page");
            } else {
                const std::string version = request.target.substr(at + 16);
                out.push_back("watch " + version.substr(0, version.find('&')));
            }
        }
        if (!out.empty()) out.pop_back();  // the one that found the script used up
        return out;
    }
    void list_of_a() { transport_.answer(200, list_json({pod_json("a", 5)}, 10)); }
    // A watch that lives for a minute first.
    void living(std::vector<std::string> pieces, Result<Response> end = Response{200}) {
        transport_.on_stream([=, this](const Request&, const Transport::OnChunk& on_chunk) {
            clock_.advance(std::chrono::minutes(1));
            for (const std::string& piece : pieces) {
                if (!on_chunk(piece)) break;
            }
            return end;
        });
    }

    std::stop_source stop_;
    testing::FakeClock clock_;
    testing::ZeroRandom random_;
    testing::FakeWaiter waiter_{clock_, stop_};
    testing::ScriptedTransport transport_{&stop_};
    Client client_{transport_, clock_};
    MapSink sink_;
    std::vector<ErrorKind> errors_;
    Watcher watcher_{client_,
                     clock_,
                     random_,
                     waiter_,
                     {.resource = kPods, .ns = "db", .label_selector = "app=x"},
                     sink_,
                     {},
                     [this](const Error& error) { errors_.push_back(error.kind); }};
};

using Story = std::vector<std::string>;

TEST_F(WatcherTest, GivenEvents_WhenTheyComeByteByByte_ThenTheSinkHasThem) {
    list_of_a();
    const std::string text =
        event_line("ADDED", pod_json("bö", 11)) + event_line("MODIFIED", pod_json("a", 12)) +
        event_line("DELETED", pod_json("bö", 13)) +
        event_line("BOOKMARK", json{{"metadata", {{"resourceVersion", "20"}}}});
    std::vector<std::string> bytes;
    for (const char c : text) bytes.emplace_back(1, c);
    transport_.chunks(bytes);
    run();
    EXPECT_EQ(sink_.objects, (Objects{{"db/a", "12"}}));
    EXPECT_EQ(sink_.resource_version, "20");
    EXPECT_EQ(story(), (Story{"list", "watch 10"}));
    EXPECT_EQ(transport_.requests.back().target.find("resourceVersion=20") != std::string::npos,
              true);
}

TEST_F(WatcherTest, GivenAListAndAWatch_WhenSent_ThenBothSelectAlikeAndAskForBookmarks) {
    list_of_a();
    transport_.chunks({event_line("ADDED", pod_json("b", 11))});
    run();
    EXPECT_EQ(transport_.requests[0].target,
              "/api/v1/namespaces/db/pods?limit=50&labelSelector=app%3Dx");
    EXPECT_EQ(transport_.requests[1].target,
              "/api/v1/namespaces/db/pods?watch=1&allowWatchBookmarks=true&resourceVersion=10"
              "&timeoutSeconds=300&labelSelector=app%3Dx");
}

TEST_F(WatcherTest, Given410InTheMiddle_WhenWatching_ThenEverythingIsReadAnew) {
    list_of_a();
    living(
        {event_line("ADDED", pod_json("b", 11)), event_line("ERROR", status_json(410, "Expired"))});
    transport_.answer(200, list_json({pod_json("c", 30)}, 40));
    living({});
    run();
    EXPECT_EQ(story(), (Story{"list", "watch 10", "list", "watch 40"}));
    EXPECT_EQ(sink_.objects, (Objects{{"db/c", "30"}}));
    EXPECT_TRUE(waiter_.waits.empty());
}

TEST_F(WatcherTest, Given410OnPage3_WhenListing_ThenAFreshListReplacesAllAtOnce) {
    transport_.answer(200, list_json({pod_json("a", 1)}, 10, "p2"));
    transport_.answer(200, list_json({pod_json("b", 2)}, 10, "p3"));
    transport_.answer(410, status_json(410, "Expired"));
    transport_.answer(200, list_json({pod_json("z", 50)}, 60));
    run();
    // pop_back() of story() takes the watch that found the script used up.
    EXPECT_EQ(story(), (Story{"list", "page", "page", "list"}));
    EXPECT_EQ(sink_.lists, 1);
    EXPECT_EQ(sink_.objects, (Objects{{"db/z", "50"}}));
}

TEST_F(WatcherTest, GivenAnEndInsideOfALine_WhenResumed_ThenItsFirstHalfIsForgotten) {
    list_of_a();
    const std::string line = event_line("ADDED", pod_json("b", 11));
    living({event_line("MODIFIED", pod_json("a", 11)), line.substr(0, 20)},
           make_error(ErrorKind::OutcomeUnknown, "connection broke"));
    living({line});
    run();
    EXPECT_EQ(story(), (Story{"list", "watch 10", "watch 11"}));
    EXPECT_EQ(sink_.objects, (Objects{{"db/a", "11"}, {"db/b", "11"}}));
    EXPECT_EQ(sink_.lists, 1);
}

TEST_F(WatcherTest, GivenADuplicateAdded_WhenDelivered_ThenItIsAnUpdate) {
    list_of_a();
    living({event_line("ADDED", pod_json("a", 11)), event_line("ADDED", pod_json("a", 11))});
    run();
    EXPECT_EQ(sink_.objects, (Objects{{"db/a", "11"}}));
}

TEST_F(WatcherTest, GivenASilentPeer_WhenTheTransportGivesUp_ThenTheWatchIsResumed) {
    list_of_a();
    living({}, make_error(ErrorKind::Timeout, "nothing heard"));
    living({});
    run();
    EXPECT_EQ(story(), (Story{"list", "watch 10", "watch 10"}));
    EXPECT_TRUE(waiter_.waits.empty());
    EXPECT_EQ(errors_, (std::vector<ErrorKind>{ErrorKind::Timeout}));
}

TEST_F(WatcherTest, GivenAServerThatRestarts_WhenItRefuses_ThenNoListIsMade) {
    list_of_a();
    living({event_line("ADDED", pod_json("b", 11))},
           make_error(ErrorKind::OutcomeUnknown, "broke"));
    for (int i = 0; i < 3; ++i) {
        transport_.on_stream([](const Request&, const Transport::OnChunk&) {
            return make_error(ErrorKind::Unavailable, "refused");
        });
    }
    living({event_line("ADDED", pod_json("c", 12))});
    run();
    EXPECT_EQ(story(), (Story{"list", "watch 10", "watch 11", "watch 11", "watch 11", "watch 11"}));
    EXPECT_EQ(sink_.objects.size(), 3U);
}

TEST_F(WatcherTest, Given429WithRetryAfter_WhenWatching_ThenItWaitsAndResumes) {
    list_of_a();
    transport_.on_stream([](const Request&, const Transport::OnChunk&) {
        return Response{429, status_json(429, "TooManyRequests").dump(), std::chrono::seconds(9)};
    });
    living({});
    run();
    EXPECT_EQ(story(), (Story{"list", "watch 10", "watch 10"}));
    EXPECT_EQ(waiter_.waits, (std::vector<Duration>{seconds(9)}));
}

TEST_F(WatcherTest, GivenAnUnknownEventType_WhenDelivered_ThenItIsSkipped) {
    list_of_a();
    living({event_line("SHINY", pod_json("b", 11)), event_line("ADDED", pod_json("c", 12))});
    run();
    EXPECT_EQ(sink_.objects, (Objects{{"db/a", "5"}, {"db/c", "12"}}));
    ASSERT_FALSE(errors_.empty());
    EXPECT_EQ(errors_.front(), ErrorKind::Invalid);
}

TEST_F(WatcherTest, GivenALineThatIsNotJson_WhenDelivered_ThenEverythingIsReadAnew) {
    list_of_a();
    living({"garbage\n"});
    transport_.answer(200, list_json({pod_json("z", 50)}, 60));
    run();
    EXPECT_EQ(story(), (Story{"list", "watch 10", "list"}));
}

TEST_F(WatcherTest, GivenAListThatFails_WhenRepeated_ThenWithGrowingDelays) {
    transport_.fail(ErrorKind::Unavailable);
    transport_.answer(500, status_json(500, "InternalError"));
    list_of_a();
    run();
    EXPECT_EQ(waiter_.waits, (std::vector<Duration>{milliseconds(800), milliseconds(1600)}));
    EXPECT_EQ(watcher_.health().lists, 3U);
}

}  // namespace
}  // namespace matriarch::kube
