// Who gets which answer: access, its cache, limits, the choice of the cluster, refusals.
#include "operator/health_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "object_fixtures.h"

namespace matriarch::op {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Page = HealthApi::Page;

// An API server that knows the tokens "good" (of anna, who may see shop/orders) and "other".
class FakeReviews final : public Reviews {
  public:
    Result<Identity> whose(const std::string& token) override {
        ++tokens_asked;
        if (failure) return *failure;
        if (token != "good" && token != "other")
            return make_error(ErrorKind::Unauthorized, "the bearer token is not valid");
        Identity out;
        out.user = token == "good" ? "anna" : "otto";
        return out;
    }
    Result<bool> allows(const Identity& who, const ClusterKey& cluster,
                        const std::string& verb) override {
        ++rights_asked;
        last_verb = verb;
        if (failure) return *failure;
        return who.user == "anna" && cluster.str() == "shop/orders" && allowed;
    }
    int tokens_asked = 0, rights_asked = 0;
    bool allowed = true;
    std::string last_verb;
    std::optional<Error> failure;
};

struct HealthApiTest : ::testing::Test {
    FixedClock clock;
    FakeReviews reviews;
    std::vector<ClusterKey> clusters{{"shop", "orders"}};
    std::vector<TestedEndpoint> tested;
    bool anonymous = false;
    RateLimit rate{10, 20};
    std::unique_ptr<HealthApi> api;

