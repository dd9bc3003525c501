// One poll outstanding at each agent; news told once; orders on a lane of their own.
#include "operator/agent_channel.h"

#include <gtest/gtest.h>

#include <deque>
#include <thread>

namespace matriarch::op {
namespace {

class HandClock final : public Clock {
  public:
    TimePoint now() const override { return now_; }
    WallTime wall() const override { return {}; }
    TimePoint now_{std::chrono::hours(1)};
};

// Collects what is posted; the test answers.
class FakeWire final : public AgentWire {
  public:
    struct Posted {
        AgentAddress to;
        Lane lane;
        Poll poll;
        OnReport answer;
        OnOrderAnswer answer_order;
    };
    void poll(const AgentAddress& to, Lane lane, const Poll& poll, Duration,
              OnReport callback) override {
        posted.push_back({to, lane, poll, std::move(callback), {}});
    }
    void order(const AgentAddress& to, const Order&, Duration, OnOrderAnswer callback) override {
        posted.push_back({to, kOrderLane, {}, {}, std::move(callback)});
    }
    void forget(const AgentAddress& to) override { forgotten.push_back(to); }
    Status set_authority(const ClusterKey&, const StringMap&) override { return {}; }
    void drop_authority(const ClusterKey&) override {}

    Posted take() {
        Posted first = std::move(posted.front());
        posted.pop_front();
        return first;
    }
    std::deque<Posted> posted;
    std::vector<AgentAddress> forgotten;
};

// A waiter that ends run() after one turn: polls are begun when the test says so.
class OneTurn final : public kube::Waiter {
  public:
    std::uint64_t ticket() override { return 0; }
    void wait(std::uint64_t, Deadline deadline, std::stop_token) override {
        next = deadline.at;
        stop.request_stop();
    }
    void notify() override {}
    std::stop_source stop;
    TimePoint next{};
};

struct Channel : testing::Test {
    HandClock clock;
    FakeWire wire;
    OneTurn waiter;
    std::vector<bool> news;
    AgentChannel channel{wire, clock, waiter,
                         [this](const ClusterKey&, bool urgent) { news.push_back(urgent); },
                         [this] { return leadership_end; }};
    TimePoint leadership_end = clock.now_ + seconds(5);
    const ClusterKey cluster{"shop", "orders"};
    const InstanceName instance{"orders-1"};
    AgentAddress address{cluster, instance, PodUid("uid"), "10.0.0.1", "host"};

    void SetUp() override {
        channel.set_leadership(Term(3), "me", true);
        channel.watch(address);
    }
    void turn() {
        waiter.stop = std::stop_source();
        channel.run(waiter.stop.get_token());
        // Opening lanes ahead has tests of its own.
        if (!keep_warm_ups) std::erase_if(wire.posted, opens_ahead);
    }
    bool keep_warm_ups = false;
    static bool opens_ahead(const FakeWire::Posted& p) { return p.poll.leader.empty(); }
    Report report(std::uint64_t sequence) {
        Report r;
        r.sequence = sequence;
        r.pod = PodUid("uid");
        r.incarnation = Incarnation("i");
        r.clock_reading = std::chrono::milliseconds(sequence);
        return r;
    }
    // Answers the poll.
    void answer(const Report& r) {
        while (opens_ahead(wire.posted.front())) wire.take();
        wire.take().answer(r);
    }
    AgentKnowledge known() { return *channel.knowledge(cluster, instance); }
};

TEST_F(Channel, GivenAnAgent_WhenWatched_ThenExactlyOnePollIsOutstanding) {
    turn();
    turn();
    ASSERT_EQ(wire.posted.size(), 1u);
    EXPECT_EQ(wire.posted[0].poll.wait, std::chrono::milliseconds(0))
        << "nothing is known yet, so nothing is waited for";
    answer(report(1));
    turn();
    ASSERT_EQ(wire.posted.size(), 1u);
    EXPECT_EQ(wire.posted[0].poll.seen, 1u);
    EXPECT_EQ(wire.posted[0].poll.wait, AgentChannel::kPollWait);
    EXPECT_EQ(wire.posted[0].poll.term, Term(3));
}

struct Grants : Channel {
    decide::Granting to{instance, PodUid("uid"), Epoch(4), EpochId("four"), milliseconds(3000), {}};

