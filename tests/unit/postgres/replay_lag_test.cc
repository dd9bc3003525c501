#include "postgres/replay_lag.h"

#include <gtest/gtest.h>

namespace matriarch::postgres {
namespace {

using std::chrono::milliseconds;

struct ReplayLagTest : testing::Test {
    ReplayLag lag;
    TimePoint now{std::chrono::hours(1)};

    // A look each 150 ms, as the probe's.
    void look(std::uint64_t end, std::uint64_t replayed, bool streaming = true,
              milliseconds commit_age = std::chrono::hours(1)) {
        now += milliseconds(150);
        lag.sample({streaming, Lsn(end), Lsn(replayed), commit_age}, now);
    }
    milliseconds at() const { return lag.at(now); }
};

TEST_F(ReplayLagTest, GivenAMasterThatWasIdleForAnHour_WhenItWritesAgain_ThenTheSlaveIsNotLate) {
    look(1000, 1000);
    EXPECT_EQ(at(), milliseconds(0)) << "all is replayed, however old";
    look(2000, 1000);
    EXPECT_EQ(at(), milliseconds(0)) << "it has only just come";
    look(2000, 1000);
    EXPECT_EQ(at(), milliseconds(150));
    look(2000, 2000);
    EXPECT_EQ(at(), milliseconds(0));
}

TEST_F(ReplayLagTest, GivenABusyMaster_WhenReplayStandsStill_ThenLagGrowsWithTheClock) {
    look(1000, 1000);
    for (std::uint64_t i = 1; i <= 40; ++i) look(1000 + 100 * i, 1000);
    EXPECT_EQ(at(), milliseconds(150 * 39));
    look(5100, 4950);
    EXPECT_GE(at(), milliseconds(150)) << "the last of it waits";
    EXPECT_LE(at(), milliseconds(150 + 150 * 40 / 32)) << "overstated a little at most";
}

TEST_F(ReplayLagTest, GivenWalThatOnlyTheUpstreamHas_WhenItDoesNotArrive_ThenItIsLagToo) {
    look(1000, 1000);
    for (int i = 0; i < 21; ++i) look(9000, 1000);
    EXPECT_EQ(at(), milliseconds(3000));
}

TEST_F(ReplayLagTest, GivenAFreshStart_WhenWalWaits_ThenItIsAsOldAsTheLastCommitAllows) {
    look(9000, 1000, true, milliseconds(60000));
    EXPECT_EQ(at(), milliseconds(60000));
    look(9000, 5000, true, milliseconds(30000));
    EXPECT_GE(at(), milliseconds(60000)) << "what was there at first is as old as it was";
    look(9000, 9000, true, milliseconds(30000));
    EXPECT_EQ(at(), milliseconds(0));
}

TEST_F(ReplayLagTest, GivenALostStream_WhenTimePasses_ThenThatTimeIsLag) {
    look(1000, 1000);
    for (int i = 0; i < 20; ++i) look(1000, 1000, false);
    EXPECT_EQ(at(), milliseconds(3000));
    look(5000, 1000, true);
    EXPECT_EQ(at(), milliseconds(3150)) << "what came meanwhile may be as old as the loss";
    look(5000, 5000, true);
    EXPECT_EQ(at(), milliseconds(0));
}

TEST_F(ReplayLagTest, GivenNoStreamEver_WhenAsked_ThenTheLastCommitsAgeCounts) {
    look(1000, 1000, false, milliseconds(7000));
    EXPECT_EQ(at(), milliseconds(7000));
}

TEST_F(ReplayLagTest, GivenANewMasterThatHasLess_WhenAllOfItsWalIsReplayed_ThenNothingIsLate) {
    look(9000, 1000);
    look(9000, 1000);
    look(2000, 1500);
    EXPECT_EQ(at(), milliseconds(300 + 60 * 60 * 1000)) << "since the first look";
    look(2000, 2000);
    EXPECT_EQ(at(), milliseconds(0));
}

TEST_F(ReplayLagTest, GivenHoursOfLag_WhenHalfIsReplayed_ThenItIsNeverUnderstated) {
    look(1000, 1000);
    const TimePoint began = now;
    std::uint64_t end = 1000;
    for (int i = 0; i < 20000; ++i) look(end += 10, 1000);
    EXPECT_EQ(at(), now - began - milliseconds(150));
    // Half of it is replayed: the rest is half as old, or a little more.
    look(end, 1000 + (end - 1000) / 2);
    const auto half = std::chrono::duration_cast<milliseconds>(now - began) / 2;
    EXPECT_GE(at(), half);
    EXPECT_LT(at(), half + half / 20);
}

TEST_F(ReplayLagTest, GivenARestartedServer_WhenSampled_ThenFormerPositionsMeanNothing) {
    look(9000, 1000);
    lag.restart();
    look(2000, 2000);
    EXPECT_EQ(at(), milliseconds(0));
}

}  // namespace
}  // namespace matriarch::postgres
