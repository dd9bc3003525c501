// The exact shapes of the health API; docs/health-api.yaml states them for others.
#include "operator/health_view.h"

#include <gtest/gtest.h>

#include "object_fixtures.h"

namespace matriarch::op {
namespace {

struct HealthViewTest : ::testing::Test {
    FixedClock clock;
    HealthFacts facts;

    MemberStatus& member(int ordinal) {
        return facts.status.members[static_cast<std::size_t>(ordinal - 1)];
    }
    void SetUp() override {
        facts.slaves = 2;
        facts.max_lag = milliseconds(10000);
        facts.routes = orders_routes();
        facts.now = clock.now();
        facts.wall = clock.wall();
        facts.status.master = "orders-1";
        for (int n = 1; n <= 3; ++n) {
            MemberStatus m;
            m.name = orders(n).value;
            m.role = n == 1 ? "master" : "slave";
            m.state = "running";
            m.ready = true;
            m.answered_in = std::chrono::microseconds(1250);
            m.heard = clock.now() - milliseconds(300);
            if (n > 1) m.lag_ms = 0;
            facts.status.members.push_back(m);
        }
        member(2).lag_ms = 120;
    }
    std::string stamp(Duration ago = {}) const {
        return format_rfc3339(clock.wall() - std::chrono::duration_cast<WallTime::duration>(ago));
    }
    // What a standby knows: no ages, coarse figures.
    void as_published() {
        for (auto& m : facts.status.members) {
            m.answered_in.reset();
            m.heard.reset();
            if (m.lag_ms) m.lag_ms = 1000;
        }
        facts.routes->slaves[0].lag = milliseconds(500);
    }
};

TEST_F(HealthViewTest, GivenAHealthyCluster_WhenDatabaseHealthIsAsked_ThenItHasThisShape) {
    EXPECT_EQ(database_health(facts), Json::parse(R"({
        "status": "healthy",
        "replicas": {"total": 2, "healthy": 2, "unhealthy": 0},
        "details": {
            "orders-1": {"role": "primary", "healthy": true, "response_time_ms": 1.25, "lag_ms": 0},
            "orders-2": {"role": "replica", "position": "slave1", "state": "ready",
                         "healthy": true, "response_time_ms": 1.25, "lag_ms": 120},
            "orders-3": {"role": "replica", "position": "slave2", "state": "ready",
                         "healthy": true, "response_time_ms": 1.25, "lag_ms": 0}}})"));
}

TEST_F(HealthViewTest, GivenAHealthyCluster_WhenOverallHealthIsAsked_ThenItHasThisShape) {
    Json expected = Json::parse(R"({
        "overall_healthy": true,
        "primary": {"name": "orders-1", "healthy": true, "response_time_ms": 1.25,
                    "pool_size": null, "checked_out": null},
        "replicas": [
            {"name": "orders-2", "healthy": true, "response_time_ms": 1.25,
             "pool_size": null, "checked_out": null},
            {"name": "orders-3", "healthy": true, "response_time_ms": 1.25,
             "pool_size": null, "checked_out": null}],
        "read_replicas_enabled": true})");
    expected["timestamp"] = stamp();
    EXPECT_EQ(overall_health(facts), expected);
}

TEST_F(HealthViewTest, GivenNoPooler_WhenPoolMetricsAreAsked_ThenFiguresAreNull) {
    Json expected = Json::parse(R"({
        "primary": {"name": "orders-1", "pool_size": null, "checked_in": null,
                    "checked_out": null, "overflow": null, "utilization_percent": null},
        "replicas": [
            {"name": "orders-2", "pool_size": null, "checked_in": null,
             "checked_out": null, "overflow": null, "utilization_percent": null},
            {"name": "orders-3", "pool_size": null, "checked_in": null,
             "checked_out": null, "overflow": null, "utilization_percent": null}],
        "total_databases": 3})");
    expected["timestamp"] = stamp();
    EXPECT_EQ(pool_metrics(facts), expected);
}

TEST_F(HealthViewTest, GivenAPooler_WhenItsFiguresAreKnown_ThenTheyAreShownWithTheirUse) {
    facts.pools["orders-1"] = {20, 15, 5, 2};
    const Json pools = pool_metrics(facts);
    EXPECT_EQ(pools["primary"], Json::parse(R"({"name": "orders-1", "pool_size": 20,
        "checked_in": 15, "checked_out": 5, "overflow": 2, "utilization_percent": 25.0})"));
    EXPECT_TRUE(pools["replicas"][0]["pool_size"].is_null());
    EXPECT_EQ(overall_health(facts)["primary"]["checked_out"], 5);
}

TEST_F(HealthViewTest, GivenTheLeader_WhenReplicaLagIsAsked_ThenItIsExactAndSaysWhenItWasSeen) {
    Json expected = Json::parse(R"({
        "read_replicas_enabled": true, "replica_count": 2, "lag_threshold_seconds": 10.0,
        "replicas": [{"replica_name": "orders-2", "lag_seconds": 0.12, "healthy": true},
                     {"replica_name": "orders-3", "lag_seconds": 0.0, "healthy": true}],
        "overall_healthy": true})");
    for (auto& replica : expected["replicas"]) replica["last_checked"] = stamp(milliseconds(300));
    EXPECT_EQ(replica_lag(facts), expected);
}

