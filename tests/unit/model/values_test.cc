#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/config.h"
#include "model/ids.h"
#include "model/spec.h"

namespace matriarch {
namespace {

TEST(Lsn, GivenPostgresqlsText_WhenParsed_ThenItPrintsTheSame) {
    EXPECT_EQ(Lsn::parse("16/B374D848")->str(), "16/B374D848");
    EXPECT_EQ(Lsn::parse("0/0")->value, 0u);
    for (const char* bad : {"", "/", "1/", "1", "x/1", "1/100000000", "1/2/3"})
        EXPECT_FALSE(Lsn::parse(bad)) << bad;
}

TEST(Names, GivenAnInstance_WhenItsOrdinalIsAsked_ThenOnlyOwnInstancesHaveOne) {
    EXPECT_EQ(ordinal_of(InstanceName("orders-12"), "orders"), 12);
    for (const char* other : {"orders", "orders-", "orders-x", "order-1", "orders-0", "orders-1-2"})
        EXPECT_EQ(ordinal_of(InstanceName(other), "orders"), 0) << other;
    EXPECT_EQ(slot_name(InstanceName("my-orders-2")), "my_orders_2");
}

TEST(Quantity, GivenKubernetesQuantities_WhenParsed_ThenTheyAreBytes) {
    EXPECT_EQ(parse_quantity("16Mi", "f")->value, 16u << 20);
    EXPECT_EQ(parse_quantity("1.5G", "f")->value, 1500000000u);
    EXPECT_EQ(parse_quantity("1024", "f")->value, 1024u);
    for (const char* bad : {"", "Mi", "1Q", "-1Gi", "ten"}) {
        const auto parsed = parse_quantity(bad, "spec.failover.maxLag");
        ASSERT_FALSE(parsed.ok()) << bad;
        EXPECT_NE(parsed.error().what.find("spec.failover.maxLag"), std::string::npos);
    }
}

TEST(Spec, GivenAFullSpec_WhenParsed_ThenEveryFieldArrives) {
    const auto spec = parse_spec(nlohmann::json::parse(R"({
        "image": "postgres:17", "slaves": 3, "uid": 26, "gid": 27,
        "storage": {"size": "2Gi", "storageClass": "fast", "onDelete": "Delete"},
        "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": 536870912}},
        "postgresql": {"parameters": {"max_connections": 50, "fsync": true},
                       "initdb": {"walSegmentSizeMB": 64}},
        "database": {"name": "shop", "owner": "boss"},
        "replication": {"mode": "quorum", "synchronousSlaves": 2, "onTooFewSlaves": "degrade"},
        "failover": {"mode": "manual", "mandateSeconds": 5, "maxLag": "1Mi", "target": "slave2",
                     "requestId": "r", "acceptDataLoss": true, "exclude": ["orders-3"]},
        "routing": {"strategy": "least_connections", "weights": {"slave1": 10}},
        "scheduling": {"spread": "required", "tolerations": [{"key": "db"}]}})"));
    ASSERT_TRUE(spec.ok()) << spec.error().message();
    EXPECT_EQ(spec->slaves, 3);
    EXPECT_FALSE(spec->storage.keep_on_delete);
    EXPECT_EQ(spec->postgresql.parameters.at("max_connections"), "50");
    EXPECT_EQ(spec->postgresql.parameters.at("fsync"), "true");
    EXPECT_EQ(spec->limits.at("memory"), "536870912");
    EXPECT_EQ(spec->replication.mode, ReplicationMode::Quorum);
    EXPECT_EQ(spec->replication.on_too_few, TooFewSlaves::Degrade);
    EXPECT_EQ(spec->failover.mode, FailoverMode::Manual);
    EXPECT_EQ(spec->failover.max_lag.value, 1u << 20);
    EXPECT_EQ(spec->routing.strategy, Strategy::LeastConnections);
    EXPECT_EQ(spec->routing.weights.at("slave1"), 10);
    EXPECT_EQ(spec->spread, Spread::Required);
    EXPECT_EQ(spec->tolerations_json, R"([{"key":"db"}])");
}

TEST(Spec, GivenSettingsThatContradict_WhenParsed_ThenFieldAndLimitAreNamed) {
    const auto problem = [](const char* text) {
        const auto spec = parse_spec(nlohmann::json::parse(text));
        return spec.ok() ? "" : spec.error().what;
    };
    EXPECT_EQ(
        problem(R"({"slaves": 0, "replication": {"mode": "sync"}})"),
        "spec.replication.synchronousSlaves is 1 and must not exceed spec.slaves, which is 0");
    EXPECT_EQ(
        problem(R"({"slaves": 2, "replication": {"mode": "quorum", "synchronousSlaves": 3}})"),
        "spec.replication.synchronousSlaves is 3 and must not exceed spec.slaves, which is 2");
    EXPECT_EQ(problem(R"({"slaves": 0, "replication": {"synchronousSlaves": 3}})"), "");
    for (const char* seconds : {"1", "31"})
        EXPECT_EQ(
            problem(("{\"failover\": {\"mandateSeconds\": " + std::string(seconds) + "}}").c_str()),
            "spec.failover.mandateSeconds is " + std::string(seconds) +
                " and must be from 2 to 30");
}

