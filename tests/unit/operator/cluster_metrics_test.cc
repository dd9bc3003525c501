#include "operator/cluster_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "object_fixtures.h"

namespace matriarch::op {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct ClusterMetricsTest : ::testing::Test {
    telemetry::Registry registry;
    ClusterMetrics metrics{registry};
    const ClusterKey key{"shop", "orders"};
    ClusterStatus status;
    std::optional<Routes> routes;

    void SetUp() override {
        MemberStatus slave;
        slave.name = "orders-2";
        slave.role = "slave";
        slave.ready = true;
        slave.lag_ms = 1500;
        slave.transactions = 7;
        MemberStatus master;
        master.name = "orders-1";
        master.role = "master";
        status.members = {master, slave};
        status.epoch = 4;
        Routes r;
        r.slaves = {slave_route(1)};
        routes = r;
    }
    std::string text() {
        metrics.show(key, status, routes);
        return registry.text();
    }
    static std::string of(const char* name, const char* value) {
        return std::string(name) + "{cluster=\"orders\",namespace=\"shop\",replica=\"orders-2\"} " +
               value;
    }
};

TEST_F(ClusterMetricsTest, GivenASlave_WhenAsked_ThenItHasTheNamesThatApplicationsKnow) {
    const auto said = text();
    EXPECT_THAT(said, HasSubstr(of("db_replica_lag_seconds", "1.5")));
    EXPECT_THAT(said, HasSubstr(of("db_replica_health", "1")));
    EXPECT_THAT(said, HasSubstr(of("postgresql_replica_lag_seconds", "1.5")));
    EXPECT_THAT(said, HasSubstr("# TYPE db_replica_queries_total counter"));
    EXPECT_THAT(said, HasSubstr(of("db_replica_queries_total", "7")));
    EXPECT_THAT(said, HasSubstr(of("postgresql_replica_up", "1")));
    EXPECT_THAT(said, Not(HasSubstr("replica=\"orders-1\"")));
}

TEST_F(ClusterMetricsTest, GivenALaggingSlave_WhenItTakesNoReads_ThenItIsUpAndNotHealthy) {
    routes->slaves[0].state = RouteState::Lagging;
    const auto said = text();
    EXPECT_THAT(said, HasSubstr(of("db_replica_health", "0")));
    EXPECT_THAT(said, HasSubstr(of("postgresql_replica_up", "1")));
}

TEST_F(ClusterMetricsTest, GivenASilentSlave_WhenAsked_ThenItsLagIsNotInvented) {
    status.members[1].ready = false;
    status.members[1].lag_ms.reset();
    const auto said = text();
    EXPECT_THAT(said, HasSubstr(of("postgresql_replica_up", "0")));
    EXPECT_THAT(said, Not(HasSubstr("db_replica_lag_seconds")));
}

TEST_F(ClusterMetricsTest, GivenAChangeOfMaster_WhenAsked_ThenItsTimeAndLossAreShown) {
    ChangeOfMaster change;
    change.duration_ms = 420;
    change.loss_bytes = 8192;
    status.history = {change};
    EXPECT_THAT(text(), HasSubstr("matriarch_last_change_loss_bytes{cluster=\"orders\","
                                  "namespace=\"shop\"} 8192"));
    EXPECT_THAT(text(), HasSubstr("matriarch_last_change_seconds{cluster=\"orders\","
                                  "namespace=\"shop\"} 0.42"));
    status.history[0].loss_bytes.reset();
    EXPECT_THAT(text(), Not(HasSubstr("matriarch_last_change_loss_bytes")));
}

TEST_F(ClusterMetricsTest, GivenADeletedCluster_WhenForgotten_ThenItsSeriesEnd) {
    EXPECT_THAT(text(), HasSubstr("matriarch_cluster_epoch"));
    metrics.forget(key);
    EXPECT_THAT(registry.text(), Not(HasSubstr("orders")));
}

}  // namespace
}  // namespace matriarch::op
