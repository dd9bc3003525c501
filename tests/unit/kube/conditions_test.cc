#include "kube/conditions.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace matriarch::kube {
namespace {

const WallTime kMorning{std::chrono::seconds(1700000000)};
const WallTime kEvening{std::chrono::seconds(1700040000)};

Condition ready(ConditionStatus status, const std::string& reason = "AllUp") {
    return {.type = "Ready", .status = status, .reason = reason, .message = "fine"};
}

TEST(Conditions, GivenANewReason_WhenTheStatusIsTheSame_ThenTheTransitionTimeStays) {
    std::vector<Condition> conditions;
    EXPECT_TRUE(set_condition(conditions, ready(ConditionStatus::True), kMorning));
    const std::string first = conditions[0].last_transition_time;
    EXPECT_EQ(first, "2023-11-14T22:13:20Z");
    EXPECT_TRUE(set_condition(conditions, ready(ConditionStatus::True, "Other"), kEvening));
    EXPECT_EQ(conditions[0].last_transition_time, first);
    EXPECT_EQ(conditions.size(), 1U);
}

TEST(Conditions, GivenAnotherStatus_WhenSet_ThenTheTransitionTimeIsNow) {
    std::vector<Condition> conditions;
    set_condition(conditions, ready(ConditionStatus::True), kMorning);
    EXPECT_TRUE(set_condition(conditions, ready(ConditionStatus::False), kEvening));
    EXPECT_EQ(conditions[0].last_transition_time, "2023-11-15T09:20:00Z");
}

TEST(Conditions, GivenTheSameCondition_WhenSet_ThenNothingChanged) {
    std::vector<Condition> conditions;
    set_condition(conditions, ready(ConditionStatus::True), kMorning);
    EXPECT_FALSE(set_condition(conditions, ready(ConditionStatus::True), kEvening));
}

TEST(Conditions, GivenReasonsThatTheServerWouldRefuse_WhenSet_ThenTheyAreReplaced) {
    for (const char* bad : {"", "has space", "1st", "Ends:", "ü"}) {
        std::vector<Condition> conditions;
        set_condition(conditions, ready(ConditionStatus::True, bad), kMorning);
        EXPECT_EQ(conditions[0].reason, "Unknown") << bad;
    }
    std::vector<Condition> conditions;
    set_condition(conditions, ready(ConditionStatus::True, "A_b:c,d9"), kMorning);
    EXPECT_EQ(conditions[0].reason, "A_b:c,d9");
}

TEST(Conditions, GivenALongMessage_WhenSet_ThenItIsCutBetweenCharacters) {
    std::vector<Condition> conditions;
    Condition condition = ready(ConditionStatus::True);
    condition.message = std::string(32767, 'x') + "ä";
    set_condition(conditions, condition, kMorning);
    EXPECT_EQ(conditions[0].message.size(), 32767U);
}

TEST(Conditions, GivenEncodedConditions_WhenDecoded_ThenTheyAreTheSame) {
    std::vector<Condition> conditions;
    set_condition(conditions, ready(ConditionStatus::Unknown), kMorning);
    Condition other = ready(ConditionStatus::False);
    other.type = "Progressing";
    other.observed_generation = 7;
    set_condition(conditions, other, kEvening);
    EXPECT_EQ(decode_conditions(encode_conditions(conditions)), conditions);
    ASSERT_NE(find_condition(conditions, "Progressing"), nullptr);
    EXPECT_EQ(find_condition(conditions, "Nothing"), nullptr);
    EXPECT_TRUE(decode_conditions(nlohmann::json::parse(R"([1,{"x":2}])")).empty());
}

}  // namespace
}  // namespace matriarch::kube
