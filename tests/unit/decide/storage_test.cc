// What endangers data slowly: full volumes, WAL that grows, a last copy.
#include "decide/findings.h"
#include "scene.h"

namespace matriarch::decide {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::uint64_t kGiB = 1u << 30;

struct Storage : testing::Test {
    Scene s = Scene::healthy();
    void SetUp() override {
        for (const int n : {1, 2, 3}) volume(n, 60, 5);
    }
    // Percent of 10 GiB.
    void volume(int n, std::uint64_t free, std::uint64_t wal) {
        s.report(n).volume_size = Bytes(10 * kGiB);
        s.report(n).volume_free = Bytes(free * kGiB / 10);
        s.report(n).wal_size = Bytes(wal * kGiB / 10);
    }
    Finding said(const char* type) const {
        const auto plan = s.plan();
        const auto* f = finding(plan, type);
        return f != nullptr ? *f : Finding{};
    }
};

TEST_F(Storage, GivenRoomEverywhere_WhenAsked_ThenNothingIsInDanger) {
    EXPECT_TRUE(said("StorageSufficient").holds);
    EXPECT_TRUE(said("CopiesSufficient").holds);
    EXPECT_EQ(s.plan().phase, "Ready");
}

TEST_F(Storage, GivenAVolumeNearlyFull_WhenSeen_ThenInstanceFieldAndRemedyAreNamed) {
    volume(2, 14, 5);
    const auto f = said("StorageSufficient");
    EXPECT_FALSE(f.holds);
    EXPECT_EQ(f.reason, "VolumeNearlyFull");
    EXPECT_THAT(f.message, HasSubstr("orders-2: less than 15 % of its volume of 10 GiB is free"));
    EXPECT_THAT(f.message, HasSubstr("spec.storage.size"));
    EXPECT_THAT(f.message, Not(HasSubstr("orders-1")));
    EXPECT_TRUE(said("Ready").holds) << "a warning, not an outage";
    volume(2, 15, 5);
    EXPECT_TRUE(said("StorageSufficient").holds);
    volume(2, 4, 5);
    EXPECT_THAT(said("StorageSufficient").message, HasSubstr("less than 5 %"));
}

TEST_F(Storage, GivenWalKeptForADeadSlave_WhenItGrows_ThenThatSlaveIsNamed) {
    volume(1, 40, 46);
    s.report(1).written = s.report(1).flushed = Lsn(9 * kGiB);
    s.report(1).slots = {{"orders_2", true, "reserved", Lsn(9 * kGiB)},
                         {"orders_3", false, "extended", Lsn(5 * kGiB)}};
    const auto f = said("StorageSufficient");
    EXPECT_EQ(f.reason, "WalGrows");
    EXPECT_THAT(f.message, HasSubstr("orders-1: WAL takes more than 45 %"));
    EXPECT_THAT(f.message, HasSubstr("most of it kept for orders-3"));
    EXPECT_THAT(f.message, HasSubstr("spec.replication.maxSlotWalKeepSize"));
}

TEST_F(Storage, GivenAnOlderAgent_WhenItMeasuresNothing_ThenNothingIsSaidOfIt) {
    s.report(1).volume_size = s.report(1).volume_free = Bytes(0);
    EXPECT_TRUE(said("StorageSufficient").holds);
}

TEST_F(Storage, GivenOneUpToDateCopy_WhenTheOthersAreAway_ThenItIsCalledTheLast_INV3) {
    s.at(2).reachable = false;
    s.report(3).received = s.report(3).replayed = Lsn(1);
    s.seen.spec.failover.max_lag = Bytes(100);
    const auto f = said("CopiesSufficient");
    EXPECT_FALSE(f.holds);
    EXPECT_EQ(f.reason, "LastCopy");
    EXPECT_THAT(f.message, HasSubstr("orders-1 has the only copy"));
    EXPECT_THAT(f.message, HasSubstr("bring back orders-2, orders-3"));
    volume(1, 3, 5);
    EXPECT_EQ(said("CopiesSufficient").reason, "LastCopyInDanger");
}

TEST_F(Storage, GivenNobodyWithTheNewestData_WhenAsked_ThenItIsSaid) {
    for (const int n : {1, 2, 3}) s.at(n).reachable = false;
    EXPECT_EQ(said("CopiesSufficient").reason, "NoCopy");
}

TEST_F(Storage, GivenANewCluster_WhenItsSlavesAreBeingCloned_ThenNobodyIsAlarmed) {
    s.seen.record->epoch = Epoch(1);
    for (const int n : {2, 3}) s.report(n).state = PostgresState::Cloning;
    const auto plan = s.plan();
    EXPECT_EQ(finding(plan, "CopiesSufficient"), nullptr);
    s.seen.record->epoch = Epoch(2);
    EXPECT_EQ(said("CopiesSufficient").reason, "LastCopy");
}

TEST_F(Storage, GivenAClusterOfOne_WhenAsked_ThenOneCopyIsWhatWasAskedFor) {
    s.seen.spec.slaves = 0;
    const Facts facts(s.seen, s.policy, kNow);
    EXPECT_FALSE(about_copies(facts));
}

struct FullVolume : Storage {
    void SetUp() override {
        Storage::SetUp();
        fill(1);
        ASSERT_TRUE(handed_over());
    }
    void fill(int n) {
        volume(n, 0, 5);
        s.report(n).volume_full = seconds(3);
    }
    bool handed_over() const {
        const auto plan = s.plan();
        const auto* order = order_to(plan, 1);
        return order != nullptr && order->kind == OrderKind::Fence;
    }
};

TEST_F(FullVolume, GivenASlaveWithRoom_WhenTheMasterHasNone_ThenItIsStoppedCleanlyForThatSlave) {
    const auto plan = s.plan();
    EXPECT_EQ(plan.rule, "leave_full_volume");
    EXPECT_TRUE(order_to(plan, 1)->clean);
    EXPECT_EQ(order_to(plan, 1)->heir, InstanceName("orders-2"));
    EXPECT_EQ(said("MasterServing").reason, "VolumeFull");
    fill(2);
    EXPECT_EQ(order_to(s.plan(), 1)->heir, InstanceName("orders-3")) << "slave1 has no room either";
}

TEST_F(FullVolume, GivenNoSlaveWithRoom_WhenTheMasterHasNone_ThenItStays) {
    fill(2);
    volume(3, 0, 5);  // nearly
    EXPECT_FALSE(handed_over());
    s.report(3).volume_size = s.report(3).volume_free = Bytes(0);  // not measured
    EXPECT_FALSE(handed_over());
    EXPECT_FALSE(said("MasterServing").holds);
}

TEST_F(FullVolume, GivenItIsFullForAMoment_WhenDecided_ThenNothingHappens) {
    s.report(1).volume_full = milliseconds(2999);
    EXPECT_FALSE(handed_over());
    EXPECT_TRUE(said("MasterServing").holds);
}

TEST_F(FullVolume, GivenAnotherMode_WhenTheMasterHasNoRoom_ThenItIsOnlySaid) {
    s.seen.spec.failover.mode = FailoverMode::Manual;
    EXPECT_FALSE(handed_over());
    EXPECT_EQ(said("MasterServing").reason, "VolumeFull");
}

}  // namespace
}  // namespace matriarch::decide
