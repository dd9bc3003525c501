#include "operator/names.h"

#include <gtest/gtest.h>

#include <string>

namespace matriarch::op {
namespace {

const ClusterKey kOrders{"shop", "orders"};

TEST(Names, GivenAnInstance_WhenItsHostIsAsked_ThenItIsThePodsNameInTheHeadlessService) {
    EXPECT_EQ(host_of(kOrders, InstanceName("orders-2")), "orders-2-0.orders-instances.shop.svc");
    EXPECT_EQ(service_host(kOrders, master_service("orders")), "orders-master.shop.svc");
    EXPECT_EQ(claim_name(InstanceName("orders-2")), "data-orders-2-0");
}

TEST(Names, GivenTwoSlaves_WhenServicesAreListed_ThenEachPositionHasOne) {
    const auto services = route_services("orders", 2);
    ASSERT_EQ(services.size(), 5u);
    EXPECT_EQ(services[3].name, "orders-slave1");
    EXPECT_EQ(services[4].position, 2);
}

TEST(Names, GivenLabels_WhenPodsAreSelected_ThenSelectorsAreSubsetsOfTheirLabels) {
    const auto labels = instance_labels("orders", InstanceName("orders-1"));
    for (const auto& entry : cluster_selector("orders"))
        EXPECT_EQ(labels.at(entry.first), entry.second);
    for (const auto& entry : instance_selector("orders", InstanceName("orders-1")))
        EXPECT_EQ(labels.at(entry.first), entry.second);
    EXPECT_EQ(selector_text("orders"),
              "app.kubernetes.io/component=instance,matriarch.dev/cluster=orders");
}

TEST(Names, GivenTheLongestAcceptedName_WhenDerivedNamesAreMade_ThenNoneExceeds63Characters) {
    const std::string cluster(46, 'a');
    EXPECT_FALSE(name_problem(cluster));
    const auto instance = instance_name(cluster, 99999);
    EXPECT_LE(stateful_set_name(instance).size() + 11, 63u);
    EXPECT_LE(pod_name(instance).size(), 63u);
    EXPECT_LE(instances_service(cluster).size(), 63u);
    EXPECT_LE(slave_service(cluster, kMaxSlaves).size(), 63u);
}

TEST(Names, GivenAnImpossibleName_WhenChecked_ThenTheMessageNamesFieldAndRemedy) {
    for (const std::string& name : {std::string(47, 'a'), std::string("9lives"), std::string("a.b"),
                                    std::string("a-"), std::string("Orders"), std::string()}) {
        const auto problem = name_problem(name);
        ASSERT_TRUE(problem) << name;
        EXPECT_NE(problem->find("metadata.name"), std::string::npos);
        EXPECT_NE(problem->find("create the cluster under a name"), std::string::npos);
    }
}

}  // namespace
}  // namespace matriarch::op