TEST(Spec, GivenRoutingThatMakesNoSense_WhenParsed_ThenItIsLeftOutAndSaid) {
    const auto spec = parse_spec(nlohmann::json::parse(R"({"slaves": 2, "routing": {
        "maxLagMs": 0, "holdSeconds": -1, "strategy": "fastest", "fallbackToMaster": false,
        "weights": {"slave1": 10, "slave2": -5, "slave3": 7, "leader": 1}}})"));
    ASSERT_TRUE(spec.ok()) << "a failover must not wait for it";
    const RoutingSpec& routing = spec->routing;
    EXPECT_EQ(routing.max_lag, RoutingSpec().max_lag);
    EXPECT_EQ(routing.hold, RoutingSpec().hold);
    EXPECT_EQ(routing.strategy, Strategy::RoundRobin);
    EXPECT_FALSE(routing.fallback_to_master) << "what is right stays";
    EXPECT_EQ(routing.weights, (std::map<std::string, int>{{"slave1", 10}}));
    EXPECT_EQ(routing.weight_of(1), 10);
    EXPECT_EQ(routing.weight_of(2), 100);
    EXPECT_THAT(
        routing.ignored,
        testing::ElementsAre(
            "spec.routing.maxLagMs is 0 and must be 1 or more: 10000 counts until it is",
            "spec.routing.holdSeconds must not be below 0: 10 counts until it is mended",
            "spec.routing.strategy is \"fastest\", which is none of round_robin, random and "
            "least_connections: round_robin counts until it is",
            "spec.routing.weights.leader names no slave, as spec.slaves is 2: remove that weight, "
            "or raise spec.slaves",
            "spec.routing.weights.slave2 must not be below 0: set 0 or more",
            "spec.routing.weights.slave3 names no slave, as spec.slaves is 2: remove that weight, "
            "or raise spec.slaves"));
}

TEST(Spec, GivenAnExternalTopology_WhenParsed_ThenEndpointsTakeWhatTheyDoNotSay) {
    const auto spec = parse_spec(nlohmann::json::parse(R"({"slaves": 9, "external": {
        "credentialsSecret": "login", "sslMode": "verify-full", "ca": {"configMapName": "roots"},
        "master": {"name": "a", "host": "a.example"},
        "slaves": [{"name": "b", "host": "b.example", "port": 6000, "provider": "aws",
                    "credentialsSecret": "other", "sslMode": "disable",
                    "ca": {"secretName": "own", "key": "root.pem"}}]},
        "routing": {"weights": {"slave2": 5}}})"));
    ASSERT_TRUE(spec.ok()) << spec.error().what;
    EXPECT_EQ(spec->slaves, 1) << "as many as there are";
    const auto& endpoints = spec->external->endpoints;
    ASSERT_EQ(endpoints.size(), 2u);
    EXPECT_EQ(endpoints[0].credentials_secret, "login");
    EXPECT_EQ(endpoints[0].ssl_mode, SslMode::VerifyFull);
    EXPECT_EQ(endpoints[0].ca_config_map, "roots");
    EXPECT_EQ(endpoints[1].port, 6000);
    EXPECT_EQ(endpoints[1].credentials_secret, "other");
    EXPECT_EQ(endpoints[1].ssl_mode, SslMode::Disable);
    EXPECT_EQ(endpoints[1].ca_secret, "own");
    EXPECT_TRUE(endpoints[1].ca_config_map.empty());
    EXPECT_THAT(
        spec->routing.ignored,
        testing::ElementsAre("spec.routing.weights.slave2 names no slave, as the number of "
                             "spec.external.slaves is 1: remove that weight, or add a slave"));
}

TEST(Spec, GivenAnEndpointThatIsNamedTwice_WhenParsed_ThenBothNamesAreSaid) {
    const auto problem = [](const char* slave) {
        const auto spec =
            parse_spec({{"external",
                         {{"master", {{"name", "a"}, {"host", "x"}}},
                          {"slaves", nlohmann::json::array({nlohmann::json::parse(slave)})}}}});
        return spec.ok() ? "" : spec.error().what;
    };
    EXPECT_THAT(problem(R"({"name": "a", "host": "y"})"),
                testing::HasSubstr("a and a have the same"));
    EXPECT_THAT(problem(R"({"name": "b", "host": "x"})"),
                testing::HasSubstr("a and b have the same"));
    EXPECT_THAT(problem(R"({"name": "b"})"), testing::HasSubstr("need a name and a host"));
    EXPECT_EQ(problem(R"({"name": "b", "host": "x", "port": 1})"), "");
}

TEST(InstanceConfig, GivenTheSameWordsInOtherPlaces_WhenHashed_ThenTheHashesDiffer) {
    InstanceConfig one;
    one.parameters = {{"work_mem", "8MB"}};
    one.hba = {"a", "b"};
    std::vector<InstanceConfig> others(5, one);
    others[0].parameters.swap(others[0].master_parameters);
    others[1].hba.swap(others[1].slots);
    others[2].hba = {"ab"};
    others[3].hba = {"b", "a"};
    others[4].roles.push_back({"app", "", false, true});
    for (const auto& other : others) EXPECT_NE(other.hash(), one.hash());
    EXPECT_EQ(InstanceConfig(one).hash(), one.hash());
}

}  // namespace
}  // namespace matriarch
