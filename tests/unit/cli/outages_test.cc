#include "cli/outages.h"

#include <gtest/gtest.h>

namespace matriarch::cli {
namespace {

TimePoint at(int ms) {
    return TimePoint(milliseconds(ms));
}

TEST(Outages, GivenSteadyWrites_WhenCounted_ThenThereIsNone) {
    Outages outages;
    for (int ms = 0; ms < 1000; ms += 10) EXPECT_FALSE(outages.acknowledgement(at(ms)));
    EXPECT_TRUE(outages.all().empty());
    EXPECT_EQ(outages.longest(), Duration::zero());
}

TEST(Outages, GivenAFailure_WhenWritesGoOn_ThenItLastedFromAcknowledgementToAcknowledgement) {
    Outages outages;
    outages.acknowledgement(at(100));
    EXPECT_TRUE(outages.failure(at(112), "closed"));
    EXPECT_FALSE(outages.failure(at(130), "refused"));
    const auto outage = outages.acknowledgement(at(520));
    ASSERT_TRUE(outage);
    EXPECT_EQ(to_ms(outage->length()), 420);
    EXPECT_EQ(outage->error, "closed");
}

TEST(Outages, GivenASilenceWithoutError_WhenItIsLong_ThenItIsAnOutage) {
    Outages outages(milliseconds(250));
    outages.acknowledgement(at(0));
    EXPECT_FALSE(outages.acknowledgement(at(250)));
    ASSERT_TRUE(outages.acknowledgement(at(501)));
    EXPECT_EQ(to_ms(outages.longest()), 251);
}

TEST(Outages, GivenFailuresBeforeTheFirstAcknowledgement_WhenCounted_ThenTheyAreNoOutage) {
    Outages outages;
    EXPECT_FALSE(outages.failure(at(0), "refused"));
    EXPECT_FALSE(outages.acknowledgement(at(5000)));
    EXPECT_TRUE(outages.all().empty());
}

TEST(Outages, GivenAnOutageThatDoesNotEnd_WhenTheRunEnds_ThenItCounts) {
    Outages outages;
    outages.acknowledgement(at(0));
    outages.failure(at(10), "closed");
    ASSERT_TRUE(outages.finish(at(3000)));
    EXPECT_EQ(to_ms(outages.longest()), 3000);
}

}  // namespace
}  // namespace matriarch::cli
