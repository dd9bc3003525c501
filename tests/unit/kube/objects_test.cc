#include "kube/objects.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "kube/base64.h"

namespace matriarch::kube {
namespace {

using nlohmann::json;

TEST(Objects, GivenAPodInTrouble_WhenDecoded_ThenWhatTellsWhyIsThere) {
    const auto pod = decode_pod(json::parse(R"({
        "metadata": {"name": "orders-1-0", "namespace": "db", "uid": "u1", "resourceVersion": "7",
            "labels": {"matriarch.dev/cluster": "orders"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"},
            "deletionTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [{"uid": "other"}, {"uid": "set", "controller": true}]},
        "spec": {"nodeName": "n1"},
        "status": {"phase": "Pending", "podIP": "10.1.1.1",
            "conditions": [{"type": "Ready", "status": "False"},
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                 "message": "0/3 nodes are available"}],
            "initContainerStatuses": [{"name": "agent", "state": {"terminated":
                {"reason": "Completed", "exitCode": 0}}}],
            "containerStatuses": [{"name": "postgres", "state": {"waiting":
                {"reason": "ImagePullBackOff", "message": "not found"}}}]}})"));
    ASSERT_TRUE(pod.ok());
    EXPECT_EQ(pod->key(), "db/orders-1-0");
    EXPECT_EQ(pod->owner_uid, "set");
    EXPECT_TRUE(pod->deleting());
    EXPECT_EQ(pod->annotations, (StringMap{{"a", "b"}}));
    EXPECT_EQ(pod->label("nothing"), "");
    EXPECT_FALSE(pod->ready);
    EXPECT_EQ(pod->unschedulable, "0/3 nodes are available");
    const ContainerStatus& postgres = pod->containers.at(0);
    EXPECT_EQ(postgres.name, "postgres");
    EXPECT_EQ(postgres.state, ContainerState::Waiting);
    EXPECT_EQ(postgres.reason, "ImagePullBackOff");
    EXPECT_EQ(postgres.message, "not found");
    EXPECT_EQ(pod->init_containers.at(0).exit_code, 0);
}

TEST(Objects, GivenOnlyAName_WhenDecoded_ThenEverythingElseIsEmpty) {
    const json bare = {{"metadata", {{"name", "x"}}}};
    EXPECT_TRUE(decode_pod(bare).ok());
    EXPECT_TRUE(decode_stateful_set(bare).ok());
    EXPECT_TRUE(decode_claim(bare).ok());
    EXPECT_TRUE(decode_node(bare).ok());
    EXPECT_TRUE(decode_secret(bare).ok());
    EXPECT_TRUE(decode_config_map(bare).ok());
    EXPECT_TRUE(decode_endpoint_slice(bare).ok());
    EXPECT_TRUE(decode_service(bare).ok());
    EXPECT_EQ(decode_lease(json::object()).error().kind, ErrorKind::Invalid);
    EXPECT_EQ(decode_pod(json::parse(R"({"metadata":[1]})")).error().kind, ErrorKind::Invalid);
}

TEST(Objects, GivenFieldsOfOddTypes_WhenDecoded_ThenTheyAreEmpty) {
    const auto pod = decode_pod(json::parse(
        R"({"metadata":{"name":"x","labels":{"a":1,"b":"c"},"generation":"no"},
            "spec":[],"status":{"containerStatuses":{"no":1},"phase":3}})"));
    ASSERT_TRUE(pod.ok());
    EXPECT_EQ(pod->labels, (StringMap{{"b", "c"}}));
    EXPECT_EQ(pod->phase, "");
}

TEST(Objects, GivenALease_WhenEncodedAndDecoded_ThenItIsTheSame) {
    Lease lease;
    lease.ns = "db";
    lease.name = "orders";
    lease.resource_version = "9";
    lease.annotations = {{"matriarch.dev/phase", "serving"}};
    lease.holder = "orders-1_uid";
    lease.duration_seconds = 3;
    lease.renew_time = "2026-01-01T00:00:00.000001Z";
    lease.transitions = 4;
    const json object = encode_lease(lease);
    EXPECT_FALSE(object["spec"].contains("acquireTime"));
    EXPECT_EQ(object["apiVersion"], "coordination.k8s.io/v1");
    const auto again = decode_lease(object);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->annotations, lease.annotations);
    EXPECT_EQ(again->holder, lease.holder);
    EXPECT_EQ(again->renew_time, lease.renew_time);
    EXPECT_EQ(again->transitions, 4);
    EXPECT_EQ(again->duration_seconds, 3);
    EXPECT_EQ(again->resource_version, "9");
}

TEST(Objects, GivenASecret_WhenDecoded_ThenItsDataAreBytes) {
    const auto secret = decode_secret(
        json{{"metadata", {{"name", "s"}}}, {"data", {{"k", base64_encode("\x00\xff pass")}}}});
    ASSERT_TRUE(secret.ok());
    EXPECT_EQ(secret->data.at("k"), "\x00\xff pass");
    const auto broken = decode_secret(json{{"metadata", {{"name", "s"}}}, {"data", {{"k", "!!"}}}});
    EXPECT_NE(broken.error().message().find("data.k"), std::string::npos);
}

TEST(Objects, GivenTheRest_WhenDecoded_ThenTheFieldsInUseAreThere) {
    const auto claim = decode_claim(json::parse(
        R"({"metadata":{"name":"c"},"spec":{"resources":{"requests":{"storage":"10Gi"}}},
            "status":{"phase":"Bound"}})"));
    EXPECT_EQ(claim->phase, "Bound");
    EXPECT_EQ(claim->requested, "10Gi");
    const auto node = decode_node(json::parse(
        R"({"metadata":{"name":"n"},"spec":{"taints":[{"key":"node.kubernetes.io/out-of-service",
            "effect":"NoExecute"}]},"status":{"conditions":[{"type":"Ready","status":"True"}]}})"));
    EXPECT_TRUE(node->ready);
    EXPECT_EQ(node->taints.at(0).key, "node.kubernetes.io/out-of-service");
}

TEST(Base64, GivenAnyBytes_WhenEncodedAndDecoded_ThenTheyAreTheSame) {
    std::string bytes;
    for (int i = 0; i < 260; ++i) {
        EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
        bytes += static_cast<char>(i);
    }
    EXPECT_EQ(base64_encode("ab"), "YWI=");
    EXPECT_EQ(base64_decode("YW\nI="), "ab");
    EXPECT_EQ(base64_decode("YWI"), std::nullopt);
    EXPECT_EQ(base64_decode("Y*I="), std::nullopt);
}

}  // namespace
}  // namespace matriarch::kube
