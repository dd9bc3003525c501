#include "operator/app_secret.h"

#include <gtest/gtest.h>

#include "net/crypto.h"
#include "object_fixtures.h"
#include "operator/uri.h"

namespace matriarch::op {
namespace {

const std::vector<std::string> kHosts = {"a", "b"}, kReadHosts = {"b", "a"};

StringMap merge(const StringMap& former, const Cluster& cluster = orders_cluster()) {
    CountingRandom random;
    auto out = merge_app_secret(cluster, kHosts, kReadHosts, "CA", former, random);
    EXPECT_TRUE(out);
    return out.value_or({});
}

TEST(Uri, GivenOddCharacters_WhenUrisAreMade_ThenTheyAreEscapedInEveryScheme) {
    UriParts parts{{"h"}, 5432, "us:er", "p@s/s,w%rd?#é\"'", "d b"};
    const std::string password = "p%40s%2Fs%2Cw%25rd%3F%23%C3%A9%22%27";
    EXPECT_EQ(make_uri(kLibpqScheme, parts), "postgresql://us%3Aer:" + password + "@h:5432/d%20b");
    EXPECT_EQ(make_uri(kAsyncpgScheme, parts),
              "postgresql+asyncpg://us%3Aer:" + password + "@h:5432/d%20b");
    EXPECT_EQ(make_uri(kJdbcScheme, parts),
              "jdbc:postgresql://h:5432/d%20b?user=us%3Aer&password=" + password);
}

TEST(Uri, GivenSeveralHosts_WhenUrisAreMade_ThenEachSchemeSaysItItsOwnWay) {
    UriParts parts{{"a", "b"}, 5432, "u", "p", "d", Session::ReadWrite};
    EXPECT_EQ(make_uri(kLibpqScheme, parts),
              "postgresql://u:p@a:5432,b:5432/d?target_session_attrs=read-write");
    EXPECT_EQ(
        make_uri(kAsyncpgScheme, parts),
        "postgresql+asyncpg://u:p@/d?host=a:5432&host=b:5432&target_session_attrs=read-write");
    EXPECT_EQ(make_uri(kJdbcScheme, parts),
              "jdbc:postgresql://a:5432,b:5432/d?user=u&password=p&targetServerType=primary"
              "&connectTimeout=3");
    parts.session = Session::PreferStandby;
    EXPECT_EQ(make_uri(kLibpqScheme, parts),
              "postgresql://u:p@a:5432,b:5432/d?target_session_attrs=prefer-standby");
    parts.session = Session::Standby;
    EXPECT_EQ(make_uri(kLibpqScheme, parts),
              "postgresql://u:p@a:5432,b:5432/d?target_session_attrs=standby");
    EXPECT_EQ(make_uri(kJdbcScheme, parts),
              "jdbc:postgresql://a:5432,b:5432/d?user=u&password=p&targetServerType=secondary"
              "&loadBalanceHosts=true&connectTimeout=3");
    parts.session = Session::Any;
    EXPECT_EQ(make_uri(kLibpqScheme, parts), "postgresql://u:p@a:5432,b:5432/d");
    EXPECT_EQ(make_uri(kJdbcScheme, parts),
              "jdbc:postgresql://a:5432,b:5432/d?user=u&password=p"
              "&loadBalanceHosts=true&connectTimeout=3");
}

TEST(Uri, GivenWhoMayTakeReads_WhenAsked_ThenTheSessionIsOfThose) {
    RoutingSpec routing;
    EXPECT_EQ(read_session(routing), Session::PreferStandby);
    routing.fallback_to_master = false;
    EXPECT_EQ(read_session(routing), Session::Standby);
    routing.weights["master"] = 1;
    EXPECT_EQ(read_session(routing), Session::Any);
}

TEST(AppSecret, GivenNoSecret_WhenMade_ThenItHasAPasswordAndUrisOfAllInstances) {
    const StringMap data = merge({});
    const std::string password = data.at("password");
    EXPECT_EQ(password.size(), 32u);
    EXPECT_EQ(data.at("uri"), "postgresql://app:" + password +
                                  "@a:5432,b:5432/app?target_session_attrs=read-write");
    EXPECT_EQ(data.at("read_uri"), "postgresql://app:" + password +
                                       "@b:5432,a:5432/app?target_session_attrs=prefer-standby");
    EXPECT_EQ(data.at("username"), "app");
    EXPECT_EQ(data.at("dbname"), "app");
    EXPECT_EQ(data.at("host"), "orders-master.shop.svc");
    EXPECT_EQ(data.at("ca.crt"), "CA");
    EXPECT_EQ(data.at("userlist.txt"), "\"app\" \"" + password + "\"\n");
    EXPECT_TRUE(net::scram_matches(data.at("verifier"), password).value());
    EXPECT_TRUE(data.contains("jdbc_uri") && data.contains("asyncpg_uri"));
}

TEST(AppSecret, GivenASecret_WhenMergedAgain_ThenNothingChanges) {
    const StringMap data = merge({});
    EXPECT_EQ(merge(data), data);
}

TEST(AppSecret, GivenThePasswordWasChangedByHand_WhenMerged_ThenItIsKeptAndAllElseFollows) {
    StringMap data = merge({});
    data["password"] = "tr0ub@dor";
    const StringMap after = merge(data);
    EXPECT_EQ(after.at("password"), "tr0ub@dor");
    EXPECT_NE(after.at("uri").find("tr0ub%40dor"), std::string::npos);
    EXPECT_TRUE(net::scram_matches(after.at("verifier"), "tr0ub@dor").value());
}

TEST(AppSecret, GivenAPasswordThatPostgresqlCannotTake_WhenMerged_ThenTheErrorNamesTheKey) {
    CountingRandom random;
    const auto out = merge_app_secret(orders_cluster(), kHosts, kReadHosts, "",
                                      {{"password", "pässword"}}, random);
    ASSERT_FALSE(out);
    EXPECT_NE(out.error().what.find("Secret orders-app, key password"), std::string::npos);
}

TEST(AppSecret, GivenOneScheme_WhenMerged_ThenOtherUrisAreLeftOut) {
    Cluster cluster = orders_cluster();
    cluster.spec.routing.uri_schemes = {"postgresql"};
    cluster.spec.routing.formats = {"json"};
    const StringMap data = merge({}, cluster);
    EXPECT_FALSE(data.contains("jdbc_uri"));
    EXPECT_FALSE(data.contains("asyncpg_uri"));
    EXPECT_FALSE(data.contains("DATABASE_URL"));
    EXPECT_TRUE(data.contains("uri"));
}

TEST(AppSecret, GivenItsObject_WhenMade_ThenNoHashOfThePasswordLeaks) {
    const Json object = app_secret_object(orders_cluster(), merge({}));
    EXPECT_EQ(object["type"], "kubernetes.io/basic-auth");
    EXPECT_FALSE(object["metadata"].contains("annotations"));
    EXPECT_EQ(net::base64_decode(object["data"]["username"].get<std::string>()).value(), "app");
}

}  // namespace
}  // namespace matriarch::op
