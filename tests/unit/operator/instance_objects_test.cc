#include "operator/instance_objects.h"

#include <gtest/gtest.h>

#include <set>

#include "object_fixtures.h"
#include "operator/object_meta.h"

namespace matriarch::op {
namespace {

Json build(const Cluster& cluster = orders_cluster()) {
    return stateful_set(cluster, orders(1), kAgent, ClaimTemplate::of(cluster.spec.storage));
}
Json pod_of(const Json& set) {
    return set["spec"]["template"]["spec"];
}

// https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
TEST(StatefulSet, GivenARestrictedNamespace_WhenThePodIsChecked_ThenEveryRuleHolds) {
    const Json pod = pod_of(build());
    for (const char* host : {"hostNetwork", "hostPID", "hostIPC"}) EXPECT_FALSE(pod.contains(host));
    EXPECT_EQ(pod["securityContext"]["runAsNonRoot"], true);
    EXPECT_GT(pod["securityContext"]["runAsUser"].get<int>(), 0);
    EXPECT_EQ(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    const std::set<std::string> allowed = {"configMap", "csi",       "downwardAPI",
                                           "emptyDir",  "ephemeral", "persistentVolumeClaim",
                                           "projected", "secret"};
    for (const Json& volume : pod["volumes"]) {
        ASSERT_TRUE(volume.is_object()) << volume;
        for (const auto& [key, value] : volume.items())
            EXPECT_TRUE(key == "name" || allowed.contains(key)) << key;
    }
    for (const char* list : {"initContainers", "containers"}) {
        for (const Json& container : pod[list]) {
            const Json& security = container["securityContext"];
            EXPECT_EQ(security["allowPrivilegeEscalation"], false);
            EXPECT_EQ(security["privileged"], false);
            EXPECT_EQ(security["runAsNonRoot"], true);
            EXPECT_EQ(security["readOnlyRootFilesystem"], true);
            EXPECT_EQ(security["capabilities"], Json({{"drop", Json::array({"ALL"})}}));
            EXPECT_EQ(security["seccompProfile"]["type"], "RuntimeDefault");
            for (const Json& port : container.value("ports", Json::array()))
                EXPECT_FALSE(port.contains("hostPort"));
        }
    }
}

TEST(StatefulSet, GivenAStockImage_WhenItStarts_ThenTheAgentRunsWithItsOwnLoader) {
    const Json pod = pod_of(build());
    const Json& main = pod["containers"][0];
    EXPECT_EQ(main["image"], "docker.io/library/postgres:17");
    EXPECT_EQ(main["command"],
              Json::array({"/matriarch/lib/ld.so", "--library-path", "/matriarch/lib",
                           "/matriarch/bin/matriarch-agent", "run"}));
    const Json& init = pod["initContainers"][0];
    EXPECT_EQ(init["image"], kAgent.image);
    EXPECT_EQ(init["command"], Json::array({"matriarch-agent", "install", "/matriarch", "--uid",
                                            "999", "--gid", "999"}));
}

TEST(StatefulSet, GivenItsMounts_WhenChecked_ThenEachHasAVolumeAndTheTokenIsTheAgentsAlone) {
    const Json set = build();
    const Json pod = pod_of(set);
    std::set<std::string> volumes = {set["spec"]["volumeClaimTemplates"][0]["metadata"]["name"]};
    for (const Json& volume : pod["volumes"]) volumes.insert(volume["name"].get<std::string>());
    std::set<std::string> paths;
    for (const char* list : {"initContainers", "containers"})
        for (const Json& container : pod[list])
            for (const Json& mount : container["volumeMounts"]) {
                EXPECT_TRUE(volumes.contains(mount["name"].get<std::string>())) << mount;
                if (container["name"] == "postgres")
                    paths.insert(mount["mountPath"].get<std::string>());
            }
    for (const char* path : {"/var/lib/matriarch", "/matriarch", "/etc/passwd", "/etc/group",
                             "/tmp", "/etc/matriarch/tls", "/run/matriarch", "/dev/shm"})
        EXPECT_TRUE(paths.contains(path)) << path;
    EXPECT_EQ(pod["automountServiceAccountToken"], false);
    EXPECT_EQ(pod["initContainers"][0]["volumeMounts"].size(), 1u);
    for (const Json& volume : pod["volumes"]) {
        if (volume["name"] != "token") continue;
        EXPECT_EQ(volume["projected"]["sources"].size(), 3u);
    }
}

TEST(StatefulSet, GivenItsShape_WhenChecked_ThenPodsRestartByPlanOnlyAndVolumesStay) {
    const Json spec = build()["spec"];
    EXPECT_EQ(spec["updateStrategy"]["type"], "OnDelete");
    EXPECT_EQ(spec["replicas"], 1);
    EXPECT_EQ(spec["serviceName"], "orders-instances");
    EXPECT_EQ(spec["persistentVolumeClaimRetentionPolicy"]["whenDeleted"], "Retain");
    Cluster cluster = orders_cluster();
    cluster.spec.storage.keep_on_delete = false;
    EXPECT_EQ(build(cluster)["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"],
              "Delete");
    const Json& claim = spec["volumeClaimTemplates"][0];
    EXPECT_EQ(claim["spec"]["resources"]["requests"]["storage"], "10Gi");
    EXPECT_EQ(claim["spec"]["accessModes"], Json::array({"ReadWriteOnce"}));
    EXPECT_FALSE(claim["spec"].contains("storageClassName"));
}

TEST(StatefulSet, GivenEqualInputs_WhenBuiltTwice_ThenTheBytesAreEqualAndTheHashFollowsTheContent) {
    EXPECT_EQ(build().dump(), build().dump());
    Cluster other = orders_cluster();
    other.spec.image = "postgres:16";
    EXPECT_NE(content_hash_of(build()), content_hash_of(build(other)));
    EXPECT_EQ(content_hash_of(build()).size(), 32u);
}

TEST(StatefulSet, GivenLabelsOfTheUser_WhenTheyCollideWithOurs_ThenOursWin) {
    Cluster cluster = orders_cluster();
    cluster.spec.pod_labels = {{std::string(kInstanceLabel), "evil"}, {"team", "shop"}};
    const Json labels = build(cluster)["spec"]["template"]["metadata"]["labels"];
    EXPECT_EQ(labels[std::string(kInstanceLabel)], "orders-1");
    EXPECT_EQ(labels["team"], "shop");
}

TEST(StatefulSet, GivenADeadNode_WhenItsTaintsAppear_ThenThePodIsNotDeletedHastily) {
    Cluster cluster = orders_cluster();
    EXPECT_EQ(pod_of(build(cluster))["tolerations"].size(), 2u);
    cluster.spec.tolerations_json =
        R"([{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":60}])";
    const Json tolerations = pod_of(build(cluster))["tolerations"];
    ASSERT_EQ(tolerations.size(), 2u);  // the user's own word on that taint stands
    EXPECT_EQ(tolerations[0]["tolerationSeconds"], 60);
    EXPECT_EQ(tolerations[1]["key"], "node.kubernetes.io/not-ready");
    EXPECT_FALSE(tolerations[1].contains("tolerationSeconds"));
}

