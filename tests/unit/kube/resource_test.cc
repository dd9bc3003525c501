#include "kube/resource.h"

#include <gtest/gtest.h>

#include "kube/resource_version.h"

namespace matriarch::kube {
namespace {

TEST(Resource, GivenCoreAndGroupedKinds_WhenAPathIsMade_ThenItHasTheApisForm) {
    EXPECT_EQ(resource_path(kPods, ""), "/api/v1/pods");
    EXPECT_EQ(resource_path(kPods, "db", "orders-1"), "/api/v1/namespaces/db/pods/orders-1");
    EXPECT_EQ(resource_path(kNodes, "", "n1"), "/api/v1/nodes/n1");
    EXPECT_EQ(resource_path(kPostgresClusters, "db", "orders", "status"),
              "/apis/matriarch.dev/v1alpha1/namespaces/db/postgresclusters/orders/status");
}

TEST(Resource, GivenAHostileName_WhenAPathIsMade_ThenItStaysInItsSegment) {
    EXPECT_EQ(resource_path(kPods, "db", "../../x?y"),
              "/api/v1/namespaces/db/pods/..%2F..%2Fx%3Fy");
    EXPECT_EQ(percent_encode("a=b,c in (d)"), "a%3Db%2Cc%20in%20%28d%29");
}

TEST(ObjectKey, GivenBothForms_WhenParsed_ThenTheyRoundTrip) {
    EXPECT_EQ(ObjectKey::parse("db/orders"), (ObjectKey{"db", "orders"}));
    EXPECT_EQ(ObjectKey::parse("node-1"), (ObjectKey{"", "node-1"}));
    EXPECT_EQ((ObjectKey{"db", "orders"}).str(), "db/orders");
    EXPECT_EQ((ObjectKey{"", "node-1"}).str(), "node-1");
}

TEST(ResourceVersion, GivenNumbersOfAnyLength_WhenCompared_ThenByValue) {
    EXPECT_TRUE(compare_resource_versions("9", "10") < 0);
    EXPECT_TRUE(compare_resource_versions("100000000000000000000000", "99999") > 0);
    EXPECT_TRUE(compare_resource_versions("12", "12") == 0);
    EXPECT_TRUE(at_least_as_new("12", "12"));
}

TEST(ResourceVersion, GivenAnythingElse_WhenCompared_ThenThereIsNoOrder) {
    for (const char* odd : {"", "0", "012", "abc", "1a", "-1"}) {
        EXPECT_EQ(compare_resource_versions(odd, "5"), std::partial_ordering::unordered) << odd;
        EXPECT_FALSE(at_least_as_new("5", odd)) << odd;
    }
}

}  // namespace
}  // namespace matriarch::kube
