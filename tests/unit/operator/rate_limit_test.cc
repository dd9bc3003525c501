#include "operator/rate_limit.h"

#include <gtest/gtest.h>

#include "object_fixtures.h"

namespace matriarch::op {
namespace {

struct RateLimitTest : ::testing::Test {
    FixedClock clock;
    RateLimiter limiter{{2, 4}, clock, 3};

    int asks(const std::string& caller, int times) {
        int let_in = 0;
        for (int i = 0; i < times; ++i)
            if (!limiter.refuse(caller)) ++let_in;
        return let_in;
    }
};

TEST_F(RateLimitTest, GivenABurst_WhenItIsSpent_ThenTheCallerIsToldHowLongToWait) {
    EXPECT_EQ(asks("a", 4), 4);
    const auto wait = limiter.refuse("a");
    ASSERT_TRUE(wait.has_value());
    EXPECT_EQ(*wait, milliseconds(500));
    clock.advance(*wait);
    EXPECT_FALSE(limiter.refuse("a").has_value());
    EXPECT_TRUE(limiter.refuse("a").has_value());
}

TEST_F(RateLimitTest, GivenACallerThatSpentAll_WhenAnotherAsks_ThenItHasItsOwn) {
    EXPECT_EQ(asks("a", 9), 4);
    EXPECT_EQ(asks("b", 9), 4);
}

TEST_F(RateLimitTest, GivenALongSilence_WhenHeAsksAgain_ThenTheBucketIsFullAndNoMore) {
    EXPECT_EQ(asks("a", 4), 4);
    clock.advance(std::chrono::hours(1));
    EXPECT_EQ(asks("a", 9), 4);
}

TEST_F(RateLimitTest, GivenAPriceAboveTheBucket_WhenTheBucketIsFull_ThenItTakesAll) {
    EXPECT_FALSE(limiter.refuse("a", 100).has_value());
    EXPECT_TRUE(limiter.refuse("a").has_value());
}

TEST_F(RateLimitTest, GivenTooManyCallers_WhenAnotherComes_ThenTheLongestSilentOneIsForgotten) {
    for (const char* caller : {"a", "b", "c"}) {
        EXPECT_EQ(asks(caller, 9), 4);
        clock.advance(milliseconds(1));
    }
    EXPECT_EQ(asks("d", 9), 4);
    EXPECT_EQ(asks("c", 9), 0) << "a newer one was forgotten";
    EXPECT_EQ(asks("a", 9), 4) << "the oldest one was not forgotten";
}

}  // namespace
}  // namespace matriarch::op
