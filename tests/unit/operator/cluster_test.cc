#include "operator/cluster.h"

#include <gtest/gtest.h>

#include "object_fixtures.h"

namespace matriarch::op {
namespace {

Json object(Json spec, const std::string& name = "orders") {
    return {{"metadata",
             {{"name", name},
              {"namespace", "shop"},
              {"uid", "u1"},
              {"resourceVersion", "5"},
              {"generation", 2},
              {"deletionTimestamp", "2026-01-01T00:00:00Z"}}},
            {"spec", std::move(spec)},
            {"status", {{"phase", "Running"}}}};
}

TEST(Cluster, GivenAPostgresCluster_WhenDecoded_ThenMetaSpecAndStatusAreThere) {
    const auto cluster = decode_cluster(object({{"slaves", 1}}));
    ASSERT_TRUE(cluster);
    EXPECT_EQ(cluster->key.str(), "shop/orders");
    EXPECT_EQ(cluster->spec.slaves, 1);
    EXPECT_EQ(cluster->generation, 2);
    EXPECT_TRUE(cluster->deleting);
    EXPECT_EQ(cluster->status.phase, "Running");
    EXPECT_FALSE(cluster->spec_problem);
}

TEST(Cluster, GivenASpecThatCannotBe_WhenDecoded_ThenTheClusterIsThereWithTheProblem) {
    const auto cluster = decode_cluster(object({{"storage", {{"size", "ten"}}}}));
    ASSERT_TRUE(cluster);
    ASSERT_TRUE(cluster->spec_problem);
    EXPECT_NE(cluster->spec_problem->what.find("spec.storage.size"), std::string::npos);
    EXPECT_TRUE(decode_cluster(object(Json::object(), "9lives"))->spec_problem);
}

TEST(Cluster, GivenNoUid_WhenDecoded_ThenItIsInvalid) {
    Json no_uid = object(Json::object());
    no_uid["metadata"].erase("uid");
    EXPECT_FALSE(decode_cluster(no_uid));
}

TEST(Cluster, GivenAnOwnerReference_WhenMade_ThenTheClusterIsTheController) {
    const Json reference = owner_reference(orders_cluster());
    EXPECT_EQ(reference["uid"], "cluster-uid");
    EXPECT_EQ(reference["controller"], true);
    EXPECT_EQ(reference["blockOwnerDeletion"], true);
}

}  // namespace
}  // namespace matriarch::op
