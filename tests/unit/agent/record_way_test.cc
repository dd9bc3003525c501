#include "agent/record_way.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace matriarch::agent {
namespace {

using ::testing::HasSubstr;

const Claim kClaim{InstanceName("a-1"), PodUid("uid"), Epoch(5), EpochId("five")};

std::string lease(const char* holder, int epoch, const char* id, const char* phase,
                  const char* version = "\"77\"") {
    return std::string(R"({"kind":"Lease","metadata":{"name":"a","resourceVersion":)") + version +
           R"(,"annotations":{"other":"kept","matriarch.dev/record":"{\"epochId\":\")" + id +
           R"(\",\"phase\":\")" + phase + R"(\"}"}},"spec":{"holderIdentity":")" + holder +
           R"(","leaseTransitions":)" + std::to_string(epoch) +
           R"(,"leaseDurationSeconds":4,"renewTime":"old"}})";
}

Judgement judge(const std::string& body) {
    return judge_record(body, kClaim, WallTime(seconds(1700000000)));
}

TEST(RecordWay, GivenARecordThatNamesUs_WhenJudged_ThenOnlyItsTimeIsRenewed) {
    const auto j = judge(lease("a-1/uid", 5, "five", "serving"));
    EXPECT_EQ(j.word, RecordWord::Renewed) << j.why;
    EXPECT_EQ(j.ttl, milliseconds(4000));
    EXPECT_THAT(j.renewed_body, HasSubstr(R"("renewTime":"2023-11-14T22:13:20.000000Z")"));
    EXPECT_THAT(j.renewed_body, HasSubstr(R"("resourceVersion":"77")"));
    EXPECT_THAT(j.renewed_body, HasSubstr(R"("other":"kept")"));
}

TEST(RecordWay, GivenAnotherHolderPodEpochOrId_WhenJudged_ThenItIsARejection) {
    for (const auto& body :
         {lease("a-2/uid", 5, "five", "serving"), lease("a-1/other", 5, "five", "serving"),
          lease("a-1/uid", 6, "five", "serving"), lease("a-1/uid", 5, "also five", "closing")})
        EXPECT_EQ(judge(body).word, RecordWord::Rejected) << body;
}

TEST(RecordWay, GivenAPhase_WhenJudged_ThenOnlyServingIsRenewed) {
    EXPECT_EQ(judge(lease("a-1/uid", 5, "five", "closing")).word, RecordWord::Ends);
    EXPECT_EQ(judge(lease("a-1/uid", 5, "five", "promoting")).word, RecordWord::Nothing);
    EXPECT_EQ(judge(lease("a-1/uid", 5, "five", "retiring")).word, RecordWord::Ends)
        << "of a newer operator";
}

TEST(RecordWay, GivenWhatIsNoRecord_WhenJudged_ThenNothingIsRenewed) {
    EXPECT_EQ(judge("<html>").word, RecordWord::Nothing);
    EXPECT_EQ(judge(R"({"spec":{}})").word, RecordWord::Ends);
    EXPECT_EQ(judge(lease("a-1/uid", 5, "five", "serving", "\"\"")).word, RecordWord::Nothing)
        << "without a version the write would be no compare-and-swap";
}

}  // namespace
}  // namespace matriarch::agent
