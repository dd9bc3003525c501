#include "agent/brain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/rejoin.h"

namespace matriarch::agent {
namespace {

using Kind = Action::Kind;

class BrainTest : public ::testing::Test {
  protected:
    BrainTest() {
        v.has_config = true;
        v.may_serve = true;
        v.epoch = Epoch(2);
        v.data_fresh = true;
        v.data.kind = DataFacts::Kind::Complete;
        v.data.system_identifier = SystemIdentifier("42");
        v.data.timeline = Timeline(1);
        v.data.end_searched = true;
        v.data.end_of_wal = Lsn(100);
        v.conf_current = true;
        v.sync_loaded = true;
        v.sampled_after_conf = true;
    }
    void goal_of(OrderKind kind) {
        Order o;
        o.id = OrderId("o");
        o.kind = kind;
        o.epoch = Epoch(2);
        o.upstream = Upstream{InstanceName("a-1"), "a-1", "", 5432};
        o.config = InstanceConfig{};
        goal = Goal{o, now};
    }
    void running(bool in_recovery) {
        v.run = Run::Up;
        v.role = in_recovery ? Role::Slave : Role::Master;
        v.server = postgres::ServerStatus{};
        v.server->in_recovery = in_recovery;
        v.server->read_only_default = in_recovery;
        v.server->timeline = Timeline(1);
    }
    Decision think_now() { return think(v, goal, "a_2", now); }
    // The kinds of the actions, then the job's index if one begins.
    void expect(std::vector<Kind> kinds, OrderState state = OrderState::Working) {
        const Decision d = think_now();
        std::vector<Kind> got;
        for (const auto& a : d.actions) got.push_back(a.kind);
        EXPECT_EQ(got, kinds) << d.message;
        EXPECT_EQ(d.progress, state) << d.message;
    }
    template <class J>
    void expect_job() {
        const Decision d = think_now();
        ASSERT_EQ(d.actions.size(), 1u) << d.message;
        ASSERT_TRUE(d.actions[0].job.has_value()) << d.message;
        EXPECT_TRUE(std::holds_alternative<J>(*d.actions[0].job)) << d.message;
    }
    void upstream_at(std::uint32_t timeline, std::uint64_t lsn, std::vector<HistoryEntry> history,
                     std::uint32_t checkpoint) {
        v.upstream = postgres::UpstreamFacts{};
        v.upstream->system_identifier = SystemIdentifier("42");
        v.upstream->position = {Timeline(timeline), std::move(history), Lsn(lsn)};
        v.upstream->checkpoint_timeline = Timeline(checkpoint);
        v.upstream_at = now;
    }

