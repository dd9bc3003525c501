#include "decide/scene.h"

namespace matriarch::decide {
namespace {

TEST(Start, GivenNothing_WhenAClusterAppears_ThenAllInstancesAreMadeAndNobodyLeads) {
    const Plan plan = Scene::empty().plan();
    EXPECT_EQ(plan.steps.size(), 3u);
    EXPECT_EQ(only<WriteRecord>(plan), nullptr);
    EXPECT_EQ(plan.phase, "Creating");
}

TEST(Start, GivenUnreadCaches_WhenAsked_ThenNothingHappens) {
    Scene s = Scene::empty();
    s.seen.complete = false;
    EXPECT_TRUE(s.plan().steps.empty());
}

TEST(Start, GivenANewLeader_WhenAnAgentHasNotBeenAskedYet_ThenItIsNotCalledSilent) {
    Scene s = Scene::healthy();
    s.at(1).asked = s.at(1).reachable = false;
    const Plan plan = s.plan();
    EXPECT_TRUE(plan.uninformed);
    EXPECT_TRUE(plan.steps.empty());
    EXPECT_TRUE(plan.findings.empty());
}

TEST(Start, GivenANewLeader_WhenADeadAgentKeepsItWaiting_ThenItsTermIsWrittenAtOnce) {
    Scene s = Scene::healthy();
    s.at(1).asked = s.at(1).reachable = false;
    s.seen.term = Term(2);
    const Plan plan = s.plan();
    EXPECT_TRUE(plan.uninformed);
    ASSERT_EQ(plan.steps.size(), 1u);
    const auto* write = std::get_if<WriteRecord>(&plan.steps[0].action);
    ASSERT_NE(write, nullptr);
    EXPECT_EQ(write->record.term, Term(2));
    EXPECT_FALSE(plan.granting) << "to nobody before the stored epochs were compared";
    s.seen.complete = false;
    EXPECT_TRUE(s.plan().steps.empty()) << "the record may be older than it seems";
}

TEST(Start, GivenTheFirstEmptyInstance_WhenItReports_ThenItHoldsEpochOne) {
    Scene s = Scene::empty();
    for (int n = 1; n <= 3; ++n) s.add(n);
    const Plan plan = s.plan();
    const auto* write = only<WriteRecord>(plan);
    ASSERT_NE(write, nullptr);
    EXPECT_EQ(write->record.holder, InstanceName("orders-1"));
    EXPECT_EQ(write->record.epoch, Epoch(1));
    EXPECT_TRUE(write->record.version.empty());
    EXPECT_EQ(write->record.positions.size(), 2u);
}

TEST(Start, GivenAKnownSystemIdentifier_WhenNoVolumeHasData_ThenNothingIsMadeAnew_INV3) {
    Scene s = Scene::empty();
    for (int n = 1; n <= 3; ++n) s.add(n);
    s.seen.remembered = SystemIdentifier("777");
    const Plan plan = s.plan();
    EXPECT_TRUE(plan.steps.empty());
    EXPECT_EQ(finding(plan, "Ready")->reason, "DataMissing");
}

TEST(Start, GivenARecordWithoutData_WhenItsHolderIsEmpty_ThenItInitializes) {
    Scene s = Scene::healthy();
    s.seen.record->system_identifier = SystemIdentifier();
    s.report(1) = Report{};
    s.report(1).pod = PodUid("uid-1");
    const Plan plan = s.plan();
    ASSERT_NE(order_to(plan, 1), nullptr);
    EXPECT_EQ(order_to(plan, 1)->kind, OrderKind::Initialize);
    EXPECT_EQ(orders_in(plan), 1u);
}

TEST(Start, GivenTheFirstMasterServes_WhenTheRecordHasNoData_ThenItsSystemIdentifierIsRecorded) {
    Scene s = Scene::healthy();
    s.seen.record->system_identifier = SystemIdentifier();
    s.seen.published.reset();
    const auto plan = s.plan();
    const auto* write = only<WriteRecord>(plan);
    ASSERT_NE(write, nullptr);
    EXPECT_EQ(write->record.system_identifier, SystemIdentifier("777"));
}

struct Adoption : testing::Test {
    Scene s = Scene::empty();
    void SetUp() override {
        for (int n = 1; n <= 3; ++n) {
            s.add(n).kept_volume = true;
            Report& r = s.report(n);
            r.state = PostgresState::Stopped;
            r.system_identifier = SystemIdentifier("777");
            r.timeline = Timeline(2);
            r.epoch = Epoch(5);
            r.end_of_wal = Lsn(100);
        }
    }
};

TEST_F(Adoption, GivenKeptVolumes_WhenOneHasNotReported_ThenNobodyLeads) {
    s.at(3).report.reset();
    const Plan plan = s.plan();
    EXPECT_EQ(only<WriteRecord>(plan), nullptr);
    EXPECT_EQ(finding(plan, "Ready")->reason, "WaitingForVolumes");
}

TEST_F(Adoption, GivenKeptVolumes_WhenAllReported_ThenTheNewestTimelineLeadsAboveEveryEpoch) {
    s.report(1).end_of_wal = Lsn(900);  // more WAL, but on an older timeline (INV-6)
    s.report(2).timeline = Timeline(3);
    s.report(3).fenced = Epoch(8);
    const Plan plan = s.plan();
    const auto* write = only<WriteRecord>(plan);
    ASSERT_NE(write, nullptr);
    EXPECT_EQ(write->record.holder, InstanceName("orders-2"));
    EXPECT_EQ(write->record.epoch, Epoch(9));
    EXPECT_EQ(write->record.phase, Phase::Promoting);
}

TEST_F(Adoption, GivenEqualTimelines_WhenAdopted_ThenTheHighestLsnLeads) {
    s.report(3).end_of_wal = Lsn(200);
    const Plan plan = s.plan();
    EXPECT_EQ(only<WriteRecord>(plan)->record.holder, InstanceName("orders-3"));
}

TEST_F(Adoption, GivenDataOfTwoClusters_WhenAdopted_ThenNothingIsStarted) {
    s.report(2).system_identifier = SystemIdentifier("888");
    const Plan plan = s.plan();
    EXPECT_EQ(only<WriteRecord>(plan), nullptr);
    EXPECT_EQ(finding(plan, "Ready")->reason, "ForeignData");
}

TEST_F(Adoption, GivenALostRecord_WhenItsMasterStillServes_ThenTheRecordIsWrittenAsItSays) {
    Report& r = s.report(1);
    r.state = PostgresState::Running;
    r.in_recovery = Known::No;
    r.epoch_id = EpochId("five");
    const Plan plan = s.plan();
    const auto* write = only<WriteRecord>(plan);
    ASSERT_NE(write, nullptr);
    EXPECT_EQ(write->record.epoch, Epoch(5));
    EXPECT_EQ(write->record.epoch_id, EpochId("five"));
    EXPECT_EQ(write->record.phase, Phase::Serving);
}

TEST(Start, GivenADeletedCluster_WhenDecided_ThenNothingIsMadeAnew) {
    Scene s = Scene::healthy();
    s.seen.deleting = true;
    s.at(3).exists = false;
    const Plan plan = s.plan();
    EXPECT_EQ(plan.phase, "Deleting");
    EXPECT_TRUE(plan.steps.empty());
}

TEST(Start, GivenALeaseThatIsNoRecord_WhenDecided_ThenItIsToldAndNothingIsChanged) {
    Scene s = Scene::healthy();
    s.seen.record_trouble = "Lease orders: no annotation";
    const Plan plan = s.plan();
    EXPECT_EQ(plan.phase, "Blocked");
    EXPECT_TRUE(plan.steps.empty());
    ASSERT_NE(finding(plan, "Ready"), nullptr);
    EXPECT_EQ(finding(plan, "Ready")->reason, "RecordUnreadable");
}

// A record, and no data yet.
struct Initializing : testing::Test {
    Scene s = Scene::empty();
    void SetUp() override {
        for (int n = 1; n <= 3; ++n) s.add(n);
        const Plan plan = s.plan();
        const auto* write = only<WriteRecord>(plan);
        ASSERT_NE(write, nullptr);
        s.seen.record = write->record;
        s.seen.record->version = ResourceVersion("2");
        s.seen.mandate.term_written = kNow;
    }
};

TEST_F(Initializing, GivenItsFirstPodWasReplaced_WhenNothingWasMade_ThenTheNextOneHoldsTheEpoch) {
    s.at(1).pod = s.report(1).pod = PodUid("another");
    const Plan plan = s.plan();
    const auto* write = only<WriteRecord>(plan);
    ASSERT_NE(write, nullptr);
    EXPECT_EQ(write->record.holder_pod, PodUid("another"));
    EXPECT_EQ(write->record.epoch, Epoch(1));
    s.report(1).state = PostgresState::Stopped;
    EXPECT_EQ(only<WriteRecord>(s.plan()), nullptr) << "the former pod may have acknowledged";
}

TEST_F(Initializing, GivenTheFirstInstanceIsGone_WhenDecided_ThenItIsMadeAgain) {
    s.seen.instances.erase(s.seen.instances.begin());
    const Plan plan = s.plan();
    const auto* made = only<CreateInstance>(plan);
    ASSERT_NE(made, nullptr);
    EXPECT_EQ(made->instance, InstanceName("orders-1"));
}

TEST_F(Initializing, GivenInitdbFailed_WhenDecided_ThenItIsToldWhy) {
    const Plan first = s.plan();
    const Order* order = order_to(first, 1);
    ASSERT_NE(order, nullptr);
    ASSERT_EQ(order->kind, OrderKind::Initialize);
    s.obeyed(1, order->id.value, OrderState::Failed);
    s.report(1).order.message = "initdb: no locale";
    const Plan plan = s.plan();
    const auto failed = std::find_if(plan.findings.begin(), plan.findings.end(),
                                     [](const auto& f) { return f.reason == "InitializeFailed"; });
    ASSERT_NE(failed, plan.findings.end());
    EXPECT_EQ(failed->message, "initdb: no locale");
}

}  // namespace
}  // namespace matriarch::decide
