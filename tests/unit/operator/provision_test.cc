#include "operator/provision.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "net/crypto.h"
#include "object_fixtures.h"

namespace matriarch::op {
namespace {

const WantedInstances kThree{{orders(1), orders(2), orders(3)}, {}};

const ObjectWrite* find(const Provision& plan, const kube::Resource& resource,
                        const std::string& name) {
    for (const ObjectWrite& write : plan.writes)
        if (write.resource.plural == resource.plural && write.name == name) return &write;
    return nullptr;
}

// What the API server and the caches do with a plan.
void execute(const Provision& plan, HeldObjects& held) {
    int n = 0;
    for (const ObjectWrite& write : plan.writes) {
        if (!write.body) continue;
        Json body = *write.body;
        const std::string uid = write.uid.empty() ? "uid-" + std::to_string(++n) : write.uid;
        body["metadata"]["uid"] = uid;
        if (write.resource.plural == kube::kClaims.plural) {
            held.add(kube::decode_claim(body).value());
        } else if (write.resource.plural == kube::kSecrets.plural) {
            held.add(kube::decode_secret(body).value());
        } else {
            held.add(write.resource, stored(body, uid));
        }
    }
}

HeldObjects built(const Cluster& cluster = orders_cluster()) {
    HeldObjects held;
    execute(provision_objects(cluster, kThree, kAgent, held), held);
    return held;
}

TEST(Provision, GivenNothing_WhenPlanned_ThenEveryObjectIsWrittenAndASecondPassIsEmpty) {
    const Provision plan = provision_objects(orders_cluster(), kThree, kAgent, {});
    for (const auto& [resource, name] : std::vector<std::pair<kube::Resource, std::string>>{
             {kube::kServiceAccounts, "orders-agent"},
             {kube::kRoles, "orders-agent"},
             {kube::kRoleBindings, "orders-agent"},
             {kube::kServices, "orders-instances"},
             {kube::kServices, "orders-slave2"},
             {kube::kDisruptionBudgets, "orders"},
             {kube::kClaims, "data-orders-3-0"},
             {kube::kStatefulSets, "orders-3"}}) {
        ASSERT_TRUE(find(plan, resource, name)) << resource.kind << " " << name;
    }
    EXPECT_EQ(find(plan, kube::kClaims, "data-orders-1-0")->kind, WriteKind::Create);
    EXPECT_TRUE(plan.clean());
    const Provision again = provision_objects(orders_cluster(), kThree, kAgent, built());
    EXPECT_TRUE(again.writes.empty());
}

TEST(Provision, GivenAForeignStatefulSet_WhenPlanned_ThenItIsAConflictAndUntouched) {
    HeldObjects held;
    kube::Meta foreign;
    foreign.name = "orders-2";
    foreign.uid = "x";
    foreign.owner_uid = "someone";
    held.add(kube::kStatefulSets, foreign);
    const Provision plan = provision_objects(orders_cluster(), kThree, kAgent, held);
    EXPECT_FALSE(find(plan, kube::kStatefulSets, "orders-2"));
    ASSERT_EQ(plan.conflicts.size(), 1u);
    EXPECT_EQ(plan.conflicts[0], (Conflict{"StatefulSet", "orders-2", "someone"}));
    const auto condition = objects_condition(plan, 3);
    EXPECT_EQ(condition.status, kube::ConditionStatus::False);
    EXPECT_EQ(condition.reason, "NameTaken");
    EXPECT_NE(condition.message.find("StatefulSet orders-2 exists and belongs to"),
              std::string::npos);
    EXPECT_NE(condition.message.find("delete or rename it"), std::string::npos);
}

TEST(Provision, GivenObjectsOfAnEarlierClusterOfThisName_WhenPlanned_ThenWeWaitForThem) {
    Cluster cluster = orders_cluster();
    const HeldObjects held = built(cluster);
    cluster.uid = "new-uid";
    const Provision plan = provision_objects(cluster, kThree, kAgent, held);
    ASSERT_FALSE(plan.conflicts.empty());
    EXPECT_TRUE(std::all_of(plan.conflicts.begin(), plan.conflicts.end(),
                            [](const Conflict& c) { return c.passing; }));
    EXPECT_TRUE(plan.writes.empty());  // kept claims are taken over, not made
}

TEST(Provision, GivenAForeignClaim_WhenPlanned_ThenTheInstanceIsNotMadeOnIt) {
    HeldObjects held;
    kube::Claim claim;
    claim.name = "data-orders-1-0";
    claim.requested = "10Gi";
    held.add(claim);
    const Provision plan = provision_objects(orders_cluster(), kThree, kAgent, held);
    EXPECT_FALSE(find(plan, kube::kStatefulSets, "orders-1"));
    EXPECT_TRUE(find(plan, kube::kStatefulSets, "orders-2"));
    EXPECT_EQ(plan.conflicts.size(), 1u);
}

TEST(Provision, GivenMoreStorage_WhenPlanned_ThenClaimsGrowAndTheImmutableTemplateIsRepeated) {
    Cluster cluster = orders_cluster();
    const HeldObjects held = built(cluster);
    cluster.spec.storage.size = "20Gi";
    const Provision plan = provision_objects(cluster, kThree, kAgent, held);
    EXPECT_EQ(plan.writes.size(), 3u);
    const ObjectWrite* claim = find(plan, kube::kClaims, "data-orders-2-0");
    ASSERT_TRUE(claim);
    EXPECT_EQ(claim->kind, WriteKind::Apply);
    EXPECT_FALSE(claim->uid.empty());
    EXPECT_EQ((*claim->body)["spec"], Json({{"resources", {{"requests", {{"storage", "20Gi"}}}}}}));

    cluster.spec.image = "postgres:16";
    const Provision both = provision_objects(cluster, kThree, kAgent, held);
    const ObjectWrite* set = find(both, kube::kStatefulSets, "orders-1");
    ASSERT_TRUE(set);
    // A class that can't expand volumes refuses the growth: it must not stand before anything else.
    EXPECT_EQ(both.writes.back().resource.plural, kube::kClaims.plural);
    EXPECT_EQ(both.writes.front().resource.plural, kube::kStatefulSets.plural);
    EXPECT_EQ(
        (*set->body)["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"],
        "10Gi");
}

TEST(Provision, GivenLessStorage_WhenPlanned_ThenNothingShrinksAndTheProblemNamesTheField) {
    Cluster cluster = orders_cluster();
    const HeldObjects held = built(cluster);
    cluster.spec.storage.size = "5Gi";
    const Provision plan = provision_objects(cluster, kThree, kAgent, held);
    EXPECT_TRUE(plan.writes.empty());
    ASSERT_EQ(plan.problems.size(), 3u);
    EXPECT_NE(plan.problems[0].find("spec.storage.size is 5Gi"), std::string::npos);
}

TEST(Provision, GivenANewAgentImage_WhenPlanned_ThenTemplatesAreUpdatedInPlace) {
    const Provision plan =
        provision_objects(orders_cluster(), kThree, {"registry.example/matriarch:2.0"}, built());
    EXPECT_EQ(plan.writes.size(), 3u);
    for (const ObjectWrite& write : plan.writes) EXPECT_EQ(write.kind, WriteKind::Apply);
}

TEST(Provision, GivenFewerSlaves_WhenPlanned_ThenOnlyWhatWasRemovedGoesAndItsPositionsService) {
    Cluster cluster = orders_cluster();
    const HeldObjects held = built(cluster);
    cluster.spec.slaves = 1;
    const Provision undecided =
        provision_objects(cluster, {{orders(1), orders(2)}, {}}, kAgent, held);
    EXPECT_FALSE(find(undecided, kube::kStatefulSets, "orders-3"));
    const Provision plan =
        provision_objects(cluster, {{orders(1), orders(2)}, {orders(3)}}, kAgent, held);
    const ObjectWrite* set = find(plan, kube::kStatefulSets, "orders-3");
    ASSERT_TRUE(set);
    EXPECT_EQ(set->kind, WriteKind::Delete);
    EXPECT_FALSE(set->uid.empty());
    EXPECT_EQ(find(plan, kube::kServices, "orders-slave2")->kind, WriteKind::Delete);
    EXPECT_FALSE(find(plan, kube::kClaims, "data-orders-3-0"));  // INV-3: volumes stay
}

TEST(Held, GivenClaimsAndSecrets_WhenFoundByResource_ThenTheyAreThere) {
    HeldObjects held;
    kube::Claim claim;
    claim.name = "data-orders-1-0";
    held.add(claim);
    EXPECT_TRUE(held.find(kube::kClaims, "data-orders-1-0"));
    EXPECT_FALSE(held.find(kube::kSecrets, "data-orders-1-0"));
}

TEST(ProvisionCertificates, GivenNothing_WhenPlanned_ThenTheCaIsStoredBeforeItIssues) {
    FixedClock clock;
    CountingRandom random;
    HeldObjects held;
    StringMap ca;
    const auto plan = [&] {
        return provision_certificates(orders_cluster(), kThree, held, clock, random, &ca);
    };
    const Provision first = plan();
    ASSERT_EQ(first.writes.size(), 1u);
    EXPECT_EQ(first.writes[0].kind, WriteKind::Create);
    EXPECT_TRUE(ca.empty());
    execute(first, held);
    const Provision second = plan();
    EXPECT_EQ(second.writes.size(), 3u);
    EXPECT_FALSE(ca.empty());
    execute(second, held);
    EXPECT_TRUE(plan().writes.empty());
    clock.advance(std::chrono::hours(24 * 61));
    const Provision renewal = plan();
    ASSERT_EQ(renewal.writes.size(), 3u);
    EXPECT_EQ(renewal.writes[0].kind, WriteKind::Replace);
}

TEST(ProvisionCertificates, GivenAForeignCaSecret_WhenPlanned_ThenNothingIsIssued) {
    FixedClock clock;
    CountingRandom random;
    HeldObjects held;
    kube::Secret foreign;
    foreign.name = "orders-ca";
    held.add(foreign);
    const Provision plan = provision_certificates(orders_cluster(), kThree, held, clock, random);
    EXPECT_TRUE(plan.writes.empty());
    EXPECT_EQ(plan.conflicts, std::vector<Conflict>({{"Secret", "orders-ca", ""}}));
}

TEST(ProvisionAppSecret, GivenASecretWithAPassword_WhenTheMasterChanges_ThenItIsReplacedByCas) {
    CountingRandom random;
    HeldObjects held;
    const auto plan = [&](const std::vector<std::string>& hosts) {
        return provision_app_secret(orders_cluster(), hosts, {"b", "a"}, "CA", held, random);
    };
    execute(plan({"a", "b"}), held);
    const std::string password = held.secret("orders-app")->data.at("password");
    EXPECT_TRUE(plan({"a", "b"}).writes.empty());
    const Provision changed = plan({"b", "a"});
    ASSERT_EQ(changed.writes.size(), 1u);
    EXPECT_EQ(changed.writes[0].kind, WriteKind::Replace);
    EXPECT_TRUE((*changed.writes[0].body)["metadata"].contains("resourceVersion"));
    EXPECT_EQ((*changed.writes[0].body)["data"]["password"], net::base64_encode(password));
}

TEST(ProvisionPoolerSecret, GivenOurOwnDatabases_WhenPlanned_ThenPoolersHaveAPasswordOfTheirOwn) {
    FixedClock clock;
    CountingRandom random;
    HeldObjects held;
    const StringMap ca = ensure_ca({"shop", "orders"}, {}, clock, random).value();
    const auto plan = [&] {
        return provision_pooler_secret(orders_cluster(), ca, {}, held, clock, random);
    };
    execute(plan(), held);
    const StringMap data = held.secret("orders-pooler")->data;
    EXPECT_EQ(data.at("userlist.txt"), "\"matriarch_pooler\" \"" + data.at("password") + "\"\n");
    EXPECT_EQ(data.at("username"), "matriarch_pooler");
    EXPECT_EQ(data.at("server-ca.crt"), ca.at("ca.crt"));
    EXPECT_TRUE(plan().writes.empty());
}

TEST(ProvisionPoolerSecret, GivenDatabasesElsewhere_WhenPlanned_ThenPoolersLogInAsTheirUser) {
    FixedClock clock;
    CountingRandom random;
    HeldObjects held;
    const StringMap ca = ensure_ca({"shop", "orders"}, {}, clock, random).value();
    ExternalLogin login{"app", "a \"b\"", "THEIR CA"};
    const auto plan = [&] {
        return provision_pooler_secret(orders_cluster(), ca, login, held, clock, random);
    };
    execute(plan(), held);
    const StringMap data = held.secret("orders-pooler")->data;
    EXPECT_EQ(data.at("userlist.txt"), "\"app\" \"a \"\"b\"\"\"\n");
    EXPECT_EQ(data.at("server-ca.crt"), "THEIR CA");
    EXPECT_EQ(data.at("ca.crt"), ca.at("ca.crt")) << "of the certificate that clients see";
    EXPECT_EQ(data.at("username"), "app");
    EXPECT_FALSE(data.contains("verifier"));
    login.ca_pem.clear();
    EXPECT_EQ(plan().writes.size(), 1u);
    execute(plan(), held);
    EXPECT_EQ(held.secret("orders-pooler")->data.at("server-ca.crt"), ca.at("ca.crt"));
}

TEST(ProvisionRoutes, GivenPublishedRoutes_WhenOnlyLagMoved_ThenOnlyTheConfigMapIsWritten) {
    HeldObjects held;
    Routes routes = orders_routes();
    const Provision first = provision_routes(orders_cluster(), routes, held);
    ASSERT_EQ(first.writes.size(), 6u);
    EXPECT_EQ(first.writes[0].name, "orders-master");
    execute(first, held);
    EXPECT_TRUE(provision_routes(orders_cluster(), routes, held).writes.empty());
    routes.sequence++;
    routes.slaves[0].lag = std::chrono::milliseconds(500);
    const Provision second = provision_routes(orders_cluster(), routes, held);
    ASSERT_EQ(second.writes.size(), 1u);
    EXPECT_EQ(second.writes[0].name, "orders-routing");
    EXPECT_EQ(second.writes[0].kind, WriteKind::Replace);
}

TEST(ProvisionRoutes, GivenAHigherStamp_WhenALateLeaderPublishes_ThenNothingIsWritten) {  // INV-4
    HeldObjects held;
    execute(provision_routes(orders_cluster(), orders_routes(), held), held);
    Routes late = orders_routes();
    late.epoch = Epoch(3);
    late.master->address = "10.0.0.9";
    EXPECT_TRUE(provision_routes(orders_cluster(), late, held).writes.empty());
}

TEST(ProvisionRoutes, GivenTheAddressFamilyChanges_WhenPlanned_ThenSlicesAreMadeAnew) {
    HeldObjects held;
    EXPECT_EQ(provision_routes(orders_cluster(), {}, held).writes.size(), 1u);  // the ConfigMap
    Routes routes = orders_routes();
    execute(provision_routes(orders_cluster(), routes, held), held);
    routes.sequence++;
    routes.master->address = "fd00::1";
    const Provision plan = provision_routes(orders_cluster(), routes, held);
    ASSERT_GE(plan.writes.size(), 2u);
    EXPECT_EQ(plan.writes[0].kind, WriteKind::Delete);
    EXPECT_EQ(plan.writes[1].kind, WriteKind::Create);
    EXPECT_EQ(plan.writes[1].name, "orders-master");
}

}  // namespace
}  // namespace matriarch::op