    LocalView v;
    std::optional<Goal> goal;
    TimePoint now{seconds(1000)};
};

TEST_F(BrainTest, GivenNoGoal_WhenMastersDataIsThere_ThenNothingStarts) {
    expect({}, OrderState::None);
    v.processes_left = true;
    expect({Kind::KillAll}, OrderState::None);
    v.processes_left = false;
    v.data.standby = true;
    expect({Kind::Start}, OrderState::None);
}

TEST_F(BrainTest, GivenNoMandate_WhenAMasterIsOrdered_ThenItWaits) {
    v.may_serve = false;
    goal_of(OrderKind::Lead);
    expect({});
    EXPECT_EQ(think_now().message, "waits for a mandate");
    goal_of(OrderKind::Initialize);
    v.data.kind = DataFacts::Kind::None;
    expect({});
    goal_of(OrderKind::Promote);
    running(true);
    expect({});
    EXPECT_EQ(think_now().message, "waits for a mandate");
    v.may_serve = true;
    expect({Kind::Promote});
}

// Found by simulation: promoted by hand before the order came, it lacked what it was to fetch.
TEST_F(BrainTest, GivenAPromotionByHand_WhenAPromotionIsOrdered_ThenItFails_INV5) {
    goal_of(OrderKind::Promote);
    running(false);
    expect({}, OrderState::Failed);
    v.run = Run::Off;
    v.server.reset();
    expect({}, OrderState::Failed);
    v.promoted_here = true;
    expect({Kind::Start});
}

TEST_F(BrainTest, GivenCommitsThatShallWait_WhenNotYetLoaded_ThenTheSlaveIsNotPromoted_INV5) {
    goal_of(OrderKind::Promote);
    running(true);
    v.sync_loaded = v.conf_current = false;
    expect({Kind::Configure});
    v.conf_current = true;
    expect({});
    EXPECT_EQ(think_now().message, "loads whom commits wait for");
    v.sync_loaded = true;
    expect({Kind::Promote});
}

TEST_F(BrainTest, GivenALostMandate_WhenAnythingRuns_ThenAllIsKilledAndFencedBeforeAllElse) {
    for (auto kind : {OrderKind::Lead, OrderKind::Fence, OrderKind::Follow}) {
        goal_of(kind);
        running(false);
        v.processes_left = true;
        v.lost = Epoch(2);
        v.fenced = Epoch(0);
        v.ending = kind == OrderKind::Follow;
        expect({Kind::KillAll});
        v.run = Run::Off;
        expect({Kind::KillAll});
        v.processes_left = false;
        const auto d = think_now();
        ASSERT_EQ(d.actions.size(), 1u);
        EXPECT_EQ(d.actions[0].kind, Kind::StoreFence);
        EXPECT_EQ(d.actions[0].epoch, Epoch(2));
        v.fenced = Epoch(2);
        EXPECT_TRUE(think_now().actions.empty());
    }
}

TEST_F(BrainTest, GivenAFencedEpoch_WhenNothingIsOrdered_ThenNothingStartsUntilAHigherOne) {
    v.data.standby = true;
    v.fenced = Epoch(2);
    expect({}, OrderState::None);
    v.epoch = Epoch(3);
    expect({Kind::Start}, OrderState::None);
}

TEST_F(BrainTest, GivenAFence_WhenProcessesRun_ThenTheyAreKilledBeforeItIsStored) {
    goal_of(OrderKind::Fence);
    running(false);
    expect({Kind::KillAll});
    v.run = Run::Off;
    v.server.reset();
    v.processes_left = true;
    expect({Kind::KillAll});
    v.processes_left = false;
    v.data_fresh = false;
    const auto d = think_now();
    ASSERT_EQ(d.actions.size(), 2u);
    EXPECT_EQ(d.actions[0].kind, Kind::StoreFence);
    EXPECT_TRUE(std::holds_alternative<InspectJob>(*d.actions[1].job));
    v.fenced = Epoch(2);
    v.data_fresh = true;
    expect({}, OrderState::Done);
}

TEST_F(BrainTest, GivenAFence_WhenACloneRuns_ThenItIsCancelled) {
    goal_of(OrderKind::Fence);
    v.job = Job(CloneJob{}).index();
    const auto d = think_now();
    ASSERT_FALSE(d.actions.empty());
    EXPECT_EQ(d.actions[0].kind, Kind::CancelJob);
}

// A clean stop of a master with slaves a-2 (the heir) and a-3.
class CleanFence : public BrainTest {
  protected:
    CleanFence() {
        goal_of(OrderKind::Fence);
        goal->order.clean = true;
        goal->order.heir = InstanceName("a-2");
        running(false);
    }
    void stops() {
        v.checkpointed = true;
        v.run = Run::Stopping;
        v.run_since = now;
    }
    void shut_down(std::vector<InstanceName> confirmed, std::vector<InstanceName> unconfirmed) {
        v.shut_down = now;
        v.confirmed = std::move(confirmed);
        v.unconfirmed = std::move(unconfirmed);
    }
    const InstanceName heir{"a-2"}, other{"a-3"};
};

TEST_F(CleanFence, GivenDirtyBuffers_WhenOrdered_ThenACheckpointComesBeforeTheStop) {
    expect_job<CheckpointJob>();
    v.job = Job(CheckpointJob{}).index();
    expect({});
    v.job.reset();
    v.checkpointed = true;
    expect({Kind::StopFast});
}

TEST_F(CleanFence, GivenACheckpointThatNeverEnds_WhenTheMasterHasServedLongEnough_ThenItStops) {
    v.job = Job(CheckpointJob{}).index();
    now += seconds(31);
    expect({Kind::StopFast});
}

TEST_F(CleanFence, GivenAStopThatTakesTooLong_WhenTheDeadlineIsOver_ThenAllIsKilled) {
    stops();
    expect({});
    EXPECT_LE(think_now().wake, now + milliseconds(10)) << "it looks whether all is on disk";
    now += seconds(5);
    expect({Kind::KillAll});
}

TEST_F(CleanFence, GivenAHungSlave_WhenTheHeirHasConfirmed_ThenItIsNotWaitedFor_INV10) {
    stops();
    shut_down({heir}, {other});
    expect({Kind::KillAll});
}

TEST_F(CleanFence, GivenAHeirThatLags_WhenAnotherHasConfirmed_ThenTheHeirIsWaitedForALittle) {
    stops();
    shut_down({other}, {heir});
    now += milliseconds(200);
    expect({});
    now += milliseconds(800);
    expect({Kind::KillAll});
}

TEST_F(CleanFence, GivenEverySlaveHasConfirmed_WhenThePostmasterLives_ThenItsEndIsNotWaitedFor) {
    stops();
    shut_down({heir, other}, {});  // it rejects those who call, perhaps
    expect({Kind::KillAll});
}

TEST_F(CleanFence, GivenNoHeir_WhenEverySlaveHasConfirmed_ThenItHasItsWholeDeadline) {
    goal->order.heir = InstanceName();
    stops();
    shut_down({heir, other}, {});
    now += milliseconds(4900);
    expect({});
}

TEST_F(CleanFence, GivenNothingOnDiskYet_WhenTheHeirIsGone_ThenNothingIsKilled) {
    stops();
    v.confirmed = {heir, other};
    now += seconds(1);
    expect({});
}

TEST_F(BrainTest, GivenTheEndWithAHungSlave_WhenAnyOtherHasConfirmed_ThenTheStopIsCutShort) {
    goal_of(OrderKind::Lead);
    running(false);
    v.ending = true;
    v.ending_since = v.run_since = now;
    v.run = Run::Stopping;
    v.shut_down = now;
    v.unconfirmed = {InstanceName("a-3")};
    now += milliseconds(100);
    expect({}, OrderState::Working);
    v.confirmed = {InstanceName("a-2")};
    expect({Kind::KillAll}, OrderState::Working);
}

TEST_F(BrainTest, GivenFollow_WhenTheUpstreamRemovedTheNextWal_ThenItClones) {
    goal_of(OrderKind::Follow);
    v.data.standby = true;
    v.must_check = true;
    upstream_at(1, 900, {}, 1);
    v.upstream->oldest_wal = Lsn(100);
    EXPECT_EQ(think_now().actions[0].kind, Kind::Start) << "it is still there";
    v.upstream->oldest_wal = Lsn(101);
    expect_job<CloneJob>();
}

// Found by simulation: an instance that came back followed a master of long ago.
TEST_F(BrainTest, GivenAStoredGoal_WhenDataIsHere_ThenItIsReplacedByOrderOnly_INV3) {
    goal_of(OrderKind::Follow);
    goal->order.id = OrderId();
    v.data.kind = DataFacts::Kind::Broken;
    expect({});
    goal->order.id = OrderId("o");
    expect_job<CloneJob>();
    goal->order.id = OrderId();
    v.data.kind = DataFacts::Kind::None;
    expect_job<CloneJob>();
}

TEST_F(BrainTest, GivenFollow_WhenThereIsNoData_ThenItClones) {
    goal_of(OrderKind::Follow);
    v.data = DataFacts{};
    expect_job<CloneJob>();
    v.job = Job(CloneJob{}).index();
    expect({});
    v.job.reset();
    v.failures = 1;
    v.not_before = now + seconds(1);
    expect({});
    EXPECT_EQ(think_now().wake, v.not_before);
    v.failures = 0;
    v.has_config = false;
    expect({});
}

TEST_F(BrainTest, GivenFollow_WhenOfAnotherDatabase_ThenItFails) {
    goal_of(OrderKind::Follow);
    goal->order.system_identifier = SystemIdentifier("43");
    expect({}, OrderState::Failed);
}

TEST_F(BrainTest, GivenAFormerMaster_WhenItShallFollow_ThenItClimbsTheLadder) {
    goal_of(OrderKind::Follow);
    expect_job<AskUpstreamJob>();
    // All it has is in the upstream's history.
    upstream_at(2, 200, {{Timeline(1), Lsn(100)}}, 2);
    expect({Kind::Start});
    // It has more: rewind, but only from a source that has made a checkpoint.
    upstream_at(2, 200, {{Timeline(1), Lsn(60)}}, 1);
    v.upstream_at = now - seconds(1);
    expect_job<AskUpstreamJob>();
    upstream_at(2, 200, {{Timeline(1), Lsn(60)}}, 2);
    expect_job<RewindJob>();
    // A cut pg_rewind is never started.
    v.data.kind = DataFacts::Kind::Broken;
    expect_job<CloneJob>();
}

TEST_F(BrainTest, GivenASlave_WhenItShallFollow_ThenItStartsAndStreams) {
    goal_of(OrderKind::Follow);
    v.data.standby = true;
    expect({Kind::Start});
    running(true);
    v.conf_current = false;
    expect({Kind::Configure});
    v.conf_current = true;
    v.conf_since = now;
    v.server->receiving = true;
    v.server->sender_host = "a-9";
    v.server->sender_port = 5432;
    expect({});  // the old stream lives on for a moment
    v.server->sender_host = "a-1";
    expect({}, OrderState::Done);
    v.server->receiving = false;
    v.conf_since = now - seconds(10);
    expect_job<AskUpstreamJob>();
    v.must_check = true;
    expect({Kind::StopFast});
}

TEST_F(BrainTest, GivenAServer_WhenOutOfRecoveryAndOrderedToFollow_ThenItIsKilled) {
    goal_of(OrderKind::Follow);
    running(false);
    expect({Kind::KillAll});
}

TEST_F(BrainTest, GivenHalt_WhenTheReceiverIsGone_ThenItIsDone) {
    goal_of(OrderKind::Halt);
    running(true);
    v.server->receiving = true;
    expect({});
    v.server->receiving = false;
    v.server->conninfo_set = true;
    expect({});
    v.server->conninfo_set = false;
    expect({}, OrderState::Done);
}

// Found by simulation: its container was restarted, and nobody learned what it alone had.
TEST_F(BrainTest, GivenHalt_WhenTheDataIsAMasters_ThenTheEndOfItsWalIsLookedFor_INV5) {
    goal_of(OrderKind::Halt);
    v.data.standby = false;
    v.data.end_searched = false;
    expect({Kind::Begin});
    v.data.end_searched = true;
    expect({}, OrderState::Done);
}

TEST_F(BrainTest, GivenPromote_WhenNothingIsToBePrepared_ThenItPromotesAtOnce) {
    goal_of(OrderKind::Promote);
    goal->order.reserved = Timeline(1);
    running(true);
    v.server->receiving = true;
    expect({Kind::Promote});
    v.promoting = true;
    v.promoting_since = now;
    expect({});
    v.conf_current = false;  // read-only is lifted meanwhile
    expect({Kind::Configure});
    running(false);
    v.promoted_here = true;
    v.server->read_only_default = true;
    v.conf_current = false;
    expect({Kind::Configure});
    v.conf_current = true;
    v.server->read_only_default = false;
    expect({}, OrderState::Done);
}

TEST_F(BrainTest, GivenPromote_WhenTimelinesAreReserved_ThenTheReceiverMustBeGoneFirst) {
    goal_of(OrderKind::Promote);
    goal->order.reserved = Timeline(3);
    running(true);
    v.conf_current = false;
    expect({Kind::Configure});
    v.conf_current = true;
    v.server->receiving = true;
    expect({});
    v.server->receiving = false;
    expect({Kind::Reserve, Kind::Promote});
}

TEST_F(BrainTest, GivenPromoteWithRescue_WhenWalIsMissing_ThenItIsFetchedAndReplayedFirst) {
    goal_of(OrderKind::Promote);
    goal->order.rescue = Rescue{InstanceName("a-1"), "a-1", "", 1, Timeline(1), Lsn(500)};
    running(true);
    v.server->replayed = Lsn(300);
    expect_job<RescueJob>();
    v.rescued = Lsn(480);  // a slave's last record is cut
    expect({});
    v.server->replayed = Lsn(480);
    expect({Kind::Promote});
    v.rescued.reset();
    v.failures = 1;
    v.last_failure = "the source is away";
    expect({}, OrderState::Failed);
}

TEST_F(BrainTest, GivenPromoteWithRescue_WhenTheWalHasArrivedMeanwhile_ThenItPromotesAtOnce) {
    goal_of(OrderKind::Promote);
    goal->order.rescue = Rescue{InstanceName("a-1"), "a-1", "", 1, Timeline(1), Lsn(500)};
    running(true);
    v.server->receiving = true;
    v.server->replayed = Lsn(300);
    v.server->received = Lsn(499);
    v.conf_current = false;
    expect({Kind::Configure});  // not yet: the receiver is stopped, and the rest is fetched
    v.server->received = Lsn(500);
    expect({Kind::Promote});
    v.server->timeline = Timeline(2);  // INV-6
    expect({Kind::Configure});
}

TEST_F(BrainTest, GivenAPromotion_WhenItIsTriggered_ThenReadOnlyIsLiftedBeforeRecoveryEnds) {
    goal_of(OrderKind::Promote);
    running(true);
    const postgres::Layout layout;
    EXPECT_TRUE(wanted_server_config(v, goal, layout, {}).read_only);
    v.promoting = true;
    EXPECT_FALSE(wanted_server_config(v, goal, layout, {}).read_only);
    EXPECT_EQ(wanted_server_config(v, goal, layout, {}).role, Role::Slave);
}

TEST_F(BrainTest, GivenInitialize_WhenTheVolumeIsEmpty_ThenItIsMadeAndServed) {
    goal_of(OrderKind::Initialize);
    v.data = DataFacts{};
    expect_job<InitializeJob>();
    v.data.kind = DataFacts::Kind::Complete;
    expect({}, OrderState::Failed);
    v.initialized_here = true;
    expect({Kind::Start});
    running(false);
    expect({});
    v.reconciled = true;
    expect({}, OrderState::Done);
}

TEST_F(BrainTest, GivenLead_WhenTheDataIsASlaves_ThenItFails) {
    goal_of(OrderKind::Lead);
    expect({Kind::Start});
    v.data.standby = true;
    expect({}, OrderState::Failed);
}

TEST_F(BrainTest, GivenTheEnd_WhenPostgresqlDoesNotStop_ThenItIsKilledAtSixtyPercent) {
    goal_of(OrderKind::Follow);
    running(true);
    v.ending = true;
    v.ending_since = now;
    v.grace = seconds(10);
    expect({Kind::StopFast});
    v.run = Run::Stopping;
    expect({});
    EXPECT_EQ(think_now().wake, now + milliseconds(10)) << "it looks whether all is on disk";
    now += seconds(6);
    expect({Kind::KillAll});
}

TEST_F(BrainTest, GivenARestart_WhenOrdered_ThenItStopsAndStartsInTheSameRole) {
    goal_of(OrderKind::Lead);
    running(false);
    v.restart = true;
    expect({Kind::StopFast});
    v.run = Run::Stopping;
    v.run_since = now;
    expect({});
    v.run = Run::Off;
    const auto d = think_now();
    ASSERT_EQ(d.actions.size(), 1u);
    EXPECT_EQ(d.actions[0].role, Role::Master);
}

TEST(Backoff, GivenFailures_WhenAsked_ThenItGrowsToHalfAMinute) {
    EXPECT_EQ(backoff(1), seconds(1));
    EXPECT_EQ(backoff(3), seconds(4));
    EXPECT_EQ(backoff(50), seconds(30));
}

// --- one number, two histories ------------------------------------------------------------------

struct OneNumber : BrainTest {
    OneNumber() {
        goal_of(OrderKind::Follow);
        goal->order.epoch_id = EpochId("two");
        goal->order.opening = {Timeline(4), EpochId("one")};
        v.data.timeline = Timeline(4);
        v.data.history = {{Timeline(3), Lsn(90)}};
        v.opening = {Timeline(4), EpochId("one")};
        v.opened_by = EpochId("one");
        upstream_at(4, 200, {{Timeline(3), Lsn(90)}}, 4);
    }
};

TEST_F(OneNumber, GivenTheSameOpening_WhenItRejoins_ThenItFollows) {
    expect({Kind::Start});
}

// Found by simulation: pg_rewind, too, would find nothing to do.
TEST_F(OneNumber, GivenAnotherEpochOpenedIt_WhenItRejoins_ThenItClones) {
    v.opening.by = v.opened_by = EpochId("given up");
    expect_job<CloneJob>();
    v.data.standby = true;
    expect_job<CloneJob>();
}

TEST_F(OneNumber, GivenItWasPromotedByHand_WhenItRejoins_ThenItClones) {
    v.opening = {Timeline(3), EpochId("zero")};
    v.opened_by = EpochId();
    expect_job<CloneJob>();
    upstream_at(5, 200, {{Timeline(3), Lsn(90)}, {Timeline(4), Lsn(100)}}, 5);
    expect_job<CloneJob>();
}

TEST_F(OneNumber, GivenItWasPromotedByHand_WhenTheUpstreamNeverHadThatNumber_ThenItRewinds) {
    v.opening = {Timeline(3), EpochId("zero")};
    v.opened_by = EpochId();
    upstream_at(5, 200, {{Timeline(3), Lsn(90)}}, 5);
    expect_job<RewindJob>();
}

TEST_F(OneNumber, GivenItRunsAsASlaveOfAnotherOpening_WhenToldToFollow_ThenItStopsFirst) {
    v.data.standby = true;
    v.opening.by = v.opened_by = EpochId("given up");
    running(true);
    v.server->timeline = Timeline(4);
    expect({Kind::StopFast});
}

TEST_F(OneNumber, GivenATimelineThatCameFromThisEpochsCandidate_WhenItRestarts_ThenItStarts) {
    v.data.standby = true;
    v.data.timeline = Timeline(5);
    v.opening = {Timeline(5), EpochId("two")};
    v.opened_by = EpochId("two");
    expect({Kind::Start});
    v.opened_by = EpochId();  // cut before that was noted: it can't have come from elsewhere
    v.opening = {Timeline(4), EpochId("one")};
    expect({Kind::Start});
}

}  // namespace
}  // namespace matriarch::agent
