#include "agent/mandate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace matriarch::agent {
namespace {

using ::testing::HasSubstr;

Member member(int n) {
    return {InstanceName("a-" + std::to_string(n)), PodUid("pod-" + std::to_string(n)),
            Membership::Full};
}

// A master of epoch 5 with slaves a-2 and a-3, TTL 3 s, at second 100 of its clock.
class MandateTest : public ::testing::Test {
  protected:
    MandateTest() {
        seat.epoch = Epoch(5);
        seat.epoch_id = EpochId("five");
        seat.fenced = Epoch(3);
        seat.candidates.version = 7;
        seat.candidates.members = {member(2), member(3)};
        seat.ttl = milliseconds(3000);
        seat.serves = true;
        m.sit(seat);
    }
    static TimePoint at(int ms) { return TimePoint(seconds(100)) + milliseconds(ms); }
    Grant grant(int reading, int ttl = 3000) const {
        Grant g;
        g.epoch = seat.epoch;
        g.epoch_id = seat.epoch_id;
        g.reading = milliseconds(100000 + reading);
        g.ttl = milliseconds(ttl);
        return g;
    }
    void granted(int reading = 0, int ttl = 3000) {
        EXPECT_FALSE(m.take(grant(reading, ttl), at(reading + 1)).has_value());
    }
    void ignored(const Grant& g, const char* why, int now = 1000) {
        const auto answer = m.take(g, at(now));
        ASSERT_TRUE(answer.has_value()) << why;
        EXPECT_THAT(*answer, HasSubstr(why));
    }
    void all_promise(std::uint64_t round) {
        m.member_said(round, PodUid("pod-2"), true);
        m.member_said(round, PodUid("pod-3"), true);
    }
    Seat seat;
    Mandate m;
};

TEST_F(MandateTest, GivenNothing_WhenItBegins_ThenItHoldsNoMandateAndAsksNobody) {
    EXPECT_FALSE(m.holds(at(0)));
    const auto asks = m.ask(at(0));
    EXPECT_FALSE(asks.record);
    EXPECT_FALSE(asks.round.has_value());
    EXPECT_EQ(m.source(), MandateSource::None);
}

TEST_F(MandateTest, GivenAGrant_WhenItCame_ThenItLastsFromTheReadingNotFromTheReceipt) {
    EXPECT_FALSE(m.take(grant(0), at(900)).has_value());
    EXPECT_EQ(m.deadline(), at(3000));
    EXPECT_EQ(m.fence_at(), at(2850));
    EXPECT_TRUE(m.holds(at(2849)));
    EXPECT_FALSE(m.holds(at(2850))) << "what begins to kill has lost already";
    EXPECT_EQ(m.left(at(1000)), milliseconds(2000));
    EXPECT_EQ(m.source(), MandateSource::Grant);
}

TEST_F(MandateTest, GivenAShortMandate_WhenItsLeadIsMade_ThenItIsATenthOfIt) {
    seat.ttl = milliseconds(1000);
    m.sit(seat);
    granted(0, 1000);
    EXPECT_EQ(m.fence_at(), at(900));
}

TEST_F(MandateTest, GivenAGrantForAnother_WhenItCame_ThenItCountsForNothing) {
    auto g = grant(0);
    g.epoch = Epoch(6);
    ignored(g, "another epoch");
    g = grant(0);
    g.epoch_id = EpochId("also five");
    ignored(g, "another epoch");
    ignored(grant(1001), "in the future");
    seat.fenced = Epoch(5);
    m.sit(seat);
    ignored(grant(0), "was fenced");
    EXPECT_FALSE(m.holds(at(1)));
}

TEST_F(MandateTest, GivenALaterDeadline_WhenAShorterGrantComes_ThenNothingIsShortened) {
    granted(1000);
    granted(1500, 200);
    granted(0);
    EXPECT_EQ(m.deadline(), at(4000));
}

TEST_F(MandateTest, GivenAMandate_WhenTheEpochIsFencedOrRises_ThenItIsOver) {
    granted();
    seat.fenced = Epoch(5);
    m.sit(seat);
    EXPECT_FALSE(m.holds(at(1)));
    seat.fenced = Epoch(3);
    seat.epoch = Epoch(6);
    m.sit(seat);
    EXPECT_FALSE(m.holds(at(1)));
    EXPECT_EQ(m.deadline(), TimePoint());
}

TEST_F(MandateTest, GivenHalfOfTheTimeGranted_WhenItPassed_ThenBothWaysAreAsked) {
    granted();
    EXPECT_EQ(m.wake(at(1)), at(1500));
    EXPECT_FALSE(m.ask(at(1499)).record);
    const auto asks = m.ask(at(1500));
    EXPECT_TRUE(asks.record);
    ASSERT_TRUE(asks.round.has_value());
    // Not again while the questions wait, nor before 250 ms.
    EXPECT_FALSE(m.ask(at(1600)).record);
    m.record_said(RecordWord::Nothing, {}, at(1500), at(1610));
    m.member_said(*asks.round, PodUid("pod-2"), false);
    EXPECT_EQ(m.wake(at(1610)), at(1750));
    EXPECT_FALSE(m.ask(at(1749)).record);
    const auto again = m.ask(at(1750));
    EXPECT_TRUE(again.record);
    EXPECT_GT(again.round.value_or(0), *asks.round);
    // Unanswered, they are given up after a third of the TTL.
    EXPECT_FALSE(m.ask(at(2749)).record);
    EXPECT_TRUE(m.ask(at(2750)).record);
}

TEST_F(MandateTest, GivenAShortenedGrant_WhenHalfOfItPassed_ThenTheWaysAreAsked) {
    granted(0, 1000);
    EXPECT_FALSE(m.ask(at(499)).record);
    EXPECT_TRUE(m.ask(at(500)).record);
}

TEST_F(MandateTest, GivenAGrantLessOrReadOnlyOrStoppedServer_WhenTimePasses_ThenNobodyIsAsked) {
    EXPECT_FALSE(m.ask(at(1500)).record) << "a fresh start needs a grant first";
    granted();
    seat.serves = false;
    m.sit(seat);
    const auto asks = m.ask(at(1600));
    EXPECT_FALSE(asks.record);
    EXPECT_FALSE(asks.round.has_value());
}

TEST_F(MandateTest, GivenARenewedRecord_WhenItAnswers_ThenItCountsFromTheSending) {
    granted();
    ASSERT_TRUE(m.ask(at(1500)).record);
    m.record_said(RecordWord::Renewed, milliseconds(3000), at(1500), at(2400));
    EXPECT_EQ(m.deadline(), at(4500));
    EXPECT_EQ(m.source(), MandateSource::Record);
    EXPECT_TRUE(m.renewed_since(at(1500)));
    EXPECT_FALSE(m.renewed_since(at(1501)));
    EXPECT_FALSE(m.ask(at(2999)).record);
    EXPECT_TRUE(m.ask(at(3000)).record);
}

TEST_F(MandateTest, GivenARejection_WhenItComes_ThenItIsOverAtOnceWhateverElseIsSaid) {
    granted();
    const auto asks = m.ask(at(1500));
    m.record_said(RecordWord::Rejected, {}, at(1500), at(1600));
    EXPECT_FALSE(m.holds(at(1600)));
    EXPECT_LE(m.deadline(), at(1600)) << "the warden must not wait";
    all_promise(*asks.round);
    EXPECT_FALSE(m.holds(at(1601)));
    ignored(grant(1700), "names another", 1800);
    EXPECT_FALSE(m.ask(at(1900)).round.has_value());
    seat.epoch = Epoch(6);
    seat.epoch_id = EpochId("six");
    m.sit(seat);
    granted(1900);
    EXPECT_TRUE(m.holds(at(2000))) << "a new epoch is a new game";
}

TEST_F(MandateTest, GivenAClosingRecord_WhenItIsSeen_ThenTheMandateRunsOutUnlessGrantedAfterwards) {
    granted();
    const auto asks = m.ask(at(1500));
    m.record_said(RecordWord::Ends, {}, at(1500), at(1600));
    EXPECT_TRUE(m.holds(at(2000)));
    all_promise(*asks.round);
    EXPECT_EQ(m.deadline(), at(3000));
    EXPECT_FALSE(m.ask(at(2000)).record);
    // On its way since before the record was closed: it counts, and reopens nothing.
    granted(1000);
    EXPECT_EQ(m.deadline(), at(4000));
    EXPECT_FALSE(m.ask(at(3000)).record);
    granted(1600);
    EXPECT_TRUE(m.ask(at(3500)).record);
}

TEST_F(MandateTest, GivenPromises_WhenAllOfOneRoundCame_ThenItCountsFromTheSending) {
    granted();
    const auto asks = m.ask(at(1500));
    m.member_said(*asks.round, PodUid("pod-2"), true);
    m.member_said(*asks.round, PodUid("pod-2"), true);
    m.member_said(*asks.round, PodUid("pod-9"), true);
    EXPECT_EQ(m.deadline(), at(3000)) << "only all of them together count";
    m.member_said(*asks.round, PodUid("pod-3"), true);
    EXPECT_EQ(m.deadline(), at(4500));
    EXPECT_EQ(m.source(), MandateSource::Promises);
}

TEST_F(MandateTest, GivenPromisesOfTwoRounds_WhenNeitherIsComplete_ThenTheyDoNotCountTogether) {
    granted();
    const auto first = m.ask(at(1500));
    m.member_said(*first.round, PodUid("pod-2"), true);
    const auto second = m.ask(at(2500));
    ASSERT_TRUE(second.round.has_value());
    m.member_said(*first.round, PodUid("pod-3"), true);
    EXPECT_EQ(m.deadline(), at(3000)) << "the old round is over";
    m.member_said(*second.round, PodUid("pod-3"), true);
    EXPECT_EQ(m.deadline(), at(3000));
    m.member_said(*second.round, PodUid("pod-2"), true);
    EXPECT_EQ(m.deadline(), at(5500));
}

TEST_F(MandateTest, GivenARefusal_WhenTheOthersPromise_ThenItDoesNotCountAndDoesNotFence) {
    granted();
    const auto asks = m.ask(at(1500));
    m.member_said(*asks.round, PodUid("pod-2"), false);
    m.member_said(*asks.round, PodUid("pod-3"), true);
    EXPECT_EQ(m.deadline(), at(3000));
    EXPECT_TRUE(m.holds(at(2000)));
}

TEST_F(MandateTest, GivenARoundUnderWay_WhenTheSetChanges_ThenItsPromisesCountForNothing) {
    granted();
    const auto asks = m.ask(at(1500));
    seat.candidates.version = 8;
    seat.candidates.members.push_back(member(4));
    m.sit(seat);
    all_promise(*asks.round);
    EXPECT_EQ(m.deadline(), at(3000));
    const auto again = m.ask(at(1600));
    all_promise(again.round.value_or(0));
    EXPECT_EQ(m.deadline(), at(3000));
    m.member_said(again.round.value_or(0), PodUid("pod-4"), true);
    EXPECT_EQ(m.deadline(), at(4600));
}

TEST_F(MandateTest, GivenNoStoredSet_WhenHalfPassed_ThenOnlyTheRecordIsAsked) {
    seat.candidates = CandidateSet();
    m.sit(seat);
    granted();
    const auto asks = m.ask(at(1500));
    EXPECT_TRUE(asks.record);
    EXPECT_FALSE(asks.round.has_value());
    EXPECT_FALSE(m.holds(at(2850)));
}

TEST_F(MandateTest, GivenAnEmptySet_WhenNobodyGrants_ThenItIsAloneAndNothingRunsOut) {
    seat.candidates.members.clear();
    m.sit(seat);
    EXPECT_TRUE(m.alone());
    EXPECT_TRUE(m.holds(at(1000000)));
    EXPECT_EQ(m.deadline(), TimePoint::max());
    EXPECT_EQ(m.source(), MandateSource::Alone);
    EXPECT_EQ(m.wake(at(0)), TimePoint::max());
    EXPECT_FALSE(m.ask(at(1000000)).record);
    seat.fenced = Epoch(5);
    m.sit(seat);
    EXPECT_FALSE(m.holds(at(0))) << "fenced is fenced";
}

TEST_F(MandateTest, GivenAloneness_WhenAMemberJoins_ThenAMandateIsNeededAgain) {
    seat.candidates.members.clear();
    m.sit(seat);
    granted();
    seat.candidates.version = 8;
    seat.candidates.members = {member(2)};
    m.sit(seat);
    EXPECT_TRUE(m.holds(at(2000)));
    EXPECT_FALSE(m.holds(at(3000)));
}

TEST_F(MandateTest, GivenALapsedMandate_WhenTimePasses_ThenNobodyIsAskedButAGrantRevivesIt) {
    granted();
    EXPECT_FALSE(m.ask(at(2850)).record) << "the ways prolong, they never begin";
    granted(5000);
    EXPECT_TRUE(m.holds(at(5001)));
}

TEST_F(MandateTest, GivenHurry_WhenHalfIsNotOver_ThenTheWaysAreAskedUntilOneAnswers) {
    granted();
    m.hurry();
    EXPECT_TRUE(m.ask(at(100)).record);
    m.record_said(RecordWord::Renewed, milliseconds(3000), at(100), at(120));
    EXPECT_TRUE(m.renewed_since(at(100)));
    EXPECT_FALSE(m.ask(at(400)).record);
}

// Whatever comes in whatever order: never later than the sending of a good answer plus its TTL.
TEST_F(MandateTest, GivenAnyMoves_WhenTheyAreMade_ThenNoDeadlineExceedsItsProof) {
    std::uint64_t x = 12345;
    const auto dice = [&](std::uint64_t sides) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        return (x >> 33) % sides;
    };
    TimePoint allowed;
    for (int now = 0; now < 200000; now += static_cast<int>(dice(200))) {
        const auto asks = m.ask(at(now));
        switch (dice(4)) {
            case 0:
                if (dice(8) == 0) {
                    const int reading = now - static_cast<int>(dice(2500));
                    (void)m.take(grant(reading), at(now));
                    allowed = std::max(allowed, at(reading + 3000));
                }
                break;
            case 1:
                if (asks.record) {
                    m.record_said(RecordWord::Renewed, milliseconds(3000), at(now), at(now + 5));
                    allowed = std::max(allowed, at(now + 3000));
                }
                break;
            case 2:
                if (asks.round) m.member_said(*asks.round, PodUid("pod-2"), true);
                break;
            default:
                if (asks.round) {
                    all_promise(*asks.round);
                    allowed = std::max(allowed, at(now + 3000));
                }
        }
        ASSERT_LE(m.deadline(), allowed);
        ASSERT_FALSE(m.holds(allowed));
    }
}

}  // namespace
}  // namespace matriarch::agent