TEST_F(HealthViewTest, GivenAStandby_WhenReplicaLagIsAsked_ThenItIsTheRoutesAndNobodyLooked) {
    as_published();
    const Json lag = replica_lag(facts);
    EXPECT_EQ(lag["replicas"][0]["lag_seconds"], 0.5);
    EXPECT_TRUE(lag["replicas"][0]["last_checked"].is_null());
    EXPECT_TRUE(lag["replicas"][1]["lag_seconds"].is_null()) << "not known is no zero";
    EXPECT_TRUE(lag["overall_healthy"]);
    EXPECT_TRUE(overall_health(facts)["primary"]["response_time_ms"].is_null());
}

TEST_F(HealthViewTest, GivenALaggingSlave_WhenAsked_ThenTheClusterIsDegraded) {
    facts.routes->slaves[0].state = RouteState::Lagging;
    const Json health = database_health(facts);
    EXPECT_EQ(health["status"], "degraded");
    EXPECT_EQ(health["replicas"], Json::parse(R"({"total": 2, "healthy": 1, "unhealthy": 1})"));
    EXPECT_FALSE(health["details"]["orders-2"]["healthy"]);
    EXPECT_EQ(health["details"]["orders-2"]["state"], "lagging");
    EXPECT_FALSE(overall_health(facts)["overall_healthy"]);
    EXPECT_FALSE(replica_lag(facts)["overall_healthy"]);
}

TEST_F(HealthViewTest, GivenASlaveThatFellSilent_WhenItIsStillRouted_ThenItIsNotHealthy) {
    member(3).state = "silent";
    member(3).ready = false;
    EXPECT_FALSE(database_health(facts)["details"]["orders-3"]["healthy"]);
}

TEST_F(HealthViewTest, GivenASlaveThatIsNotThereYet_WhenAsked_ThenItCountsAsUnhealthy) {
    facts.slaves = 3;
    EXPECT_EQ(database_health(facts)["replicas"],
              Json::parse(R"({"total": 3, "healthy": 2, "unhealthy": 1})"));
    EXPECT_EQ(replica_lag(facts)["replica_count"], 3);
    EXPECT_FALSE(overall_health(facts)["overall_healthy"]);
}

TEST_F(HealthViewTest, GivenNoMaster_WhenItsRouteIsEmpty_ThenNothingIsHealthyButItHasAName) {
    facts.routes->master.reset();
    const Json health = overall_health(facts);
    EXPECT_FALSE(health["overall_healthy"]);
    EXPECT_EQ(health["primary"]["name"], "orders-1");
    EXPECT_FALSE(health["primary"]["healthy"]);
    EXPECT_TRUE(health["replicas"][0]["healthy"]) << "it still takes reads";
    EXPECT_EQ(database_health(facts)["status"], "degraded");
}

TEST_F(HealthViewTest, GivenAMasterThatTakesNoWrites_WhenItIsStillRouted_ThenItIsNotHealthy) {
    member(1).ready = false;
    EXPECT_FALSE(overall_health(facts)["primary"]["healthy"]);
}

TEST_F(HealthViewTest, GivenNoSlaves_WhenTheMasterIsWell_ThenItIsASingleDatabase) {
    facts.slaves = 0;
    facts.routes->slaves.clear();
    EXPECT_EQ(database_health(facts)["status"], "single_database");
    EXPECT_FALSE(overall_health(facts)["read_replicas_enabled"]);
    EXPECT_TRUE(overall_health(facts)["overall_healthy"]);
    EXPECT_TRUE(replica_lag(facts)["overall_healthy"]);
    member(1).ready = false;
    EXPECT_EQ(database_health(facts)["status"], "degraded");
}

TEST_F(HealthViewTest, GivenAClusterOfWhichNothingIsPublished_WhenAsked_ThenNamesAreNull) {
    facts.routes.reset();
    facts.status = {};
    EXPECT_TRUE(overall_health(facts)["primary"]["name"].is_null());
    EXPECT_EQ(database_health(facts)["details"], Json::object());
    EXPECT_EQ(database_health(facts)["status"], "degraded");
}

TEST_F(HealthViewTest, GivenATest_WhenEndpointsAreChosen_ThenTheyAreTheClustersOwn) {
    const auto names = [&](DatabaseType type) {
        std::vector<std::string> out;
        for (const auto& e : endpoints_to_test(facts, type)) out.push_back(e.name + e.address);
        return out;
    };
    using Names = std::vector<std::string>;
    EXPECT_EQ(names(DatabaseType::Primary), Names{"orders-110.0.0.1"});
    EXPECT_EQ(names(DatabaseType::Replica), (Names{"orders-210.0.0.2", "orders-310.0.0.3"}));
    EXPECT_EQ(names(DatabaseType::All).size(), 3u);
    facts.routes->master.reset();
    EXPECT_EQ(names(DatabaseType::Primary), Names{"orders-1"}) << "it has no address now";
}

TEST_F(HealthViewTest, GivenATest_WhenOneAnswersAndOneDoesNot_ThenEachHasItsResult) {
    const auto endpoints = endpoints_to_test(facts, DatabaseType::Replica);
    Json expected = Json::parse(R"({"database_type": "replica", "results": [
        {"name": "orders-2", "role": "replica", "healthy": true, "response_time_ms": 2.5,
         "error": null},
        {"name": "orders-3", "role": "replica", "healthy": false, "response_time_ms": null,
         "error": "no answer in time"}]})");
    expected["timestamp"] = stamp();
    EXPECT_EQ(connection_tests(DatabaseType::Replica, endpoints,
                               {Duration(std::chrono::microseconds(2500)),
                                make_error(ErrorKind::Timeout, "no answer in time")},
                               clock.wall()),
              expected);
}

}  // namespace
}  // namespace matriarch::op
