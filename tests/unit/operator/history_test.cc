#include "operator/history.h"

#include <gtest/gtest.h>

namespace matriarch::op {
namespace {

ChangeOfMaster change(std::int64_t epoch, const char* from, const char* to,
                      std::optional<Bytes> loss) {
    ChangeOfMaster c;
    c.epoch = epoch;
    c.from = from;
    c.to = to;
    c.loss = loss_text(loss);
    if (loss) c.loss_bytes = static_cast<std::int64_t>(loss->value);
    return c;
}

const InstanceName kOld{"orders-1"};
const ChangeOfMaster kEarlier = change(4, "orders-9", "orders-1", Bytes(0));

TEST(History, GivenAChangeWhoseOperatorDied_WhenTheRecordServes_ThenItIsToldOnceAndWithoutALoss) {
    AuthorityRecord record;
    record.epoch = Epoch(7);
    record.former = InstanceName("orders-1");
    record.holder = InstanceName("orders-2");
    record.phase = Phase::Serving;
    record.verified = true;
    std::vector<ChangeOfMaster> history(1);
    history[0].epoch = 6;
    const auto change = untold_change(history, record, WallTime{});
    ASSERT_TRUE(change.has_value());
    EXPECT_EQ(change->epoch, 7);
    EXPECT_EQ(change->from, "orders-1");
    EXPECT_EQ(change->to, "orders-2");
    EXPECT_EQ(change->loss, loss_text({})) << "nothing is known of it";
    record_change(history, *change);
    EXPECT_FALSE(untold_change(history, record, WallTime{}).has_value());
    record.epoch = Epoch(8);
    record.phase = Phase::Promoting;  // under way: it is told when it ends
    EXPECT_FALSE(untold_change(history, record, WallTime{}).has_value());
    EXPECT_FALSE(untold_change({}, AuthorityRecord{}, WallTime{}).has_value());
}

TEST(SettleLoss, GivenABound_WhenTheOldMasterWasRewound_ThenItBecomesExact) {
    const std::vector history{change(6, "orders-2", "orders-3", Bytes(0)),
                              change(5, "orders-1", "orders-2", Bytes(16384)), kEarlier};
    const auto exact = settle_loss(history, kOld, {RejoinedBy::Rewind, Epoch(6), Bytes(8192)});
    ASSERT_TRUE(exact);
    EXPECT_EQ(exact->epoch, 5);
    EXPECT_EQ(exact->loss_bytes, 8192);
    EXPECT_EQ(exact->loss, "8192 bytes of WAL, kept aside by orders-1");
    std::vector settled = history;
    record_change(settled, *exact);
    EXPECT_FALSE(settle_loss(settled, kOld, {RejoinedBy::Rewind, Epoch(6), Bytes(8192)}))
        << "it is told once";
}

TEST(SettleLoss, GivenAnUnknownLoss_WhenTheOldMasterFollows_ThenNothingWasLost) {
    const std::vector history{change(5, "orders-1", "orders-2", {}), kEarlier};
    const auto exact = settle_loss(history, kOld, {RejoinedBy::Following, Epoch(5), Bytes(0)});
    ASSERT_TRUE(exact);
    EXPECT_EQ(exact->loss, "none");
    EXPECT_EQ(exact->loss_bytes, 0);
}

TEST(SettleLoss, GivenNothingLostByProof_WhenTheOldMasterFollows_ThenThereIsNoNews) {
    const std::vector history{change(5, "orders-1", "orders-2", Bytes(0)), kEarlier};
    EXPECT_FALSE(settle_loss(history, kOld, {RejoinedBy::Following, Epoch(5), Bytes(0)}));
}

TEST(SettleLoss, GivenARejoinBeforeTheChange_WhenAsked_ThenItSettlesNothing) {
    const std::vector history{change(7, "orders-1", "orders-2", {}),
                              change(6, "orders-2", "orders-1", Bytes(0))};
    EXPECT_FALSE(settle_loss(history, kOld, {RejoinedBy::Following, Epoch(5), Bytes(0)}));
}

TEST(SettleLoss, GivenANewClone_WhenAsked_ThenTheBoundStays) {
    const std::vector history{change(5, "orders-1", "orders-2", Bytes(16384)), kEarlier};
    EXPECT_FALSE(settle_loss(history, kOld, {RejoinedBy::Clone, Epoch(5), Bytes(0)}));
    EXPECT_FALSE(settle_loss(history, kOld, {}));
}

// Found by simulation: an operator died before it told of epoch 6, in which orders-1 led again.
TEST(SettleLoss, GivenAChangeThatWasNeverTold_WhenTheInstanceRejoinsAfterIt_ThenThatIsNoWord) {
    const std::vector history{change(5, "orders-1", "orders-2", Bytes(16384)), kEarlier};
    EXPECT_FALSE(settle_loss(history, kOld, {RejoinedBy::Following, Epoch(7), Bytes(0)}));
}

// Found by simulation: orders-9 was the candidate of epoch 5, and clients wrote before it was
// verified.
TEST(SettleLoss, GivenACandidateInBetween_WhenTheOldMasterFollows_ThenThatIsNoWordAboutIt) {
    const std::vector history{change(6, "orders-1", "orders-2", {}),
                              change(4, "orders-2", "orders-1", Bytes(0))};
    EXPECT_FALSE(settle_loss(history, kOld, {RejoinedBy::Following, Epoch(6), Bytes(0)}));
}

// Found by simulation: the same, and it was the first change of all.
TEST(SettleLoss, GivenACandidateBeforeTheFirstChange_WhenTheFirstMasterFollows_ThenThatIsNoWord) {
    EXPECT_FALSE(settle_loss({change(3, "orders-1", "orders-3", {})}, kOld,
                             {RejoinedBy::Following, Epoch(3), Bytes(0)}));
    EXPECT_TRUE(settle_loss({change(2, "orders-1", "orders-3", {})}, kOld,
                            {RejoinedBy::Following, Epoch(2), Bytes(0)}));
}

// Found by simulation: it had rejoined, and was rewound again as a slave of the next master.
TEST(SettleLoss, GivenAnExactLoss_WhenItsInstanceIsRewoundInALaterEpoch_ThenTheCountStays) {
    std::vector history{change(5, "orders-1", "orders-2", {}), kEarlier};
    record_change(history,
                  *settle_loss(history, kOld, {RejoinedBy::Rewind, Epoch(5), Bytes(8192)}));
    record_change(history, change(6, "orders-2", "orders-3", {}));
    EXPECT_FALSE(settle_loss(history, kOld, {RejoinedBy::Rewind, Epoch(6), Bytes(64)}));
}

TEST(SettleLoss, GivenAMasterThatWentOnItself_WhenItRejoinsLater_ThenThatEntryIsNotMeant) {
    const std::vector history{change(6, "orders-1", "orders-1", Bytes(0)),
                              change(5, "orders-1", "orders-2", Bytes(16384)), kEarlier};
    const auto exact = settle_loss(history, kOld, {RejoinedBy::Rewind, Epoch(6), Bytes(8192)});
    ASSERT_TRUE(exact);
    EXPECT_EQ(exact->epoch, 5);
}

}  // namespace
}  // namespace matriarch::op
