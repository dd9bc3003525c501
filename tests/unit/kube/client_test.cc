#include "kube/client.h"

#include <gtest/gtest.h>

#include "kube/fakes.h"
#include "kube/status.h"

namespace matriarch::kube {
namespace {

using testing::json;
using testing::list_json;
using testing::pod_json;
using testing::status_json;

class ClientTest : public ::testing::Test {
  protected:
    const Request& last() const { return transport_.requests.back(); }
    json last_body() const { return json::parse(last().body); }

    testing::FakeClock clock_;
    testing::ScriptedTransport transport_;
    std::vector<int> codes_;
    Client client_{transport_, clock_,
                   [this](const RequestReport& report) { codes_.push_back(report.code); }};
};

struct StatusCase {
    int code;
    const char* reason;
    ErrorKind read;
    ErrorKind write;
};

TEST_F(ClientTest, GivenEachFailure_WhenMapped_ThenItsKindSaysWhatToDoNext) {
    using enum ErrorKind;
    const std::vector<StatusCase> cases = {
        {400, "BadRequest", Invalid, Invalid},
        {401, "Unauthorized", Unauthorized, Unauthorized},
        {403, "Forbidden", Forbidden, Forbidden},
        {404, "NotFound", NotFound, NotFound},
        {409, "Conflict", Conflict, Conflict},
        {409, "AlreadyExists", AlreadyExists, AlreadyExists},
        {410, "Expired", Gone, Gone},
        {410, "Gone", Gone, Gone},
        {413, "RequestEntityTooLarge", Invalid, Invalid},
        {422, "Invalid", Invalid, Invalid},
        {429, "TooManyRequests", Throttled, Throttled},
        {500, "InternalError", Unavailable, Unavailable},
        {503, "ServiceUnavailable", Unavailable, Unavailable},
        {504, "Timeout", Timeout, OutcomeUnknown},
    };
    for (const StatusCase& c : cases) {
        transport_.answer(c.code, status_json(c.code, c.reason));
        EXPECT_EQ(client_.get(kPods, {"db", "a"}).error().kind, c.read) << c.code << c.reason;
        transport_.answer(c.code, status_json(c.code, c.reason));
        EXPECT_EQ(client_.create(kPods, pod_json("a", 1)).error().kind, c.write)
            << c.code << c.reason;
        EXPECT_EQ(codes_.back(), c.code);
    }
}

TEST_F(ClientTest, GivenALostAnswer_WhenItWasAWrite_ThenTheOutcomeIsUnknown) {
    for (const ErrorKind lost : {ErrorKind::OutcomeUnknown, ErrorKind::Timeout}) {
        transport_.fail(lost);
        EXPECT_EQ(client_.create(kPods, pod_json("a", 1)).error().kind, ErrorKind::OutcomeUnknown);
        transport_.fail(lost);
        EXPECT_NE(client_.get(kPods, {"db", "a"}).error().kind, ErrorKind::OutcomeUnknown);
        EXPECT_EQ(codes_.back(), 0);
    }
    transport_.fail(ErrorKind::Unavailable);
    EXPECT_EQ(client_.create(kPods, pod_json("a", 1)).error().kind, ErrorKind::Unavailable);
}

TEST_F(ClientTest, GivenAnAnswerThatIsNotJson_WhenItWasAWrite_ThenTheOutcomeIsUnknown) {
    transport_.on_send([](const Request&) { return Response{200, "<html>"}; });
    EXPECT_EQ(client_.create(kPods, pod_json("a", 1)).error().kind, ErrorKind::OutcomeUnknown);
}

TEST_F(ClientTest, GivenRetryAfter_WhenThrottled_ThenTheErrorCarriesIt) {
    transport_.on_send([](const Request&) {
        return Response{429, status_json(429, "TooManyRequests").dump(), std::chrono::seconds(3)};
    });
    EXPECT_EQ(client_.get(kPods, {"db", "a"}).error().retry_after, std::chrono::seconds(3));
}

TEST_F(ClientTest, GivenAFailure_WhenItIsRead_ThenItNamesTheObjectAndTheServersWords) {
    transport_.answer(422, status_json(422, "Invalid", "spec.slaves: must be at most 15"));
    EXPECT_EQ(client_.create(kPods, pod_json("orders", 1)).error().message(),
              "create pods db/orders: spec.slaves: must be at most 15");
}

TEST_F(ClientTest, GivenPages_WhenListed_ThenEachItemIsDeliveredAndSelectorsAreRepeated) {
    transport_.answer(200, list_json({pod_json("a", 1), pod_json("b", 2)}, 9, "next/page"));
    transport_.answer(200, list_json({pod_json("c", 3)}, 9));
    std::vector<std::string> names;
    const auto summary =
        client_.list(kPods, {.ns = "db", .label_selector = "app=x", .page_size = 2},
                     [&](const json& item) { names.push_back(item["metadata"]["name"]); });
    ASSERT_TRUE(summary.ok());
    EXPECT_EQ(summary->resource_version, "9");
    EXPECT_EQ(names, (std::vector<std::string>{"a", "b", "c"}));
    EXPECT_EQ(last().target,
              "/api/v1/namespaces/db/pods?limit=2&labelSelector=app%3Dx&continue=next%2Fpage");
}

TEST_F(ClientTest, GivenTheListingExpires_WhenPaging_ThenGone) {
    transport_.answer(200, list_json({pod_json("a", 1)}, 9, "x"));
    json expired = status_json(410, "Expired");
    expired["metadata"] = {{"continue", "inconsistent"}};
    transport_.answer(410, expired);
    EXPECT_EQ(client_.list(kPods, {}, [](const json&) {}).error().kind, ErrorKind::Gone);
    EXPECT_EQ(transport_.requests.size(), 2U);  // the inconsistent token is not used
}

TEST_F(ClientTest, GivenAnApply_WhenSent_ThenItIsStrictForcedAndTyped) {
    transport_.answer(200, json::object());
    json object = pod_json("a", 1);
    object["metadata"]["managedFields"] = json::array();
    object["metadata"].erase("resourceVersion");
    ASSERT_TRUE(client_.apply(kStatefulSets, object, {.subresource = "status"}).ok());
    EXPECT_EQ(last().method, "PATCH");
    EXPECT_EQ(last().content_type, "application/apply-patch+yaml");
    EXPECT_EQ(last().target,
              "/apis/apps/v1/namespaces/db/statefulsets/a/status"
              "?fieldManager=matriarch&force=true&fieldValidation=Strict");
    EXPECT_EQ(last_body()["apiVersion"], "apps/v1");
    EXPECT_EQ(last_body()["kind"], "StatefulSet");
    EXPECT_FALSE(last_body()["metadata"].contains("managedFields"));
}

TEST_F(ClientTest, GivenNoPrecondition_WhenUpdated_ThenItIsRefusedUnsent) {
    json object = pod_json("a", 1);
    object["metadata"].erase("resourceVersion");
    EXPECT_EQ(client_.update(kPods, object).error().kind, ErrorKind::Invalid);
    EXPECT_EQ(client_.create(kPods, json{{"metadata", {{"generateName", "a-"}}}}).error().kind,
              ErrorKind::Invalid);
    EXPECT_TRUE(transport_.requests.empty());
}

TEST_F(ClientTest, GivenAReview_WhenAsked_ThenItNeedsNoNameAndAnswersItsStatus) {
    transport_.answer(201, {{"status", {{"authenticated", true}}}});
    const auto answer = client_.review(kTokenReviews, {{"spec", {{"token", "t"}}}});
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ((*answer)["status"]["authenticated"], true);
    EXPECT_EQ(transport_.requests.back().target, "/apis/authentication.k8s.io/v1/tokenreviews");
    EXPECT_EQ(last_body(), json::parse(R"({"apiVersion":"authentication.k8s.io/v1",
                                           "kind":"TokenReview","spec":{"token":"t"}})"));
}

TEST_F(ClientTest, GivenAMergePatch_WhenSent_ThenTheVersionIsItsPrecondition) {
    transport_.answer(200, json::object());
    ASSERT_TRUE(client_.merge_patch(kPods, {"db", "a"}, "77", {{"spec", {{"x", 1}}}}).ok());
    EXPECT_EQ(last_body(), json::parse(R"({"spec":{"x":1},"metadata":{"resourceVersion":"77"}})"));
}

TEST_F(ClientTest, GivenPreconditions_WhenRemoved_ThenTheBodyCarriesThem) {
    transport_.answer(200, json::object());
    ASSERT_TRUE(client_
                    .remove(kClaims, {"db", "a"},
                            {.uid = "u", .resource_version = "5", .grace_period_seconds = 0})
                    .ok());
    EXPECT_EQ(last().method, "DELETE");
    EXPECT_EQ(last_body()["preconditions"], (json{{"uid", "u"}, {"resourceVersion", "5"}}));
    EXPECT_EQ(last_body()["gracePeriodSeconds"], 0);
    EXPECT_EQ(last_body()["propagationPolicy"], "Background");
}

TEST(Status, GivenAVersionFromTheFuture_WhenMapped_ThenItIsGone) {
    json status = status_json(504, "Timeout");
    status["details"]["causes"] = {{{"reason", "ResourceVersionTooLarge"}}};
    EXPECT_EQ(error_from_status("watch", status).kind, ErrorKind::Gone);
}

}  // namespace
}  // namespace matriarch::kube
