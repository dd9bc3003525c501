// Whom commits wait for, with PostgreSQL's own synchronous replication.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "failover.h"
#include "fixture.h"

namespace matriarch::testing {
namespace {

SyncRule wait_for(const Node& slave, std::uint64_t version) {
    return {1, {slave.name}, SyncMethod::First, version};
}

// The operator's way to change the rule of what runs.
Report tell(Lab& lab, int ordinal) {
    Order order = lab[ordinal].order(OrderKind::Configure, "Configure/sync");
    order.config = lab.config(ordinal);
    EXPECT_TRUE(lab[ordinal].send(order).accepted);
    return lab[ordinal].wait_for("the rule", [&](const Report& r) { return r.sync == lab.sync; });
}

bool commits(Lab& lab, Node& master) {
    auto connection = master.connect();
    if (!connection) return false;
    const auto done = connection->query("INSERT INTO t VALUES (default)",
                                        Deadline::after(lab.clock, milliseconds(1500)));
    return done.ok();
}

TEST(Synchronous, GivenARule_WhenLoaded_ThenCommitsWaitAndAPromotedSlaveKeepsTheNextOneAtOnce) {
    Lab lab(3);
    lab.bring_up();
    if (::testing::Test::HasFatalFailure()) return;
    lab[1].sql("CREATE TABLE t (id serial primary key)");

    lab.sync = wait_for(lab[2], 1);
    const Report master = tell(lab, 1);
    EXPECT_TRUE(master.sync_since.known());
    EXPECT_GE(lab[1].written(), master.sync_since);
    tell(lab, 2);
    EXPECT_TRUE(commits(lab, lab[1]));
    lab[3].obey(lab[3].order(OrderKind::Halt, "Halt/1/3"));
    EXPECT_TRUE(commits(lab, lab[1])) << "orders-3 is not waited for";
    lab[2].obey(lab[2].order(OrderKind::Halt, "Halt/1/2"));
    EXPECT_FALSE(commits(lab, lab[1])) << "orders-2 is";

    // orders-3 does not stream: the next master's first commit must wait for it.
    lab.sync = wait_for(lab[3], 2);
    fail_over(lab, lab[1], lab[2]);
    EXPECT_EQ(lab[2].sql("SHOW synchronous_standby_names"), "FIRST 1 (\"orders-3\")");
    EXPECT_FALSE(commits(lab, lab[2]));
    lab.follow(lab[3], lab[2]);
    EXPECT_TRUE(commits(lab, lab[2]));
    const Report next =
        lab[2].wait_for("the rule", [&](const Report& r) { return r.sync == lab.sync; });
    EXPECT_TRUE(next.sync_since.known());

    // A late order with a former rule changes nothing.
    lab.sync = wait_for(lab[1], 1);
    Order late = lab[2].order(OrderKind::Configure, "Configure/late");
    late.config = lab.config(2);
    EXPECT_TRUE(lab[2].send(late).accepted);
    EXPECT_EQ(lab[2].report().sync, next.sync);
}

TEST(Synchronous, GivenARule_WhenAClusterBegins_ThenItIsInForceFromTheFirstCommitOn) {
    Lab lab(2);
    lab.sync = wait_for(lab[2], 1);
    lab.bring_up();
    if (::testing::Test::HasFatalFailure()) return;
    lab[1].wait_for("the stream", [&](const Report& r) {
        return r.streams.size() == 1 && r.streams[0].application_name == lab[2].name.value;
    });
    EXPECT_THAT(lab[1].report().sync, ::testing::Optional(*lab.sync));
    EXPECT_EQ(lab[1].sql("SHOW synchronous_standby_names"), "FIRST 1 (\"orders-2\")");
    lab[1].sql("CREATE TABLE t (id serial primary key)");
    EXPECT_TRUE(commits(lab, lab[1]));
}

}  // namespace
}  // namespace matriarch::testing
