// What breaks, and how the agent comes through it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include "agent/files.h"
#include "failover.h"
#include "fixture.h"

namespace matriarch::testing {
namespace {

#define BRING_UP(lab) \
    lab.bring_up();   \
    if (::testing::Test::HasFatalFailure()) return

constexpr const char* kTable =
    "CREATE TABLE t (id int primary key); INSERT INTO t SELECT generate_series(1, 1000)";

// Rows that only the master has: the slave's receiver was stopped before.
void write_what_the_slave_lacks(Lab& lab, Node& master, Node& slave) {
    const Lsn written = master.written();
    slave.wait_for("the first rows", [&](const Report& r) { return r.replayed >= written; });
    slave.obey(slave.order(OrderKind::Halt, "Halt/before"));
    master.sql("INSERT INTO t SELECT generate_series(1001, 20000)");
    (void)lab;
}

TEST(Faults, GivenASlaveThatLacksWal_WhenItIsPromotedWithRescue_ThenNoRowIsLost) {
    Lab lab(2);
    BRING_UP(lab);
    lab[1].sql(kTable);
    write_what_the_slave_lacks(lab, lab[1], lab[2]);
    const Report before = lab[2].report();
    const Report fenced = fail_over(lab, lab[1], lab[2]);
    printf("    rescued: %llu bytes\n",
           static_cast<unsigned long long>(distance(before.position(), fenced.end_of_wal).value));
    EXPECT_GT(distance(before.position(), fenced.end_of_wal).value, 1u << 20);
    EXPECT_EQ(lab[2].sql("SELECT count(*) FROM t"), "20000");
    const TimePoint rejoining = lab.clock.now();
    lab.follow(lab[1], lab[2]);
    print_time("rejoin by following", lab.clock.now() - rejoining);
}

TEST(Faults, GivenPausedReplay_WhenItIsPromotedWithRescue_ThenItGoesOn) {
    Lab lab(2);
    BRING_UP(lab);
    lab[1].sql(kTable);
    write_what_the_slave_lacks(lab, lab[1], lab[2]);
    lab[2].as_superuser("SELECT pg_wal_replay_pause()");
    fail_over(lab, lab[1], lab[2]);
    EXPECT_EQ(lab[2].sql("SELECT count(*) FROM t"), "20000");
}

// `next` is promoted with what it lacks from `source`; how long that took.
Duration promote_with_wal_of(Lab& lab, Node& source, Node& next, const Node& old) {
    lab.next_epoch();
    const Report has = source.obey(source.order(OrderKind::Halt, "Halt/2/receiver"));
    const Report before = next.report();
    Order promote = next.order(OrderKind::Promote, "Promote/2");
    promote.proof = Proof{ProofKind::AdministratorsWord, old.name, old.pod, Epoch(1), {}};
    promote.rescue = Rescue{source.name,  source.name.str(), "127.0.0.1", source.order_port,
                            has.timeline, has.position(),    has.replayed};
    const TimePoint promoting = lab.clock.now();
    next.obey(promote);
    const Duration took = lab.clock.now() - promoting;
    print_time("promote with a slave's WAL: order to writable", took);
    printf("    rescued: %llu bytes\n",
           static_cast<unsigned long long>(distance(before.position(), has.position()).value));
    EXPECT_GT(distance(before.position(), has.position()).value, 1u << 20);
    return took;
}

TEST(Faults, GivenALostMaster_WhenAnotherSlaveHasTheWal_ThenNoRowIsLost) {
    Lab lab(3);
    BRING_UP(lab);
    lab[1].sql(kTable);
    write_what_the_slave_lacks(lab, lab[1], lab[2]);
    const Lsn written = lab[1].written();
    lab[3].wait_for("all rows", [&](const Report& r) { return r.replayed >= written; });
    lab[1].kill_container();
    promote_with_wal_of(lab, lab[3], lab[2], lab[1]);
    EXPECT_EQ(lab[2].sql("SELECT count(*) FROM t"), "20000");
}

// Asking takes up to 5 s; once that failure was taken for the rescue's, and rows were given up.
TEST(Faults, GivenAnUpstreamThatHangs_WhenASlaveIsPromotedWithRescue_ThenItsAnswerIsNotAwaited) {
    Lab lab(3);
    BRING_UP(lab);
    lab[1].sql(kTable);
    write_what_the_slave_lacks(lab, lab[1], lab[2]);
    const Lsn written = lab[1].written();
    lab[3].wait_for("all rows", [&](const Report& r) { return r.replayed >= written; });
    kill(lab[1].postmaster(), SIGSTOP);
    Order follow = lab[2].order(OrderKind::Follow, "Follow/hangs");
    follow.upstream = lab[1].as_upstream();
    EXPECT_TRUE(lab[2].send(follow).accepted);
    ASSERT_TRUE(lab.eventually(seconds(15), [&] {
        return lab[2].log().find("why=\"asks its upstream\"") != std::string::npos;
    }));
    EXPECT_LT(promote_with_wal_of(lab, lab[3], lab[2], lab[1]), seconds(3));
    EXPECT_EQ(lab[2].sql("SELECT count(*) FROM t"), "20000");
    kill(lab[1].postmaster(), SIGCONT);
}

// All of an instance stands still, as in a frozen container; it goes on at the end.
class Frozen {
  public:
    explicit Frozen(Node& node) : pids_(node.processes()) {
        pids_.push_back(node.agent());
        for (const pid_t pid : pids_) kill(pid, SIGSTOP);
    }
    ~Frozen() {
        for (const pid_t pid : pids_) kill(pid, SIGCONT);
    }
    Frozen(const Frozen&) = delete;
    Frozen& operator=(const Frozen&) = delete;