    // The next poll's grant, after a report that arrives now.
    std::optional<Grant> next() {
        turn();
        Report r = report(++sequence);
        r.clock_reading = their_clock;
        answer(r);
        turn();
        return wire.posted.front().poll.grant;
    }
    // Time goes on, at `rate` for the agent, and it answers its polls.
    void live(Duration duration, double rate) {
        const int steps = static_cast<int>(duration / milliseconds(500));
        for (int i = 0; i < steps; ++i) {
            clock.now_ += milliseconds(500);
            leadership_end = clock.now_ + seconds(5);
            their_clock += std::chrono::duration_cast<milliseconds>(milliseconds(500) * rate);
            last = next();
        }
    }
    std::uint64_t sequence = 0;
    milliseconds their_clock{700};
    std::optional<Grant> last;
};

TEST_F(Grants, GivenTheHolder_WhenPolled_ThenItIsGrantedFromItsOwnReading) {
    channel.grant(cluster, to);
    const auto grant = next();
    ASSERT_TRUE(grant);
    EXPECT_EQ(grant->epoch, Epoch(4));
    EXPECT_EQ(grant->epoch_id, EpochId("four"));
    EXPECT_EQ(grant->reading, milliseconds(700));
    EXPECT_EQ(grant->ttl, milliseconds(3000));
    EXPECT_EQ(channel.last_grant(cluster), clock.now_);
}

TEST_F(Grants, GivenAnybodyElse_WhenPolled_ThenThereIsNoGrant) {
    EXPECT_FALSE(next()) << "nobody is to be granted";
    to.pod = PodUid("another");
    channel.grant(cluster, to);
    EXPECT_FALSE(next()) << "another pod of that instance";
    to.pod = PodUid("uid");
    to.master = InstanceName("orders-2");
    channel.grant(cluster, to);
    EXPECT_FALSE(next()) << "another instance";
    EXPECT_FALSE(channel.last_grant(cluster));
}

TEST_F(Grants, GivenAShortRestOfLeadership_WhenGranted_ThenTheGrantDoesNotOutliveIt) {
    channel.grant(cluster, to);
    leadership_end = clock.now_ + milliseconds(1200);
    EXPECT_EQ(next()->ttl, milliseconds(1200));
    leadership_end = clock.now_;
    EXPECT_FALSE(next());
}

TEST_F(Grants, GivenASilentAgent_WhenPolledAgain_ThenTheGrantStillCountsFromItsLastReading) {
    channel.grant(cluster, to);
    next();
    const TimePoint heard = clock.now_;
    clock.now_ += seconds(1);
    wire.take().answer(make_error(ErrorKind::Unavailable, "no route"));
    clock.now_ += seconds(1);
    turn();
    EXPECT_EQ(wire.posted.front().poll.grant->reading, milliseconds(700));
    EXPECT_EQ(channel.last_grant(cluster), heard);
}

TEST_F(Grants, GivenClocksOfDifferentRates_WhenCompared_ThenBeyondFourPercentNothingIsGranted) {
    channel.grant(cluster, to);
    live(seconds(50), 1.03);
    EXPECT_TRUE(last) << "within the tolerance";
    live(seconds(100), 1.10);
    EXPECT_FALSE(last) << channel.knowledge(cluster, instance)->clock_trouble;
    live(seconds(100), 0.90);
    EXPECT_FALSE(last);
    live(seconds(200), 1.0);
    EXPECT_TRUE(last) << channel.knowledge(cluster, instance)->clock_trouble;
}

TEST_F(Channel, GivenAReport_WhenItSaysNothingNew_ThenItIsNotUrgent) {
    turn();
    answer(report(1));
    turn();
    Report same = report(1);
    same.clock_reading = std::chrono::milliseconds(9);
    same.flushed = Lsn(77);
    answer(same);
    EXPECT_EQ(news, (std::vector<bool>{true, false}));
    EXPECT_EQ(known().report->flushed, Lsn(77));
}

TEST_F(Channel, GivenAnAgentThatFailed_WhenPolled_ThenItIsSilentAtOnceAndAskedAgainLater) {
    turn();
    answer(report(1));
    turn();
    wire.take().answer(make_error(ErrorKind::Unavailable, "refused"));
    EXPECT_FALSE(known().reachable);
    EXPECT_TRUE(known().report.has_value()) << "what it said last is still true of then";
    EXPECT_TRUE(news.back());
    turn();
    EXPECT_TRUE(wire.posted.empty());
    EXPECT_GT(waiter.next, clock.now());
    clock.now_ = waiter.next;
    turn();
    EXPECT_EQ(wire.posted.size(), 1u);
}

TEST_F(Channel, GivenANewPod_WhenTheOldOnesAnswerArrives_ThenItIsDropped) {
    turn();
    auto old = wire.take();
    AgentAddress next = address;
    next.pod = PodUid("uid-b");
    next.ip = "10.0.0.2";
    channel.watch(next);
    old.answer(report(5));
    EXPECT_FALSE(known().report.has_value());
    EXPECT_EQ(wire.forgotten.size(), 1u);
}

TEST_F(Channel, GivenAnAddressThatAnotherPodTook_WhenItAnswers_ThenItIsNotBelieved) {
    turn();
    Report other = report(1);
    other.pod = PodUid("stranger");
    answer(other);
    EXPECT_FALSE(known().reachable);
    EXPECT_FALSE(known().report.has_value());
}

TEST_F(Channel, GivenAPollOutstanding_WhenAnOrderIsSent_ThenItHasItsOwnLaneAndItsReportCounts) {
    turn();
    answer(report(1));
    turn();
    bool accepted = false;
    channel.order(cluster, instance, Order{}, seconds(1),
                  [&](const Result<OrderAnswer>& a) { accepted = a && a->accepted; });
    ASSERT_EQ(wire.posted.size(), 2u);
    EXPECT_EQ(wire.posted[1].lane, AgentWire::kOrderLane);
    OrderAnswer yes{true, "", report(2)};
    wire.posted[1].answer_order(yes);
    EXPECT_TRUE(accepted);
    EXPECT_EQ(known().report->sequence, 2u);
    EXPECT_TRUE(news.back());
}

TEST_F(Channel, GivenAnAgentThatAnswers_WhenNoOrderIsDue_ThenItsOrderLaneIsOpenedAhead) {
    keep_warm_ups = true;
    turn();
    answer(report(1));
    turn();
    ASSERT_EQ(wire.posted.size(), 2u);
    EXPECT_EQ(wire.posted[0].lane, AgentWire::kOrderLane);
    turn();
    EXPECT_EQ(wire.posted.size(), 2u) << "once in a while, not every turn";
}

TEST_F(Channel, GivenAPollThatFails_WhenTheNextBegins_ThenItTakesAnotherConnection) {
    turn();
    answer(report(1));
    turn();
    wire.take().answer(make_error(ErrorKind::OutcomeUnknown, "no answer"));
    clock.now_ += seconds(1);
    turn();
    ASSERT_EQ(wire.posted.size(), 1u);
    EXPECT_EQ(wire.posted[0].lane, AgentWire::kSpareLane);
    wire.take().answer(report(2));
    turn();
    EXPECT_EQ(wire.posted[0].lane, AgentWire::kSpareLane) << "it stays where it is answered";
}

TEST_F(Channel, GivenAMasterWithGrants_WhenLanesAreOpenedAhead_ThenTheSpareOneIsToo) {
    keep_warm_ups = true;
    channel.grant(cluster,
                  decide::Granting{
                      instance, PodUid("uid"), Epoch(4), EpochId("four"), milliseconds(3000), {}});
    turn();
    answer(report(1));
    turn();
    ASSERT_EQ(wire.posted.size(), 3u);
    EXPECT_EQ(wire.posted[1].lane, AgentWire::kSpareLane);
    EXPECT_FALSE(wire.posted[1].poll.grant);
}

TEST_F(Channel, GivenAnOlderReport_WhenItArrivesLate_ThenTheNewerStays) {
    turn();
    answer(report(5));
    turn();
    answer(report(4));
    EXPECT_EQ(known().report->sequence, 5u);
}

TEST_F(Channel, GivenNoLeadership_WhenItEnds_ThenNobodyIsPolled) {
    channel.set_leadership(Term(3), "another", false);
    turn();
    EXPECT_TRUE(wire.posted.empty());
}

TEST_F(Channel, GivenAnUnknownInstance_WhenOrdered_ThenTheAnswerSaysSo) {
    std::string why;
    channel.order(cluster, InstanceName("orders-9"), Order{}, seconds(1),
                  [&](const Result<OrderAnswer>& a) { why = a.error().message(); });
    EXPECT_NE(why.find("orders-9"), std::string::npos);
}

}  // namespace
}  // namespace matriarch::op
