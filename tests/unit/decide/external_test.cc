// Who is master of a topology that others run: hysteresis, rivals, and what is never done.
#include "decide/external.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace matriarch::decide {
namespace {

using ::testing::HasSubstr;

const InstanceName a("a"), b("b"), c("c");

struct ExternalTest : ::testing::Test {
    TimePoint now{seconds(1000)};
    MasterPolicy policy;
    MasterMemory memory;
    std::map<InstanceName, EndpointSight> sights;

    void SetUp() override {
        writes(a);
        follows(b);
        follows(c);
    }
    void writes(const InstanceName& name) { sights[name] = {name, true, Known::Yes, kSystem, {}}; }
    void follows(const InstanceName& name) { sights[name] = {name, true, Known::No, kSystem, {}}; }
    void silent(const InstanceName& name) { sights[name] = {name, false, Known::Unknown, {}, {}}; }

    MasterChoice look() {
        std::vector<EndpointSight> seen;
        for (const auto& [name, sight] : sights) seen.push_back(sight);
        auto choice = choose_master(memory, seen, a, policy, now);
        memory = choice.memory;
        return choice;
    }
    // As the prober's looks come.
    MasterChoice look_for(Duration time) {
        MasterChoice out = look();
        for (const TimePoint end = now + time; now < end;) {
            now += milliseconds(100);
            out = look();
        }
        return out;
    }
    const SystemIdentifier kSystem{"7"};
};

TEST_F(ExternalTest, GivenAStart_WhenOneAcceptsWritesForAMoment_ThenItIsTheMaster) {
    const auto first = look();
    EXPECT_TRUE(first.memory.master.empty());
    EXPECT_EQ(first.wait, policy.settle);
    EXPECT_EQ(first.one_master.reason, "Settling");
    const auto then = look_for(policy.settle);
    EXPECT_EQ(then.memory.master, a);
    EXPECT_TRUE(then.serves);
    EXPECT_TRUE(then.one_master.holds);
}

TEST_F(ExternalTest, GivenAProvidersFailover_WhenTheNewOneSettled_ThenItIsTheMaster) {
    look_for(seconds(5));
    silent(a);
    writes(b);
    EXPECT_EQ(look().memory.master, a) << "one look is not enough";
    EXPECT_EQ(look_for(policy.settle).memory.master, b);
    follows(a);
    const auto after = look_for(seconds(1));
    EXPECT_EQ(after.memory.master, b);
    EXPECT_TRUE(after.one_master.holds);
}

TEST_F(ExternalTest,
       GivenASlaveThatWasPromotedJustBeforeTheMasterStopped_WhenItStops_ThenItSucceeds) {
    look_for(seconds(5));
    writes(b);
    EXPECT_EQ(look_for(seconds(1)).memory.master, a) << "the former one still accepts writes";
    silent(a);
    EXPECT_EQ(look().memory.master, b);
}

TEST_F(ExternalTest, GivenAMasterThatBlinks_WhenNobodyTookOver_ThenItStays) {
    look_for(seconds(5));
    silent(a);
    const auto away = look_for(seconds(60));
    EXPECT_EQ(away.memory.master, a);
    EXPECT_FALSE(away.serves);
    EXPECT_FALSE(away.one_master.holds);
    EXPECT_THAT(away.one_master.message, HasSubstr("a does not answer"));
    writes(a);
    EXPECT_TRUE(look().serves);
}

TEST_F(ExternalTest, GivenAnEndpointThatFlickers_WhenItIsWritableForOneLook_ThenNothingChanges) {
    look_for(seconds(5));
    silent(a);
    for (int i = 0; i < 10; ++i) {
        writes(b);
        EXPECT_EQ(look().memory.master, a);
        follows(b);
        now += milliseconds(200);
        look();
        now += milliseconds(200);
    }
}

TEST_F(ExternalTest, GivenASecondOneThatAcceptsWrites_WhenTheFormerStillDoes_ThenItStaysAndIsTold) {
    look_for(seconds(5));
    writes(b);
    const auto both = look_for(seconds(10));
    EXPECT_EQ(both.memory.master, a);
    EXPECT_TRUE(both.serves);
    EXPECT_FALSE(both.one_master.holds);
    EXPECT_EQ(both.one_master.reason, "SeveralAcceptWrites");
    EXPECT_THAT(both.one_master.message, HasSubstr("b accepts writes too: writes go to a alone"));
}

TEST_F(ExternalTest, GivenARival_WhenTheMasterIsLost_ThenTheRivalIsNoSuccessor) {
    look_for(seconds(5));
    writes(b);
    look_for(seconds(10));
    silent(a);
    const auto lost = look_for(seconds(10));
    EXPECT_EQ(lost.memory.master, a);
    EXPECT_FALSE(lost.serves);
    EXPECT_EQ(lost.one_master.reason, "NoSuccessor");
    writes(c);
    EXPECT_EQ(look_for(seconds(1)).memory.master, c) << "a promotion after the loss counts";
}

TEST_F(ExternalTest, GivenTwoThatAreNew_WhenTheFormerIsLost_ThenWritesGoToNone) {
    look_for(seconds(5));
    silent(a);
    writes(b);
    writes(c);
    const auto choice = look_for(seconds(5));
    EXPECT_EQ(choice.memory.master, a);
    EXPECT_FALSE(choice.serves);
    EXPECT_EQ(choice.one_master.reason, "SeveralAcceptWrites");
    EXPECT_THAT(choice.one_master.message, HasSubstr("writes are routed to none"));
    follows(c);
    EXPECT_EQ(look_for(seconds(1)).memory.master, b);
}

TEST_F(ExternalTest, GivenAnotherDatabase_WhenTheMasterIsLost_ThenItIsNeverTaken) {
    look_for(seconds(5));
    silent(a);
    sights[b] = {b, true, Known::Yes, SystemIdentifier("8"), {}};
    const auto choice = look_for(seconds(10));
    EXPECT_EQ(choice.memory.master, a);
    EXPECT_THAT(choice.one_master.message, HasSubstr("another database"));
}

TEST_F(ExternalTest, GivenAnOldMasterThatComesBack_WhenTheNewOneIsLostAtOnce_ThenItIsNoSuccessor) {
    sights[a].timeline = Timeline(3);
    look_for(seconds(5));
    silent(a);
    writes(b);
    sights[b].timeline = Timeline(4);
    look_for(seconds(5));
    writes(a);
    sights[a].timeline = Timeline(3);
    EXPECT_THAT(look_for(seconds(1)).one_master.message,
                HasSubstr("a accepts writes too, on an older timeline"));
    silent(b);
    EXPECT_EQ(look_for(seconds(10)).memory.master, b) << "a lacks what b has written";
    writes(c);
    sights[c].timeline = Timeline(5);
    EXPECT_EQ(look_for(seconds(1)).memory.master, c);
}

TEST_F(ExternalTest, GivenTwoAtTheStart_WhenOneIsTheSpecsMaster_ThenItIsTaken) {
    writes(b);
    EXPECT_EQ(look_for(seconds(1)).memory.master, a);
    memory = {};
    follows(a);
    writes(c);
    EXPECT_TRUE(look_for(seconds(5)).memory.master.empty()) << "neither is the spec's master";
}

TEST_F(ExternalTest, GivenAMasterThatTheSpecNoLongerNames_WhenAnotherWrites_ThenThatIsTheMaster) {
    look_for(seconds(5));
    writes(b);
    look_for(seconds(10));
    sights.erase(a);
    EXPECT_EQ(look_for(seconds(1)).memory.master, b) << "who was a rival before";
}

TEST_F(ExternalTest, GivenNobodyKnown_WhenNoneAcceptsWrites_ThenThatIsSaid) {
    follows(a);
    const auto choice = look_for(seconds(5));
    EXPECT_TRUE(choice.memory.master.empty());
    EXPECT_EQ(choice.one_master.reason, "NoneAcceptsWrites");
}

}  // namespace
}  // namespace matriarch::decide