  private:
    std::vector<pid_t> pids_;
};

TEST(Faults, GivenAHungSlave_WhenTheMasterIsStoppedForAnother_ThenItIsNotWaitedFor_INV10) {
    Lab lab(3);
    BRING_UP(lab);
    lab[1].sql(kTable);
    lab[1].wait_for("two streams", [](const Report& r) { return r.streams.size() == 2; });
    const Frozen hung(lab[3]);
    lab[1].sql("INSERT INTO t SELECT generate_series(1001, 20000)");
    const TimePoint stopping = lab.clock.now();
    Order stop = lab[1].order(OrderKind::Fence, "Fence/1/clean");
    stop.clean = true;
    stop.heir = lab[2].name;
    lab[1].obey(stop);
    const Report fenced =
        lab[1].wait_for("the confirmation", [](const Report& r) { return r.fence_confirmed; });
    const Duration took = lab.clock.now() - stopping;
    print_time("clean stop with a hung slave: order to confirmed", took);
    EXPECT_LT(took, seconds(2)) << "wal_sender_timeout is 5 s";
    EXPECT_TRUE(fenced.clean_shutdown);
    const Report heir = lab[2].obey(lab[2].order(OrderKind::Halt, "Halt/1/receiver"));
    EXPECT_EQ(heir.position(), fenced.end_of_wal) << "the last record was confirmed";

    lab.next_epoch();
    Order promote = lab[2].order(OrderKind::Promote, "Promote/2");
    promote.proof = fence_of(fenced);
    lab[2].obey(promote);
    EXPECT_EQ(lab[2].sql("SELECT count(*) FROM t"), "20000");
    lab.follow(lab[1], lab[2]);
}

TEST(Faults, GivenDivergedWal_WhenTheOldMasterRejoins_ThenItIsRewoundAndTheWalIsKept) {
    Lab lab(2);
    BRING_UP(lab);
    lab[1].sql(kTable);
    write_what_the_slave_lacks(lab, lab[1], lab[2]);
    const Report fenced = fail_over(lab, lab[1], lab[2], WithRescue::No);
    EXPECT_EQ(lab[2].sql("SELECT count(*) FROM t"), "1000");
    const TimePoint rejoining = lab.clock.now();
    lab.follow(lab[1], lab[2]);
    print_time("rejoin by pg_rewind", lab.clock.now() - rejoining);
    EXPECT_THAT(lab[1].log(), ::testing::HasSubstr("job=pg_rewind"));
    EXPECT_TRUE(agent::exists(lab[1].root + "/agent/diverged/2"));
    const Rejoined told = lab[1].report().rejoined;
    EXPECT_EQ(told.by, RejoinedBy::Rewind);
    EXPECT_EQ(told.epoch, lab.epoch);
    EXPECT_GT(told.diverged.value, 1u << 20);
    EXPECT_THAT(lab[1].report().order.message,
                ::testing::ContainsRegex("[0-9]{7} bytes of diverged WAL"));
    EXPECT_EQ(lab[1].sql("SELECT count(*) FROM t"), "1000");
    EXPECT_TRUE(fenced.fence_confirmed);
}

TEST(Faults, GivenReservedTimelines_WhenPromoted_ThenANumberAboveThemIsOpened) {
    Lab lab(3);
    BRING_UP(lab);
    lab[1].sql(kTable);
    fail_over(lab, lab[1], lab[2], WithRescue::Yes, Timeline(4));
    EXPECT_EQ(lab[2].report().timeline, Timeline(5));
    lab.follow(lab[3], lab[2]);
    lab.follow(lab[1], lab[2]);
    lab[2].sql("INSERT INTO t VALUES (1001)");
    const Lsn written = lab[2].written();
    for (int i : {1, 3}) {
        lab[i].wait_for("the row", [&](const Report& r) { return r.replayed >= written; });
        EXPECT_EQ(lab[i].sql("SELECT count(*) FROM t"), "1001");
    }
}

TEST(Faults, GivenASlave_WhenItsPostmasterIsKilled_ThenItComesBackByItself) {
    Lab lab(2);
    BRING_UP(lab);
    const pid_t before = lab[2].postmaster();
    const TimePoint killed = lab.clock.now();
    kill(before, SIGKILL);
    // No wait for Dead: its agent starts a slave again within milliseconds, so no poll need see it.
    lab[2].wait_for("the stream",
                    [&](const Report& r) { return r.receiving && lab[2].postmaster() != before; });
    print_time("slave killed to streaming", lab.clock.now() - killed);
}

TEST(Faults, GivenAMaster_WhenItsAgentIsKilled_ThenTheNextOneWaitsForAnOrder) {
    Lab lab(2);
    BRING_UP(lab);
    lab[1].sql(kTable);
    const pid_t postmaster = lab[1].postmaster();
    lab[1].kill_agent();
    EXPECT_EQ(kill(postmaster, 0), 0) << "the test wants PostgreSQL to outlive the agent";
    lab[1].start();
    const Report stopped = lab[1].wait_for("Stopped", [](const Report& r) {
        return r.state == PostgresState::Stopped && r.end_of_wal.known();
    });
    waitpid(postmaster, nullptr, WNOHANG);  // it was given to us when its agent died
    EXPECT_EQ(kill(postmaster, 0), -1) << "processes of the former start must be ended";
    EXPECT_EQ(stopped.epoch, lab.epoch);
    EXPECT_EQ(stopped.order.state, OrderState::None);
    EXPECT_FALSE(stopped.fence_confirmed);
    lab[1].obey(lab[1].order(OrderKind::Lead, "Lead/1"));
    EXPECT_EQ(lab[1].sql("SELECT count(*) FROM t"), "1000");
}

TEST(Faults, GivenASlave_WhenItsContainerCrashes_ThenItFollowsAgainWithoutAnOrder) {
    Lab lab(2);
    BRING_UP(lab);
    lab[2].kill_container();
    lab[2].start();
    lab[2].wait_for("the stream", [](const Report& r) { return r.receiving; });
}

TEST(Faults, GivenAFencedMaster_WhenItRestarts_ThenItRemembersAndCannotLeadThatEpoch) {
    Lab lab(1);
    BRING_UP(lab);
    const Report fenced = lab[1].obey(lab[1].order(OrderKind::Fence, "Fence/1"));
    EXPECT_EQ(fenced.fenced, Epoch(1));
    EXPECT_EQ(fenced.fenced_by, lab[1].pod);
    lab[1].kill_container();
    lab[1].start();
    const Report again =
        lab[1].wait_for("the fence", [](const Report& r) { return r.fence_confirmed; });
    EXPECT_EQ(again.fenced, Epoch(1));
    EXPECT_FALSE(lab[1].send(lab[1].order(OrderKind::Lead, "Lead/1")).accepted);
    lab.next_epoch();
    const Report leads = lab[1].obey(lab[1].order(OrderKind::Lead, "Lead/2"));
    EXPECT_EQ(leads.writable, Known::Yes);
}

TEST(Faults, GivenACleanFence_WhenOrdered_ThenTheSlaveHasEverything) {
    Lab lab(2);
    BRING_UP(lab);
    lab[1].sql(kTable);
    Order fence = lab[1].order(OrderKind::Fence, "Fence/clean");
    fence.clean = true;
    const TimePoint begun = lab.clock.now();
    const Report fenced = lab[1].obey(fence);
    print_time("clean fence: order to confirmed", lab.clock.now() - begun);
    EXPECT_TRUE(fenced.clean_shutdown);
    const Report slave = lab[2].wait_for(
        "all WAL", [&](const Report& r) { return r.position() >= fenced.end_of_wal; });
    EXPECT_EQ(slave.position(), fenced.end_of_wal);
}

TEST(Faults, GivenACloneThatIsCut_WhenTheAgentComesBack_ThenItBeginsAnew) {
    Lab lab(1);
    BRING_UP(lab);
    lab[1].sql("CREATE TABLE big AS SELECT repeat('x', 1000) FROM generate_series(1, 200000)");
    Lab& l = lab;
    Node second(l, 2);
    second.start();
    Order reconfigure = lab[1].order(OrderKind::Configure, "Configure/slots");
    reconfigure.config = lab.config(1);
    reconfigure.config->slots = {"orders_2"};
    ASSERT_TRUE(lab[1].send(reconfigure).accepted);
    lab[1].wait_for("the slot", [](const Report& r) { return r.slots.size() == 1; });
    Order configure = second.order(OrderKind::Configure, "Configure/2");
    configure.config = lab.config(2);
    ASSERT_TRUE(second.send(configure).accepted);
    Order follow = second.order(OrderKind::Follow, "Follow/1/orders-1");
    follow.upstream = lab[1].as_upstream();
    ASSERT_TRUE(second.send(follow).accepted);
    second.wait_for("cloning", [&](const Report& r) {
        return r.state == PostgresState::Cloning &&
               agent::exists(second.root + "/pgdata.clone/global");
    });
    second.kill_container();
    EXPECT_TRUE(agent::exists(second.root + "/pgdata.clone"));
    EXPECT_FALSE(agent::exists(second.root + "/pgdata/PG_VERSION"));
    second.start();
    second.wait_for(
        "the stream", [](const Report& r) { return r.receiving; }, seconds(60));
    EXPECT_FALSE(agent::exists(second.root + "/pgdata.clone"));
    EXPECT_EQ(second.sql("SELECT count(*) FROM big"), "200000");
}

TEST(Faults, GivenAMaster_WhenItsPodEnds_ThenItStopsCleanlyAndSaysSo) {
    Lab lab(2);
    BRING_UP(lab);
    lab[1].sql(kTable);
    const Report before = lab[1].report();
    lab.stop_granting();  // its polls would hear of the fence before this test does
    kill(lab[1].agent(), SIGTERM);
    const Report fenced =
        lab[1].wait_for("the fence", [](const Report& r) { return r.fence_confirmed; });
    EXPECT_TRUE(fenced.clean_shutdown);
    EXPECT_EQ(fenced.fenced, lab.epoch);
    // The next poll tells the agent that this report arrived; then it may go.
    (void)lab[1].poll(fenced.sequence, milliseconds(10), fenced.incarnation);
    const TimePoint told = lab.clock.now();
    const auto status = lab[1].terminate(seconds(4));
    ASSERT_TRUE(status.has_value());
    EXPECT_EQ(*status, 0);
    print_time("fence heard of to exit", lab.clock.now() - told);
    EXPECT_GT(fenced.sequence, before.sequence);
}

TEST(Faults, GivenAMaster_WhenAParameterIsBad_ThenItGoesOnAndSaysWhich) {
    Lab lab(1);
    BRING_UP(lab);
    const Report before = lab[1].report();
    Order bad = lab[1].order(OrderKind::Configure, "Configure/bad");
    bad.config = lab.config(1);
    bad.config->parameters["work_mem"] = "plenty";
    bad.config->parameters["no_such_parameter"] = "1";
    ASSERT_TRUE(lab[1].send(bad).accepted);
    const Report troubled = lab[1].wait_for(
        "troubles", [](const Report& r) { return r.parameter_troubles.size() == 2; });
    EXPECT_EQ(troubled.config_hash, before.config_hash);
    EXPECT_EQ(troubled.writable, Known::Yes);
    for (const auto& trouble : troubled.parameter_troubles)
        printf("    refused: %s: %s\n", trouble.name.c_str(), trouble.message.c_str());

    Order good = lab[1].order(OrderKind::Configure, "Configure/good");
    good.config = lab.config(1);
    good.config->parameters["work_mem"] = "7MB";
    good.config->parameters["max_connections"] = "40";
    ASSERT_TRUE(lab[1].send(good).accepted);
    const Report pending = lab[1].wait_for("restart_pending", [&](const Report& r) {
        return r.restart_pending && r.config_hash == good.config->hash();
    });
    EXPECT_TRUE(pending.parameter_troubles.empty());
    EXPECT_EQ(lab[1].sql("SHOW work_mem"), "7MB");
    EXPECT_EQ(lab[1].sql("SHOW max_connections"), "30");
    const TimePoint restarting = lab.clock.now();
    lab[1].obey(lab[1].order(OrderKind::Restart, "Restart/1"));
    print_time("restart: order to writable", lab.clock.now() - restarting);
    EXPECT_EQ(lab[1].sql("SHOW max_connections"), "40");
    EXPECT_FALSE(lab[1].report().restart_pending);
}

}  // namespace
}  // namespace matriarch::testing
