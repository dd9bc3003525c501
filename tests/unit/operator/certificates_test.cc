#include "operator/certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "object_fixtures.h"

namespace matriarch::op {
namespace {

using std::chrono::hours;
using testing::Contains;

constexpr hours kDay(24);
const ClusterKey kKey{"shop", "orders"};

struct Certificates : testing::Test {
    StringMap ca() { return ensure_ca(kKey, {}, clock, random).value(); }
    StringMap leaf(const StringMap& ca, const StringMap& held = {}, int slaves = 2) {
        return ensure_leaf(ca, instance_certificate(kKey, orders(1), slaves), held, clock, random)
            .value();
    }
    FixedClock clock;
    CountingRandom random;
};

TEST_F(Certificates, GivenAnInstance_WhenItsNamesAreAsked_ThenPodAndServicesAreInEveryForm) {
    const auto wanted = instance_certificate(kKey, orders(1), 2);
    EXPECT_EQ(wanted.common_name, "orders-1");
    for (const char* name :
         {"orders-1-0", "orders-1-0.orders-instances.shop.svc", "localhost",
          "orders-1-0.orders-instances.shop.svc.cluster.local", "orders-master",
          "orders-master.shop", "orders-slaves.shop.svc", "orders-slave2.shop.svc.cluster.local"})
        EXPECT_THAT(wanted.dns_names, Contains(name));
    EXPECT_THAT(wanted.dns_names, testing::Not(Contains("orders-slave3")));
}

TEST_F(Certificates, GivenNothing_WhenEnsured_ThenCaAndLeafAreMadeAndThenKept) {
    const StringMap held_ca = ca();
    EXPECT_EQ(ensure_ca(kKey, held_ca, clock, random).value(), held_ca);
    const StringMap held = leaf(held_ca);
    EXPECT_TRUE(net::signed_by(held.at("tls.crt"), held.at("ca.crt")).value());
    EXPECT_EQ(net::parse_certificate(held.at("tls.crt"))->common_name, "orders-1");
    EXPECT_EQ(leaf(held_ca, held), held);
}

TEST_F(Certificates, GivenTwoThirdsOfItsLifeAreOver_WhenEnsured_ThenTheLeafIsRenewed) {
    const StringMap held_ca = ca();
    const StringMap held = leaf(held_ca);
    clock.advance(59 * kDay);
    EXPECT_EQ(leaf(held_ca, held), held);
    clock.advance(2 * kDay);
    EXPECT_NE(leaf(held_ca, held).at("tls.crt"), held.at("tls.crt"));
}

TEST_F(Certificates, GivenMoreSlaves_WhenEnsured_ThenTheLeafIsIssuedAnewButNotForFewer) {
    const StringMap held_ca = ca();
    const StringMap held = leaf(held_ca);
    EXPECT_EQ(leaf(held_ca, held, 1), held);
    EXPECT_NE(leaf(held_ca, held, 3), held);
}

TEST_F(Certificates, GivenADamagedLeaf_WhenEnsured_ThenItIsMadeAnew) {
    const StringMap held_ca = ca();
    StringMap held = leaf(held_ca);
    held["tls.crt"] = "nonsense";
    EXPECT_TRUE(net::parse_certificate(leaf(held_ca, held).at("tls.crt")));
}

TEST_F(Certificates, GivenADamagedCa_WhenEnsured_ThenItIsAnErrorWithTheRemedy) {
    const auto out = ensure_ca(kKey, {{"issuer.crt", "nonsense"}, {"ca.key", "x"}}, clock, random);
    ASSERT_FALSE(out);
    EXPECT_NE(out.error().what.find("Secret orders-ca is damaged: restore it"), std::string::npos);
}

TEST_F(Certificates, GivenAnOldCa_WhenItChanges_ThenTheNewOneIsTrustedADayBeforeItIssues) {
    const StringMap first = ca();
    const StringMap old_leaf = leaf(first);
    clock.advance(kDay * 365 * 7);
    const StringMap announced = ensure_ca(kKey, first, clock, random).value();
    EXPECT_EQ(issuer_of(announced).certificate_pem, issuer_of(first).certificate_pem);
    EXPECT_EQ(net::parse_certificates(trusted_pem(announced))->size(), 2u);
    EXPECT_EQ(ensure_ca(kKey, announced, clock, random).value(), announced);

    clock.advance(kDay + hours(1));
    const StringMap switched = ensure_ca(kKey, announced, clock, random).value();
    EXPECT_EQ(issuer_of(switched).certificate_pem, announced.at("next.crt"));
    EXPECT_FALSE(switched.contains("next.key"));
    EXPECT_TRUE(net::signed_by(old_leaf.at("tls.crt"), trusted_pem(switched)).value());
    const StringMap new_leaf = leaf(switched, old_leaf);
    EXPECT_TRUE(
        net::signed_by(new_leaf.at("tls.crt"), issuer_of(switched).certificate_pem).value());
    EXPECT_TRUE(net::signed_by(new_leaf.at("tls.crt"), trusted_pem(announced)).value());
}

TEST_F(Certificates, GivenTheOperator_WhenItsIdentityIsIssued_ThenItIsAClientOfThatName) {
    const auto identity = issue_operator_identity(ca(), clock, random);
    ASSERT_TRUE(identity);
    EXPECT_EQ(net::parse_certificate(identity->certificate_pem)->common_name, "matriarch-operator");
}

TEST(LeafDue, GivenFacts_WhenAsked_ThenTheReasonIsNamed) {
    const WantedCertificate wanted{"orders-1", {"a"}, {}};
    const WallTime now{};
    net::CertificateInfo held;
    held.common_name = "orders-1";
    held.dns_names = {"a", "b"};
    held.not_before = now;
    held.not_after = now + hours(90);
    EXPECT_EQ(leaf_due(wanted, held, true, now + hours(1)), "");
    EXPECT_EQ(leaf_due(wanted, held, false, now + hours(1)), "another CA issued it");
    EXPECT_EQ(leaf_due(wanted, held, true, now + hours(61)), "two thirds of its life are over");
    EXPECT_EQ(leaf_due({"orders-1", {"c"}, {}}, held, true, now), "it lacks a name");
    EXPECT_EQ(leaf_due({"orders-2", {}, {}}, held, true, now), "it is of orders-1");
}

}  // namespace
}  // namespace matriarch::op
