#include "operator/pool_source.h"

#include <gtest/gtest.h>

#include "operator/object_fixtures.h"

namespace matriarch::op {
namespace {

TEST(PoolSource, GivenTwoPoolers_WhenTheirConnectionsAreAddedUp_ThenEachInstanceHasItsOwn) {
    ServerPools sum;
    for (const int in_use : {5, 2})
        add(sum, *server_pools_from_json(to_json(
                     ServerPools{{"10.0.0.1", {25, in_use, 3}}, {"10.0.0.9", {25, 1, 0}}})));
    const auto pools = by_instance(sum, orders_routes());
    ASSERT_EQ(pools.size(), 1u) << "10.0.0.9 is nobody's any more, and no slave has a connection";
    EXPECT_EQ(pools.at("orders-1"), (PoolFigures{50, 6, 7, 0}));
}

TEST(PoolSource, GivenNonsense_WhenRead_ThenItIsAnError) {
    EXPECT_FALSE(server_pools_from_json("[]"));
}

}  // namespace
}  // namespace matriarch::op
