#include "decide/poolers.h"

#include "decide/scene.h"

namespace matriarch::decide {
namespace {

struct Pooled : testing::Test {
    Scene s = Scene::healthy();
    void SetUp() override {
        s.seen.spec.pooler.instances = 2;
        s.seen.poolers = {{"p1", true, "", ""}, {"p2", true, "", ""}};
        s.seen.spec.failover.target = "slave1";
        s.seen.spec.failover.request_id = "r1";
    }
    // What the next look sees once the plan's routes are published, `ago`.
    void publish(const Plan& plan, Duration ago = milliseconds(10)) {
        const auto* step = only<PublishRoutes>(plan);
        ASSERT_NE(step, nullptr);
        s.seen.published = step->routes;
        s.seen.published_at = kNow - ago;
    }
    void answer(const char* pod) {
        for (auto& pooler : s.seen.poolers)
            if (pooler.pod == pod) pooler.holds = s.seen.published->pause;
    }
};

TEST_F(Pooled, GivenASwitchover_WhenItBegins_ThenWritersWaitBeforeTheMasterIsStopped) {
    const Plan first = s.plan();
    EXPECT_EQ(orders_in(first), 0u);
    publish(first);
    EXPECT_EQ(s.seen.published->pause, "epoch 4, request r1");
    EXPECT_TRUE(s.seen.published->master.has_value()) << "it serves those who are not pooled";
    answer("p1");
    EXPECT_EQ(orders_in(s.plan()), 0u) << "p2 has not answered";
    answer("p2");
    const Plan plan = s.plan();
    ASSERT_NE(order_to(plan, 1), nullptr);
    EXPECT_EQ(order_to(plan, 1)->kind, OrderKind::Fence);
}

TEST_F(Pooled, GivenAPoolerThatTakesNoClients_WhenTheOthersWait_ThenItIsNotWaitedFor) {
    s.seen.poolers[1].ready = false;
    publish(s.plan());
    answer("p1");
    EXPECT_NE(order_to(s.plan(), 1), nullptr);
}

TEST_F(Pooled, GivenALongTransaction_WhenPatienceEnds_ThenTheChangeGoesOn) {
    publish(s.plan(), milliseconds(650));
    const Plan waiting = s.plan();
    EXPECT_EQ(orders_in(waiting), 0u);
    EXPECT_LE(waiting.recheck, milliseconds(50));
    s.seen.published_at = kNow - milliseconds(700);
    EXPECT_NE(order_to(s.plan(), 1), nullptr);
}

TEST_F(Pooled, GivenAnswersToAnEarlierChange_WhenAnotherOneBegins_ThenTheyDoNotCount) {
    s.seen.poolers[0].holds = s.seen.poolers[1].holds = "epoch 4, request r0";
    publish(s.plan());
    EXPECT_EQ(orders_in(s.plan()), 0u);
}

TEST_F(Pooled, GivenARequestThatIsTakenBack_WhenLookedAtAgain_ThenWritersAreLetGo) {
    publish(s.plan());
    s.seen.spec.failover.target.clear();
    publish(s.plan());
    EXPECT_EQ(s.seen.published->pause, "");
}

TEST_F(Pooled, GivenTheMasterStops_WhenItsEndIsWaitedFor_ThenWritersWaitOn) {
    publish(s.plan());
    answer("p1");
    answer("p2");
    s.postmaster_died(1);
    s.report(1).state = PostgresState::Stopping;
    EXPECT_EQ(only<PublishRoutes>(s.plan()), nullptr);
}

TEST_F(Pooled, GivenARestartOfTheMaster_WhenItBegins_ThenWritersWaitForItToo) {
    s.seen.spec.failover.target.clear();
    s.report(1).restart_pending = true;
    const Plan first = s.plan();
    EXPECT_EQ(orders_in(first), 0u);
    publish(first);
    answer("p1");
    answer("p2");
    const Plan plan = s.plan();
    ASSERT_NE(order_to(plan, 1), nullptr);
    EXPECT_EQ(order_to(plan, 1)->kind, OrderKind::Restart);
}

TEST_F(Pooled, GivenARestartOfASlave_WhenItBegins_ThenNobodyWaits) {
    s.seen.spec.failover.target.clear();
    s.report(2).restart_pending = true;
    const Plan plan = s.plan();
    EXPECT_EQ(plan.pause, "");
    ASSERT_NE(order_to(plan, 2), nullptr);
}

TEST_F(Pooled, GivenPoolers_WhenOneHasATrouble_ThenTheConditionNamesIt) {
    s.seen.poolers[1] = {"p2", false, "container pgbouncer: ImagePullBackOff", ""};
    const Plan plan = s.plan();
    const auto* f = finding(plan, "PoolerReady");
    ASSERT_NE(f, nullptr);
    EXPECT_TRUE(f->holds);
    EXPECT_EQ(f->reason, "SomeReady");
    EXPECT_EQ(f->message, "1 of 2 poolers take clients; p2: container pgbouncer: ImagePullBackOff");
}

}  // namespace
}  // namespace matriarch::decide
