#include "operator/cluster_objects.h"

#include <gtest/gtest.h>

#include "object_fixtures.h"

namespace matriarch::op {
namespace {

TEST(Services, GivenTheHeadlessService_WhenBuilt_ThenItNamesPodsThatAreNotReady) {
    const Json spec = instances_service_object(orders_cluster())["spec"];
    EXPECT_EQ(spec["clusterIP"], "None");
    EXPECT_EQ(spec["publishNotReadyAddresses"], true);
    EXPECT_EQ(spec["selector"][std::string(kClusterLabel)], "orders");
    EXPECT_EQ(spec["ports"].size(), 2u);
}

TEST(Services, GivenRouteServices_WhenBuilt_ThenTheyHaveNoSelectorAndTheSpecsSettings) {
    Cluster cluster = orders_cluster();
    cluster.spec.services = {
        "LoadBalancer", {{"lb", "internal"}}, {{"master", 30432}}, {"10.0.0.0/8"}};
    const auto services = route_services("orders", 2);
    const Json master = route_service_object(cluster, services[0]);
    EXPECT_FALSE(master["spec"].contains("selector"));
    EXPECT_EQ(master["spec"]["ports"][0]["nodePort"], 30432);
    EXPECT_EQ(master["spec"]["loadBalancerSourceRanges"], Json::array({"10.0.0.0/8"}));
    EXPECT_EQ(master["metadata"]["annotations"]["lb"], "internal");
    EXPECT_FALSE(
        route_service_object(cluster, services[1])["spec"]["ports"][0].contains("nodePort"));
    cluster.spec.services.type = "ClusterIP";
    const Json inner = route_service_object(cluster, services[0])["spec"];
    EXPECT_FALSE(inner["ports"][0].contains("nodePort"));
    EXPECT_FALSE(inner.contains("loadBalancerSourceRanges"));
}

TEST(DisruptionBudget, GivenSlaves_WhenANodeIsDrained_ThenOneMayGoAndASingleInstanceToo) {
    EXPECT_EQ(disruption_budget(orders_cluster(2))["spec"]["minAvailable"], 2);
    EXPECT_EQ(disruption_budget(orders_cluster(0))["spec"]["minAvailable"], 0);
}

TEST(AgentRole, GivenTheAgentsRights_WhenListed_ThenTheyAreTheClustersLeaseAndNothingElse) {
    const Cluster cluster = orders_cluster();
    const Json rules = role(cluster, agents_account(cluster))["rules"];
    ASSERT_EQ(rules.size(), 1u);
    EXPECT_EQ(rules[0]["apiGroups"], Json::array({"coordination.k8s.io"}));
    EXPECT_EQ(rules[0]["resources"], Json::array({"leases"}));
    EXPECT_EQ(rules[0]["resourceNames"], Json::array({"orders"}));
    EXPECT_EQ(rules[0]["verbs"], Json::array({"get", "update", "patch"}));
    const Json binding = role_binding(cluster, agents_account(cluster));
    EXPECT_EQ(binding["roleRef"]["name"], "orders-agent");
    EXPECT_EQ(binding["subjects"][0]["namespace"], "shop");
}

}  // namespace
}  // namespace matriarch::op