    std::optional<HealthFacts> facts(const ClusterKey& key) {
        if (std::find(clusters.begin(), clusters.end(), key) == clusters.end()) return {};
        HealthFacts out;
        out.slaves = 2;
        out.routes = orders_routes();
        out.now = clock.now();
        out.wall = clock.wall();
        return out;
    }
    net::HttpResponse ask(Page page, const std::string& authorization,
                          const std::string& query = "", const std::string& address = "10.1.1.1") {
        if (!api)
            api = std::make_unique<HealthApi>(
                HealthApi::World{
                    reviews, [this] { return clusters; },
                    [this](const ClusterKey& key) { return facts(key); },
                    [](const ClusterKey&, const auto&) {
                        return std::map<std::string, PoolFigures>{{"orders-1", {25, 3, 7, 0}}};
                    },
                    [this](const auto& endpoints) {
                        tested = endpoints;
                        return std::vector<Result<Duration>>(endpoints.size(),
                                                             Duration(milliseconds(3)));
                    },
                    clock},
                rate, anonymous);
        net::HttpRequest request;
        request.query = query;
        request.peer_address = address;
        if (!authorization.empty()) request.headers.set("Authorization", authorization);
        return api->answer(page, request);
    }
    int status(const std::string& authorization, const std::string& query = "",
               Page page = Page::DatabaseHealth) {
        return ask(page, authorization, query).status;
    }
};

TEST_F(HealthApiTest, GivenATokenThatMay_WhenAnyPageIsAsked_ThenItIsAnswered) {
    for (const auto& page : HealthApi::pages()) {
        const auto answer = ask(page.page, "Bearer good", "cluster=shop%2Forders");
        EXPECT_EQ(answer.status, 200) << page.path;
        EXPECT_EQ(answer.headers.get("Cache-Control"), "no-store");
        EXPECT_TRUE(Json::parse(answer.body).is_object());
    }
}

TEST_F(HealthApiTest, GivenNoToken_WhenAnyPageIsAsked_ThenItIs401AndNothingIsTold) {
    for (const auto& page : HealthApi::pages()) {
        const auto answer = ask(page.page, "", "cluster=shop/orders");
        EXPECT_EQ(answer.status, 401) << page.path;
        EXPECT_EQ(answer.headers.get("WWW-Authenticate"), "Bearer");
        EXPECT_THAT(answer.body, Not(HasSubstr("orders")));
    }
    EXPECT_EQ(reviews.tokens_asked, 0);
}

TEST_F(HealthApiTest, GivenAnonymousIsAllowed_WhenNoTokenIsShown_ThenOnlyTheTwoHealthPagesAnswer) {
    anonymous = true;
    for (const auto& page : HealthApi::pages()) {
        const bool open = page.page == Page::DatabaseHealth || page.page == Page::OverallHealth;
        EXPECT_EQ(ask(page.page, "").status, open ? 200 : 401) << page.path;
    }
    EXPECT_EQ(status("Bearer wrong"), 401) << "a wrong token is none the less wrong";
}

TEST_F(HealthApiTest, GivenATokenOfNobody_WhenAsked_ThenItIs401) {
    EXPECT_EQ(status("Bearer wrong"), 401);
}

TEST_F(HealthApiTest, GivenAHeaderThatIsNoBearerToken_WhenAsked_ThenNobodyIsAsked) {
    for (const char* header : {"Basic good", "Bearer", "Bearer ", "Bearer go od", "Bearer g\"ood"})
        EXPECT_EQ(status(header), 401) << header;
    EXPECT_EQ(status("Bearer " + std::string(9000, 'a')), 401);
    EXPECT_EQ(reviews.tokens_asked, 0);
    EXPECT_EQ(status("bearer good"), 200) << "the scheme's case does not matter";
}

TEST_F(HealthApiTest, GivenAUserWithoutTheRight_WhenAsked_ThenItIs403WhetherItExistsOrNot) {
    const auto there = ask(Page::ReplicaLag, "Bearer other", "cluster=shop/orders");
    EXPECT_EQ(there.status, 403);
    EXPECT_EQ(status("Bearer other", "cluster=shop/nothing"), 403);
    EXPECT_THAT(there.body, Not(HasSubstr("orders-1")));
}

TEST_F(HealthApiTest, GivenTheTwoVerbs_WhenConnectionsAreTested_ThenTheRightIsCreate) {
    (void)status("Bearer good", "", Page::PoolMetrics);
    EXPECT_EQ(reviews.last_verb, "get");
    (void)status("Bearer good", "", Page::TestConnection);
    EXPECT_EQ(reviews.last_verb, "create");
}

TEST_F(HealthApiTest, GivenNoClusterParameter_WhenOnlyOneExists_ThenItIsMeant) {
    EXPECT_EQ(status("Bearer good"), 200);
    clusters.push_back({"shop", "second"});
    const auto answer = ask(Page::DatabaseHealth, "Bearer good");
    EXPECT_EQ(answer.status, 400);
    EXPECT_THAT(answer.body, HasSubstr("?cluster=namespace/name"));
    EXPECT_THAT(answer.body, Not(HasSubstr("second")));
    clusters.clear();
    EXPECT_EQ(status("Bearer good"), 400);
}

TEST_F(HealthApiTest, GivenABadClusterParameter_WhenAsked_ThenItIs400AndNobodyIsAskedForRights) {
    for (const char* query : {"cluster=orders", "cluster=", "cluster=a/b/c", "cluster=a%2f%ff",
                              "cluster=shop/Orders", "cluster=/x"})
        EXPECT_EQ(status("Bearer good", query), 400) << query;
    EXPECT_EQ(reviews.rights_asked, 0);
}

TEST_F(HealthApiTest, GivenAClusterThatIsGone_WhenHeMayAsk_ThenItIs404) {
    clusters.clear();
    EXPECT_EQ(status("Bearer good", "cluster=shop/orders"), 404);
}

TEST_F(HealthApiTest, GivenATestOfConnections_WhenAHostIsNamed_ThenOnlyOwnEndpointsAreTested) {
    const auto answer = ask(Page::TestConnection, "Bearer good",
                            "database_type=replica&host=169.254.169.254&address=1.2.3.4");
    EXPECT_EQ(answer.status, 200);
    ASSERT_EQ(tested.size(), 2u);
    EXPECT_EQ(tested[0].address, "10.0.0.2");
    EXPECT_EQ(tested[1].address, "10.0.0.3");
    EXPECT_EQ(status("Bearer good", "database_type=legacy", Page::TestConnection), 400);
    EXPECT_EQ(status("Bearer good", "database_type=legacy"), 200) << "of no meaning elsewhere";
}

TEST_F(HealthApiTest, GivenAnswersOfTheApiServer_WhenAskedAgainSoon_ThenTheyAreKeptForSeconds) {
    for (int i = 0; i < 3; ++i) EXPECT_EQ(status("Bearer good"), 200);
    EXPECT_EQ(reviews.tokens_asked, 1);
    EXPECT_EQ(reviews.rights_asked, 1);
    reviews.allowed = false;
    clock.advance(HealthAccess::kKeepGood);
    EXPECT_EQ(status("Bearer good"), 403) << "a right that was taken away is gone by then";
    reviews.allowed = true;
    EXPECT_EQ(status("Bearer good"), 403);
    clock.advance(HealthAccess::kKeepRefused);
    EXPECT_EQ(status("Bearer good"), 200);
}

TEST_F(HealthApiTest, GivenAWrongToken_WhenAskedAgainAtOnce_ThenTheApiServerIsNotAskedAgain) {
    for (int i = 0; i < 3; ++i) EXPECT_EQ(status("Bearer wrong"), 401);
    EXPECT_EQ(reviews.tokens_asked, 1);
    clock.advance(HealthAccess::kKeepRefused);
    EXPECT_EQ(status("Bearer wrong"), 401);
    EXPECT_EQ(reviews.tokens_asked, 2);
}

TEST_F(HealthApiTest, GivenAnApiServerThatIsAway_WhenAsked_ThenItIs503WithoutItsWords) {
    reviews.failure = make_error(ErrorKind::Unavailable, "the bearer token could not be checked",
                                 "dial tcp 10.9.9.9: refused");
    reviews.failure->retry_after = milliseconds(1000);
    const auto answer = ask(Page::DatabaseHealth, "Bearer good");
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(answer.headers.get("Retry-After"), "1");
    EXPECT_THAT(answer.body, Not(HasSubstr("10.9.9.9")));
    reviews.failure.reset();
    EXPECT_EQ(status("Bearer good"), 503) << "kept for a second";
    clock.advance(HealthAccess::kKeepFailed);
    EXPECT_EQ(status("Bearer good"), 200);
}

TEST_F(HealthApiTest, GivenAUserWhoAsksTooOften_WhenRefused_ThenHeLearnsWhenToComeAgain) {
    rate = {1, 3};
    for (int i = 0; i < 3; ++i) EXPECT_EQ(status("Bearer good"), 200);
    const auto answer = ask(Page::DatabaseHealth, "Bearer good");
    EXPECT_EQ(answer.status, 429);
    EXPECT_EQ(answer.headers.get("Retry-After"), "1");
    EXPECT_EQ(ask(Page::DatabaseHealth, "Bearer good", "", "10.1.1.2").status, 429)
        << "another address is the same user";
    clock.advance(seconds(1));
    EXPECT_EQ(status("Bearer good"), 200);
}

TEST_F(HealthApiTest, GivenAnAddressThatTriesTokens_WhenRefused_ThenOthersAreServed) {
    rate = {1, 3};
    for (int i = 0; i < 9; ++i) (void)status("Bearer wrong" + std::to_string(i));
    EXPECT_EQ(reviews.tokens_asked, 3);
    EXPECT_EQ(status("Bearer wrong"), 429);
    EXPECT_EQ(ask(Page::DatabaseHealth, "Bearer good", "", "10.1.1.2").status, 200);
    EXPECT_EQ(status("Bearer good"), 200) << "who is known already is not held up";
}

TEST_F(HealthApiTest, GivenATestOfConnections_WhenRepeated_ThenItCostsMore) {
    rate = {1, 10};
    EXPECT_EQ(status("Bearer good", "", Page::TestConnection), 200);
    EXPECT_EQ(status("Bearer good", "", Page::TestConnection), 200);
    EXPECT_EQ(status("Bearer good", "", Page::TestConnection), 429);
}

TEST_F(HealthApiTest, GivenAnyRefusal_WhenItIsRead_ThenTheTokenIsNotInIt) {
    for (const char* token : {"good", "wrong", "other"})
        EXPECT_THAT(ask(Page::PoolMetrics, std::string("Bearer ") + token, "cluster=shop/x").body,
                    Not(HasSubstr(token == std::string("other") ? "Bearer" : token)));
}

TEST(HealthAccessTest, GivenManyTokens_WhenTheyAreKept_ThenTheirNumberIsBounded) {
    FixedClock clock;
    FakeReviews reviews;
    HealthAccess access(reviews, clock);
    ASSERT_TRUE(access.who("good").ok());
    for (std::size_t i = 0; i < HealthAccess::kMaxEntries + 10; ++i) {
        clock.advance(std::chrono::microseconds(1));
        (void)access.who("wrong" + std::to_string(i));
    }
    EXPECT_TRUE(access.knows("good")) << "refusals end sooner, so they make room";
    const int asked = reviews.tokens_asked;
    (void)access.who("wrong0");
    EXPECT_EQ(reviews.tokens_asked, asked + 1) << "it was forgotten";
}

}  // namespace
}  // namespace matriarch::op
