// Who is accepted over mutual TLS, and renewal without a restart.
#include "net/tls.h"

#include <filesystem>
#include <fstream>

#include "net_test_support.h"

namespace matriarch::net::test {
namespace {

class MutualTls : public ::testing::Test {
  protected:
    MovableClock clock_;
    Authority authority_{clock_};
    std::shared_ptr<MemoryIdentity> server_identity_ =
        authority_.source("orders-1", {"orders-1.orders.svc"});
    std::unique_ptr<HttpServer> server_;
    int handled_ = 0;

    void start(std::function<bool(const PeerCertificate&)> accept = {}) {
        ServerOptions options;
        options.tls = server_identity_;
        options.accept_client = std::move(accept);
        server_ = serve(options, echo(), clock_);
    }
    Result<HttpResponse> ask(std::shared_ptr<TlsIdentitySource> identity,
                             const std::string& server_name = "orders-1.orders.svc") {
        HttpClient client({}, clock_);
        return client.request_and_wait({"127.0.0.1", server_->bound_port(), server_name, identity},
                                       0, post("/order", "x"), Deadline::after(clock_, kPatience));
    }
};

TEST_F(MutualTls, GivenACertificateOfTheCa_WhenAsked_ThenItsNameReachesTheHandler) {
    start();
    const auto answer = ask(authority_.source("operator"));
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ("operator|POST|/order|x", answer->body);
}

TEST_F(MutualTls, GivenNoCertificate_WhenAsked_ThenRefusedAndSurelyNotActedOn) {
    start();
    const auto anonymous = *TlsIdentity::parse("", "", authority_.ca.certificate_pem);
    const auto answer = ask(std::make_shared<MemoryIdentity>(anonymous));
    ASSERT_FALSE(answer);
    EXPECT_EQ(ErrorKind::Unavailable, answer.error().kind) << answer.error().message();
    EXPECT_EQ(Failure::Tls, failure_of(answer.error()));
}

TEST_F(MutualTls, GivenAClientOfAnotherCa_WhenAsked_ThenRefused) {
    start();
    Authority other(clock_, "other ca");
    const auto stranger = other.identity(other.issue("operator"), authority_.ca.certificate_pem);
    const auto answer = ask(std::make_shared<MemoryIdentity>(stranger));
    ASSERT_FALSE(answer);
    EXPECT_EQ(ErrorKind::Unavailable, answer.error().kind) << answer.error().message();
    EXPECT_EQ(Failure::Tls, failure_of(answer.error()));
}

TEST_F(MutualTls, GivenAServerOfAnotherCa_WhenAsked_ThenTheClientRefuses) {
    start();
    Authority other(clock_, "test ca");  // the same name, another key
    const auto answer = ask(other.source("operator"));
    ASSERT_FALSE(answer);
    EXPECT_EQ(ErrorKind::Unavailable, answer.error().kind) << answer.error().message();
    EXPECT_EQ(Failure::Tls, failure_of(answer.error()));
}

TEST_F(MutualTls, GivenAnotherServerName_WhenAsked_ThenTheClientRefuses) {
    start();
    const auto answer = ask(authority_.source("operator"), "orders-2.orders.svc");
    ASSERT_FALSE(answer);
    EXPECT_EQ(Failure::Tls, failure_of(answer.error())) << answer.error().message();
}

TEST_F(MutualTls, GivenTheNameOnlyAsCommonName_WhenAsked_ThenTheClientRefuses) {
    start();
    EXPECT_FALSE(ask(authority_.source("operator"), "orders-1"));
}

TEST_F(MutualTls, GivenAServerOnlyCertificate_WhenShownAsClient_ThenRefused) {
    start();
    const auto pair = authority_.issue("x", {}, kCertificateLifetime, CertificateUse::Server);
    const auto answer = ask(std::make_shared<MemoryIdentity>(authority_.identity(pair)));
    ASSERT_FALSE(answer);
    EXPECT_EQ(Failure::Tls, failure_of(answer.error())) << answer.error().message();
}

TEST_F(MutualTls, GivenAnExpiredClientCertificate_WhenAsked_ThenRefused) {
    start();
    const auto pair = authority_.issue("operator", {}, std::chrono::hours(1));
    const auto identity = std::make_shared<MemoryIdentity>(authority_.identity(pair));
    ASSERT_TRUE(ask(identity));
    clock_.advance(std::chrono::hours(2));
    const auto answer = ask(identity);
    ASSERT_FALSE(answer);
    EXPECT_EQ(Failure::Tls, failure_of(answer.error())) << answer.error().message();
}

TEST_F(MutualTls, GivenANameThatTheServerDoesNotWant_WhenAsked_ThenRefused) {
    start([](const PeerCertificate& peer) { return peer.common_name == "operator"; });
    EXPECT_TRUE(ask(authority_.source("operator")));
    const auto answer = ask(authority_.source("orders-2"));
    ASSERT_FALSE(answer);
    EXPECT_EQ(Failure::Tls, failure_of(answer.error())) << answer.error().message();
}

TEST_F(MutualTls, GivenARenewedServerCertificate_WhenAConnectionBegins_ThenItIsShown) {
    start();
    EXPECT_FALSE(ask(authority_.source("operator"), "new-name"));
    server_identity_->replace(
        authority_.identity(authority_.issue("orders-1", {"orders-1.orders.svc", "new-name"})));
    EXPECT_TRUE(ask(authority_.source("operator"), "new-name"));
}

TEST_F(MutualTls, GivenARenewedClientCertificate_WhenTheNextRequestGoesOut_ThenItIsShown) {
    start();
    const auto identity = authority_.source("operator-before");
    HttpClient client({}, clock_);
    const PeerAddress peer{"127.0.0.1", server_->bound_port(), "orders-1.orders.svc", identity};
    const auto ask_again = [&] {
        return client.request_and_wait(peer, 0, get("/"), Deadline::after(clock_, kPatience));
    };
    EXPECT_EQ("operator-before|GET|/|", ask_again()->body);
    EXPECT_EQ("operator-before|GET|/|", ask_again()->body);
    EXPECT_EQ(1u, client.stats().connects);
    identity->replace(authority_.identity(authority_.issue("operator-after")));
    EXPECT_EQ("operator-after|GET|/|", ask_again()->body);
    EXPECT_EQ(2u, client.stats().connects);
}

TEST_F(MutualTls, GivenACaRollover_WhenBothTrustTheBundle_ThenOldAndNewCertificatesWork) {
    Authority next(clock_, "test ca");
    const auto bundle =
        *ca_bundle(next.ca.certificate_pem, authority_.ca.certificate_pem, clock_.wall());
    server_identity_->replace(
        authority_.identity(authority_.issue("orders-1", {"orders-1.orders.svc"}), bundle));
    start();
    const auto older = authority_.identity(authority_.issue("old"), bundle);
    const auto newer = next.identity(next.issue("new"), bundle);
    EXPECT_TRUE(ask(std::make_shared<MemoryIdentity>(older)));
    EXPECT_TRUE(ask(std::make_shared<MemoryIdentity>(newer)));
    server_identity_->replace(
        next.identity(next.issue("orders-1", {"orders-1.orders.svc"}), bundle));
    EXPECT_TRUE(ask(std::make_shared<MemoryIdentity>(older)));
    EXPECT_TRUE(ask(std::make_shared<MemoryIdentity>(newer)));
}

TEST(TlsIdentityParse, GivenAKeyOfAnotherCertificate_WhenParsed_ThenInvalid) {
    MovableClock clock;
    Authority authority(clock);
    const auto one = authority.issue("one");
    const auto two = authority.issue("two");
    const auto parsed =
        TlsIdentity::parse(one.certificate_pem, two.key_pem, authority.ca.certificate_pem);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(ErrorKind::Invalid, parsed.error().kind);
    EXPECT_EQ(parsed.error().message().find("BEGIN"), std::string::npos);
}

TEST(TlsIdentityParse, GivenRubbish_WhenParsed_ThenInvalidNamesThePart) {
    MovableClock clock;
    Authority authority(clock);
    const auto pair = authority.issue("one");
    EXPECT_EQ("TLS CA", TlsIdentity::parse("", "", "rubbish").error().what);
    EXPECT_EQ(
        "TLS key",
        TlsIdentity::parse(pair.certificate_pem, "x", authority.ca.certificate_pem).error().what);
    EXPECT_EQ("TLS certificate",
              TlsIdentity::parse("x", pair.key_pem, authority.ca.certificate_pem).error().what);
}

class IdentityFiles : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = std::filesystem::temp_directory_path() / "identityXXXXXX";
        ASSERT_NE(nullptr, mkdtemp(pattern.data()));
        directory_ = pattern;
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    // As the kubelet does it: a new directory, then the ..data link turned to it.
    void publish(const std::string& version, const KeyPair& pair) {
        const auto data = directory_ / version;
        std::filesystem::create_directory(data);
        std::ofstream(data / "tls.crt") << pair.certificate_pem;
        std::ofstream(data / "tls.key") << pair.key_pem;
        std::ofstream(data / "ca.crt") << authority_.ca.certificate_pem;
        std::filesystem::create_directory_symlink(version, directory_ / "..data_tmp");
        std::filesystem::rename(directory_ / "..data_tmp", directory_ / "..data");
        for (const char* name : {"tls.crt", "tls.key", "ca.crt"})
            if (!std::filesystem::is_symlink(directory_ / name))
                std::filesystem::create_symlink(std::filesystem::path("..data") / name,
                                                directory_ / name);
    }

