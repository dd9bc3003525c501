#include "decide/ranking.h"
#include "decide/scene.h"

namespace matriarch::decide {
namespace {

TEST(Failover, GivenAHealthyCluster_WhenAsked_ThenNothingIsDone) {
    const Plan plan = Scene::healthy().plan();
    EXPECT_TRUE(plan.steps.empty());
    EXPECT_EQ(plan.phase, "Ready");
}

TEST(Failover, GivenADeadPostmaster_WhenSeen_ThenItIsFencedAndTheSlavesHalt) {
    Scene s = Scene::healthy();
    s.postmaster_died(1);
    const Plan plan = s.plan();
    ASSERT_EQ(orders_in(plan), 3u);
    EXPECT_EQ(order_to(plan, 1)->kind, OrderKind::Fence);
    EXPECT_EQ(order_to(plan, 2)->kind, OrderKind::Halt);
    EXPECT_EQ(order_to(plan, 3)->kind, OrderKind::Halt);
    EXPECT_EQ(only<WriteRecord>(plan), nullptr) << "no successor before a proof (INV-1)";
}

struct Fenced : testing::Test {
    Scene s = Scene::healthy();
    void SetUp() override {
        s.postmaster_died(1);
        s.fenced(1);
        s.halted(2);
        s.halted(3);
    }
    const AuthorityRecord* chosen() {
        plan = s.plan();
        const auto* write = only<WriteRecord>(plan);
        return write ? &write->record : nullptr;
    }
    Plan plan;
};

TEST_F(Fenced, GivenAConfirmedFence_WhenSlavesStandStill_ThenSlave1IsRecorded) {
    const auto* r = chosen();
    ASSERT_NE(r, nullptr);
    EXPECT_EQ(r->holder, InstanceName("orders-2"));
    EXPECT_EQ(r->holder_pod, PodUid("uid-2"));
    EXPECT_EQ(r->epoch, Epoch(5));
    EXPECT_EQ(r->epoch_id, EpochId("fresh"));
    EXPECT_EQ(r->phase, Phase::Promoting);
    EXPECT_EQ(r->former, InstanceName("orders-1"));
    EXPECT_EQ(r->reserved, Timeline(3));
    EXPECT_EQ(r->version, ResourceVersion("10")) << "compare-and-swap";
    EXPECT_THAT(r->positions,
                testing::ElementsAre(InstanceName("orders-1"), InstanceName("orders-3")));
}

// Found by simulation: the fence was on disk, its answer came before the end of the WAL was found,
// and a slave that lacked the last rows was taken for one that has all.
TEST_F(Fenced, GivenAFenceOnDisk_WhenTheEndOfTheWalIsStillLookedFor_ThenNobodyIsChosen_INV5) {
    s.report(1).fence_confirmed = false;
    s.report(1).end_of_wal = Lsn();
    EXPECT_EQ(chosen(), nullptr) << "the first look";
    s.seen.master_failed_since = kNow - milliseconds(500);
    EXPECT_EQ(chosen(), nullptr);
    s.seen.master_failed_since = kNow - s.seen.spec.failover.rescue;
    EXPECT_NE(chosen(), nullptr) << "it waits no longer than rescueSeconds";
    s.seen.master_failed_since = kNow;
    s.report(1).disk_stalled = milliseconds(1600);
    EXPECT_NE(chosen(), nullptr) << "a volume that stalls is read by nobody";
}

// Its container died after the fence; it is started again on the same volume.
TEST_F(Fenced, GivenItsAgentIsAway_WhenSlavesLackItsWal_ThenItIsAwaitedForRescueSeconds_INV5) {
    for (const int n : {2, 3}) s.report(n).received = s.report(n).replayed = Lsn(400);
    s.at(1).reachable = false;
    s.seen.master_failed_since = kNow - milliseconds(500);
    EXPECT_EQ(chosen(), nullptr);
    s.report(3).received = s.report(3).replayed = Lsn(1000);
    EXPECT_NE(chosen(), nullptr) << "a slave has all of it";
    s.report(3).received = s.report(3).replayed = Lsn(400);
    s.seen.master_failed_since = kNow - s.seen.spec.failover.rescue;
    EXPECT_NE(chosen(), nullptr);
}

TEST_F(Fenced, GivenAReceiverThatRuns_WhenPatienceLasts_ThenNobodyIsChosen) {
    s.stream(3);
    s.seen.master_failed_since = kNow - milliseconds(100);
    EXPECT_EQ(chosen(), nullptr);
}

TEST_F(Fenced, GivenAnInstanceThatNeverReported_WhenPatienceIsOver_ThenTheOthersGoOn) {
    s.seen.instances.push_back({});
    s.seen.instances.back().name = InstanceName("orders-4");
    s.stream(3);
    s.seen.master_failed_since = kNow - seconds(5);
    ASSERT_NE(chosen(), nullptr);
    EXPECT_EQ(orders_in(plan), 1u) << "orders-3 is asked again to halt";
}

// Found by simulation: the one that hung, and was asked in vain, was chosen itself.
TEST_F(Fenced, GivenAReceiverThatRuns_WhenPatienceIsOver_ThenTheOneThatStandsStillLeads) {
    s.stream(2);
    s.seen.master_failed_since = kNow - seconds(5);
    ASSERT_NE(chosen(), nullptr);
    EXPECT_EQ(chosen()->holder, InstanceName("orders-3"));
}

// Found by simulation: it was chosen, got no grant, and nobody was master.
TEST_F(Fenced, GivenASlaveWhoseClockRunsWrong_WhenRanked_ThenTheOtherLeads) {
    s.at(2).clock_trouble = "its clock runs too fast";
    ASSERT_NE(chosen(), nullptr);
    EXPECT_EQ(chosen()->holder, InstanceName("orders-3"));
}

TEST_F(Fenced, GivenAFenceOfAnotherPod_WhenItIsNotTheHolders_ThenItProvesNothing) {
    s.report(1).fenced_by = PodUid("another");
    s.report(1).pod = PodUid("another");
    s.at(1).pod = PodUid("another");
    ASSERT_NE(chosen(), nullptr);
    EXPECT_EQ(chosen()->phase, Phase::Closing) << "the holder's own pod is silent";
}

TEST_F(Fenced, GivenAFenceOnDiskByTheHoldersPod_WhenANewPodReportsIt_ThenItCounts) {
    s.report(1).pod = s.at(1).pod = PodUid("uid-1b");
    ASSERT_NE(chosen(), nullptr);
}

TEST_F(Fenced, GivenAFenceOfAnOlderEpoch_WhenJudged_ThenItProvesNothing) {
    s.report(1).fenced = Epoch(3);
    EXPECT_EQ(chosen(), nullptr);
}

TEST_F(Fenced, GivenSlave1OnAnOlderTimeline_WhenItsLsnIsHigher_ThenItIsNotChosen_INV6) {
    s.report(2).timeline = Timeline(2);
    s.report(2).received = Lsn(9999);
    EXPECT_EQ(chosen()->holder, InstanceName("orders-3"));
}

TEST_F(Fenced, GivenSlave1Behind_WhenTheOldMasterHasTheWal_ThenItIsChosenAndRescued) {
    s.report(2).received = s.report(2).replayed = Lsn(400);
    ASSERT_EQ(chosen()->holder, InstanceName("orders-2"));
}

TEST_F(Fenced, GivenSlave1Behind_WhenTheOldMasterIsAway_ThenTheBestSlaveSendsItsWal) {
    s.report(2).received = s.report(2).replayed = Lsn(400);
    s.report(3).received = Lsn(990);  // its last record is cut
    s.report(3).replayed = Lsn(980);
    s.at(1).reachable = false;
    s.seen.master_failed_since = kNow - seconds(3);
    s.report(1).end_of_wal = Lsn();
    s.report(1).flushed = Lsn(990);
    ASSERT_NE(chosen(), nullptr);
    EXPECT_EQ(chosen()->holder, InstanceName("orders-2"));
    s.seen.record = *chosen();
    const Plan next = s.plan();
    ASSERT_NE(order_to(next, 2), nullptr);
    const auto& rescue = order_to(next, 2)->rescue;
    ASSERT_TRUE(rescue.has_value());
    EXPECT_EQ(rescue->source, InstanceName("orders-3"));
    EXPECT_EQ(rescue->end, Lsn(990));
    EXPECT_EQ(rescue->least, Lsn(980));
}

TEST_F(Fenced, GivenASlaveWithLessWal_WhenSlave1Lacks_ThenASourceThatIsBehindIsNone) {
    s.report(3).received = s.report(3).replayed = Lsn(300);
    s.report(2).received = s.report(2).replayed = Lsn(400);
    s.at(1).reachable = false;
    s.seen.master_failed_since = kNow - seconds(3);
    s.seen.record = *chosen();
    EXPECT_EQ(s.seen.record->holder, InstanceName("orders-2"));
    EXPECT_FALSE(order_to(s.plan(), 2)->rescue.has_value());
}

TEST_F(Fenced, GivenASlaveOnAnotherTimeline_WhenSlave1Lacks_ThenItsWalIsNotTaken_INV6) {
    s.report(2).received = s.report(2).replayed = Lsn(400);
    s.report(3).timeline = Timeline(2);
    s.at(1).reachable = false;
    s.seen.master_failed_since = kNow - seconds(3);
    s.seen.record = *chosen();
    EXPECT_FALSE(order_to(s.plan(), 2)->rescue.has_value());
}

TEST_F(Fenced, GivenTheOldMastersEnd_WhenASlavesLastRecordIsCutBehindIt_ThenNothingIsFetched) {
    s.report(2).received = Lsn(1000);
    s.report(3).received = Lsn(1050);
    s.seen.record = *chosen();
    EXPECT_EQ(s.seen.record->holder, InstanceName("orders-2"));
    EXPECT_FALSE(order_to(s.plan(), 2)->rescue.has_value());
}

TEST_F(Fenced, GivenReceiveLsnAtTheSegmentsStart_WhenReplayIsFurther_ThenReplayCounts) {
    s.report(2).received = Lsn(10);  // as after a restart (reference: PAF#225)
    EXPECT_EQ(chosen()->holder, InstanceName("orders-2"));
}

TEST_F(Fenced, GivenAllSlavesBeyondMaxLag_WhenTheOldMasterIsAway_ThenNobodyIsPromoted) {
    s.seen.spec.failover.max_lag = Bytes(100);
    s.at(1).reachable = false;
    s.seen.master_failed_since = kNow - seconds(3);
    for (int n : {2, 3}) s.report(n).received = s.report(n).replayed = Lsn(400);
    EXPECT_EQ(chosen(), nullptr);
    const auto* f = finding(plan, "FailoverPossible");
    ASSERT_NE(f, nullptr);
    EXPECT_THAT(f->message, testing::HasSubstr("600 bytes"));
}

TEST_F(Fenced, GivenAnExcludedSlave1_WhenChosen_ThenTheNextOneLeads) {
    s.seen.spec.failover.exclude = {"orders-2"};
    EXPECT_EQ(chosen()->holder, InstanceName("orders-3"));
}

TEST_F(Fenced, GivenAPreferredOrder_WhenAllAreEqual_ThenItsFirstLeads) {
    s.seen.spec.failover.order = {"orders-3"};
    EXPECT_EQ(chosen()->holder, InstanceName("orders-3"));
}

TEST_F(Fenced, GivenManualMode_WhenNoTargetIsNamed_ThenTheOldMasterLeadsAgain) {
    s.seen.spec.failover.mode = FailoverMode::Manual;
    const auto* r = chosen();
    ASSERT_NE(r, nullptr);
    EXPECT_EQ(r->holder, InstanceName("orders-1"));
    EXPECT_EQ(r->epoch, Epoch(5));
}

TEST_F(Fenced, GivenManualMode_WhenATargetIsNamed_ThenItLeadsAndTheRequestIsHandled) {
    s.seen.spec.failover.mode = FailoverMode::Manual;
    s.seen.spec.failover.target = "slave2";
    s.seen.spec.failover.request_id = "r1";
    const auto* r = chosen();
    ASSERT_NE(r, nullptr);
    EXPECT_EQ(r->holder, InstanceName("orders-3"));
    EXPECT_EQ(r->handled_request, "r1");
}

TEST_F(Fenced, GivenManualMode_WhenTheTargetIsUnfit_ThenNobodyElseIsPromoted) {
    s.seen.spec.failover.mode = FailoverMode::Manual;
    s.seen.spec.failover.target = "orders-3";
    s.seen.spec.failover.request_id = "r1";
    s.seen.spec.failover.exclude = {"orders-3"};
    EXPECT_EQ(chosen(), nullptr);
    ASSERT_NE(finding(plan, "RequestAccepted"), nullptr);
    EXPECT_THAT(
        finding(plan, "RequestAccepted")->message,
        testing::HasSubstr("spec.failover.target orders-3: spec.failover.exclude names it"));
}

TEST_F(Fenced, GivenOnlyAnOlderTimeline_WhenItIsNamedAndTheLossAccepted_ThenItLeads) {
    for (const int n : {2, 3}) s.report(n).timeline = Timeline(2);
    s.at(1).reachable = false;
    s.seen.master_failed_since = kNow - seconds(3);
    s.seen.spec.failover.target = "orders-3";
    s.seen.spec.failover.request_id = "r1";
    EXPECT_EQ(chosen(), nullptr);
    s.seen.spec.failover.accept_data_loss = true;
    ASSERT_NE(chosen(), nullptr);
    EXPECT_EQ(chosen()->holder, InstanceName("orders-3"));
    EXPECT_FALSE(only<WriteRecord>(plan)->loss.has_value()) << "INV-6: it can't be counted";
    s.seen.record = *chosen();
    ASSERT_NE(order_to(s.plan(), 3), nullptr);
    EXPECT_EQ(order_to(s.plan(), 3)->reserved, Timeline(3));
    EXPECT_FALSE(order_to(s.plan(), 3)->rescue.has_value());
}

TEST_F(Fenced, GivenALossThatWasAcceptedOnce_WhenTheNextMasterFails_ThenItIsNoWordAboutThatOne) {
    for (const int n : {2, 3}) s.report(n).received = s.report(n).replayed = Lsn(400);
    s.at(1).reachable = false;
    s.report(1).end_of_wal = Lsn(401 + s.seen.spec.failover.max_lag.value);
    s.seen.master_failed_since = kNow - seconds(3);
    s.seen.spec.failover.target = "orders-3";
    s.seen.spec.failover.request_id = "r1";
    s.seen.spec.failover.accept_data_loss = true;
    ASSERT_NE(chosen(), nullptr);
    EXPECT_TRUE(chosen()->loss_accepted);
    s.seen.record->handled_request = "r1";
    EXPECT_EQ(chosen(), nullptr) << "that request was acted on";
    s.seen.spec.failover.request_id = "r2";
    s.seen.spec.failover.target = "orders-7";
    EXPECT_EQ(chosen(), nullptr) << "it is about another";
}

TEST(Failover, GivenASilentMaster_WhenNothingProvesItsEnd_ThenNobodyIsPromoted) {
    Scene s = Scene::healthy();
    s.at(1).reachable = false;
    const Plan plan = s.plan();
    EXPECT_EQ(plan.steps.size(), 0u);
    EXPECT_EQ(finding(plan, "MasterServing")->reason, "MasterSilent");
}

TEST(Failover, GivenADeadMasterWithoutSlaves_WhenSeen_ThenItStartsInPlace) {
    Scene s = Scene::healthy();
    s.postmaster_died(1);
    s.at(2).reachable = s.at(3).reachable = false;
    const Plan plan = s.plan();
    ASSERT_NE(order_to(plan, 1), nullptr);
    EXPECT_EQ(order_to(plan, 1)->kind, OrderKind::Lead);
}

TEST(Failover, GivenPausedMode_WhenTheMasterDies_ThenNothingIsDone) {
    Scene s = Scene::healthy();
    s.seen.spec.failover.mode = FailoverMode::Paused;
    s.postmaster_died(1);
    const Plan plan = s.plan();
    EXPECT_EQ(orders_in(plan), 0u);
    EXPECT_EQ(only<WriteRecord>(plan), nullptr);
}

TEST(Failover, GivenARecordOfThePast_WhenOneServesInALaterEpoch_ThenItGoesOnInTheNext) {
    Scene s = Scene::healthy();
    s.serve(2);
    s.report(1).in_recovery = Known::Yes;
    for (const int n : {1, 2, 3}) s.report(n).epoch = Epoch(7);
    s.report(2).timeline = Timeline(5);
    const auto plan = s.plan();
    const auto* write = only<WriteRecord>(plan);
    ASSERT_NE(write, nullptr);
    EXPECT_EQ(write->record.holder, InstanceName("orders-2"));
    EXPECT_EQ(write->record.epoch, Epoch(8));
    EXPECT_EQ(write->record.phase, Phase::Promoting);
    EXPECT_EQ(write->record.timeline, Timeline(5));
    EXPECT_EQ(finding(plan, "Ready")->reason, "RecordBehind");
    EXPECT_FALSE(plan.granting);
}

// Found by simulation: nobody granted or renewed anything while the API was restored.
TEST(Failover, GivenARecordOfThePast_WhenItsMasterRanOutOfItsMandate_ThenItGoesOnOnceAllAnswer) {
    Scene s = Scene::healthy();
    s.postmaster_died(1);
    for (const int n : {1, 2, 3}) s.report(n).epoch = Epoch(7);
    s.report(1).end_of_wal = Lsn(5000);
    const auto plan = s.plan();
    const auto* write = only<WriteRecord>(plan);
    ASSERT_NE(write, nullptr);
    EXPECT_EQ(write->record.holder, InstanceName("orders-1"));
    EXPECT_EQ(write->record.epoch, Epoch(8));
    s.at(3).reachable = false;
    EXPECT_EQ(only<WriteRecord>(s.plan()), nullptr) << "who is silent may be the master";
    s.at(3).reachable = true;
    s.report(1).standby = true;
    EXPECT_EQ(only<WriteRecord>(s.plan()), nullptr) << "a slave's data proves nothing";
    s.report(1).standby = false;
    s.report(2).timeline = Timeline(9);
    EXPECT_EQ(only<WriteRecord>(s.plan()), nullptr) << "another one was master later";
}

// Found by simulation: the one before it had heard of the epoch, and not yet become its slave.
TEST(Failover, GivenARecordOfThePast_WhenTwoEndedAsMasters_ThenTheOneThatOpenedATimelineGoesOn) {
    Scene s = Scene::healthy();
    for (const int n : {1, 2}) {
        s.postmaster_died(n);
        s.report(n).end_of_wal = Lsn(5000);
    }
    for (const int n : {1, 2, 3}) {
        s.report(n).epoch = Epoch(7);
        s.report(n).epoch_id = EpochId("seven");
    }
    EXPECT_EQ(only<WriteRecord>(s.plan()), nullptr) << "either may be it";
    s.report(2).timeline = Timeline(4);
    s.report(2).timeline_opened_by = EpochId("seven");
    const auto plan = s.plan();
    const auto* write = only<WriteRecord>(plan);
    ASSERT_NE(write, nullptr);
    EXPECT_EQ(write->record.holder, InstanceName("orders-2"));
    EXPECT_EQ(write->record.timeline, Timeline(4));
    s.report(1).timeline = Timeline(9);
    EXPECT_EQ(only<WriteRecord>(s.plan()), nullptr) << "a newer one, whoever opened it";
}

TEST(Failover, GivenARecordOfThePast_WhenTwoServe_ThenNothingIsChanged) {
    Scene s = Scene::healthy();
    s.serve(2);
    s.report(2).epoch = Epoch(7);
    const auto plan = s.plan();
    EXPECT_EQ(only<WriteRecord>(plan), nullptr);
    EXPECT_EQ(orders_in(plan), 0u);
}

TEST(Failover, GivenAHigherEpochThanTheRecords_WhenSeen_ThenNothingIsChanged) {
    Scene s = Scene::healthy();
    s.report(3).epoch = Epoch(9);
    const Plan plan = s.plan();
    EXPECT_TRUE(plan.steps.empty());
    EXPECT_EQ(finding(plan, "Ready")->reason, "RecordBehind");
}

struct Promoting : testing::Test {
    Scene s = Scene::healthy();
    void SetUp() override {
        s.postmaster_died(1);
        s.fenced(1);
        s.halted(2);
        s.halted(3);
        const Plan plan = s.plan();
        s.seen.record = only<WriteRecord>(plan)->record;
        s.seen.record->version = ResourceVersion("11");
    }
};

TEST_F(Promoting, GivenTheRecordedCandidate_WhenItStandsStill_ThenItIsPromotedAndOthersRepointed) {
    const Plan plan = s.plan();
    ASSERT_NE(order_to(plan, 2), nullptr);
    const Order& promote = *order_to(plan, 2);
    EXPECT_EQ(promote.kind, OrderKind::Promote);
    EXPECT_EQ(promote.epoch, Epoch(5));
    ASSERT_TRUE(promote.proof.has_value());
    EXPECT_EQ(promote.proof->of, InstanceName("orders-1"));
    EXPECT_EQ(promote.proof->epoch, Epoch(4));
    EXPECT_EQ(promote.reserved, Timeline(3));
    ASSERT_NE(order_to(plan, 3), nullptr);
    EXPECT_EQ(order_to(plan, 3)->kind, OrderKind::Follow);
    EXPECT_EQ(order_to(plan, 3)->upstream->instance, InstanceName("orders-2"));
    EXPECT_EQ(order_to(plan, 1), nullptr) << "the old master rejoins when the new one serves";
}

TEST_F(Promoting, GivenACandidateBehind_WhenTheOldMasterAnswers_ThenItsWalIsRescued) {
    s.report(2).received = s.report(2).replayed = Lsn(400);
    const Plan plan = s.plan();
    ASSERT_TRUE(order_to(plan, 2)->rescue.has_value());
    EXPECT_EQ(order_to(plan, 2)->rescue->end, Lsn(1000));
    EXPECT_EQ(order_to(plan, 2)->rescue->source, InstanceName("orders-1"));
}

TEST_F(Promoting, GivenWalThatCantBeFetched_WhenTheOldMasterHasIt_ThenTheCandidateIsGivenUp) {
    s.report(2).received = s.report(2).replayed = Lsn(400);
    s.obeyed(2, order_to(s.plan(), 2)->id.value, OrderState::Failed);
    Plan plan = s.plan();
    ASSERT_NE(order_to(plan, 2), nullptr);
    EXPECT_EQ(order_to(plan, 2)->kind, OrderKind::Fence);
    s.obeyed(2, order_to(plan, 2)->id.value, OrderState::Working);
    EXPECT_EQ(order_to(s.plan(), 2), nullptr) << "not promoted while it is given up";

    s.fenced(2);
    s.report(2).standby = true;
    s.report(2).end_of_wal = Lsn(400);
    plan = s.plan();
    const auto* write = only<WriteRecord>(plan);
    ASSERT_NE(write, nullptr);
    EXPECT_EQ(write->record.holder, InstanceName("orders-1"));
    EXPECT_EQ(write->record.epoch, Epoch(6));
    EXPECT_EQ(write->loss, Bytes(0));
    s.seen.record = write->record;
    plan = s.plan();
    ASSERT_NE(order_to(plan, 1), nullptr);
    EXPECT_EQ(order_to(plan, 1)->kind, OrderKind::Lead);
}

TEST_F(Promoting, GivenWalThatCantBeFetched_WhenItsLossIsAccepted_ThenTheCandidateGoesOn) {
    s.report(2).received = s.report(2).replayed = Lsn(400);
    s.obeyed(2, order_to(s.plan(), 2)->id.value, OrderState::Failed);
    s.seen.spec.failover.accept_data_loss = true;
    s.seen.spec.failover.target = "orders-2";
    s.seen.spec.failover.request_id = "r1";
    const auto plan = s.plan();
    ASSERT_NE(order_to(plan, 2), nullptr);
    EXPECT_EQ(order_to(plan, 2)->kind, OrderKind::Promote);
    EXPECT_FALSE(order_to(plan, 2)->rescue.has_value());
}

TEST_F(Promoting, GivenAGivenUpCandidateThatWasPromoted_WhenFenced_ThenTheOldMasterDoesNotLead) {
    s.fenced(2);
    s.report(2).standby = false;
    s.report(2).timeline = Timeline(4);
    s.report(2).timeline_opened_by = s.seen.record->epoch_id;
    s.report(2).end_of_wal = Lsn(400);
    const auto plan = s.plan();
    const auto* write = only<WriteRecord>(plan);
    EXPECT_TRUE(write == nullptr || write->record.holder != InstanceName("orders-1"));
}

TEST_F(Promoting, GivenAnUnverifiedCandidate_WhenAsked_ThenItIsNotPublished_INV4) {
    const Plan plan = s.plan();
    EXPECT_EQ(only<PublishRoutes>(plan), nullptr);
}

TEST_F(Promoting, GivenAVerifiedCandidate_WhenSeen_ThenTheRecordServes) {
    s.serve(2);
    s.report(2).timeline = Timeline(4);
    const Plan plan = s.plan();
    const auto* write = only<WriteRecord>(plan);
    ASSERT_NE(write, nullptr);
    EXPECT_EQ(write->record.phase, Phase::Serving);
    EXPECT_EQ(write->record.timeline, Timeline(4));
    EXPECT_EQ(write->record.epoch, Epoch(5));
}

TEST_F(Promoting, GivenAMasterOfAnotherEpochId_WhenSeen_ThenItIsNotVerified) {
    s.serve(2);
    s.report(2).epoch_id = EpochId("other");
    EXPECT_EQ(only<WriteRecord>(s.plan()), nullptr);
}

TEST_F(Promoting, GivenTheNewMasterServes_WhenTheOldOneAnswers_ThenItFollows) {
    s.serve(2);
    s.report(2).timeline = Timeline(4);
    s.seen.record = only<WriteRecord>(s.plan())->record;
    s.report(1).config_hash = s.at(1).config.hash();
    const Plan plan = s.plan();
    ASSERT_NE(order_to(plan, 1), nullptr);
    EXPECT_EQ(order_to(plan, 1)->kind, OrderKind::Follow);
    const auto* published = only<PublishRoutes>(plan);
    ASSERT_NE(published, nullptr);
    EXPECT_EQ(published->routes.master->instance, InstanceName("orders-2"));
    EXPECT_EQ(published->routes.epoch, Epoch(5));
}

TEST(Switchover, GivenARequest_WhenTheTargetIsFit_ThenTheMasterIsStoppedCleanlyFirst) {
    Scene s = Scene::healthy();
    s.seen.spec.failover.target = "slave2";
    s.seen.spec.failover.request_id = "r1";
    const Plan plan = s.plan();
    ASSERT_EQ(orders_in(plan), 1u);
    EXPECT_EQ(order_to(plan, 1)->kind, OrderKind::Fence);
    EXPECT_TRUE(order_to(plan, 1)->clean);
    EXPECT_EQ(order_to(plan, 1)->heir, InstanceName("orders-3"));
}

TEST(Switchover, GivenARequest_WhenTheMasterHasEnded_ThenNoSlaveIsStoppedForAComparison) {
    Scene s = Scene::healthy();
    s.seen.spec.failover.target = "slave2";
    s.seen.spec.failover.request_id = "r1";
    s.postmaster_died(1);
    const Plan plan = s.plan();
    ASSERT_EQ(orders_in(plan), 1u);
    EXPECT_EQ(order_to(plan, 1)->kind, OrderKind::Fence);
}

struct HandedOver : testing::Test {
    Scene s = Scene::healthy();
    void SetUp() override {
        s.seen.spec.failover.target = "slave2";
        s.seen.spec.failover.request_id = "r1";
        s.postmaster_died(1);
        s.fenced(1);
        s.halted(3);
    }
};

TEST_F(HandedOver, GivenAHungSlave_WhenTheTargetHasAllOfTheOldMasters_ThenItIsNotWaitedFor_INV10) {
    const auto plan = s.plan();  // orders-2 never answers the order to halt
    const auto* write = only<WriteRecord>(plan);
    ASSERT_NE(write, nullptr);
    EXPECT_EQ(write->record.holder, InstanceName("orders-3"));
    EXPECT_EQ(write->record.handled_request, "r1");
    EXPECT_EQ(write->loss, Bytes(0));
}

TEST_F(HandedOver, GivenATargetThatReceivesStill_WhenItHasAllOfTheOldMasters_ThenNoMoreIsAwaited) {
    s.stream(3);
    const auto plan = s.plan();
    ASSERT_NE(only<WriteRecord>(plan), nullptr);
    EXPECT_EQ(only<WriteRecord>(plan)->record.holder, InstanceName("orders-3"));
    EXPECT_EQ(orders_in(plan), 0u);
}

TEST_F(HandedOver, GivenAnOldMasterWhoseEndIsNotKnown_WhenATargetWasAsked_ThenAllStandStillFirst) {
    s.stream(3);
    s.report(1).end_of_wal = Lsn();
    EXPECT_EQ(only<WriteRecord>(s.plan()), nullptr);
    EXPECT_EQ(order_to(s.plan(), 3)->kind, OrderKind::Halt);
}

TEST_F(HandedOver, GivenATargetThatLacksWal_WhenTheOldMastersAgentHasIt_ThenItIsFetchedFromThere) {
    s.report(3).received = s.report(3).replayed = Lsn(900);
    const auto plan = s.plan();
    const auto* write = only<WriteRecord>(plan);
    ASSERT_NE(write, nullptr);
    EXPECT_EQ(write->record.holder, InstanceName("orders-3"));
    EXPECT_EQ(write->loss, Bytes(0));
    s.seen.record = write->record;
    const auto next = s.plan();
    ASSERT_NE(order_to(next, 3), nullptr);
    ASSERT_TRUE(order_to(next, 3)->rescue.has_value());
    EXPECT_EQ(order_to(next, 3)->rescue->end, Lsn(1000));
}

TEST_F(HandedOver,
       GivenAHungSlave_WhenTheTargetLacksWalThatNobodyServes_ThenTheOthersAreHeardFirst) {
    s.report(3).received = s.report(3).replayed = Lsn(900);
    s.at(1).reachable = false;
    EXPECT_EQ(only<WriteRecord>(s.plan()), nullptr);
}

TEST(Switchover, GivenARequest_WhenItWasHandled_ThenNothingHappens) {
    Scene s = Scene::healthy();
    s.seen.spec.failover.target = "slave2";
    s.seen.spec.failover.request_id = s.seen.record->handled_request = "r1";
    EXPECT_TRUE(s.plan().steps.empty());
}

TEST(Switchover,
     GivenAnUnknownOrExcludedTarget_WhenRequested_ThenTheReasonIsToldAndNothingChanges) {
    Scene s = Scene::healthy();
    s.seen.spec.failover.request_id = "r1";
    s.seen.spec.failover.exclude = {"orders-3"};
    for (const auto& [target, why] : std::vector<std::pair<std::string, std::string>>{
             {"orders-9", "whose slaves are orders-2, orders-3 (slave1 to slave2)"},
             {"slave3", "is no slave of this cluster"},
             {"slave2", "spec.failover.exclude names it"}}) {
        s.seen.spec.failover.target = target;
        const Plan plan = s.plan();
        EXPECT_TRUE(plan.steps.empty()) << target;
        ASSERT_NE(finding(plan, "RequestAccepted"), nullptr) << target;
        EXPECT_FALSE(finding(plan, "RequestAccepted")->holds);
        EXPECT_THAT(finding(plan, "RequestAccepted")->message,
                    testing::AllOf(testing::HasSubstr("spec.failover.target"),
                                   testing::HasSubstr(why), testing::HasSubstr("nothing was")));
    }
}

TEST(Switchover, GivenATargetTooFarBehind_WhenRequested_ThenTheReasonIsToldAndNothingChanges) {
    Scene s = Scene::healthy();
    s.seen.spec.failover.target = "orders-3";
    s.seen.spec.failover.request_id = "r1";
    s.seen.spec.failover.max_lag = Bytes(10);
    s.report(3).received = s.report(3).replayed = Lsn(500);
    const Plan plan = s.plan();
    EXPECT_EQ(orders_in(plan), 0u);
    ASSERT_NE(finding(plan, "RequestAccepted"), nullptr);
    EXPECT_THAT(finding(plan, "RequestAccepted")->message, testing::HasSubstr("maxLag allows 10"));
}

TEST(Switchover, GivenTheTargetLeadsAlready_WhenRequested_ThenTheRequestIsHandledAndNothingElse) {
    Scene s = Scene::healthy();
    s.seen.spec.failover.target = "orders-1";
    s.seen.spec.failover.request_id = "r1";
    const Plan plan = s.plan();
    const auto* write = only<WriteRecord>(plan);
    ASSERT_NE(write, nullptr);
    EXPECT_EQ(write->record.handled_request, "r1");
    EXPECT_EQ(write->record.epoch, Epoch(4));
    EXPECT_EQ(orders_in(plan), 0u);
}

TEST(Failover, GivenTheMasterStarts_WhenDecided_ThenItIsWaitedFor) {
    Scene s = Scene::healthy();
    s.report(1).state = PostgresState::Starting;
    s.report(1).in_recovery = s.report(1).writable = Known::Unknown;
    const Plan plan = s.plan();
    EXPECT_EQ(plan.phase, "Recovering");
    EXPECT_EQ(only<WriteRecord>(plan), nullptr);
    EXPECT_EQ(orders_in(plan), 0u);
}

TEST(Failover, GivenNobodyWithTheClustersData_WhenTheMasterIsFenced_ThenEachIsToldWhy_INV3) {
    Scene s = Scene::healthy();
    s.postmaster_died(1);
    s.fenced(1);
    s.at(1).reachable = false;
    s.seen.master_failed_since = kNow - seconds(60);
    s.halted(2);
    s.report(2).state = PostgresState::Broken;
    s.halted(3);
    s.report(3).system_identifier = SystemIdentifier("another");
    s.at(3).reported_at = s.at(2).reported_at = kNow;
    Facts f(s.seen, s.policy, kNow);
    std::string why;
    EXPECT_FALSE(consider(f, s.at(2), ProofKind::ConfirmedFence, why));
    EXPECT_EQ(why, "orders-2: it has no complete data (broken)");
    EXPECT_FALSE(consider(f, s.at(3), ProofKind::ConfirmedFence, why));
    EXPECT_EQ(why, "orders-3: its data is of another cluster");
}

}  // namespace
}  // namespace matriarch::decide
