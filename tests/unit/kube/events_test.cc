#include "kube/events.h"

#include <gtest/gtest.h>

#include <set>

#include "kube/fakes.h"

namespace matriarch::kube {
namespace {

using testing::json;
using testing::status_json;

class EventsTest : public ::testing::Test {
  protected:
    Event event(const std::string& note = "master is orders-2") const {
        return {.regarding = {"matriarch.dev/v1alpha1", "PostgresCluster", "db", "orders", "u1"},
                .type = EventType::Warning,
                .reason = "FailedOver",
                .action = "Failover",
                .note = note};
    }
    // Runs until nothing is left to do but the end of series; at each wait `on_wait` may add more.
    void run(const std::function<bool()>& on_wait = {}) {
        waiter_.on_wait = [this, on_wait] {
            if (on_wait && on_wait()) return true;
            if (waits_++ > 50) stop_.request_stop();
            return false;
        };
        recorder_.run(stop_.get_token());
    }
    json body(std::size_t i) const { return json::parse(transport_.requests.at(i).body); }

    std::stop_source stop_;
    testing::FakeClock clock_;
    testing::ZeroRandom random_;
    testing::FakeWaiter waiter_{clock_, stop_};
    testing::ScriptedTransport transport_;
    Client client_{transport_, clock_};
    EventRecorder recorder_{
        client_, clock_, random_, waiter_, {.instance = "operator-0", .queue = 5}};
    int waits_ = 0;
};

TEST_F(EventsTest, GivenAnEvent_WhenSent_ThenItHasWhatTheApiRequires) {
    transport_.answer(201, json::object());
    ASSERT_TRUE(recorder_.record(event(std::string(1023, 'x') + "ä")));
    run();
    ASSERT_EQ(transport_.requests.size(), 1U);
    EXPECT_EQ(transport_.requests[0].target, "/apis/events.k8s.io/v1/namespaces/db/events");
    const json sent = body(0);
    EXPECT_EQ(sent["type"], "Warning");
    EXPECT_EQ(sent["reason"], "FailedOver");
    EXPECT_EQ(sent["action"], "Failover");
    EXPECT_EQ(sent["note"], std::string(1023, 'x'));  // not half of a character
    EXPECT_EQ(sent["reportingController"], "matriarch.dev/operator");
    EXPECT_EQ(sent["reportingInstance"], "operator-0");
    EXPECT_EQ(sent["regarding"]["uid"], "u1");
    EXPECT_TRUE(sent["metadata"]["name"].get<std::string>().starts_with("orders."));
    EXPECT_EQ(sent["eventTime"].get<std::string>().size(), 27U);
}

TEST_F(EventsTest, GivenRepetitions_WhenSent_ThenTheyAreOneSeriesThatIsRefreshedSlowly) {
    for (int i = 0; i < 3; ++i) transport_.answer(200, json::object());
    recorder_.record(event());
    int more = 9;
    std::vector<TimePoint> sent;
    run([&] {
        sent.resize(transport_.requests.size(), clock_.now());
        if (more-- <= 0) return false;
        recorder_.record(event());
        return true;
    });
    ASSERT_EQ(transport_.requests.size(), 3U);
    EXPECT_EQ(transport_.requests[1].method, "PATCH");
    EXPECT_EQ(body(1)["series"]["count"], 2);
    EXPECT_EQ(body(2)["series"]["count"], 10);
    EXPECT_GE(sent[2] - sent[1], seconds(30));
    EXPECT_EQ(recorder_.stats().sent, 3U);
}

TEST_F(EventsTest, GivenAnotherNote_WhenSent_ThenItIsAnEventOfItsOwn) {
    transport_.answer(201, json::object());
    transport_.answer(201, json::object());
    recorder_.record(event("orders-1 -> orders-2"));
    recorder_.record(event("orders-2 -> orders-1"));
    run([] { return false; });
    ASSERT_EQ(transport_.requests.size(), 2U);
    EXPECT_EQ(transport_.requests[1].method, "POST");
    EXPECT_EQ(std::set<json>({body(0)["note"], body(1)["note"]}),
              std::set<json>({"orders-1 -> orders-2", "orders-2 -> orders-1"}));
}

TEST_F(EventsTest, GivenALongSilence_WhenItHappensAgain_ThenItIsANewEvent) {
    transport_.answer(201, json::object());
    transport_.answer(201, json::object());
    recorder_.record(event());
    bool again = false;
    run([&] {
        if (clock_.now() < TimePoint(seconds(1000)) + std::chrono::minutes(6) || again)
            return false;
        again = true;
        clock_.advance(seconds(1));
        recorder_.record(event());
        return true;
    });
    ASSERT_EQ(transport_.requests.size(), 2U);
    EXPECT_EQ(transport_.requests[1].method, "POST");
    EXPECT_NE(body(0)["metadata"]["name"], body(1)["metadata"]["name"]);
}

TEST_F(EventsTest, GivenAFullQueue_WhenRecorded_ThenItIsDroppedAndCounted) {
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(recorder_.record(event()));
    EXPECT_FALSE(recorder_.record(event()));
    EXPECT_EQ(recorder_.stats().dropped, 1U);
    EXPECT_EQ(recorder_.stats().queued, 5U);
}

TEST_F(EventsTest, GivenAServerThatIsAway_WhenItReturns_ThenTheSameEventIsSent) {
    transport_.fail(ErrorKind::Unavailable);
    transport_.fail(ErrorKind::OutcomeUnknown);
    transport_.answer(409, status_json(409, "AlreadyExists"));  // the lost one had been executed
    recorder_.record(event());
    run();
    ASSERT_EQ(transport_.requests.size(), 3U);
    EXPECT_EQ(body(0)["metadata"]["name"], body(2)["metadata"]["name"]);
    EXPECT_EQ(recorder_.stats().dropped, 0U);
    EXPECT_EQ(recorder_.stats().sent, 1U);
}

TEST_F(EventsTest, GivenARefusedEvent_WhenItCanNeverSucceed_ThenItIsDropped) {
    transport_.answer(403, status_json(403, "Forbidden"));
    recorder_.record(event());
    run();
    EXPECT_EQ(transport_.requests.size(), 1U);
    EXPECT_EQ(recorder_.stats().dropped, 1U);
}

TEST_F(EventsTest, GivenAnEventThatEtcdForgot_WhenItsSeriesGoesOn_ThenANewOneIsMade) {
    transport_.answer(201, json::object());
    transport_.answer(404, status_json(404, "NotFound"));
    transport_.answer(201, json::object());
    recorder_.record(event());
    bool again = false;
    run([&] {
        if (again) return false;
        again = true;
        recorder_.record(event());
        return true;
    });
    ASSERT_EQ(transport_.requests.size(), 3U);
    EXPECT_EQ(transport_.requests[2].method, "POST");
}

TEST_F(EventsTest, GivenQueuedEvents_WhenStopped_ThenTheyAreStillSent) {
    transport_.answer(201, json::object());
    recorder_.record(event());
    stop_.request_stop();
    recorder_.run(stop_.get_token());
    EXPECT_EQ(transport_.requests.size(), 1U);
}

}  // namespace
}  // namespace matriarch::kube
