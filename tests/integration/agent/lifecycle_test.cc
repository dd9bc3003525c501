// One instance and its slaves through their lives: made, cloned, followed, promoted, rejoined.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "fixture.h"

namespace matriarch::testing {
namespace {

Proof fence_of(const Report& fenced) {
    return {Proof::Kind::ConfirmedFence, fenced.instance, fenced.pod, fenced.fenced,
            fenced.incarnation};
}

// The master's postmaster is killed; fence, halt, promote, repoint. Gives the promotion's time.
Duration fail_over(Lab& lab, Node& old, Node& next, Report* fenced_report = nullptr) {
    const TimePoint killed = lab.clock.now();
    kill(old.postmaster(), SIGKILL);
    const Report dead =
        old.wait_for("Dead", [](const Report& r) { return r.state == PostgresState::Dead; });
    print_time("postmaster killed to Dead reported", lab.clock.now() - killed);

    const TimePoint fencing = lab.clock.now();
    const Report fenced = old.obey(old.order(OrderKind::Fence, "Fence/kill"));
    print_time("fence: order to confirmed", lab.clock.now() - fencing);
    EXPECT_TRUE(fenced.fence_confirmed);
    EXPECT_TRUE(fenced.end_of_wal.known());
    if (fenced_report) *fenced_report = fenced;

    const TimePoint halting = lab.clock.now();
    const Report halted = next.obey(next.order(OrderKind::Halt, "Halt/receiver"));
    print_time("halt: order to receiver gone", lab.clock.now() - halting);
    EXPECT_FALSE(halted.receiving);

    lab.next_epoch();
    Order promote = next.order(OrderKind::Promote, "Promote/" + next.name.str());
    promote.proof = fence_of(fenced);
    promote.reserved = halted.timeline;
    if (fenced.end_of_wal > halted.position())
        promote.rescue = Rescue{old.name,       old.name.str(),  "127.0.0.1",
                                old.order_port, fenced.timeline, fenced.end_of_wal};
    const TimePoint promoting = lab.clock.now();
    const Report promoted = next.obey(promote);
    const Duration took = lab.clock.now() - promoting;
    print_time("promote: order to writable", took);
    EXPECT_EQ(promoted.writable, Known::Yes);
    EXPECT_EQ(promoted.timeline.value, halted.timeline.value + 1);
    return took;
}

TEST(Lifecycle, GivenThreeVolumes_WhenOrdered_ThenMasterAndSlavesReplicate) {
    Lab lab(3);
    lab.bring_up();
    if (::testing::Test::HasFatalFailure()) return;
    lab[1].sql(
        "CREATE TABLE t (id int primary key); INSERT INTO t SELECT generate_series(1, 1000)");
    for (int i : {2, 3}) {
        const Lsn written = lab[1].report().flushed;
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
        const Lsn written = lab[2].report().flushed;
        lab[i].wait_for("the rows", [&](const Report& r) { return r.replayed >= written; });
        EXPECT_EQ(lab[i].sql("SELECT count(*) FROM t"), "1001");
    }
}

}  // namespace
}  // namespace matriarch::testing
