#include "cli/target.h"

#include <gtest/gtest.h>

namespace matriarch::cli {
namespace {

TEST(Target, GivenAUriOfThreeHosts_WhenParsed_ThenEachHasItsNameAndPort) {
    const auto target = parse_target(
        "postgresql://app:secret@a.orders,b.orders:5433,c.orders/"
        "app?target_session_attrs=read-write");
    ASSERT_TRUE(target.ok()) << target.error().message();
    ASSERT_EQ(target->hosts.size(), 3u);
    EXPECT_EQ(target->hosts[0].str(), "a.orders:5432");
    EXPECT_EQ(target->hosts[1].str(), "b.orders:5433");
    EXPECT_EQ(target->hosts[2].str(), "c.orders:5432");
}

TEST(Target, GivenOneAddressPerHost_WhenParsed_ThenTheyStayTogether) {
    const auto target = parse_target("host=a,b hostaddr=10.0.0.1,10.0.0.2 port=6000");
    ASSERT_TRUE(target.ok());
    EXPECT_EQ(target->hosts[1], (Host{"b", "10.0.0.2", "6000"}));
}

TEST(Target, GivenRulesOfLibpqsOwnDialling_WhenParsed_ThenOnlyTheOtherOptionsAreKept) {
    const auto target = parse_target(
        "postgresql://app:secret@a/app?target_session_attrs=read-write&connect_timeout=2");
    ASSERT_TRUE(target.ok());
    const decltype(target->options) expected = {
        {"user", "app"}, {"password", "secret"}, {"dbname", "app"}};
    EXPECT_EQ(target->options, expected);
}

TEST(Target, GivenNonsense_WhenParsed_ThenItIsInvalid) {
    EXPECT_EQ(parse_target("postgresql://a/app?colour=blue").error().kind, ErrorKind::Invalid);
    EXPECT_EQ(parse_target("dbname=app").error().kind, ErrorKind::Invalid);
}

TEST(Target, GivenAHostOfTheCommandLine_WhenParsed_ThenThePortMayFollow) {
    EXPECT_EQ(parse_host("orders-master"), (Host{"orders-master", "", "5432"}));
    EXPECT_EQ(parse_host("orders-master:6432"), (Host{"orders-master", "", "6432"}));
    EXPECT_EQ(parse_host("[::1]:6432"), (Host{"::1", "", "6432"}));
    EXPECT_EQ(parse_host("[::1]"), (Host{"::1", "", "5432"}));
    EXPECT_EQ(parse_host("fe80::1"), (Host{"fe80::1", "", "5432"}));
    EXPECT_EQ(parse_host("/run/matriarch"), (Host{"/run/matriarch", "", "5432"}));
}

}  // namespace
}  // namespace matriarch::cli
