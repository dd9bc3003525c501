// The mandate as decide sees it: grants, the candidate set, and the proof by expiry.
#include "decide/mandate.h"

#include "scene.h"

namespace matriarch::decide {
namespace {

using std::chrono::milliseconds;

// A master whose node is gone: its agent, its record and its streams have been silent for
// `silence`.
Scene lost_master(Duration silence) {
    Scene s = Scene::healthy();
    s.seen.mandate.granted = kNow - silence;
    s.at(1).reachable = false;
    s.at(1).reported_at = kNow - silence;
    for (const int n : {2, 3}) s.report(n).stream_age = milliseconds(2500);
    return s;
}

// The same with grants stopped, and slaves that promise nothing any more.
void answers_again(Scene& s) {
    s.at(1).reachable = true;
    s.at(1).reported_at = kNow;
}

Scene closing_master(Duration silence) {
    Scene s = lost_master(silence);
    s.close();
    return s;
}

std::optional<AuthorityRecord> written(const Plan& plan) {
    const auto* write = only<WriteRecord>(plan);
    return write == nullptr ? std::nullopt : std::optional(write->record);
}

// --- an administrator's word -------------------------------------------------------------------

Scene halted_slaves(Scene s) {
    for (const int n : {2, 3}) s.halted(n);
    return s;
}

TEST(AdministratorsWord, GivenTheHoldersPod_WhenAllIsSilent_ThenNobodyWaitsForTheMandate) {
    Scene s = halted_slaves(lost_master(seconds(10)));
    s.seen.spec.failover.confirmed_dead = PodUid("uid-1");
    Plan plan = s.plan();
    ASSERT_TRUE(written(plan));
    EXPECT_EQ(written(plan)->phase, Phase::Promoting);
    EXPECT_EQ(written(plan)->proof, ProofKind::AdministratorsWord);
    EXPECT_EQ(written(plan)->holder, InstanceName("orders-2"));
    EXPECT_FALSE(plan.granting) << "nobody of the former epoch is granted again (INV-1)";
    s.seen.record = written(plan);
    EXPECT_EQ(order_to(s.plan(), 2)->proof->kind, ProofKind::AdministratorsWord);
}

TEST(AdministratorsWord, GivenATaintedNode_WhenAllIsSilent_ThenItIsTheSameWord) {
    Scene s = halted_slaves(lost_master(seconds(10)));
    s.seen.node_out_of_service = true;
    ASSERT_TRUE(written(s.plan()));
    EXPECT_EQ(written(s.plan())->proof, ProofKind::AdministratorsWord);
    s = closing_master(seconds(3));
    s.seen.mandate.replaced = kNow - milliseconds(10);
    EXPECT_FALSE(written(s.plan()));
    s.seen.node_out_of_service = true;
    ASSERT_TRUE(written(s.plan()));
    EXPECT_EQ(written(s.plan())->phase, Phase::Promoting);
}

TEST(AdministratorsWord, GivenAnotherPod_WhenTheMasterIsSilent_ThenItMeansNothing) {
    Scene s = halted_slaves(lost_master(seconds(10)));
    s.seen.spec.failover.confirmed_dead = PodUid("uid-9");
    ASSERT_TRUE(written(s.plan()));
    EXPECT_EQ(written(s.plan())->phase, Phase::Closing);
    EXPECT_THAT(finding(s.plan(), "MasterServing")->message,
                testing::HasSubstr("spec.failover.confirmDead.podUid: uid-1"));
}

TEST(AdministratorsWord, GivenSignsOfLife_WhenSaid_ThenItDoesNotCount_INV1) {
    Scene s = halted_slaves(lost_master(seconds(10)));
    s.seen.spec.failover.confirmed_dead = PodUid("uid-1");
    s.stream(3);
    s.report(3).stream_age = milliseconds(100);
    EXPECT_FALSE(written(s.plan()));
    s = halted_slaves(lost_master(seconds(10)));
    s.seen.spec.failover.confirmed_dead = PodUid("uid-1");
    s.seen.mandate.renewed = kNow - seconds(1);
    EXPECT_FALSE(written(s.plan()));
    s = Scene::healthy();
    s.seen.spec.failover.confirmed_dead = PodUid("uid-1");
    EXPECT_TRUE(s.plan().steps.empty());
}

// --- how long it lasts -------------------------------------------------------------------------

TEST(MandateTime, GivenALongerMandate_WhenAskedFor_ThenItIsRecordedBeforeItIsGranted) {
    Scene s = Scene::healthy();
    s.seen.spec.failover.mandate = seconds(10);
    const auto r = written(s.plan());
    ASSERT_TRUE(r);
    EXPECT_EQ(r->ttl, seconds(10));
    EXPECT_EQ(r->former_ttl, seconds(0));
    EXPECT_EQ(s.plan().granting->ttl, seconds(3));
    s.seen.record = r;
    s.seen.record->version = ResourceVersion("11");
    EXPECT_EQ(s.plan().granting->ttl, seconds(10));
}

TEST(MandateTime, GivenAShorterMandate_WhenTheMasterKnowsIt_ThenTheLongerCountsOneMoreTime_INV1) {
    Scene s = Scene::healthy();
    s.seen.record->ttl = seconds(10);
    for (const int n : {1, 2, 3}) s.report(n).ttl = seconds(10);
    s.seen.record = written(s.plan());
    ASSERT_TRUE(s.seen.record);
    s.seen.record->version = ResourceVersion("11");
    EXPECT_EQ(s.seen.record->ttl, seconds(3));
    EXPECT_EQ(s.seen.record->former_ttl, seconds(10));

    Plan plan = s.plan();
    EXPECT_FALSE(written(plan));
    EXPECT_EQ(plan.granting->ttl, seconds(3));
    ASSERT_NE(order_to(plan, 1), nullptr);
    EXPECT_EQ(order_to(plan, 1)->kind, OrderKind::Configure);
    EXPECT_EQ(order_to(plan, 1)->ttl, seconds(3));
    EXPECT_EQ(order_to(plan, 2), nullptr) << "slaves may have promised the longer one";

    s.report(1).ttl = seconds(3);
    s.seen.mandate.ttl_lowered = kNow - seconds(11);
    EXPECT_FALSE(written(s.plan()));
    s.seen.mandate.ttl_lowered = kNow - milliseconds(11100);
    plan = s.plan();
    ASSERT_TRUE(written(plan));
    EXPECT_EQ(written(plan)->former_ttl, seconds(0));
    s.seen.record = written(plan);
    EXPECT_EQ(order_to(s.plan(), 2)->ttl, seconds(3));
}

TEST(MandateTime, GivenAShorterMandate_WhenTheMasterIsSilent_ThenTheLongerIsWaitedFor_INV1) {
    Scene s = closing_master(seconds(30));
    s.seen.record->former_ttl = seconds(10);
    s.seen.mandate.replaced = kNow - milliseconds(11099);
    EXPECT_FALSE(written(s.plan()));
    s.seen.mandate.replaced = kNow - milliseconds(11100);
    EXPECT_TRUE(written(s.plan()));
}

// --- grants ---------------------------------------------------------------------------------

TEST(Granting, GivenAServingMaster_WhenDecided_ThenItsPollsCarryGrants) {
    const auto plan = Scene::healthy().plan();
    ASSERT_TRUE(plan.granting);
    EXPECT_EQ(plan.granting->master, InstanceName("orders-1"));
    EXPECT_EQ(plan.granting->pod, PodUid("uid-1"));
    EXPECT_EQ(plan.granting->epoch, Epoch(4));
    EXPECT_EQ(plan.granting->ttl, milliseconds(3000));
}

TEST(Granting, GivenARecordOfAnEarlierTerm_WhenDecided_ThenTheTermIsWrittenBeforeAnyGrant) {
    Scene s = Scene::healthy();
    s.seen.term = Term(2);
    const auto plan = s.plan();
    EXPECT_FALSE(plan.granting);
    ASSERT_TRUE(written(plan));
    EXPECT_EQ(written(plan)->term, Term(2));
}

TEST(Granting, GivenARecordOfALaterTerm_WhenDecided_ThenNothingIsDoneUntilTheElectionPassedIt) {
    Scene s = Scene::healthy();
    s.seen.record->term = Term(9);
    const auto plan = s.plan();
    EXPECT_FALSE(plan.granting);
    EXPECT_EQ(plan.term_needed, Term(9));
    EXPECT_TRUE(plan.steps.empty());
}

// Found by simulation: the API was restored, the record and the operator's Lease together.
TEST(Granting, GivenAnAgentThatKnowsALaterTerm_WhenDecided_ThenTheElectionPassesIt_INV2) {
    Scene s = Scene::healthy();
    s.report(2).term = Term(3);
    auto plan = s.plan();
    EXPECT_EQ(plan.term_needed, Term(3)) << "it would refuse every order";
    EXPECT_TRUE(plan.steps.empty());
    s.seen.term = Term(3);
    plan = s.plan();
    EXPECT_FALSE(plan.term_needed);
    EXPECT_EQ(written(plan)->term, Term(3));
}

TEST(Granting, GivenAnInstanceThatKnowsAHigherEpoch_WhenDecided_ThenNobodyIsGranted) {
    Scene s = Scene::healthy();
    s.report(3).epoch = Epoch(5);
    EXPECT_FALSE(s.plan().granting);
}

TEST(Granting, GivenAnotherPodOfTheHolder_WhenDecided_ThenItIsNotGranted) {
    Scene s = Scene::healthy();
    s.at(1).pod = PodUid("uid-1b");
    s.report(1).pod = PodUid("uid-1b");
    EXPECT_FALSE(s.plan().granting);
}

TEST(Granting, GivenAClockOfAnotherRate_WhenDecided_ThenItsMasterIsNotGranted) {
    Scene s = Scene::healthy();
    s.at(1).clock_trouble = "its clock runs too slowly";
    EXPECT_FALSE(s.plan().granting);
}

TEST(Granting, GivenAPausedCluster_WhenDecided_ThenGrantsGoOn) {
    Scene s = Scene::healthy();
    s.seen.spec.failover.mode = FailoverMode::Paused;
    EXPECT_TRUE(s.plan().granting);
}

// --- the candidate set ----------------------------------------------------------------------

TEST(Candidates, GivenASlaveThatStreams_WhenItIsInNoSet_ThenItJoinsAndIsNotYetFull) {
    Scene s = Scene::healthy();
    s.seen.record->candidates = {1, {}};
    auto record = written(s.plan());
    ASSERT_TRUE(record);
    EXPECT_EQ(record->candidates.version, 2u);
    ASSERT_EQ(record->candidates.members.size(), 2u);
    EXPECT_EQ(record->candidates.members[0].membership, Membership::Joining);
    s.seen.record = record;
    s.report(1).candidates_version = 1;
    EXPECT_FALSE(written(s.plan())) << "the master has not stored it";
    s.report(1).candidates_version = 2;
    record = written(s.plan());
    ASSERT_TRUE(record);
    EXPECT_EQ(record->candidates.version, 2u);
    EXPECT_EQ(record->candidates.members[1].membership, Membership::Full);
}

TEST(Candidates, GivenTheMastersWordOfAnotherEpoch_WhenCompared_ThenNobodyBecomesFull) {
    Scene s = Scene::healthy();
    s.seen.record->candidates.members[0].membership = Membership::Joining;
    s.report(1).epoch_id = EpochId("another");
    EXPECT_FALSE(written(s.plan()));
}

TEST(Candidates, GivenAMemberWithAnotherPod_WhenSeen_ThenTheNewPodJoinsInItsPlace) {
    Scene s = lost_master(seconds(0));
    s.at(1).reachable = true;
    s.report(1).candidates_version = 2;
    s.at(3).pod = PodUid("uid-3b");
    s.report(3).pod = PodUid("uid-3b");
    const auto record = written(s.plan());
    ASSERT_TRUE(record);
    EXPECT_EQ(record->candidates.version, 3u);
    ASSERT_EQ(record->candidates.members.size(), 2u);
    EXPECT_EQ(record->candidates.members[1].pod, PodUid("uid-3b"));
    EXPECT_EQ(record->candidates.members[1].membership, Membership::Joining);
}

TEST(Candidates, GivenASlaveThatIsKnownToBeDown_WhenTimePasses_ThenItLeavesTheSet) {
    Scene s = lost_master(seconds(0));
    s.at(1).reachable = true;
    s.report(1).candidates_version = 2;
    s.at(3).reachable = false;
    s.at(3).reported_at = kNow - seconds(9);
    EXPECT_FALSE(written(s.plan()));
    s.at(3).reported_at = kNow - seconds(11);
    ASSERT_TRUE(written(s.plan()));
    EXPECT_EQ(written(s.plan())->candidates.members.size(), 1u);
}

TEST(Timelines, GivenAPromotionByHand_WhenItsTimelineIsSeen_ThenItsNumberIsTaken) {
    Scene s = Scene::healthy();
    s.serve(3);
    s.report(3).timeline = Timeline(4);
    auto record = written(s.plan());
    ASSERT_TRUE(record);
    EXPECT_EQ(record->reserved, Timeline(4));
    EXPECT_EQ(record->timeline, Timeline(3));
    s.seen.record = record;
    EXPECT_FALSE(written(s.plan())) << "once is enough";
}

// --- expiry ---------------------------------------------------------------------------------

TEST(Expiry, GivenAMasterThatIsSilentInAllWays_WhenItHadTimeToSpeak_ThenGrantsEnd) {
    const auto plan = lost_master(milliseconds(2001)).plan();
    ASSERT_TRUE(written(plan));
    EXPECT_EQ(written(plan)->phase, Phase::Closing);
    EXPECT_EQ(written(plan)->epoch, Epoch(4));
    EXPECT_FALSE(plan.granting) << "from before that write on";
}

TEST(Expiry, GivenLessThanHalfAMandateOfSilence_WhenDecided_ThenNothingHappens) {
    EXPECT_FALSE(written(lost_master(milliseconds(1999)).plan()));
}

TEST(Expiry, GivenAMasterThatRenewsItsRecord_WhenItsAgentIsSilent_ThenItStays) {
    Scene s = lost_master(seconds(60));
    s.seen.mandate.renewed = kNow - milliseconds(1500);
    const auto plan = s.plan();
    EXPECT_FALSE(written(plan));
    EXPECT_EQ(only<PublishRoutes>(plan), nullptr);
}

TEST(Expiry, GivenASlaveThatHearsItsMaster_WhenTheAgentIsSilent_ThenItStays) {
    Scene s = lost_master(seconds(60));
    s.report(3).stream_age = milliseconds(100);
    EXPECT_FALSE(written(s.plan()));
}

TEST(Expiry, GivenNoFullMember_WhenTheMasterIsSilent_ThenGrantsGoOnSinceNobodyCouldLead) {
    Scene s = lost_master(seconds(60));
    for (auto& member : s.seen.record->candidates.members) member.membership = Membership::Joining;
    const auto plan = s.plan();
    EXPECT_FALSE(written(plan));
    EXPECT_TRUE(plan.granting);
}

TEST(Expiry, GivenManualMode_WhenTheMasterIsSilent_ThenItStays) {
    Scene s = lost_master(seconds(60));
    s.seen.spec.failover.mode = FailoverMode::Manual;
    EXPECT_FALSE(written(s.plan()));
}

TEST(Expiry, GivenANewLeaderThatHeardNobody_WhenItsTermIsFresh_ThenItGivesTheMasterTimeToSpeak) {
    Scene s = lost_master(seconds(60));
    s.at(1).report.reset();
    s.seen.mandate.term_written = kNow - milliseconds(1999);
    EXPECT_FALSE(written(s.plan()));
    s.seen.mandate.term_written = kNow - milliseconds(2001);
    EXPECT_TRUE(written(s.plan()));
}

TEST(Expiry, GivenClosing_WhenTheWaitIsNotOver_ThenNobodyIsPromoted) {
    for (const int which : {0, 1, 2}) {
        Scene s = closing_master(seconds(4));
        const TimePoint late = kNow - milliseconds(3399);
        if (which == 0) s.seen.mandate.granted = late;
        if (which == 1) s.seen.mandate.replaced = late;
        if (which == 2) s.seen.mandate.term_written = late;
        const auto plan = s.plan();
        EXPECT_FALSE(written(plan)) << which;
        EXPECT_LE(plan.recheck, milliseconds(1)) << which;
        EXPECT_FALSE(plan.granting);
    }
}

TEST(Expiry, GivenClosing_WhenTheWaitIsLong_ThenNoRouteNamesTheOldMaster) {
    Scene s = closing_master(seconds(4));
    const auto withdrawn = [&](Duration ago) {
        s.seen.mandate.replaced = kNow - ago;
        const auto plan = s.plan();
        const auto* routes = only<PublishRoutes>(plan);
        return routes != nullptr && !routes->routes.master;
    };
    EXPECT_TRUE(withdrawn(milliseconds(2199)));
    EXPECT_FALSE(withdrawn(milliseconds(2201))) << "it would hold up the next change";
    EXPECT_FALSE(withdrawn(milliseconds(4599))) << "about to be replaced";
}

TEST(Expiry, GivenClosing_WhenTheWaitIsOver_ThenSlave1IsChosenWithThatProof) {
    const auto plan = closing_master(milliseconds(3400)).plan();
    const auto record = written(plan);
    ASSERT_TRUE(record);
    EXPECT_EQ(record->holder, InstanceName("orders-2"));
    EXPECT_EQ(record->epoch, Epoch(5));
    EXPECT_EQ(record->phase, Phase::Promoting);
    EXPECT_EQ(record->proof, ProofKind::Expiry);
    EXPECT_EQ(record->former, InstanceName("orders-1"));
    EXPECT_EQ(record->former_pod, PodUid("uid-1"));
    ASSERT_EQ(record->candidates.members.size(), 1u) << "the old master does not answer";
    EXPECT_EQ(record->candidates.members[0].instance, InstanceName("orders-3"));
}

TEST(Expiry, GivenClosing_WhenAMomentOfTheMandateIsNotKnown_ThenNothingIsProved) {
    Scene s = closing_master(seconds(60));
    s.seen.mandate.replaced.reset();
    EXPECT_FALSE(written(s.plan()));
}

TEST(Expiry, GivenASlaveThatMayStillPromise_WhenTheWaitIsOver_ThenItIsNotChosen) {
    Scene s = closing_master(seconds(4));
    s.report(2).withheld = Epoch(3);
    ASSERT_TRUE(written(s.plan()));
    EXPECT_EQ(written(s.plan())->holder, InstanceName("orders-3"));
    s.report(3).promised = milliseconds(10);
    EXPECT_FALSE(written(s.plan()));
}

TEST(Expiry, GivenAJoiningMember_WhenTheWaitIsOver_ThenItIsNotChosen) {
    Scene s = closing_master(seconds(4));
    s.seen.record->candidates.members[0].membership = Membership::Joining;
    ASSERT_TRUE(written(s.plan()));
    EXPECT_EQ(written(s.plan())->holder, InstanceName("orders-3"));
}

TEST(Expiry, GivenClosing_WhenSlavesAreAsked_ThenTheyStandStillAndPromiseNothing) {
    Scene s = closing_master(seconds(1));
    for (const int n : {2, 3}) s.obeyed(n, "follow/4/orders-1");
    int halts = 0;
    for (const auto& step : s.plan().steps)
        if (const auto* send = std::get_if<SendOrder>(&step.action)) {
            EXPECT_EQ(send->order.kind, OrderKind::Halt);
            EXPECT_TRUE(send->order.withhold);
            ++halts;
        }
    EXPECT_EQ(halts, 2);
}

TEST(Expiry, GivenAHolderThatAnswersInTime_WhenNobodyWasPromoted_ThenTheEpochGoesOn) {
    Scene s = closing_master(seconds(60));
    answers_again(s);
    const auto record = written(s.plan());
    ASSERT_TRUE(record);
    EXPECT_EQ(record->phase, Phase::Serving);
    EXPECT_EQ(record->epoch, Epoch(4));
}

// Found by simulation: it was ordered to lead without a grant, for ever.
TEST(Expiry, GivenAHolderWhosePostgresEnded_WhenNobodyCanTakeOver_ThenTheEpochGoesOn) {
    Scene s = closing_master(seconds(60));
    answers_again(s);
    s.postmaster_died(1);
    for (const int n : {2, 3}) s.report(n).state = PostgresState::Stopped;
    const auto plan = s.plan();
    const auto record = written(plan);
    ASSERT_TRUE(record);
    EXPECT_EQ(record->phase, Phase::Serving);
    EXPECT_EQ(record->epoch, Epoch(4));
    EXPECT_EQ(orders_in(plan), 0u) << "grants come first";
}

TEST(Expiry, GivenACandidateThatWasClosedOut_WhenItAnswersAsASlave_ThenItsPromotionGoesOn) {
    Scene s = closing_master(seconds(60));
    s.seen.record->verified = false;
    answers_again(s);
    s.report(1).in_recovery = Known::Yes;
    const auto record = written(s.plan());
    ASSERT_TRUE(record);
    EXPECT_EQ(record->phase, Phase::Promoting);
    EXPECT_EQ(record->epoch, Epoch(4));
}

// The master's instance is back in another pod, on the same volume, and no slave may lead.
Scene another_pod_of_the_master() {
    Scene s = closing_master(seconds(60));
    auto& master = s.at(1);
    master.pod = s.report(1).pod = PodUid("uid-1b");
    master.reachable = true;
    master.reported_at = kNow;
    Report& r = s.report(1);
    r.state = PostgresState::Stopped;
    r.in_recovery = r.writable = Known::Unknown;
    r.end_of_wal = Lsn(5000);
    s.seen.spec.failover.max_lag = Bytes(100);
    for (const int n : {2, 3}) {
        s.report(n).state = PostgresState::Stopped;
        s.report(n).in_recovery = Known::Unknown;
    }
    return s;
}

TEST(Expiry, GivenTheMastersInstanceInAnotherPod_WhenAMemberPromisesNothing_ThenItGoesOn) {
    Scene s = another_pod_of_the_master();
    const auto record = written(s.plan());
    ASSERT_TRUE(record);
    EXPECT_EQ(record->holder, InstanceName("orders-1"));
    EXPECT_EQ(record->holder_pod, PodUid("uid-1b"));
    EXPECT_EQ(record->epoch, Epoch(5));
    EXPECT_EQ(record->proof, ProofKind::Expiry);
}

TEST(Expiry, GivenTheMastersInstanceInAnotherPod_WhenNoMemberIsAWitness_ThenItWaits_INV1) {
    Scene s = another_pod_of_the_master();
    for (const int n : {2, 3}) s.report(n).withheld = Epoch(3);
    EXPECT_FALSE(written(s.plan())) << "the former pod may get all promises";
    s = another_pod_of_the_master();
    for (const int n : {2, 3}) s.report(n).promised = seconds(1);
    EXPECT_FALSE(written(s.plan())) << "it may have got them";
    s = another_pod_of_the_master();
    for (auto& member : s.seen.record->candidates.members) member.membership = Membership::Joining;
    EXPECT_FALSE(written(s.plan())) << "it may never have needed them";
    s = another_pod_of_the_master();
    s.seen.mandate.replaced = kNow - seconds(1);
    EXPECT_FALSE(written(s.plan())) << "its mandate may last";
}

// Found by simulation: its agent refused the promotion, since it might still promise.
TEST(Expiry, GivenACandidateInAnotherPod_WhenItWasNeverPromoted_ThenItPromisesNothingFirst) {
    Scene s = another_pod_of_the_master();
    s.report(1).standby = true;
    const auto plan = s.plan();
    EXPECT_FALSE(written(plan));
    ASSERT_NE(order_to(plan, 1), nullptr);
    EXPECT_TRUE(order_to(plan, 1)->withhold);
    s.report(1).withheld = Epoch(4);
    EXPECT_TRUE(written(s.plan()));
    s.report(1).promised = milliseconds(100);
    EXPECT_FALSE(written(s.plan()));
}

TEST(Expiry, GivenAMemberThatCantLead_WhenTheMasterIsClosedOut_ThenItIsToldToPromiseNothing) {
    Scene s = another_pod_of_the_master();
    s.obeyed(2, "follow/4/orders-1");
    const auto plan = s.plan();
    ASSERT_NE(order_to(plan, 2), nullptr);
    EXPECT_EQ(order_to(plan, 2)->kind, OrderKind::Halt);
    EXPECT_TRUE(order_to(plan, 2)->withhold);
    s.at(3).report.reset();  // to an operator that has just begun to ask
    EXPECT_EQ(order_to(s.plan(), 3), nullptr);
}

TEST(Expiry, GivenAHolderThatFencedItself_WhenItAnswers_ThenThatIsTheProof) {
    Scene s = closing_master(seconds(1));
    answers_again(s);
    s.fenced(1);
    const auto record = written(s.plan());
    ASSERT_TRUE(record);
    EXPECT_EQ(record->proof, ProofKind::ConfirmedFence);
    EXPECT_EQ(record->holder, InstanceName("orders-2"));
}

TEST(Expiry, GivenACandidateThatIsSilentWhilePromoting_WhenItHadTime_ThenItIsClosedOutToo) {
    Scene s = lost_master(seconds(60));
    s.seen.record->phase = Phase::Promoting;
    const auto record = written(s.plan());
    ASSERT_TRUE(record);
    EXPECT_EQ(record->phase, Phase::Closing);
}

// --- stuck ----------------------------------------------------------------------------------

TEST(Stuck, GivenAFrozenPostmaster_WhenASlaveCanTakeOver_ThenItIsFencedByItsAgent) {
    Scene s = Scene::healthy();
    s.report(1).frozen = milliseconds(1500);
    const auto plan = s.plan();
    const auto& first = std::get<SendOrder>(plan.steps.front().action);
    EXPECT_EQ(first.to, InstanceName("orders-1"));
    EXPECT_EQ(first.order.kind, OrderKind::Fence);
    EXPECT_FALSE(first.order.clean);
}

TEST(Stuck, GivenABusyPostmaster_WhenItIsSlowForAMoment_ThenNothingIsFenced) {
    Scene s = Scene::healthy();
    s.report(1).frozen = milliseconds(1499);
    s.report(1).disk_stalled = milliseconds(1499);
    for (const auto& step : s.plan().steps)
        EXPECT_FALSE(std::holds_alternative<SendOrder>(step.action));
}

TEST(Stuck, GivenManualMode_WhenThePostmasterIsFrozen_ThenPeopleAreTold) {
    Scene s = Scene::healthy();
    s.seen.spec.failover.mode = FailoverMode::Manual;
    s.report(1).frozen = seconds(60);
    const auto plan = s.plan();
    for (const auto& step : plan.steps)
        EXPECT_FALSE(std::holds_alternative<SendOrder>(step.action));
    EXPECT_TRUE(std::any_of(plan.findings.begin(), plan.findings.end(),
                            [](const Finding& x) { return x.reason == "MasterStuck"; }));
}

}  // namespace
}  // namespace matriarch::decide