TEST(StatefulSet, GivenSpread_WhenBuilt_ThenItIsAntiAffinityOfThatStrength) {
    Cluster cluster = orders_cluster();
    const auto affinity = [&] { return pod_of(build(cluster)).value("affinity", Json::object()); };
    EXPECT_TRUE(
        affinity()["podAntiAffinity"].contains("preferredDuringSchedulingIgnoredDuringExecution"));
    cluster.spec.spread = Spread::Required;
    EXPECT_EQ(affinity()["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]
                        ["topologyKey"],
              "kubernetes.io/hostname");
    cluster.spec.spread = Spread::None;
    EXPECT_TRUE(affinity().empty());
}

// INV-10: an upgrade of the operator restarts nothing.
TEST(RestartHash, GivenANewAgentImage_WhenCompared_ThenNoRestartIsNeeded) {
    const Json before = build()["spec"]["template"]["metadata"]["annotations"];
    const Json after =
        stateful_set(orders_cluster(), orders(1), {"registry.example/matriarch:2.0"},
                     ClaimTemplate{"10Gi", ""})["spec"]["template"]["metadata"]["annotations"];
    EXPECT_EQ(before, after);
}

TEST(RestartHash, GivenAChange_WhenCompared_ThenOnlyWhatAPodCannotTakeOverRestartsIt) {
    const ClusterSpec old;
    ClusterSpec wanted;
    EXPECT_FALSE(restart_needed(old, wanted));
    wanted.pod_labels["team"] = "shop";
    wanted.slaves = 5;
    wanted.postgresql.parameters["work_mem"] = "8MB";
    EXPECT_FALSE(restart_needed(old, wanted));
    wanted.limits["memory"] = "2Gi";
    EXPECT_TRUE(restart_needed(old, wanted));
    EXPECT_FALSE(restart_needed("", wanted));
}

TEST(Claim, GivenAnInstance_WhenItsClaimIsMade_ThenLabelsFindItAgainAndNothingOwnsIt) {
    Cluster cluster = orders_cluster();
    cluster.spec.storage.storage_class = "fast";
    const Json claim = volume_claim(cluster, orders(2));
    EXPECT_EQ(claim["metadata"]["name"], "data-orders-2-0");
    EXPECT_FALSE(claim["metadata"].contains("ownerReferences"));
    EXPECT_EQ(claim["metadata"]["labels"][std::string(kInstanceLabel)], "orders-2");
    EXPECT_EQ(claim["spec"]["storageClassName"], "fast");
    EXPECT_EQ(ClaimTemplate::parse("10Gi/fast"), (ClaimTemplate{"10Gi", "fast"}));
    EXPECT_EQ(ClaimTemplate::parse("10Gi/"), (ClaimTemplate{"10Gi", ""}));
    EXPECT_FALSE(ClaimTemplate::parse("10Gi"));
}

}  // namespace
}  // namespace matriarch::op
