#include "agent/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace matriarch::agent {
namespace {

using ::testing::HasSubstr;

class Gate : public ::testing::Test {
  protected:
    Gate() {
        state.term = Term(3);
        state.epoch = Epoch(5);
        state.epoch_id = EpochId("five");
        view.incarnation = Incarnation("me");
        view.now = milliseconds(10000);
        view.state = &state;
        view.data = DataFacts::Kind::Complete;
        view.data_known = true;
        view.system_identifier = SystemIdentifier("42");
    }
    Order order(OrderKind kind) const {
        Order o;
        o.kind = kind;
        o.term = Term(3);
        o.epoch = Epoch(5);
        o.epoch_id = EpochId("five");
        o.incarnation = Incarnation("me");
        o.clock_reading = milliseconds(9000);
        o.valid_for = milliseconds(3000);
        o.system_identifier = SystemIdentifier("42");
        o.upstream = Upstream{InstanceName("a-1"), "a-1", "", 5432};
        o.proof = Proof{ProofKind::ConfirmedFence, InstanceName("a-1"), PodUid("p"), Epoch(4), {}};
        return o;
    }
    void expect_refused(const Order& o, const char* why) {
        const auto answer = refusal(o, view);
        ASSERT_TRUE(answer.has_value()) << why;
        EXPECT_THAT(*answer, HasSubstr(why));
    }
    void expect_accepted(const Order& o) {
        const auto answer = refusal(o, view);
        EXPECT_FALSE(answer.has_value()) << *answer;
    }
    State state;
    GateView view;
};

TEST_F(Gate, GivenAnOrderOfNow_WhenAsked_ThenItIsAccepted) {
    for (auto kind : {OrderKind::Follow, OrderKind::Halt, OrderKind::Fence, OrderKind::Lead,
                      OrderKind::Promote, OrderKind::Restart, OrderKind::Checkpoint})
        expect_accepted(order(kind));
}

TEST_F(Gate, GivenAnExpiry_WhenPromisesMayStand_ThenThePromotionIsRefused_INV1) {
    auto o = order(OrderKind::Promote);
    o.epoch = Epoch(6);
    o.epoch_id = EpochId("six");
    o.proof->epoch = Epoch(5);
    o.proof->kind = ProofKind::Expiry;
    expect_refused(o, "promises are still made for epoch 5");
    view.withheld = Epoch(4);
    expect_refused(o, "promises are still made for epoch 5");
    view.withheld = Epoch(5);
    view.promised = std::chrono::milliseconds(321);
    expect_refused(o, "stands for another 321 ms");
    view.promised = std::chrono::milliseconds(0);
    expect_accepted(o);
    // Accepted before and told again: its withholding was lifted by itself.
    view.withheld = Epoch(0);
    view.promised = std::chrono::milliseconds(99);
    state.epoch = o.epoch;
    state.epoch_id = o.epoch_id;
    expect_accepted(o);
}

TEST_F(Gate, GivenAnotherProof_WhenAPromiseStands_ThenThePromotionIsNotHeldUp) {
    view.promised = std::chrono::milliseconds(5000);
    for (auto kind : {ProofKind::ConfirmedFence, ProofKind::AdministratorsWord}) {
        auto o = order(OrderKind::Promote);
        o.epoch = Epoch(6);
        o.epoch_id = EpochId("six");
        o.proof->epoch = Epoch(5);
        o.proof->kind = kind;
        expect_accepted(o);
    }
}

TEST_F(Gate, GivenAnOrderForAnother_WhenAsked_ThenItIsRefused) {
    auto o = order(OrderKind::Fence);
    o.incarnation = Incarnation("another");
    expect_refused(o, "meant for incarnation");
}

TEST_F(Gate, GivenAnExpiredOrder_WhenAsked_ThenItIsRefusedToTheMillisecond) {
    auto o = order(OrderKind::Fence);
    o.valid_for = milliseconds(1000);
    expect_accepted(o);
    o.valid_for = milliseconds(999);
    expect_refused(o, "expired 1 ms ago");
}

TEST_F(Gate, GivenALowerTermOrEpoch_WhenAsked_ThenItIsRefused_INV2) {
    auto o = order(OrderKind::Follow);
    o.term = Term(2);
    expect_refused(o, "term 2 is over");
    o = order(OrderKind::Follow);
    o.epoch = Epoch(4);
    expect_refused(o, "epoch 4 is over");
    o = order(OrderKind::Follow);
    o.epoch_id = EpochId("also five");
    expect_refused(o, "epoch 5 has id five");
    o.epoch = Epoch(6);
    o.term = Term(4);
    expect_accepted(o);
}

TEST_F(Gate, GivenAFence_WhenOrderedToServeThatEpoch_ThenItIsRefused) {
    state.fenced = Epoch(5);
    expect_refused(order(OrderKind::Lead), "fenced at epoch 5");
    expect_refused(order(OrderKind::Promote), "fenced at epoch 5");
    expect_accepted(order(OrderKind::Follow));
    expect_accepted(order(OrderKind::Fence));
    auto next = order(OrderKind::Lead);
    next.epoch = Epoch(6);
    expect_accepted(next);
}

TEST_F(Gate, GivenAPromotion_WhenItsProofIsMissingOrStale_ThenItIsRefused) {
    auto o = order(OrderKind::Promote);
    o.epoch = Epoch(6);
    o.epoch_id = EpochId("six");
    o.proof->epoch = Epoch(5);
    expect_accepted(o);
    o.proof->epoch = Epoch(6);
    expect_refused(o, "not one before 6");
    o.proof->epoch = Epoch(4);
    expect_refused(o, "epoch 5 was here since");
    o.proof.reset();
    expect_refused(o, "needs a proof");
}

TEST_F(Gate, GivenData_WhenOrderedToInitialize_ThenItIsRefused_INV3) {
    auto o = order(OrderKind::Initialize);
    o.config = InstanceConfig{};
    expect_refused(o, "the cluster has data already");
    o.system_identifier = SystemIdentifier();
    expect_refused(o, "nothing is ever made over it");
    view.data = DataFacts::Kind::Broken;
    expect_refused(o, "nothing is ever made over it");
    state.initialized_for = EpochId("five");
    expect_accepted(o);  // cut after initdb: goes on with what it made
    state.initialized_for = EpochId();
    view.data = DataFacts::Kind::None;
    expect_accepted(o);
    view.data_known = false;
    expect_refused(o, "not been looked at");
}

TEST_F(Gate, GivenASlavesData_WhenOrderedToLead_ThenItIsRefused) {
    view.data_standby = true;
    expect_refused(order(OrderKind::Lead), "needs Promote");
    view.runs = true;
    view.in_recovery = Known::Yes;
    expect_refused(order(OrderKind::Lead), "needs Promote");
}

TEST_F(Gate, GivenAServingMaster_WhenOrderedToFollow_ThenOnlyInANewerEpoch) {
    view.runs = true;
    view.in_recovery = Known::No;
    expect_refused(order(OrderKind::Follow), "serves as master");
    expect_refused(order(OrderKind::Halt), "serves as master");
    auto o = order(OrderKind::Follow);
    o.epoch = Epoch(6);
    expect_accepted(o);
}

TEST_F(Gate, GivenAnUnreadableState_WhenOrderedToServe_ThenItIsRefused) {
    view.state = nullptr;
    expect_refused(order(OrderKind::Lead), "must not lead");
    expect_refused(order(OrderKind::Promote), "must not lead");
    expect_refused(order(OrderKind::Initialize), "must not lead");
    expect_accepted(order(OrderKind::Fence));
    expect_accepted(order(OrderKind::Follow));
}

TEST_F(Gate, GivenAnotherDatabase_WhenOrdered_ThenOnlyAFenceIsObeyed) {
    view.system_identifier = SystemIdentifier("43");
    expect_refused(order(OrderKind::Follow), "system identifier 43");
    expect_refused(order(OrderKind::Lead), "system identifier 43");
    expect_accepted(order(OrderKind::Fence));
}

TEST_F(Gate, GivenAnEndingAgent_WhenOrdered_ThenOnlyAFenceIsObeyed) {
    view.stopping = true;
    expect_refused(order(OrderKind::Lead), "ending");
    expect_accepted(order(OrderKind::Fence));
}

}  // namespace
}  // namespace matriarch::agent
