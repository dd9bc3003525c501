#include "operator/route_objects.h"

#include <gtest/gtest.h>

#include "object_fixtures.h"
#include "operator/object_meta.h"

namespace matriarch::op {
namespace {

using Addresses = std::vector<std::string>;

Addresses addresses(const Routes& routes, const std::string& short_name, RoutingSpec spec = {}) {
    for (const RouteService& service : route_services("orders", 2))
        if (service.short_name == short_name) {
            Addresses out;
            for (const auto& a : service_addresses(routes, service, spec)) out.push_back(a.ip);
            return out;
        }
    return {"no such service"};
}

TEST(EndpointSlices, GivenAHealthyCluster_WhenBuilt_ThenEachServiceLeadsWhereItSays) {
    const Routes routes = orders_routes();
    EXPECT_EQ(addresses(routes, "master"), Addresses({"10.0.0.1"}));
    EXPECT_EQ(addresses(routes, "slaves"), Addresses({"10.0.0.2", "10.0.0.3"}));
    EXPECT_EQ(addresses(routes, "any"), Addresses({"10.0.0.1", "10.0.0.2", "10.0.0.3"}));
    EXPECT_EQ(addresses(routes, "slave2"), Addresses({"10.0.0.3"}));
}

TEST(EndpointSlices, GivenNoMaster_WhenBuilt_ThenItsServiceIsEmptyAndReadsGoOn) {  // INV-4
    Routes routes = orders_routes();
    routes.master.reset();
    EXPECT_TRUE(addresses(routes, "master").empty());
    EXPECT_EQ(addresses(routes, "any").size(), 2u);
}

TEST(EndpointSlices, GivenNoFitSlave_WhenBuilt_ThenReadsGoToTheMasterUnlessToldOtherwise) {
    Routes routes = orders_routes();
    routes.slaves = {slave_route(1, RouteState::Lagging), slave_route(2, RouteState::Down)};
    EXPECT_EQ(addresses(routes, "slaves"), Addresses({"10.0.0.1"}));
    EXPECT_EQ(addresses(routes, "any"), Addresses({"10.0.0.1"}));
    RoutingSpec no_fallback;
    no_fallback.fallback_to_master = false;
    EXPECT_TRUE(addresses(routes, "slaves", no_fallback).empty());
}

TEST(EndpointSlices, GivenTheMastersSlice_WhenBuilt_ThenItIsBoundToThePodAndStamped) {
    const Json slice =
        endpoint_slice(orders_cluster(), route_services("orders", 2)[0], orders_routes(), "IPv4");
    EXPECT_EQ(slice["metadata"]["name"], "orders-master");
    EXPECT_EQ(slice["metadata"]["labels"]["kubernetes.io/service-name"], "orders-master");
    EXPECT_EQ(slice["metadata"]["annotations"][std::string(kStampAnnotation)], "4.7");
    ASSERT_EQ(slice["endpoints"].size(), 1u);
    EXPECT_EQ(slice["endpoints"][0], Json::parse(R"({"addresses":["10.0.0.1"],
                "conditions":{"ready":true,"serving":true,"terminating":false},
                "targetRef":{"kind":"Pod","name":"orders-1-0","namespace":"shop","uid":"pod-1"}})"));
}

TEST(EndpointSlices, GivenOnlyTheSequenceRose_WhenBuilt_ThenTheHashIsTheSameButNotForANewEpoch) {
    const auto hash = [](const Routes& routes) {
        return content_hash_of(
            endpoint_slice(orders_cluster(), route_services("orders", 2)[0], routes, "IPv4"));
    };
    Routes routes = orders_routes();
    const std::string before = hash(routes);
    routes.sequence = 8;
    EXPECT_EQ(hash(routes), before);
    routes.epoch = Epoch(5);
    EXPECT_NE(hash(routes), before);
}

TEST(EndpointSlices, GivenIpV6_WhenBuilt_ThenOnlyAddressesOfThatFamilyAreIn) {
    Routes routes = orders_routes();
    routes.master->address = "fd00::1";
    EXPECT_EQ(address_type(all_addresses(routes)), "IPv6");
    EXPECT_EQ(address_type({}), "IPv4");
    EXPECT_EQ(address_type({}, "IPv6"), "IPv6");
    const Json any =
        endpoint_slice(orders_cluster(), route_services("orders", 2)[2], routes, "IPv6");
    EXPECT_EQ(any["addressType"], "IPv6");
    EXPECT_EQ(any["endpoints"].size(), 1u);
}

TEST(Stamp, GivenStamps_WhenCompared_ThenTheEpochDecidesFirstAndNonsenseIsNone) {
    EXPECT_LT((Stamp{4, 9}), (Stamp{5, 0}));
    EXPECT_EQ(Stamp::parse("4.10"), (Stamp{4, 10}));
    for (const char* text : {"", "4", "4.", ".7", "4.7x", "-1.2"})
        EXPECT_FALSE(Stamp::parse(text)) << text;
}

}  // namespace
}  // namespace matriarch::op