    MovableClock clock_;
    Authority authority_{clock_};
    std::filesystem::path directory_;
};

TEST_F(IdentityFiles, GivenAMountedSecret_WhenItIsReplaced_ThenTheNextLookReadsIt) {
    publish("..1", authority_.issue("one", {}, std::chrono::hours(1)));
    FileIdentity files(FileIdentity::Paths::in(directory_), clock_);
    const auto first = *files.current();
    EXPECT_EQ(first, *files.current());
    publish("..2", authority_.issue("two", {}, std::chrono::hours(2)));
    EXPECT_EQ(first, *files.current()) << "within a second it does not look";
    clock_.advance(seconds(2));
    const auto second = *files.current();
    EXPECT_NE(first, second);
    EXPECT_GT(second->not_after(), first->not_after());
    clock_.advance(seconds(2));
    EXPECT_EQ(second, *files.current());
    EXPECT_EQ(2u, files.reads().good);
}

TEST_F(IdentityFiles, GivenAHalfWrittenKey_WhenRead_ThenTheFormerStaysUntilItIsWhole) {
    publish("..1", authority_.issue("one"));
    FileIdentity files(FileIdentity::Paths::in(directory_), clock_);
    const auto first = *files.current();
    auto broken = authority_.issue("two");
    const auto whole = broken;
    broken.key_pem.resize(40);
    publish("..2", broken);
    clock_.advance(seconds(2));
    EXPECT_EQ(first, *files.current());
    EXPECT_EQ(1u, files.reads().failed);
    publish("..3", whole);
    clock_.advance(seconds(2));
    EXPECT_NE(first, *files.current());
}

TEST_F(IdentityFiles, GivenNoFiles_WhenAsked_ThenUnavailableAndLaterFine) {
    FileIdentity files(FileIdentity::Paths::in(directory_), clock_);
    ASSERT_FALSE(files.current());
    EXPECT_EQ(ErrorKind::Unavailable, files.current().error().kind);
    publish("..1", authority_.issue("one"));
    clock_.advance(seconds(2));
    EXPECT_TRUE(files.current());
}

}  // namespace
}  // namespace matriarch::net::test
