#include "decide/scene.h"

namespace matriarch::decide {
namespace {

TEST(Steady, GivenMoreSlavesWanted_WhenAsked_ThenAPositionIsAppended) {
    Scene s = Scene::healthy();
    s.seen.spec.slaves = 3;
    const auto plan = s.plan();
    const auto* write = only<WriteRecord>(plan);
    ASSERT_NE(write, nullptr);
    EXPECT_EQ(write->record.positions.back(), InstanceName("orders-4"));
}

TEST(Steady, GivenFewerSlavesWanted_WhenAsked_ThenTheLastPositionLeavesNeverTheMaster) {
    Scene s = Scene::healthy();
    s.seen.spec.slaves = 1;
    const auto plan = s.plan();
    const auto* write = only<WriteRecord>(plan);
    ASSERT_NE(write, nullptr);
    EXPECT_THAT(write->record.positions, testing::ElementsAre(InstanceName("orders-2")));
    s.seen.record = write->record;
    const auto next = s.plan();
    ASSERT_NE(only<RemoveInstance>(next), nullptr);
    EXPECT_EQ(only<RemoveInstance>(next)->instance, InstanceName("orders-3"));
}

TEST(Steady, GivenASlaveWithoutAGoal_WhenItsSlotExists_ThenItFollows) {
    Scene s = Scene::healthy();
    s.obeyed(3, "", OrderState::None);
    const auto plan = s.plan();
    ASSERT_NE(order_to(plan, 3), nullptr);
    EXPECT_EQ(order_to(plan, 3)->kind, OrderKind::Follow);
}

TEST(Steady, GivenASlaveWithoutASlot_WhenAsked_ThenItWaitsForIt) {
    Scene s = Scene::healthy();
    s.obeyed(3, "", OrderState::None);
    s.report(1).slots.pop_back();
    EXPECT_EQ(order_to(s.plan(), 3), nullptr);
}

TEST(Steady, GivenAnOrderJustSent_WhenAskedAgain_ThenItIsNotRepeatedAtOnce) {
    Scene s = Scene::healthy();
    s.obeyed(3, "", OrderState::None);
    s.at(3).sent = SentOrder{OrderId("follow/4/orders-1"), Incarnation("inc-3"), kNow, ""};
    EXPECT_EQ(order_to(s.plan(), 3), nullptr);
    s.at(3).sent->at = kNow - seconds(3);
    EXPECT_NE(order_to(s.plan(), 3), nullptr);
}

TEST(Steady, GivenAnOldConfiguration_WhenSeen_ThenItIsSent) {
    Scene s = Scene::healthy();
    s.at(2).config.parameters["work_mem"] = "8MB";
    const auto plan = s.plan();
    ASSERT_NE(order_to(plan, 2), nullptr);
    EXPECT_EQ(order_to(plan, 2)->kind, OrderKind::Configure);
    EXPECT_EQ(orders_in(plan), 1u);
}

TEST(Steady, GivenARefusedConfiguration_WhenItIsTakenBack_ThenTheAgentIsTold) {
    Scene s = Scene::healthy();
    s.report(2).parameter_troubles = {{"work_mem", "invalid"}};
    s.at(2).config.parameters["work_mem"] = "a lot";
    const auto plan = s.plan();
    ASSERT_NE(order_to(plan, 2), nullptr);
    s.at(2).configured =
        SentOrder{order_to(plan, 2)->id, Incarnation("inc-2"), kNow - seconds(5), ""};
    EXPECT_EQ(order_to(s.plan(), 2), nullptr) << "it has been refused, and still would be";
    s.at(2).config.parameters.erase("work_mem");
    EXPECT_NE(order_to(s.plan(), 2), nullptr);
}

TEST(Steady, GivenPendingRestarts_WhenAllStream_ThenSlavesRestartFirstOneAtATime) {
    Scene s = Scene::healthy();
    for (int n : {1, 2, 3}) s.report(n).restart_pending = true;
    const auto plan = s.plan();
    ASSERT_EQ(orders_in(plan), 1u);
    EXPECT_EQ(order_to(plan, 2)->kind, OrderKind::Restart);
    s.report(2).restart_pending = s.report(3).restart_pending = false;
    EXPECT_EQ(order_to(s.plan(), 1)->kind, OrderKind::Restart);
    s.report(3).receiving = false;
    EXPECT_EQ(order_to(s.plan(), 1), nullptr) << "not while a slave is away";
}

TEST(Steady, GivenOutdatedPods_WhenAllStream_ThenTheyAreReplacedOneAtATimeTheMasterLast) {
    Scene s = Scene::healthy();
    for (int n : {1, 2, 3}) s.at(n).pod_outdated = true;
    const auto first = s.plan();
    ASSERT_NE(only<ReplacePod>(first), nullptr);
    EXPECT_EQ(only<ReplacePod>(first)->instance, InstanceName("orders-2"));
    s.at(2).pod_outdated = false;
    s.report(2).receiving = false;
    EXPECT_EQ(only<ReplacePod>(s.plan()), nullptr) << "orders-2 is not back yet";
    s.report(2).receiving = true;
    s.at(3).pod_outdated = false;
    const auto last = s.plan();
    ASSERT_NE(only<ReplacePod>(last), nullptr);
    EXPECT_EQ(only<ReplacePod>(last)->instance, InstanceName("orders-1"));
    EXPECT_EQ(only<ReplacePod>(last)->pod, PodUid("uid-1"));
}

TEST(Orders, GivenLeadershipEndsSoon_WhenAnOrderIsMade_ThenItIsValidNoLonger) {
    Scene s = Scene::healthy();
    s.obeyed(3, "", OrderState::None);
    s.seen.leadership_until = kNow + milliseconds(700);
    s.at(3).reported_at = kNow - milliseconds(300);
    EXPECT_EQ(order_to(s.plan(), 3)->valid_for, milliseconds(1000));
}

TEST(Steady, GivenInstancesWithoutStatefulSets_WhenDecided_ThenTheyAreMadeAgain) {
    Scene s = Scene::healthy();
    s.at(1).exists = s.at(3).exists = false;
    std::vector<std::string> made;
    const Plan plan = s.plan();
    for (const auto& step : plan.steps)
        if (const auto* create = std::get_if<CreateInstance>(&step.action))
            made.push_back(create->instance.value);
    EXPECT_THAT(made, testing::UnorderedElementsAre("orders-1", "orders-3"));
}

TEST(Steady, GivenNoSlotForASlave_WhenDecided_ThenItFollowsOnceThereIsOne) {
    Scene s = Scene::healthy();
    s.report(2).order = OrderProgress{};
    ASSERT_NE(order_to(s.plan(), 2), nullptr);
    s.report(1).slots.clear();
    EXPECT_EQ(order_to(s.plan(), 2), nullptr);
}

}  // namespace
}  // namespace matriarch::decide
