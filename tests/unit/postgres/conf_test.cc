#include "postgres/conf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "postgres/binaries.h"
#include "postgres/connection.h"

namespace matriarch::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Layout layout() {
    Layout l;
    l.socket_dir = "/run/matriarch";
    l.tls_dir = "/run/matriarch/tls";
    l.hba_file = "/v/agent/pg_hba.conf";
    l.ident_file = "/v/agent/pg_ident.conf";
    l.os_user = "postgres";
    l.cluster = "or.ders";
    l.instance = InstanceName("or.ders-2");
    return l;
}

// The value that PostgreSQL would take: the last line with that name.
std::string value_of(const std::string& conf, const std::string& name) {
    const auto at = ("\n" + conf).rfind("\n" + name + " = ");
    if (at == std::string::npos) return "(none)";
    const auto begin = at + name.size() + 3;
    return conf.substr(begin, conf.find('\n', begin) - begin);
}

TEST(Conf, GivenAUsersParameters_WhenRendered_ThenDefaultsGiveWayAndOwnedOnesDoNot) {
    InstanceConfig config;
    config.parameters = {
        {"wal_keep_size", "1GB"},      {"Port", "1"},     {"fsync", "off"},
        {"work_mem", "it's\\1"},       {"bad name", "1"}, {"shared_preload_libraries", "a,b"},
        {"injected", "1\nfsync = off"}};
    config.master_parameters = {{"work_mem", "8MB"}};
    ServerConfig slave;
    slave.primary_conninfo = "host='x'";
    const auto conf = render_postgresql_conf(layout(), config, slave);
    EXPECT_EQ(value_of(conf, "wal_keep_size"), "'1GB'");
    EXPECT_EQ(value_of(conf, "port"), "'5432'");
    EXPECT_EQ(value_of(conf, "fsync"), "'on'");
    EXPECT_EQ(value_of(conf, "work_mem"), "'it''s\\\\1'");
    EXPECT_EQ(value_of(conf, "shared_preload_libraries"), "'a,b'");
    EXPECT_EQ(value_of(conf, "default_transaction_read_only"), "'on'");
    EXPECT_EQ(value_of(conf, "primary_conninfo"), "'host=''x'''");
    EXPECT_THAT(conf, Not(HasSubstr("injected")));
    EXPECT_THAT(conf, Not(HasSubstr("bad name")));
    ServerConfig master{Role::Master, false, "", "", "", ""};
    EXPECT_EQ(value_of(render_postgresql_conf(layout(), config, master), "work_mem"), "'8MB'");

    std::vector<std::string> named;
    for (const auto& trouble : owned_parameter_troubles(config)) named.push_back(trouble.name);
    EXPECT_THAT(named, ElementsAre("Port", "bad name", "fsync", "injected"));
}

TEST(Conf, GivenWhomCommitsWaitFor_WhenRendered_ThenASlaveHasItTooForItsFirstCommitAsMaster) {
    ServerConfig server{Role::Slave, true, "", "", "", "ANY 1 (\"a\", \"b\")"};
    for (const Role role : {Role::Slave, Role::Master}) {
        server.role = role;
        EXPECT_EQ(
            value_of(render_postgresql_conf(layout(), {}, server), "synchronous_standby_names"),
            "'ANY 1 (\"a\", \"b\")'");
    }
    EXPECT_EQ(value_of(render_postgresql_conf(layout(), {}, {}), "synchronous_standby_names"),
              "''");
}

TEST(Conf, GivenAnHba_WhenRendered_ThenTheSuperuserNeverComesOverTheNetwork) {
    InstanceConfig config;
    config.hba = {"host all all 10.0.0.0/8 trust", "host a b\nhost c"};
    const auto hba = render_hba(layout(), config);
    EXPECT_LT(hba.find("host all postgres all reject"), hba.find("10.0.0.0/8 trust"));
    EXPECT_LT(hba.find("host all matriarch_replication all reject"), hba.find("10.0.0.0/8"));
    EXPECT_THAT(hba, Not(HasSubstr("host c")));
    EXPECT_THAT(render_ident(layout()), HasSubstr("\"/^or\\.ders-[0-9]+$\" matriarch_replication"));
}

TEST(Conf, GivenAnUpstream_WhenItsConninfoIsMade_ThenTheNameIsVerifiedAndTheAddressUsed) {
    const Upstream up{InstanceName("o-1"), "o'1", "10.0.0.1", 5433};
    const auto conninfo = upstream_conninfo(layout(), up);
    EXPECT_THAT(conninfo, HasSubstr("host='o\\'1' hostaddr='10.0.0.1' port='5433'"));
    EXPECT_THAT(conninfo, HasSubstr("sslmode='verify-full'"));
    EXPECT_THAT(conninfo, HasSubstr("application_name='or.ders-2'"));
    EXPECT_THAT(conninfo, Not(HasSubstr("dbname")));
}

TEST(Conf, GivenPostgresqlsComplaints_WhenParsed_ThenEachNamesItsParameter) {
    InstanceConfig config;
    config.parameters = {{"work_mem", "x"}, {"max_connections", "-1"}};
    const auto troubles = parse_parameter_errors(
        "2026-01-01 00:00:00 UTC [1] LOG:  invalid value for parameter \"work_mem\": \"x\"\n"
        "2026-01-01 00:00:00 UTC [1] HINT:  Valid units are \"B\".\n"
        "2026-01-01 00:00:00 UTC [1] LOG:  -1 is outside the valid range for parameter "
        "\"max_connections\" (1 .. 262143)\n"
        "2026-01-01 00:00:00 UTC [1] FATAL:  configuration file \"/x\" contains errors\n",
        config);
    ASSERT_EQ(troubles.size(), 2u);
    EXPECT_EQ(troubles[0].name, "work_mem");
    EXPECT_EQ(troubles[1].name, "max_connections");
    EXPECT_THAT(troubles[1].message, HasSubstr("outside the valid range"));
}

TEST(Quoting, GivenHostileText_WhenQuoted_ThenItStaysOneToken) {
    EXPECT_EQ(quote_literal("it's"), "'it''s'");
    EXPECT_EQ(quote_literal("a\\'b"), " E'a\\\\''b'");
    EXPECT_EQ(quote_identifier("my \"table\""), "\"my \"\"table\"\"\"");
}

TEST(Binaries, GivenAVersionLine_WhenParsed_ThenItGivesTheMajorNumber) {
    EXPECT_EQ(parse_version_line("postgres (PostgreSQL) 15.10 (Debian 15.10-0+deb12u1)"), 15);
    EXPECT_EQ(parse_version_line("postgres (PostgreSQL) 18beta1"), 18);
    EXPECT_EQ(parse_version_line("something else"), 0);
    EXPECT_FALSE(find_binaries("/nonexistent", ""));
}

}  // namespace
}  // namespace matriarch::postgres
