// Phase promoting when it goes wrong: who is given up, and what counts then.
#include "decide/scene.h"

namespace matriarch::decide {
namespace {

// orders-1 is fenced at epoch 4, orders-2 is the candidate of epoch 5, nobody was promoted yet.
struct Candidate5 : testing::Test {
    Scene s = Scene::healthy();
    Plan plan;
    void SetUp() override {
        s.postmaster_died(1);
        s.fenced(1);
        s.halted(2);
        s.halted(3);
        s.seen.record = *written();
        s.seen.record->version = ResourceVersion("11");
        ASSERT_EQ(s.seen.record->holder, InstanceName("orders-2"));
        s.seen.fresh_id = EpochId("next");
        s.seen.epoch_since = s.seen.master_failed_since = kNow - milliseconds(100);
    }
    const AuthorityRecord* written() {
        plan = s.plan();
        const auto* write = only<WriteRecord>(plan);
        return write ? &write->record : nullptr;
    }
    // What instance n has is of timeline 4, opened by `by`.
    void on_timeline_4(int n, const EpochId& by) {
        s.report(n).timeline = Timeline(4);
        s.report(n).timeline_opened_by = by;
        s.report(n).history = {{Timeline(3), Lsn(1000)}};
    }
    // The candidate was promoted, and fenced before it was verified.
    void promoted_and_fenced(const EpochId& by) {
        s.fenced(2);
        s.report(2).receiving = false;
        on_timeline_4(2, by);
        s.report(2).end_of_wal = Lsn(1200);
    }
    // Its mandate is over, if it ever had one; it is a slave still, and promises nothing.
    void closed_out_in_another_pod() {
        s.at(2).pod = s.report(2).pod = PodUid("another");
        s.seen.record->phase = Phase::Closing;
        s.seen.mandate.replaced = kNow - std::chrono::minutes(1);
        s.seen.master_failed_since = kNow - seconds(5);
        s.report(2).withheld = s.report(3).withheld = Epoch(5);
        s.obeyed(2, "halt/5/promises");
        s.report(3).state = PostgresState::Stopped;
    }
    void halted_in_epoch_5(int n) {
        s.report(n).receiving = false;
        s.obeyed(n, "halt/5/receiver");
    }
    const Order* ordered(int n) {
        plan = s.plan();
        return order_to(plan, n);
    }
    void refused(const std::string& why) {
        const Order* order = ordered(2);
        ASSERT_NE(order, nullptr);
        s.at(2).sent = SentOrder{order->id, order->incarnation, kNow - seconds(3), why};
    }
};

// Found by simulation: nobody was on the timeline that the record named, so nobody could lead.
TEST_F(Candidate5, GivenATimelineItOpened_WhenItIsGivenUp_ThenThatCountsAsServed_INV5) {
    promoted_and_fenced(s.seen.record->epoch_id);
    const auto* r = written();
    ASSERT_NE(r, nullptr);
    EXPECT_EQ(r->epoch, Epoch(5)) << "first it counts, then one is chosen";
    EXPECT_EQ(r->timeline, Timeline(4));
    EXPECT_EQ(r->timeline_opened_by, r->epoch_id);
    EXPECT_FALSE(r->verified);

    s.seen.record = *r;
    halted_in_epoch_5(3);
    r = written();
    ASSERT_NE(r, nullptr);
    EXPECT_EQ(r->holder, InstanceName("orders-2"))
        << "orders-3 has not what clients may have written";
    EXPECT_EQ(r->epoch, Epoch(6));
    s.seen.record = *r;
    ASSERT_NE(ordered(2), nullptr);
    EXPECT_EQ(ordered(2)->kind, OrderKind::Lead);
}

TEST_F(Candidate5, GivenASlaveThatFollowedIt_WhenTheTimelineCounts_ThenTheSlaveMayLead) {
    promoted_and_fenced(s.seen.record->epoch_id);
    on_timeline_4(3, s.seen.record->epoch_id);
    s.report(3).received = s.report(3).replayed = Lsn(1200);
    s.seen.record = *written();
    halted_in_epoch_5(3);
    const auto* r = written();
    ASSERT_NE(r, nullptr);
    EXPECT_EQ(r->holder, InstanceName("orders-3"));
}

TEST_F(Candidate5, GivenItIsSilentAndClosedOut_WhenASlaveHasItsTimeline_ThenThatCountsAsServed) {
    s.at(2).reachable = false;
    on_timeline_4(3, s.seen.record->epoch_id);
    s.seen.record->phase = Phase::Closing;
    const auto* r = written();
    ASSERT_NE(r, nullptr);
    EXPECT_EQ(r->phase, Phase::Closing);
    EXPECT_EQ(r->timeline, Timeline(4));
}

TEST_F(Candidate5, GivenATimelineOpenedByHand_WhenItIsGivenUp_ThenTheOldMasterGoesOn_INV5) {
    promoted_and_fenced(EpochId());
    const auto* r = written();
    ASSERT_NE(r, nullptr);
    EXPECT_EQ(r->holder, InstanceName("orders-1"));
    EXPECT_EQ(r->timeline, Timeline(3));
    EXPECT_EQ(r->reserved, Timeline(4)) << "its number is taken";
}

// It may have opened what nobody saw.
TEST_F(Candidate5, GivenItWasNeverSeenPromoted_WhenAnotherIsChosen_ThenItsNumberIsNotUsedAgain) {
    s.fenced(2);
    s.report(2).standby = true;
    s.report(2).receiving = false;
    s.at(1).reachable = false;
    s.seen.master_failed_since = kNow - seconds(5);
    halted_in_epoch_5(3);
    const auto* r = written();
    ASSERT_NE(r, nullptr);
    EXPECT_EQ(r->holder, InstanceName("orders-3"));
    EXPECT_EQ(r->reserved, Timeline(4));
}

// Found by simulation: it was called the old master, which loses nothing, and orders-1 had more.
TEST_F(Candidate5, GivenItNeverServed_WhenItIsChosenAgain_ThenItsLossIsNotKnown_INV5) {
    s.fenced(2);
    s.report(2).standby = true;
    s.report(2).receiving = false;
    s.report(2).end_of_wal = Lsn(1000);
    s.at(1).reachable = s.at(3).reachable = false;
    s.seen.master_failed_since = kNow - seconds(5);
    const auto* r = written();
    ASSERT_NE(r, nullptr);
    EXPECT_EQ(r->holder, InstanceName("orders-2"));
    EXPECT_FALSE(only<WriteRecord>(plan)->loss);

    s.seen.record = *r;
    s.seen.record->version = ResourceVersion("12");
    s.serve(2);
    on_timeline_4(2, r->epoch_id);
    r = written();
    ASSERT_NE(r, nullptr);
    EXPECT_TRUE(r->verified);
    EXPECT_FALSE(only<WriteRecord>(plan)->loss);
}

// Found by simulation: a refused order is no failed one, so it was asked for ever.
TEST_F(Candidate5, GivenItRefuses_WhenPatienceIsOver_ThenItIsGivenUp) {
    refused("there is no data to promote");
    const Order* order = ordered(2);
    ASSERT_NE(order, nullptr);
    EXPECT_EQ(order->kind, OrderKind::Promote) << "asked again";
    s.seen.epoch_since = kNow - s.policy.refusal_patience;
    order = ordered(2);
    ASSERT_NE(order, nullptr);
    EXPECT_EQ(order->kind, OrderKind::Fence);
    EXPECT_EQ(order->epoch, Epoch(5)) << "the same proof over it as over a master";
}

// Found by simulation: no slave could be asked what commits it had confirmed, and the one master
// that had opened the timeline was not believed to have all.
TEST_F(Candidate5, GivenAMasterThatWasToLeadAnew_WhenItEndedUnverified_ThenItLacksNoCommit_INV5) {
    AuthorityRecord& r = *s.seen.record;
    r.holder = r.former = InstanceName("orders-1");
    r.holder_pod = r.former_pod = PodUid("uid-1");
    r.positions = {InstanceName("orders-2"), InstanceName("orders-3")};
    r.sync = {2, r.positions, SyncMethod::First, 3};
    s.seen.spec.replication.mode = ReplicationMode::Sync;
    s.seen.spec.replication.synchronous_slaves = 2;
    s.fenced(1);
    for (const int n : {2, 3}) s.at(n).reachable = false;
    s.seen.master_failed_since = kNow - seconds(5);
    const auto* next = written();
    ASSERT_NE(next, nullptr);
    EXPECT_EQ(next->holder, InstanceName("orders-1"));
    EXPECT_EQ(next->epoch, Epoch(6));
    s.report(1).timeline_opened_by = EpochId();
    EXPECT_EQ(written(), nullptr) << "another's timeline of that number";
    s.report(1).timeline_opened_by = r.timeline_opened_by;
    s.report(1).standby = true;
    EXPECT_EQ(written(), nullptr) << "a slave may lack what others confirmed";
}

// Found by simulation: it was waited for, and nobody else had data.
TEST_F(Candidate5, GivenItWasFenced_WhenItsPodIsAnother_ThenTheNextIsChosen) {
    promoted_and_fenced(s.seen.record->epoch_id);
    s.at(2).pod = s.report(2).pod = PodUid("another");
    ASSERT_EQ(s.report(2).fenced_by, PodUid("uid-2"));
    s.at(1).reachable = s.at(3).reachable = false;
    s.seen.record = *written();
    EXPECT_EQ(s.seen.record->timeline_opened_by, s.seen.record->epoch_id) << "it counts as served";
    s.seen.master_failed_since = kNow - seconds(5);
    const auto* r = written();
    ASSERT_NE(r, nullptr);
    EXPECT_EQ(r->holder, InstanceName("orders-2"));
    EXPECT_EQ(r->holder_pod, PodUid("another"));
    EXPECT_EQ(r->epoch, Epoch(6));
}

// Found by simulation: in the next look it was promoted, and the fence was undone half way.
// Found by simulation: the old master was asked only where the candidate is fenced.
TEST_F(Candidate5, GivenItsPodIsAnother_WhenItLacksWal_ThenTheOldMasterGoesOn_INV5) {
    closed_out_in_another_pod();
    s.report(2).received = s.report(2).replayed = Lsn(900);
    s.report(1).fence_confirmed = false;  // it has heard of epoch 5 since
    s.report(1).withheld = Epoch(5);
    const auto* r = written();
    ASSERT_NE(r, nullptr);
    EXPECT_EQ(r->holder, InstanceName("orders-1"));
    EXPECT_EQ(r->epoch, Epoch(6));
    EXPECT_EQ(r->proof, ProofKind::Expiry);
    s.report(1).withheld = Epoch(4);
    r = written();
    EXPECT_TRUE(r == nullptr || r->holder != InstanceName("orders-1")) << "it may promise still";
    s.report(1).withheld = Epoch(5);
    on_timeline_4(2, s.seen.record->epoch_id);
    ASSERT_NE(written(), nullptr);
    EXPECT_EQ(written()->epoch, Epoch(5)) << "it was promoted, which counts as served";
}

// Found by simulation: its own epoch's rule, by which nothing was acknowledged, stood against it.
TEST_F(Candidate5, GivenItsPodIsAnother_WhenItHasWhatItWasChosenFor_ThenItLeads_INV5) {
    closed_out_in_another_pod();
    auto& record = *s.seen.record;
    record.sync = {2, {InstanceName("orders-1"), InstanceName("orders-3")}, SyncMethod::First, 3};
    s.at(1).reachable = false;
    record.must_reach = Lsn(1000);
    const auto* r = written();
    ASSERT_NE(r, nullptr);
    EXPECT_EQ(r->holder, InstanceName("orders-2"));
    EXPECT_EQ(r->holder_pod, PodUid("another"));
    record.must_reach = Lsn(1001);
    EXPECT_EQ(written(), nullptr) << "what it was to fetch first is not here";
}

// Found by simulation: what nobody has any more was waited for.
TEST_F(Candidate5,
       GivenWalToFetch_WhenTheOldMasterLostItWithItsPower_ThenItWasAcknowledgedToNobody) {
    s.seen.record->must_reach = Lsn(1200);
    s.at(1).reachable = false;
    EXPECT_EQ(ordered(2), nullptr) << "the old master may have it";
    s.at(1).reachable = true;
    ASSERT_EQ(s.report(1).end_of_wal, Lsn(1000));
    ASSERT_NE(ordered(2), nullptr);
    EXPECT_EQ(ordered(2)->kind, OrderKind::Promote);
    s.report(1).standby = true;
    EXPECT_EQ(ordered(2), nullptr) << "its data is no longer that of a master";
}

TEST_F(Candidate5, GivenItIsGivenUp_WhenTheFenceIsOnItsWay_ThenItIsNotPromoted) {
    refused("there is no data to promote");
    s.seen.epoch_since = kNow - s.policy.refusal_patience;
    const Order* order = ordered(2);
    ASSERT_NE(order, nullptr);
    ASSERT_EQ(order->kind, OrderKind::Fence);
    s.at(2).sent = SentOrder{order->id, order->incarnation, kNow, ""};
    EXPECT_EQ(ordered(2), nullptr);
    s.at(2).sent->at = kNow - s.policy.order_again;
    ASSERT_NE(ordered(2), nullptr);
}

// Found by simulation: the end of a candidate that never served was taken for the old master's.
TEST_F(Candidate5, GivenItNeverServed_WhenAnotherIsVerified_ThenTheLossIsNotKnown_INV5) {
    s.fenced(2);
    s.report(2).standby = true;
    AuthorityRecord r = *s.seen.record;
    r.epoch = Epoch(6);
    r.epoch_id = EpochId("six");
    r.former = InstanceName("orders-2");
    r.former_pod = PodUid("uid-2");
    r.holder = InstanceName("orders-3");
    r.holder_pod = PodUid("uid-3");
    s.seen.record = r;
    s.serve(3);
    on_timeline_4(3, r.epoch_id);
    ASSERT_NE(written(), nullptr);
    EXPECT_FALSE(only<WriteRecord>(plan)->loss);
    s.report(2).standby = false;
    ASSERT_NE(written(), nullptr);
    EXPECT_EQ(only<WriteRecord>(plan)->loss, Bytes(0)) << "a master's end is known";
}

TEST_F(Candidate5, GivenItRefuses_WhenNobodyElseCanLead_ThenItIsAskedAgain) {
    refused("there is no data to promote");
    s.seen.epoch_since = kNow - seconds(60);
    s.at(3).reachable = false;
    const Order* order = ordered(2);
    ASSERT_NE(order, nullptr);
    EXPECT_EQ(order->kind, OrderKind::Promote);
}

TEST_F(Candidate5, GivenItsPostgresqlNeverStarts_WhenPatienceIsOver_ThenItIsGivenUp) {
    s.report(2).state = PostgresState::Stopped;
    s.report(2).in_recovery = Known::Unknown;
    s.report(2).standby = true;
    s.at(2).pod_ending = false;
    s.seen.epoch_since = kNow - s.policy.start_patience;
    const Order* order = ordered(2);
    ASSERT_NE(order, nullptr);
    EXPECT_EQ(order->kind, OrderKind::Fence);
}

// Found by simulation: it waited for a source that never came back, beside a slave that had all.
TEST_F(Candidate5, GivenWalThatCantBeFetched_WhenAnotherSlaveHasIt_ThenThatOneLeads_INV5) {
    s.seen.record->must_reach = Lsn(1000);
    s.report(2).received = s.report(2).replayed = Lsn(400);
    s.at(1).reachable = false;
    s.seen.master_failed_since = kNow - seconds(60);
    const auto rescue = ordered(2);
    ASSERT_NE(rescue, nullptr);
    ASSERT_TRUE(rescue->rescue.has_value());
    s.obeyed(2, rescue->id.value, OrderState::Failed);
    const Order* order = ordered(2);
    ASSERT_NE(order, nullptr);
    EXPECT_EQ(order->kind, OrderKind::Fence);
}

TEST_F(Candidate5, GivenTheOldMastersContainerIsStartedAgain_WhenItsWalIsLacked_ThenItIsAwaited) {
    for (const int n : {2, 3}) s.report(n).received = s.report(n).replayed = Lsn(400);
    s.at(1).reachable = false;
    EXPECT_EQ(ordered(2), nullptr);
    s.seen.master_failed_since = kNow - s.seen.spec.failover.rescue;
    EXPECT_NE(ordered(2), nullptr) << "for rescueSeconds";
    s.seen.master_failed_since = kNow;
    s.at(1).pod = PodUid("another");
    EXPECT_NE(ordered(2), nullptr) << "its pod does not come back";
}

}  // namespace
}  // namespace matriarch::decide
