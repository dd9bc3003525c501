// Certificates of our own CA: what they say, when they are due, how a CA is replaced.
#include "net/pki.h"

#include "net_test_support.h"

namespace matriarch::net::test {
namespace {

class Pki : public ::testing::Test {
  protected:
    MovableClock clock_;
    Authority authority_{clock_};
};

TEST_F(Pki, GivenASpec_WhenIssued_ThenTheCertificateSaysIt) {
    CertificateSpec spec;
    spec.common_name = "orders-1";
    spec.dns_names = {"orders-1.orders.shop.svc", "orders-1"};
    spec.ip_addresses = {"10.0.0.7", "fd00::7"};
    spec.lifetime = std::chrono::hours(30);
    const auto pair = issue_certificate(authority_.ca, spec, clock_, authority_.random);
    ASSERT_TRUE(pair);
    const auto info = *parse_certificate(pair->certificate_pem);
    EXPECT_EQ("orders-1", info.common_name);
    EXPECT_EQ(spec.dns_names, info.dns_names);
    EXPECT_EQ(spec.ip_addresses, info.ip_addresses);
    EXPECT_FALSE(info.is_ca);
    EXPECT_EQ(32u, info.serial.size());
    EXPECT_LE(info.not_before, clock_.wall() - std::chrono::minutes(5));
    EXPECT_GT(info.not_after, clock_.wall() + std::chrono::hours(29));
    EXPECT_TRUE(*signed_by(pair->certificate_pem, authority_.ca.certificate_pem));
    EXPECT_TRUE(parse_certificate(authority_.ca.certificate_pem)->is_ca);
}

TEST_F(Pki, GivenACertificate_WhenTwoThirdsOfItsLifePassed_ThenItIsDue) {
    const auto info =
        *parse_certificate(authority_.issue("x", {}, std::chrono::hours(30)).certificate_pem);
    EXPECT_FALSE(info.renew_due(clock_.wall() + std::chrono::hours(19)));
    EXPECT_TRUE(info.renew_due(clock_.wall() + std::chrono::hours(21)));
    EXPECT_FALSE(info.expired(clock_.wall() + std::chrono::hours(29)));
    EXPECT_TRUE(info.expired(clock_.wall() + std::chrono::hours(31)));
}

TEST_F(Pki, GivenALifetimeBeyondTheCas_WhenIssued_ThenItEndsWithTheCa) {
    const auto ca = *create_ca("short", std::chrono::hours(10), clock_, authority_.random);
    CertificateSpec spec;
    spec.common_name = "x";
    const auto pair = *issue_certificate(ca, spec, clock_, authority_.random);
    EXPECT_EQ(parse_certificate(ca.certificate_pem)->not_after,
              parse_certificate(pair.certificate_pem)->not_after);
    clock_.advance(std::chrono::hours(11));
    EXPECT_FALSE(issue_certificate(ca, spec, clock_, authority_.random));
}

TEST_F(Pki, GivenBadInput_WhenIssued_ThenInvalid) {
    CertificateSpec spec;
    EXPECT_FALSE(issue_certificate(authority_.ca, spec, clock_, authority_.random)) << "no name";
    spec.common_name = std::string(65, 'x');
    EXPECT_FALSE(issue_certificate(authority_.ca, spec, clock_, authority_.random)) << "long name";
    spec.common_name = "x";
    spec.ip_addresses = {"10.0.0.300"};
    EXPECT_FALSE(issue_certificate(authority_.ca, spec, clock_, authority_.random)) << "no IP";
    spec.ip_addresses.clear();
    Authority other(clock_);
    const KeyPair mixed{authority_.ca.certificate_pem, other.ca.key_pem};
    EXPECT_FALSE(issue_certificate(mixed, spec, clock_, authority_.random)) << "another's key";
    EXPECT_FALSE(parse_certificate("rubbish"));
}

TEST_F(Pki, GivenTwoCasOfOneName_WhenAskedWhoSigned_ThenTheKeyDecides) {
    Authority other(clock_);
    const auto pair = authority_.issue("x");
    EXPECT_FALSE(*signed_by(pair.certificate_pem, other.ca.certificate_pem));
    EXPECT_TRUE(
        *signed_by(pair.certificate_pem, other.ca.certificate_pem + authority_.ca.certificate_pem));
}

TEST_F(Pki, GivenARollover_WhenBundled_ThenNewFirstWithoutExpiredOrRepeatedOnes) {
    const auto expiring = *create_ca("old", std::chrono::hours(1), clock_, authority_.random);
    const auto current = *create_ca("now", std::chrono::hours(99), clock_, authority_.random);
    const auto next = *create_ca("next", std::chrono::hours(99), clock_, authority_.random);
    const auto later = clock_.wall() + std::chrono::hours(2);
    const auto bundle = *ca_bundle(
        next.certificate_pem,
        expiring.certificate_pem + current.certificate_pem + next.certificate_pem, later);
    const auto infos = *parse_certificates(bundle);
    ASSERT_EQ(2u, infos.size());
    EXPECT_EQ("next", infos[0].common_name);
    EXPECT_EQ("now", infos[1].common_name);
    EXPECT_EQ(next.certificate_pem, *ca_bundle(next.certificate_pem, "", later));
}

}  // namespace
}  // namespace matriarch::net::test
