#include "operator/kill_points.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace matriarch::op {
namespace {

AuthorityRecord record_of(Phase phase, std::uint64_t epoch) {
    AuthorityRecord r;
    r.phase = phase;
    r.epoch = Epoch(epoch);
    return r;
}

TEST(KillPoints, GivenThePlanOfAFailover_WhenAsked_ThenEachStepHasAName) {
    const auto serving = std::optional(record_of(Phase::Serving, 4));
    const auto promoting = decide::WriteRecord{record_of(Phase::Promoting, 5)};
    EXPECT_EQ(kill_point_of(promoting, serving, {}), "record-promoting");
    EXPECT_EQ(
        kill_point_of(decide::WriteRecord{record_of(Phase::Serving, 5)}, promoting.record, {}),
        "record-serving");
    decide::SendOrder order;
    order.order.kind = OrderKind::Fence;
    EXPECT_EQ(kill_point_of(order, serving, {}), "order-fence");
    decide::PublishRoutes routes;
    routes.routes.epoch = Epoch(5);
    EXPECT_EQ(kill_point_of(routes, serving, {}), "routes-none");
    routes.routes.master = MasterRoute{};
    EXPECT_EQ(kill_point_of(routes, serving, {}), "routes-master");
}

TEST(KillPoints, GivenStepsOfEveryDay_WhenAsked_ThenTheyHaveNone) {
    const auto serving = std::optional(record_of(Phase::Serving, 4));
    auto same = *serving;
    same.candidates.version = 7;
    EXPECT_EQ(kill_point_of(decide::WriteRecord{same}, serving, {}), "");
    Routes routes;
    routes.epoch = Epoch(4);
    auto newer = routes;
    newer.sequence = 9;
    EXPECT_EQ(kill_point_of(decide::PublishRoutes{newer}, serving, routes), "");
    EXPECT_EQ(kill_point_of(decide::CreateInstance{}, serving, {}), "");
}

#ifdef MATRIARCH_KILL_POINTS
class KillPointsDeath : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ =
            std::filesystem::temp_directory_path() / ("kill-points-" + std::to_string(getpid()));
        std::filesystem::create_directory(folder_);
        setenv("MATRIARCH_KILL_POINTS", folder_.c_str(), 1);
    }
    void TearDown() override {
        unsetenv("MATRIARCH_KILL_POINTS");
        std::filesystem::remove_all(folder_);
    }
    void arm(const char* point) const { std::ofstream(folder_ / point) << ""; }
    std::filesystem::path folder_;
};

TEST_F(KillPointsDeath, GivenAnArmedPoint_WhenItIsReached_ThenTheProcessDiesOnce) {
    arm("after-order-fence");
    EXPECT_EXIT(
        {
            reach_before("order-fence");
            reach_after("order-halt");
            reach_after("order-fence");
            _exit(0);
        },
        ::testing::ExitedWithCode(137), "");
    reach_after("order-fence");  // the next process: its file is gone
    EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(KillPointsDeath, GivenNoFolder_WhenAPointIsReached_ThenNobodyDies) {
    arm("detected");
    unsetenv("MATRIARCH_KILL_POINTS");
    reach(kDetected);
    SUCCEED();
}
#endif

}  // namespace
}  // namespace matriarch::op
