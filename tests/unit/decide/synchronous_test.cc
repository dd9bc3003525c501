// Synchronous replication: the rule is recorded before it is in force, and nobody becomes master
// who may be without an acknowledged commit (INV-5).
#include "decide/synchronous.h"

#include "scene.h"

namespace matriarch::decide {
namespace {

std::vector<InstanceName> orders(std::initializer_list<int> numbers) {
    std::vector<InstanceName> out;
    for (const int n : numbers) out.push_back(instance_name("orders", n));
    return out;
}

SyncRule all_of(std::initializer_list<int> numbers) {
    return {static_cast<int>(numbers.size()), orders(numbers), SyncMethod::First, 3};
}

SyncRule any_of(int wait_for, std::initializer_list<int> numbers) {
    return {wait_for, orders(numbers), SyncMethod::Any, 3};
}

// A healthy cluster in which `rule` is in force, as the spec asks.
Scene waiting(const SyncRule& rule) {
    Scene s = Scene::healthy();
    s.seen.spec.replication.mode =
        rule.method == SyncMethod::Any ? ReplicationMode::Quorum : ReplicationMode::Sync;
    s.seen.spec.replication.synchronous_slaves = rule.wait_for;
    s.seen.record->sync = rule;
    s.seen.serving_since = kNow - std::chrono::hours(1);
    for (const int n : {1, 2, 3}) s.report(n).sync = rule;
    for (const int n : {2, 3}) s.at(n).streamed_at = kNow;
    return s;
}

// The slave's node is off, for so long.
void lose(Scene& s, int n, Duration since) {
    s.at(n).reachable = false;
    s.at(n).reported_at = *(s.at(n).streamed_at = kNow - since);
    std::erase_if(s.report(1).streams, [&](const auto& stream) {
        return stream.application_name == s.at(n).name.value;
    });
}

// The master fenced itself, the slaves stand still.
void end_master(Scene& s) {
    s.postmaster_died(1);
    s.fenced(1);
    s.halted(2);
    s.halted(3);
}

// Its node is off and its mandate over; the slaves stand still and promise nothing.
void lose_master(Scene& s) {
    s.at(1).reachable = false;
    s.at(1).reported_at = kNow - std::chrono::minutes(1);
    s.close();
}

std::optional<AuthorityRecord> written(const Plan& plan) {
    const auto* write = only<WriteRecord>(plan);
    return write == nullptr ? std::nullopt : std::optional(write->record);
}

std::string reason(const Plan& plan) {
    const auto* found = finding(plan, "Synchronous");
    return found == nullptr ? "" : (found->holds ? "+" : "-") + found->reason;
}

// --- the rule -------------------------------------------------------------------------------

TEST(Synchronous, GivenAnAsynchronousCluster_WhenAsked_ThenNothingIsSaidAboutIt) {
    EXPECT_EQ(reason(Scene::healthy().plan()), "");
}

TEST(Synchronous, GivenARuleInForce_WhenAllIsWell_ThenNothingIsDone) {
    for (const auto& rule : {all_of({2}), any_of(1, {2, 3})}) {
        const Plan plan = waiting(rule).plan();
        EXPECT_TRUE(plan.steps.empty()) << plan.steps.front().reason;
        EXPECT_EQ(reason(plan), rule.method == SyncMethod::Any ? "+Quorum" : "+Named");
    }
}

TEST(Synchronous, GivenTheModeIsSwitchedOn_WhenSlavesStream_ThenItIsRecordedBeforeItIsLoaded_INV5) {
    Scene s = waiting(all_of({2}));
    s.seen.record->sync = {};
    for (const int n : {1, 2, 3}) s.report(n).sync.reset();

    Plan plan = s.plan();
    ASSERT_TRUE(written(plan));
    EXPECT_EQ(orders_in(plan), 0u);
    EXPECT_TRUE(written(plan)->sync.same_as(all_of({2})));
    EXPECT_EQ(written(plan)->sync.version, 1u);
    ASSERT_EQ(written(plan)->former_sync.size(), 1u);
    EXPECT_FALSE(written(plan)->former_sync[0].waits());

    s.seen.record = written(plan);
    plan = s.plan();
    EXPECT_FALSE(written(plan)) << "the master has not loaded it";
    ASSERT_NE(order_to(plan, 1), nullptr);
    EXPECT_EQ(order_to(plan, 1)->kind, OrderKind::Configure);
    EXPECT_EQ(order_to(plan, 1)->sync, s.seen.record->sync);
    EXPECT_EQ(reason(plan), "-Establishing");

    s.report(1).sync = s.seen.record->sync;
    s.report(1).sync_since = Lsn(1001);
    EXPECT_FALSE(written(s.plan())) << "orders-2 has not flushed so far";
    s.report(3).received = Lsn(1001);
    EXPECT_FALSE(written(s.plan())) << "orders-3 is not waited for";
    s.report(2).received = Lsn(1001);
    plan = s.plan();
    ASSERT_TRUE(written(plan));
    EXPECT_TRUE(written(plan)->former_sync.empty());
    EXPECT_EQ(written(plan)->sync, s.seen.record->sync);
}

TEST(Synchronous, GivenSlavesOfASynchronousCluster_WhenTheyKnowNoRule_ThenTheyAreTold) {
    Scene s = waiting(all_of({2}));
    s.report(3).sync.reset();
    EXPECT_EQ(order_to(s.plan(), 3)->sync, s.seen.record->sync);
    s.report(3).sync = any_of(1, {2});
    EXPECT_TRUE(s.plan().steps.empty()) << "the exact one comes with its promotion";
}

TEST(Synchronous, GivenANamedSlaveThatIsAway_WhenPatienceIsOver_ThenTheOtherTakesItsPlace) {
    Scene s = waiting(all_of({2}));
    lose(s, 2, seconds(2));
    EXPECT_FALSE(written(s.plan()));
    lose(s, 2, seconds(4));
    const auto r = written(s.plan());
    ASSERT_TRUE(r);
    EXPECT_TRUE(r->sync.same_as(all_of({3})));
    ASSERT_EQ(r->former_sync.size(), 1u);
    EXPECT_EQ(r->former_sync[0], all_of({2})) << "it counts until the new one does";
}

TEST(Synchronous, GivenARuleInForce_WhenSlave1ComesBack_ThenNothingIsChangedForItsSake) {
    EXPECT_TRUE(waiting(all_of({3})).plan().steps.empty());
}

TEST(Synchronous, GivenANamedSlaveThatMayNotLead_WhenAnotherStreams_ThenThatOneIsWaitedFor) {
    Scene s = waiting(all_of({2}));
    s.seen.spec.failover.exclude = {"orders-2"};
    ASSERT_TRUE(written(s.plan()));
    EXPECT_TRUE(written(s.plan())->sync.same_as(all_of({3})));
    s.seen.spec.failover.exclude = {"orders-2", "orders-3"};
    EXPECT_FALSE(written(s.plan())) << "nobody is better";
}

TEST(Synchronous, GivenAQuorum_WhenASlaveLeavesOrComes_ThenTheSetFollows) {
    Scene s = waiting(any_of(1, {2, 3}));
    lose(s, 2, seconds(4));
    ASSERT_TRUE(written(s.plan()));
    EXPECT_TRUE(written(s.plan())->sync.same_as(any_of(1, {3})));
    s = waiting(any_of(1, {3}));
    ASSERT_TRUE(written(s.plan()));
    EXPECT_TRUE(written(s.plan())->sync.same_as(any_of(1, {2, 3})));
    std::erase_if(s.report(1).streams,
                  [](const auto& x) { return x.application_name == "orders-2"; });
    EXPECT_FALSE(written(s.plan())) << "only once it streams";
}

TEST(Synchronous, GivenTooFewSlaves_WhenToldToWait_ThenCommitsWaitAndPeopleKnowWhy) {
    Scene s = waiting(any_of(2, {2, 3}));
    lose(s, 3, seconds(4));
    const Plan plan = s.plan();
    EXPECT_FALSE(written(plan));
    ASSERT_NE(finding(plan, "Synchronous"), nullptr);
    EXPECT_EQ(reason(plan), "-TooFewSlaves");
    EXPECT_THAT(finding(plan, "Synchronous")->message,
                testing::AllOf(testing::HasSubstr("1 of orders-2, orders-3 stream"),
                               testing::HasSubstr("spec.replication.onTooFewSlaves")));
}

TEST(Synchronous, GivenTooFewSlaves_WhenToldToDegrade_ThenItIsRecordedFirst) {
    Scene s = waiting(all_of({2, 3}));
    s.seen.spec.replication.on_too_few = TooFewSlaves::Degrade;
    lose(s, 3, seconds(4));
    Plan plan = s.plan();
    ASSERT_TRUE(written(plan));
    EXPECT_EQ(orders_in(plan), 0u);
    EXPECT_TRUE(written(plan)->sync.same_as(all_of({2})));
    s.seen.record = written(plan);
    EXPECT_EQ(reason(s.plan()), "-Degraded");

    lose(s, 2, seconds(4));
    plan = s.plan();
    ASSERT_TRUE(written(plan));
    EXPECT_FALSE(written(plan)->sync.waits());
    EXPECT_EQ(written(plan)->former_sync.size(), 2u);
    s.seen.record = written(plan);
    EXPECT_EQ(order_to(s.plan(), 1)->sync, s.seen.record->sync);
}

TEST(Synchronous, GivenADegradedCluster_WhenASlaveIsBack_ThenCommitsWaitForItAgain) {
    Scene s = waiting(all_of({2}));
    s.seen.spec.replication.on_too_few = TooFewSlaves::Degrade;
    s.seen.record->sync = {};
    s.seen.record->sync.version = 4;
    ASSERT_TRUE(written(s.plan()));
    EXPECT_TRUE(written(s.plan())->sync.same_as(all_of({2})));
    EXPECT_EQ(written(s.plan())->sync.version, 5u);
}

TEST(Synchronous, GivenASlaveThatLeaves_WhenARuleNamesIt_ThenItIsKeptUntilNoneDoes) {
    Scene s = waiting(any_of(1, {2, 3}));
    s.seen.spec.slaves = 1;
    s.seen.record->positions.pop_back();
    Plan plan = s.plan();
    EXPECT_EQ(only<RemoveInstance>(plan), nullptr);
    ASSERT_TRUE(written(plan));
    EXPECT_TRUE(written(plan)->sync.same_as(any_of(1, {2})));
    s.seen.record = written(plan);
    EXPECT_EQ(only<RemoveInstance>(s.plan()), nullptr);
    s.seen.record->former_sync.clear();
    s.report(1).sync = s.seen.record->sync;
    EXPECT_NE(only<RemoveInstance>(s.plan()), nullptr);
}

TEST(Synchronous, GivenANewCluster_WhenItIsSynchronous_ThenItIsFromTheFirstCommitOn) {
    Scene s = Scene::empty();
    s.seen.spec.replication.mode = ReplicationMode::Sync;
    for (int n = 1; n <= 3; ++n) s.add(n);
    const auto r = written(s.plan());
    ASSERT_TRUE(r);
    EXPECT_TRUE(r->sync.same_as(all_of({2})));
    s.seen.record = r;
    EXPECT_EQ(order_to(s.plan(), 1)->kind, OrderKind::Initialize);
    EXPECT_EQ(order_to(s.plan(), 1)->sync, r->sync);
    s.seen.record.reset();
    s.seen.spec.replication.on_too_few = TooFewSlaves::Degrade;
    EXPECT_FALSE(written(s.plan())->sync.waits()) << "nobody is there yet";
}

// --- who may become master ------------------------------------------------------------------

TEST(Election, GivenAQuorum_WhenOneOfItIsAway_ThenTheOtherMayLackCommits_INV5) {
    Scene s = waiting(any_of(1, {2, 3}));
    lose_master(s);
    ASSERT_TRUE(written(s.plan()));
    EXPECT_EQ(written(s.plan())->holder, InstanceName("orders-2"));
    lose(s, 2, seconds(60));
    const Plan plan = s.plan();
    EXPECT_FALSE(written(plan));
    ASSERT_NE(finding(plan, "FailoverPossible"), nullptr);
    EXPECT_THAT(finding(plan, "FailoverPossible")->message,
                testing::HasSubstr("1 of at least 2 of them"));
}

TEST(Election, GivenANamedSlave_WhenAnotherHasMoreWal_ThenOnlyWhoStandsAsFarMayLead_INV5) {
    Scene s = waiting(all_of({2}));
    lose_master(s);
    s.report(3).received = Lsn(1400);
    ASSERT_TRUE(written(s.plan()));
    EXPECT_EQ(written(s.plan())->holder, InstanceName("orders-2")) << "more is not acknowledged";
    s.seen.spec.failover.exclude = {"orders-2"};
    EXPECT_EQ(written(s.plan())->holder, InstanceName("orders-3"));
    s.report(3).received = s.report(3).replayed = Lsn(999);
    EXPECT_EQ(written(s.plan())->must_reach, Lsn(1000)) << "orders-2 has what it lacks";
    s.report(2).timeline = Timeline(2);
    EXPECT_FALSE(written(s.plan()));
}

TEST(Election, GivenAMemberThatStillReceives_WhenCounted_ThenItIsNoWitness_INV5) {
    Scene s = waiting(any_of(1, {2, 3}));
    lose_master(s);
    s.obeyed(2, "");
    s.report(2).receiving = true;
    s.seen.master_failed_since = kNow - seconds(60);
    s.seen.spec.failover.exclude = {"orders-2"};
    EXPECT_FALSE(written(s.plan()));
}

TEST(Election, GivenAMemberOnAnotherTimeline_WhenCounted_ThenItIsNoWitness_INV6) {
    Scene s = waiting(any_of(1, {2, 3}));
    lose_master(s);
    s.report(2).timeline = Timeline(2);
    EXPECT_FALSE(written(s.plan()));
}

TEST(Election, GivenAFormerRule_WhenTheNewOneDoesNotCountYet_ThenBothApply_INV5) {
    Scene s = waiting(all_of({3}));
    s.seen.record->former_sync = {all_of({2})};
    lose_master(s);
    EXPECT_TRUE(written(s.plan()));
    lose(s, 2, seconds(60));
    EXPECT_FALSE(written(s.plan()));
    s.seen.record->former_sync.clear();
    EXPECT_EQ(written(s.plan())->holder, InstanceName("orders-3"));
}

TEST(Election, GivenProvenCommits_WhenTheMasterSaidMoreWal_ThenMaxLagBlocksNobody) {
    Scene s = waiting(all_of({2}));
    lose_master(s);
    s.report(1).flushed =
        Lsn(9000);  // written there, confirmed by nobody (reference: patroni#3703)
    s.seen.spec.failover.max_lag = Bytes(0);
    const Plan plan = s.plan();
    ASSERT_TRUE(written(plan));
    EXPECT_EQ(written(plan)->holder, InstanceName("orders-2"));
    EXPECT_EQ(only<WriteRecord>(plan)->loss, Bytes(0));
}

TEST(Election, GivenAFencedMaster_WhenItsEndCanBeFetched_ThenNobodyElsesWordIsNeeded) {
    Scene s = waiting(any_of(1, {2, 3}));
    end_master(s);
    lose(s, 2, seconds(60));
    s.report(3).received = s.report(3).replayed = Lsn(400);
    const auto r = written(s.plan());
    ASSERT_TRUE(r);
    EXPECT_EQ(r->holder, InstanceName("orders-3"));
    EXPECT_EQ(r->must_reach, Lsn(1000));

    s.seen.record = r;
    ASSERT_NE(order_to(s.plan(), 3), nullptr);
    EXPECT_EQ(order_to(s.plan(), 3)->rescue->end, Lsn(1000));
    s.at(1).reachable = false;
    const Plan plan = s.plan();
    EXPECT_EQ(order_to(plan, 3), nullptr) << "it has not got it yet (INV-5)";
    ASSERT_NE(finding(plan, "FailoverPossible"), nullptr);
    EXPECT_THAT(finding(plan, "FailoverPossible")->message, testing::HasSubstr("600 bytes"));
    s.report(3).received = Lsn(1000);
    EXPECT_NE(order_to(s.plan(), 3), nullptr);
}

// Three slaves, of which any one confirmed.
Scene four_instances() {
    Scene s = waiting(any_of(1, {2, 3}));
    s.seen.spec.slaves = 3;
    s.seen.record->positions.push_back(instance_name("orders", 4));
    s.seen.record->sync = any_of(1, {2, 3, 4});
    s.add(4);
    s.stream(4);
    return s;
}

TEST(Election, GivenACandidateThatNeverServed_WhenItIsGivenUp_ThenItsEndProvesNothing_INV5) {
    Scene s = four_instances();
    end_master(s);
    s.halted(4);
    s.seen.record = written(s.plan());
    ASSERT_EQ(s.seen.record->holder, InstanceName("orders-2"));
    s.seen.record->must_reach = Lsn(1200);  // it was to fetch what orders-4 has
    s.at(1).reachable = false;
    s.fenced(2);  // it ends before it served
    s.report(2).standby = true;
    s.halted(3);
    s.halted(4);
    s.report(4).received = Lsn(1200);
    s.seen.spec.failover.exclude = {"orders-4"};
    EXPECT_EQ(written(s.plan())->holder, InstanceName("orders-3"));
    EXPECT_EQ(written(s.plan())->must_reach, Lsn(1200));
    lose(s, 4, seconds(60));
    EXPECT_FALSE(written(s.plan())) << "orders-4 may have confirmed more";
}

TEST(Election, GivenALossThatIsAccepted_WhenATargetIsNamed_ThenItLeads) {
    Scene s = waiting(any_of(1, {2, 3}));
    lose_master(s);
    lose(s, 2, seconds(60));
    s.seen.spec.failover.accept_data_loss = true;
    EXPECT_FALSE(written(s.plan())) << "nobody asked for it now";
    s.seen.spec.failover.target = "orders-3";
    s.seen.spec.failover.request_id = "r1";
    const Plan plan = s.plan();
    ASSERT_TRUE(written(plan));
    EXPECT_EQ(written(plan)->holder, InstanceName("orders-3"));
    EXPECT_NE(only<WriteRecord>(plan)->loss, Bytes(0));
}

TEST(Election, GivenASwitchover_WhenTheTargetIsBehindAnother_ThenTheCleanStopBringsItUp) {
    Scene s = waiting(all_of({2}));
    s.seen.spec.failover.target = "orders-3";
    s.seen.spec.failover.request_id = "r1";
    s.report(3).received = s.report(3).replayed = Lsn(990);
    ASSERT_NE(order_to(s.plan(), 1), nullptr);
    EXPECT_EQ(order_to(s.plan(), 1)->kind, OrderKind::Fence);
}

// --- the next epoch's rule -----------------------------------------------------------------

TEST(NextEpoch, GivenAPromotion_WhenRecorded_ThenItsRuleIsInForceBeforeItsFirstCommit_INV5) {
    Scene s = waiting(all_of({2}));
    end_master(s);
    const auto r = written(s.plan());
    ASSERT_TRUE(r);
    EXPECT_EQ(r->holder, InstanceName("orders-2"));
    EXPECT_TRUE(r->sync.same_as(all_of({3}))) << "it streams, the old master does not";
    EXPECT_GT(r->sync.version, 3u);
    ASSERT_EQ(r->former_sync.size(), 1u);
    EXPECT_EQ(r->former_sync[0], all_of({2}));
    s.seen.record = r;
    ASSERT_NE(order_to(s.plan(), 2), nullptr);
    EXPECT_EQ(order_to(s.plan(), 2)->kind, OrderKind::Promote);
    EXPECT_EQ(order_to(s.plan(), 2)->sync, r->sync);
}

TEST(NextEpoch, GivenNoSlaveLeft_WhenToldToWait_ThenTheNewMastersCommitsWait) {
    Scene s = waiting(all_of({2}));
    end_master(s);
    lose(s, 3, seconds(60));
    ASSERT_TRUE(written(s.plan()));
    EXPECT_TRUE(written(s.plan())->sync.same_as(all_of({1})));
    s.seen.spec.replication.on_too_few = TooFewSlaves::Degrade;
    ASSERT_TRUE(written(s.plan()));
    EXPECT_FALSE(written(s.plan())->sync.waits()) << "recorded with the promotion";
}

}  // namespace
}  // namespace matriarch::decide
