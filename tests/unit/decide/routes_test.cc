// Who gets reads and writes, and when that is published.
#include "decide/routes.h"

#include "scene.h"

namespace matriarch::decide {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct RoutesTest : testing::Test {
    Scene s = Scene::healthy();

    const Routes* wanted() {
        plan_ = s.plan();
        const auto* publish = only<PublishRoutes>(plan_);
        return publish ? &publish->routes : nullptr;
    }
    // Publishes until nothing is left to publish, as the shell does.
    const SlaveRoute& slave(int position) {
        s.publish();
        return s.seen.published->slaves.at(static_cast<std::size_t>(position - 1));
    }
    RouteState state(int position) { return slave(position).state; }
    void lag(int n, int ms) { s.report(n).lag = milliseconds(ms); }
    // So long each look has found it fit.
    void fit_for(int n, Duration time) { s.at(n).fit_since = kNow - time; }
    std::string reads() const {
        const auto plan = s.plan();
        const auto* f = finding(plan, "ReadsRouted");
        return f ? (f->holds ? "+" : "-") + f->reason + ": " + f->message : "";
    }

  private:
    Plan plan_;
};

TEST_F(RoutesTest, GivenADownSlave_WhenSeen_ThenItTakesNoReadsAndTheSequenceRises) {
    const auto before = s.seen.published->sequence;
    s.at(2).reachable = false;
    EXPECT_EQ(state(1), RouteState::Down);
    EXPECT_EQ(slave(1).weight, 0);
    EXPECT_FALSE(slave(1).lag) << "unknown is not 0";
    EXPECT_EQ(s.seen.published->sequence, before + 1);
}

TEST_F(RoutesTest, GivenALaggingSlave_WhenItRecovers_ThenItReturnsBelowHalfTheLimitAfterTheHold) {
    s.seen.spec.routing.max_lag = milliseconds(1000);
    lag(2, 1000);
    EXPECT_EQ(state(1), RouteState::Ready) << "at the limit";
    lag(2, 1500);
    EXPECT_EQ(state(1), RouteState::Lagging);
    EXPECT_EQ(slave(1).lag, milliseconds(1000));
    lag(2, 800);
    EXPECT_EQ(state(1), RouteState::Lagging) << "not yet below half";
    EXPECT_THAT(s.plan().fit_for_reads, ElementsAre(InstanceName("orders-3")));
    lag(2, 400);
    EXPECT_EQ(state(1), RouteState::Joining);
    EXPECT_THAT(s.plan().fit_for_reads,
                ElementsAre(InstanceName("orders-2"), InstanceName("orders-3")));
    fit_for(2, seconds(9));
    EXPECT_EQ(state(1), RouteState::Joining);
    EXPECT_EQ(s.plan().recheck, seconds(1)) << "the hold ends then";
    fit_for(2, seconds(10));
    EXPECT_EQ(state(1), RouteState::Ready);
}

TEST_F(RoutesTest, GivenNoHold_WhenASlaveIsWell_ThenItTakesReadsAtOnce) {
    s.seen.spec.routing.hold = seconds(0);
    s.at(2).reachable = false;
    s.publish();
    s.at(2).reachable = true;
    EXPECT_EQ(state(1), RouteState::Ready);
}

TEST_F(RoutesTest, GivenASlaveThatComesAndGoes_WhenSeen_ThenItsPositionStays) {
    for (int i = 0; i < 3; ++i) {
        s.at(2).reachable = false;
        EXPECT_EQ(slave(1).instance, InstanceName("orders-2"));
        EXPECT_EQ(only<WriteRecord>(s.plan()), nullptr);
        s.at(2).reachable = true;
        lag(2, 60000);
        EXPECT_EQ(slave(1).instance, InstanceName("orders-2"));
        lag(2, 0);
        EXPECT_EQ(slave(1).instance, InstanceName("orders-2"));
        EXPECT_EQ(state(1), RouteState::Joining) << "its hold begins anew each time";
    }
}

TEST_F(RoutesTest, GivenAnotherPodOfASlave_WhenItRuns_ThenItsPredecessorsReadinessIsNotItsOwn) {
    s.at(2).pod = s.report(2).pod = PodUid("uid-2b");
    EXPECT_EQ(state(1), RouteState::Joining);
}

TEST_F(RoutesTest, GivenAQueryInTheWayOfReplay_WhenItLasts_ThenReadsGoElsewhereUntilItEnds) {
    s.report(2).conflict = milliseconds(300);
    EXPECT_EQ(wanted(), nullptr) << "most are over soon";
    s.report(2).conflict = milliseconds(600);
    EXPECT_EQ(state(1), RouteState::Conflict);
    EXPECT_EQ(slave(1).weight, 0);
    EXPECT_THAT(reads(), HasSubstr("+ToSomeSlaves: reads go to 1 of 2 slaves; orders-2: its replay "
                                   "waits for queries that run on it"));
    s.report(2).conflict = milliseconds(0);
    fit_for(2, seconds(10));
    EXPECT_EQ(state(1), RouteState::Ready);
}

TEST_F(RoutesTest, GivenACloningSlave_WhenSeen_ThenItTakesNoReadsAndItsLagIsUnknown) {
    s.report(2).state = PostgresState::Cloning;
    EXPECT_EQ(state(1), RouteState::Cloning);
    EXPECT_EQ(slave(1).weight, 0);
    EXPECT_FALSE(slave(1).lag_bytes);
}

TEST_F(RoutesTest, GivenLagTowardsTheLimit_WhenWeighed_ThenTheSlaveGetsFewerReadsInSteps) {
    s.seen.spec.routing.weights = {{"slave1", 80}};
    for (const auto& [ms, weight] :
         {std::pair(0, 80), {2400, 80}, {4100, 40}, {7999, 40}, {8100, 20}, {10000, 20}}) {
        lag(2, ms);
        EXPECT_EQ(slave(1).weight, weight) << ms << " ms";
    }
    EXPECT_EQ(slave(2).weight, 100) << "the other is not touched";
    s.seen.spec.routing.weights = {{"slave1", 1}};
    EXPECT_EQ(slave(1).weight, 1) << "little is not nothing";
    s.seen.spec.routing.weights = {{"slave1", 0}};
    EXPECT_EQ(slave(1).weight, 0);
}

TEST_F(RoutesTest, GivenLagAboutAStep_WhenItHovers_ThenNothingIsWritten) {
    lag(2, 2000);
    s.publish();
    for (const int ms : {1600, 2100, 1500, 3999}) {
        lag(2, ms);
        EXPECT_EQ(wanted(), nullptr) << ms << " ms";
    }
    lag(2, 1499);
    EXPECT_EQ(slave(1).lag, milliseconds(1000));
}

TEST_F(RoutesTest, GivenBytesBehind_WhenPublished_ThenTheyAreCountedOnOneTimelineOnly_INV6) {
    s.report(1).written = Lsn(100u << 20);
    s.report(2).replayed = Lsn(90u << 20);
    EXPECT_EQ(slave(1).lag_bytes, Bytes(8u << 20));
    s.report(2).timeline = Timeline(2);
    EXPECT_FALSE(slave(1).lag_bytes);
}

TEST_F(RoutesTest, GivenAnythingButAMaster_WhenPublishedAMomentAgo_ThenItWaitsOutTheSecond) {
    s.seen.published_at = kNow - milliseconds(100);
    lag(2, 2000);
    EXPECT_EQ(wanted(), nullptr);
    s.at(3).reachable = false;
    EXPECT_EQ(wanted(), nullptr);
    EXPECT_LE(s.plan().recheck, milliseconds(900));
    s.seen.published_at = kNow - seconds(1);
    EXPECT_NE(wanted(), nullptr);
}

TEST_F(RoutesTest, GivenAnotherMaster_WhenPublishedAMomentAgo_ThenItIsPublishedAtOnce) {
    s.seen.published_at = kNow - milliseconds(1);
    s.at(1).address = "10.0.0.9";
    ASSERT_NE(wanted(), nullptr);
    EXPECT_EQ(wanted()->master->address, "10.0.0.9");
}

TEST_F(RoutesTest, GivenAnotherStrategy_WhenPublished_ThenConsumersReadItThere) {
    s.seen.spec.routing.strategy = Strategy::LeastConnections;
    s.seen.spec.routing.fallback_to_master = false;
    ASSERT_NE(wanted(), nullptr);
    EXPECT_EQ(wanted()->reads, (ReadPolicy{Strategy::LeastConnections, seconds(10), false}));
}

TEST_F(RoutesTest, GivenANewerEpochIsPublished_WhenAsked_ThenNothingOlderReplacesIt_INV4) {
    s.seen.published->epoch = Epoch(7);
    s.at(2).reachable = false;
    EXPECT_EQ(wanted(), nullptr);
}

TEST_F(RoutesTest, GivenADeletedConfigMap_WhenMadeAnew_ThenTheSequenceGoesOn_INV4) {
    s.seen.published.reset();
    ASSERT_NE(wanted(), nullptr);
    EXPECT_EQ(wanted()->sequence, 1u) << "the first of a new cluster";
    s.seen.last_sequence = 9;
    EXPECT_EQ(wanted()->sequence, 10u) << "consumers reject what is lower";
}

TEST_F(RoutesTest, GivenAMasterWhosePodIsGone_WhenSeen_ThenNobodyIsPublishedAsMaster) {
    s.at(1).pod = PodUid("another");
    ASSERT_NE(wanted(), nullptr);
    EXPECT_FALSE(wanted()->master.has_value());
}

TEST_F(RoutesTest, GivenNoHealthySlave_WhenFallbackIsOn_ThenReadsGoToTheMasterAndBack) {
    s.at(2).reachable = s.at(3).reachable = false;
    s.publish();
    const auto& routing = s.seen.spec.routing;
    EXPECT_THAT(read_addresses(*s.seen.published, routing), ElementsAre(RouteAddress{"10.0.0.1"}));
    EXPECT_THAT(position_addresses(*s.seen.published, 1, routing),
                ElementsAre(RouteAddress{"10.0.0.1"}));
    EXPECT_THAT(reads(), HasSubstr("-NoSlaveFit: reads go to the master: orders-2: does not"));
    EXPECT_THAT(finding(s.plan(), "Ready")->message, Not(HasSubstr("reads go")));
    s.seen.published->master.reset();
    EXPECT_THAT(reads(), HasSubstr("-NoSlaveFit: reads go nowhere until there is a master: "));
    s.at(3).reachable = true;
    fit_for(3, seconds(10));
    s.publish();
    EXPECT_THAT(read_addresses(*s.seen.published, routing), ElementsAre(RouteAddress{"10.0.0.3"}));
}

TEST_F(RoutesTest, GivenNoHealthySlave_WhenFallbackIsOff_ThenReadsGoNowhereAndThatIsSaid) {
    s.seen.spec.routing.fallback_to_master = false;
    lag(2, 60000);
    s.seen.spec.routing.weights = {{"slave2", 0}};
    s.publish();
    EXPECT_TRUE(read_addresses(*s.seen.published, s.seen.spec.routing).empty());
    EXPECT_EQ(reads(),
              "-NoSlaveFit: reads go nowhere, as spec.routing.fallbackToMaster is false: orders-2: "
              "further behind than spec.routing.maxLagMs (10000); orders-3: "
              "spec.routing.weights.slave2 is 0");
    EXPECT_TRUE(finding(s.plan(), "Ready")->holds) << "writes are as well as ever";
}

TEST_F(RoutesTest, GivenAWeightOfTheMaster_WhenSlavesAreFitOrNot_ThenItTakesReadsBesideThem) {
    auto& routing = s.seen.spec.routing;
    routing.weights = {{"master", 50}};
    routing.fallback_to_master = false;
    s.publish();
    EXPECT_EQ(s.seen.published->reads.master_weight, 50);
    EXPECT_THAT(
        read_addresses(*s.seen.published, routing),
        ElementsAre(RouteAddress{"10.0.0.2"}, RouteAddress{"10.0.0.3"}, RouteAddress{"10.0.0.1"}));
    EXPECT_THAT(position_addresses(*s.seen.published, 1, routing),
                ElementsAre(RouteAddress{"10.0.0.2"}));
    EXPECT_EQ(reads(), "+ToAllSlaves: reads go to 2 of 2 slaves and to the master");
    s.at(2).reachable = s.at(3).reachable = false;
    s.publish();
    EXPECT_THAT(read_addresses(*s.seen.published, routing), ElementsAre(RouteAddress{"10.0.0.1"}));
    EXPECT_THAT(reads(), HasSubstr("-NoSlaveFit: reads go to the master: "));
}

TEST_F(RoutesTest, GivenNoMasterForLong_WhenSlavesStandStill_ThenThoseThatWereReadyServeReads) {
    lag(3, 60000);
    s.publish();
    s.seen.spec.failover.mode = FailoverMode::Manual;
    s.postmaster_died(1);
    s.fenced(1);
    s.seen.master_failed_since = kNow - seconds(60);
    lag(2, 60000);
    lag(3, 120000);
    const auto routes = wanted_routes(Facts(s.seen, s.policy, kNow), {});
    EXPECT_FALSE(routes.master);
    EXPECT_THAT(read_addresses(routes, s.seen.spec.routing), ElementsAre(RouteAddress{"10.0.0.2"}));
    EXPECT_EQ(routes.slaves[1].state, RouteState::Joining) << "it was out before";
}

TEST_F(RoutesTest, GivenALongFailover_WhenASlaveGoesAway_ThenReadsLeaveIt) {
    s.publish();
    s.seen.spec.failover.mode = FailoverMode::Manual;
    s.postmaster_died(1);
    s.fenced(1);
    s.seen.published_at = kNow - seconds(20);
    s.seen.master_failed_since = kNow - seconds(4);
    s.publish();  // nobody is master
    s.at(2).reachable = false;
    s.seen.master_failed_since = kNow - seconds(9);
    EXPECT_EQ(wanted(), nullptr) << "slaves that stand still are no news";
    s.seen.master_failed_since = kNow - seconds(10);
    ASSERT_NE(wanted(), nullptr);
    EXPECT_THAT(read_addresses(*wanted(), s.seen.spec.routing),
                ElementsAre(RouteAddress{"10.0.0.3"}));
}

TEST_F(RoutesTest, GivenSettingsThatAreLeftOut_WhenSeen_ThenAConditionSaysSoAndRoutesStand) {
    EXPECT_EQ(reads(), "+ToAllSlaves: reads go to 2 of 2 slaves");
    s.seen.spec.routing.ignored = {"spec.routing.maxLagMs is 0 and must be 1 or more"};
    EXPECT_EQ(reads(), "-SettingsIgnored: spec.routing.maxLagMs is 0 and must be 1 or more");
    EXPECT_EQ(wanted(), nullptr);
}

}  // namespace
}  // namespace matriarch::decide
