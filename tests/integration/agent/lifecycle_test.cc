// One instance and its slaves through their lives: made, cloned, followed, promoted, rejoined.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "failover.h"
#include "fixture.h"
#include "model/pooler.h"

namespace matriarch::testing {
namespace {

TEST(Lifecycle, GivenThreeVolumes_WhenOrdered_ThenMasterAndSlavesReplicate) {
    Lab lab(3);
    lab.bring_up();
    if (::testing::Test::HasFatalFailure()) return;
    lab[1].sql(
        "CREATE TABLE t (id int primary key); INSERT INTO t SELECT generate_series(1, 1000)");
    for (int i : {2, 3}) {
        const Lsn written = lab[1].written();
        lab[i].wait_for("the rows", [&](const Report& r) { return r.replayed >= written; });
        EXPECT_EQ(lab[i].sql("SELECT count(*) FROM t"), "1000");
        const Report slave =
            lab[i].wait_for("slots", [](const Report& r) { return r.slots.size() == 2; });
        EXPECT_EQ(slave.in_recovery, Known::Yes);
        EXPECT_EQ(slave.upstream, lab[1].name);
        EXPECT_LT(slave.lag.count(), 5000);
    }
    const Report master =
        lab[1].wait_for("streams", [](const Report& r) { return r.streams.size() == 2; });
    EXPECT_EQ(master.streams[0].application_name, "orders-2");
    printf("    agent's memory: %.1f MB\n", static_cast<double>(master.memory.value) / 1e6);
    for (int i : {1, 2, 3}) {
        const auto status = lab[i].terminate();
        ASSERT_TRUE(status.has_value());
        EXPECT_EQ(*status, 0);
    }
}

TEST(Lifecycle, GivenAnIdleMaster_WhenAQueryHoldsReplayUp_ThenOnlyThatIsLag) {
    Lab lab(2);
    lab.bring_up();
    if (::testing::Test::HasFatalFailure()) return;
    lab[1].sql("CREATE TABLE t (id int primary key)");
    lab[2].wait_for("the table", [&, at = lab[1].written()](const Report& r) {
        return r.replayed >= at && r.lag == milliseconds(0);
    });
    auto reader = lab[2].connect();
    ASSERT_TRUE(reader.ok()) << reader.error().message();
    const Deadline soon{lab.clock.now() + seconds(10)};
    ASSERT_TRUE(reader->query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM t", soon).ok());
    EXPECT_EQ(lab[2].report().lag, milliseconds(0)) << "an idle master leaves nobody behind";
    lab[1].sql("ALTER TABLE t ADD COLUMN name text");
    const Report held = lab[2].wait_for(
        "the conflict", [](const Report& r) { return r.conflict >= milliseconds(500); });
    EXPECT_GE(held.lag, milliseconds(300));
    ASSERT_TRUE(reader->query("COMMIT", soon).ok());
    lab[2].wait_for("the end of it", [](const Report& r) {
        return r.conflict == milliseconds(0) && r.lag == milliseconds(0);
    });
}

TEST(Lifecycle, GivenAPooler_WhenConfigured_ThenItsRoleLooksUpUsersAndCanDoNothingElse) {
    Lab lab(2);
    lab.bring_up();
    if (::testing::Test::HasFatalFailure()) return;
    Order order = lab[1].order(OrderKind::Configure, "Configure/pooler");
    order.config = lab.config(1);
    order.config->pooler_role = kPoolerRole;
    order.config->roles.push_back(order.config->roles[0]);
    order.config->roles[1].name = kPoolerRole;
    ASSERT_TRUE(lab[1].send(order).accepted);

    const Deadline soon{lab.clock.now() + seconds(20)};
    const std::string look_up = "SELECT usename, passwd FROM " + std::string(kPoolerLookup) + "('";
    for (const int i : {1, 2}) {  // a slave has it by replication
        Result<postgres::Rows> found = make_error(ErrorKind::NotFound, "not asked yet");
        lab.eventually(seconds(20), [&] {
            auto pooler = lab[i].connect(seconds(1), std::string(kPoolerRole));
            if (pooler) found = pooler->one(look_up + "app')", soon);
            return found.ok();
        });
        ASSERT_TRUE(found.ok()) << found.error().message();
        EXPECT_EQ(found->text(0, 0), "app");
        EXPECT_TRUE(found->text(0, 1).starts_with("SCRAM-SHA-256$"));
        auto pooler = lab[i].connect(seconds(5), std::string(kPoolerRole));
        ASSERT_TRUE(pooler.ok()) << pooler.error().message();
        for (const char* never : {"postgres", "matriarch_replication", "nobody"})
            EXPECT_FALSE(pooler->one(look_up + never + "')", soon).ok()) << never;
        EXPECT_FALSE(pooler->query("SELECT rolpassword FROM pg_authid", soon).ok());
        auto app = lab[i].connect();
        ASSERT_TRUE(app.ok()) << app.error().message();
        EXPECT_FALSE(app->query(look_up + "app')", soon).ok()) << "the owner may not look";
    }
}

TEST(Lifecycle, GivenAMaster_WhenItsPostmasterIsKilled_ThenASlaveTakesOverAndItRejoins) {
    Lab lab(3);
    lab.bring_up();
    if (::testing::Test::HasFatalFailure()) return;
    lab[1].sql(
        "CREATE TABLE t (id int primary key); INSERT INTO t SELECT generate_series(1, 1000)");
    fail_over(lab, lab[1], lab[2]);
    EXPECT_EQ(lab[2].sql("SELECT count(*) FROM t"), "1000");
    lab[2].sql("INSERT INTO t VALUES (1001)");
    const TimePoint repointing = lab.clock.now();
    lab.follow(lab[3], lab[2]);
    print_time("repoint: order to streaming", lab.clock.now() - repointing);
    const TimePoint rejoining = lab.clock.now();
    lab.follow(lab[1], lab[2]);
    print_time("rejoin of the old master: order to streaming", lab.clock.now() - rejoining);
    for (int i : {1, 3}) {
        const Lsn written = lab[2].written();
        lab[i].wait_for("the rows", [&](const Report& r) { return r.replayed >= written; });
        EXPECT_EQ(lab[i].sql("SELECT count(*) FROM t"), "1001");
    }
}

}  // namespace
}  // namespace matriarch::testing
