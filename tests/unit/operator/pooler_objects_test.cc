#include "operator/pooler_objects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "operator/instance_config.h"
#include "operator/object_fixtures.h"
#include "operator/routing_config.h"

namespace matriarch::op {
namespace {

using testing::HasSubstr;
using testing::Not;

Cluster pooled_cluster() {
    Cluster out = orders_cluster();
    out.spec.pooler.instances = 2;
    return out;
}

TEST(PoolerObjects, GivenItsRights_WhenListed_ThenTheyAreTwoConfigMapsAndNothingElse) {
    const Json rules = pooler_account(pooled_cluster()).rules;
    ASSERT_EQ(rules.size(), 2u);
    EXPECT_EQ(rules[0]["resourceNames"], Json::array({"orders-routing"}));
    EXPECT_EQ(rules[0]["verbs"], Json::array({"get", "list", "watch"}));
    EXPECT_EQ(rules[1]["resourceNames"], Json::array({"orders-pooler-words"}));
    EXPECT_EQ(rules[1]["verbs"], Json::array({"get", "patch"}));
}

TEST(PoolerObjects, GivenADeployment_WhenMade_ThenItRunsAStockImageAndKeepsAllPodsInAnUpdate) {
    const Json spec = pooler_deployment(pooled_cluster(), kAgent)["spec"];
    EXPECT_EQ(spec["replicas"], 2);
    EXPECT_EQ(spec["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    const Json pod = spec["template"]["spec"];
    EXPECT_EQ(pod["initContainers"][0]["image"], kAgent.image);
    EXPECT_EQ(pod["containers"][0]["image"], "docker.io/edoburu/pgbouncer:v1.24.1-p1");
    EXPECT_EQ(pod["securityContext"]["runAsNonRoot"], true);
    EXPECT_EQ(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
    for (const auto& [label, value] : spec["selector"]["matchLabels"].items())
        EXPECT_EQ(spec["template"]["metadata"]["labels"][label], value);
}

TEST(PoolerObjects, GivenItsPods_WhenInstancesAreSelected_ThenTheyAreNone) {
    const Json labels =
        pooler_deployment(pooled_cluster(), kAgent)["spec"]["template"]["metadata"]["labels"];
    EXPECT_NE(labels["app.kubernetes.io/component"],
              cluster_selector("orders").at("app.kubernetes.io/component"));
    EXPECT_FALSE(labels.contains(std::string(kInstanceLabel)));
}

TEST(PoolerSettings, GivenParametersOfAUser_WhenWritten_ThenTheyWinOverOurDefaults) {
    Cluster cluster = pooled_cluster();
    cluster.spec.pooler.parameters = {{"tcp_user_timeout", "9000"}, {"query_timeout", "7"}};
    const std::string settings = pooler_settings(cluster);
    EXPECT_THAT(settings, HasSubstr("tcp_user_timeout = 9000\n"));
    EXPECT_THAT(settings, Not(HasSubstr("tcp_user_timeout = 3000")));
    EXPECT_THAT(settings, HasSubstr("query_timeout = 7\n"));
    EXPECT_THAT(settings, HasSubstr("pool_mode = transaction\n"));
}

TEST(PoolerSettings, GivenDatabasesElsewhere_WhenWritten_ThenTheirTlsCountsAndNothingIsLookedUp) {
    Cluster cluster = pooled_cluster();
    EXPECT_THAT(pooler_settings(cluster), HasSubstr("auth_user = matriarch_pooler\n"));
    EXPECT_THAT(pooler_settings(cluster), HasSubstr("server_tls_sslmode = verify-ca\n"));
    ExternalEndpoint endpoint;
    endpoint.ssl_mode = SslMode::VerifyFull;
    cluster.spec.external = ExternalSpec{false, {endpoint}};
    EXPECT_THAT(pooler_settings(cluster), HasSubstr("server_tls_sslmode = verify-full\n"));
    EXPECT_THAT(pooler_settings(cluster), Not(HasSubstr("auth_query")));
    EXPECT_THAT(pooler_settings(cluster), Not(HasSubstr("auth_user")));
}

TEST(PoolerSettings, GivenNoPooler_WhenRoutesAreWritten_ThenThereAreNone) {
    EXPECT_FALSE(routing_data(orders_cluster(), orders_routes()).contains("pooler.ini"));
    EXPECT_TRUE(routing_data(pooled_cluster(), orders_routes()).contains("pooler.ini"));
}

TEST(PoolerRole, GivenAPooler_WhenItsPasswordIsKnown_ThenInstancesMakeItsRole) {
    const ClusterSpec spec = pooled_cluster().spec;
    EXPECT_EQ(instance_config(spec, orders(1), {}, {"o", ""}).pooler_role, "")
        << "a role without a password is none";
    const InstanceConfig config = instance_config(spec, orders(1), {}, {"o", "p"});
    EXPECT_EQ(config.pooler_role, "matriarch_pooler");
    EXPECT_EQ(config.roles.back().verifier, "p");
    EXPECT_EQ(instance_config(orders_cluster().spec, orders(1), {}, {"o", "p"}).roles.size(), 1u);
}

}  // namespace
}  // namespace matriarch::op
