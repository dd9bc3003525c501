// An external topology in the words of any cluster, and what is made from it.
#include "operator/external_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decide/routes.h"
#include "object_fixtures.h"
#include "operator/provision.h"
#include "operator/route_objects.h"
#include "operator/routing_config.h"
#include "operator/uri.h"

namespace matriarch::op {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ExternalEndpoint endpoint(const char* name, const char* host, int port = 5432) {
    ExternalEndpoint out;
    out.name = InstanceName(name);
    out.host = host;
    out.port = port;
    return out;
}

struct ExternalViewTest : ::testing::Test {
    Cluster cluster = orders_cluster(2);
    EndpointProber::Results results;
    ExternalTargets targets;
    decide::MasterMemory master;
    TimePoint now{seconds(1000)};

    void SetUp() override {
        cluster.spec.external.emplace();
        cluster.spec.external->endpoints = {endpoint("a", "a.example"), endpoint("b", "b.example"),
                                            endpoint("c", "fd00::3", 6000)};
        int n = 1;
        for (const char* name : {"a", "b", "c"}) {
            ProbeResult result;
            result.asked = result.reachable = true;
            result.address = "10.0.0." + std::to_string(n);
            result.heard = now;
            result.status.in_recovery = n != 1;
            result.status.writable = n == 1;
            result.status.receiving = n != 1;
            result.status.timeline = Timeline(n == 1 ? 3 : 0);
            result.status.written = Lsn(n == 1 ? 5000 : 0);
            result.status.replayed = Lsn(4000);
            results[InstanceName(name)] = result;
            ++n;
        }
        master.master = InstanceName("a");
    }
    AuthorityRecord record() const {
        return external_record(master, {InstanceName("b"), InstanceName("c")}, Epoch(2), results);
    }
    std::vector<std::string> positions(const std::optional<Routes>& published, const char* former,
                                       const char* now_master) const {
        std::vector<std::string> out;
        for (const auto& name : external_positions(*cluster.spec.external, published,
                                                   InstanceName(former), InstanceName(now_master)))
            out.push_back(name.value);
        return out;
    }
    static Routes published(const std::vector<const char*>& slaves) {
        Routes out;
        for (const char* name : slaves) {
            out.slaves.emplace_back();
            out.slaves.back().instance = InstanceName(name);
        }
        return out;
    }
    Routes routes() {
        decide::Observation seen;
        seen.spec = cluster.spec;
        seen.record = record();
        seen.instances = external_instances(cluster, *seen.record, results, targets);
        const decide::Policy policy;
        return decide::wanted_routes(decide::Facts(seen, policy, now), {});
    }
};

TEST_F(ExternalViewTest, GivenAMaster_WhenItChanges_ThenTheFormerTakesItsPosition) {
    EXPECT_THAT(positions({}, "", ""), ElementsAre("b", "c")) << "nobody is master yet";
    EXPECT_THAT(positions({}, "", "a"), ElementsAre("b", "c"));
    EXPECT_THAT(positions({}, "", "b"), ElementsAre("a", "c")) << "the spec's master is none";
    EXPECT_THAT(positions(published({"b", "c"}), "a", "a"), ElementsAre("b", "c"));
    EXPECT_THAT(positions(published({"b", "c"}), "a", "b"), ElementsAre("a", "c"));
    EXPECT_THAT(positions(published({"a", "c"}), "b", "c"), ElementsAre("a", "b"));
}

TEST_F(ExternalViewTest, GivenEndpointsThatComeAndGo_WhenPublishedBefore_ThenOthersKeepTheirOrder) {
    EXPECT_THAT(positions(published({"x", "c"}), "a", "a"), ElementsAre("c", "b"));
    EXPECT_THAT(positions(published({"c", "b"}), "gone", "b"), ElementsAre("c", "a"));
}

TEST_F(ExternalViewTest, GivenAllWell_WhenRouted_ThenHostsPortsAndLagAreTheEndpoints) {
    const Routes out = routes();
    ASSERT_TRUE(out.master.has_value());
    EXPECT_EQ(out.master->host, "a.example");
    EXPECT_EQ(out.master->address, "10.0.0.1");
    ASSERT_EQ(out.slaves.size(), 2u);
    EXPECT_EQ(out.slaves[1].port, 6000);
    EXPECT_EQ(out.slaves[1].state, RouteState::Ready);
    EXPECT_EQ(out.slaves[0].lag_bytes, Bytes(0)) << "in coarse steps; on the master's timeline";
}

TEST_F(ExternalViewTest, GivenARivalOrASilentOne_WhenRouted_ThenItTakesNoReads) {
    results[InstanceName("b")].status.in_recovery = false;
    results[InstanceName("b")].status.writable = true;
    results[InstanceName("c")].reachable = false;
    const Routes out = routes();
    EXPECT_EQ(out.slaves[0].state, RouteState::Down);
    EXPECT_EQ(out.slaves[1].state, RouteState::Down);
    EXPECT_EQ(out.master->instance.value, "a");
}

TEST_F(ExternalViewTest, GivenAnAnswerOfASecondAgo_WhenSeen_ThenItCountsAsSilence) {
    EXPECT_TRUE(sights_of(cluster, results, now + milliseconds(900))[0].reachable);
    EXPECT_FALSE(sights_of(cluster, results, now + seconds(1))[0].reachable);
}

TEST_F(ExternalViewTest, GivenSeveralPorts_WhenSlicesAreMade_ThenEachPortHasItsOwn) {
    const HeldObjects held;
    std::map<std::string, Json> slices;
    for (const auto& write : provision_routes(cluster, routes(), held).writes)
        if (write.resource.plural == kube::kEndpointSlices.plural) slices[write.name] = *write.body;
    EXPECT_EQ(slices["orders-slaves"]["ports"][0]["port"], 5432);
    EXPECT_EQ(slices["orders-slaves"]["endpoints"].size(), 1u);
    EXPECT_FALSE(slices["orders-slaves"]["endpoints"][0].contains("targetRef")) << "it has no pod";
    EXPECT_EQ(slices["orders-slaves-6000"]["ports"][0]["port"], 6000);
    EXPECT_EQ(slices["orders-slaves-6000"]["endpoints"][0]["addresses"][0], "10.0.0.3");
    EXPECT_EQ(slices["orders-slaves-6000"]["metadata"]["labels"]["kubernetes.io/service-name"],
              "orders-slaves");
    EXPECT_TRUE(slices["orders-master-6000"]["endpoints"].empty());
}

TEST_F(ExternalViewTest, GivenAPortThatNobodyHasAnyMore_WhenRoutesAreWritten_ThenItsSliceGoes) {
    HeldObjects held;
    Cluster former = cluster;
    former.spec.external->endpoints[2].port = 7000;
    const RouteService service = route_services("orders", 2).front();
    Routes older = routes();
    held.add(kube::kEndpointSlices,
             stored(endpoint_slice(former, service, older, "IPv4", 7000), "slice-uid"));
    bool removed = false;
    for (const auto& write : provision_routes(cluster, older, held).writes)
        removed =
            removed || (write.kind == WriteKind::Delete && write.name == "orders-master-7000");
    EXPECT_TRUE(removed);
}

TEST_F(ExternalViewTest, GivenALoopbackAddress_WhenSlicesAreMade_ThenItIsLeftOut) {
    results[InstanceName("a")].address = "127.0.0.1";
    for (const auto& write : provision_routes(cluster, routes(), HeldObjects()).writes) {
        if (write.name != "orders-master") continue;
        EXPECT_TRUE((*write.body)["endpoints"].empty()) << "the API server would refuse all of it";
    }
}

TEST_F(ExternalViewTest, GivenHostsWithPorts_WhenUrisAreMade_ThenEachHasItsOwn) {
    const auto hosts = hosts_writes_first(cluster, routes());
    EXPECT_THAT(hosts, ElementsAre("a.example:5432", "b.example:5432", "[fd00::3]:6000"));
    EXPECT_EQ(make_uri(kLibpqScheme, {hosts, 5432, "u", "p", "db"}),
              "postgresql://u:p@a.example:5432,b.example:5432,[fd00::3]:6000/db");
    const std::string services = pg_service_conf(cluster, routes());
    EXPECT_THAT(services, HasSubstr("host=a.example,b.example,fd00::3\nport=5432,5432,6000\n"));
}

TEST_F(ExternalViewTest, GivenTroubles_WhenTold_ThenEachEndpointIsNamedWithItsCause) {
    targets.problems[InstanceName("b")] = {"SecretMissing", "there is no Secret x"};
    auto& c = results[InstanceName("c")];
    c.reachable = false;
    c.reason = "HostNotFound";
    c.trouble = "host c.example does not resolve";
    decide::MasterChoice choice;
    choice.serves = true;
    choice.memory = master;
    const auto findings = external_findings(
        cluster, external_instances(cluster, record(), results, targets), results, targets, choice);
    ASSERT_EQ(findings.size(), 2u);
    EXPECT_EQ(findings[0].reason, "SecretMissing");
    EXPECT_EQ(findings[0].message, "b: there is no Secret x; c: host c.example does not resolve");
    EXPECT_FALSE(findings[1].holds);
}

}  // namespace
}  // namespace matriarch::op
