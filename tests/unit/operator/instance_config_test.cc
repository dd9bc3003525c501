#include "operator/instance_config.h"

#include <gtest/gtest.h>

namespace matriarch::op {
namespace {

StringMap parameters_of(const ClusterSpec& spec) {
    const std::vector<InstanceName> members{InstanceName("orders-1"), InstanceName("orders-2")};
    return instance_config(spec, members[0], members, {}).parameters;
}

TEST(WalLimits, GivenASmallVolume_WhenConfigured_ThenWalCannotFillIt) {
    ClusterSpec spec;
    spec.storage.size = "1Gi";
    const auto parameters = parameters_of(spec);
    EXPECT_EQ(parameters.at("max_slot_wal_keep_size"), "341MB");
    EXPECT_EQ(parameters.at("max_wal_size"), "128MB");
    EXPECT_EQ(parameters.at("min_wal_size"), "80MB");
    spec.storage.size = "256Mi";
    EXPECT_EQ(parameters_of(spec).at("max_wal_size"), "32MB");
    EXPECT_EQ(parameters_of(spec).at("min_wal_size"), "32MB");
    spec.postgresql.wal_segment_size_mb = 64;
    EXPECT_EQ(parameters_of(spec).at("max_wal_size"), "128MB") << "two segments";
    EXPECT_EQ(parameters_of(spec).at("min_wal_size"), "128MB");
}

TEST(WalLimits, GivenALargeVolume_WhenConfigured_ThenPostgresqlsOwnLimitsStay) {
    ClusterSpec spec;
    spec.storage.size = "30Gi";
    EXPECT_EQ(parameters_of(spec).at("max_slot_wal_keep_size"), "10240MB");
    EXPECT_FALSE(parameters_of(spec).contains("max_wal_size"));
}

TEST(WalLimits, GivenAUsersOwn_WhenConfigured_ThenTheyWin) {
    ClusterSpec spec;
    spec.storage.size = "1Gi";
    spec.replication.max_slot_wal_keep_size = "100Mi";
    EXPECT_EQ(parameters_of(spec).at("max_slot_wal_keep_size"), "100MB");
    spec.postgresql.parameters = {{"max_wal_size", "64MB"}, {"max_slot_wal_keep_size", "50MB"}};
    EXPECT_EQ(parameters_of(spec).at("max_wal_size"), "64MB");
    EXPECT_EQ(parameters_of(spec).at("max_slot_wal_keep_size"), "50MB");
}

}  // namespace
}  // namespace matriarch::op
