// The mandate, with real processes: what is not prolonged ends in time, whatever is frozen or away.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "failover.h"
#include "fixture.h"
#include "lease_server.h"

namespace matriarch::testing {
namespace {

using ::testing::HasSubstr;

#define BRING_UP(lab) \
    lab.bring_up();   \
    if (::testing::Test::HasFatalFailure()) return

// A client of the master that writes as fast as it can.
class Writer {
  public:
    Writer(Lab& lab, Node& node) : lab_(lab), connection_(node.connect()) {
        EXPECT_TRUE(connection_.ok());
        if (connection_)
            (void)connection_->query("CREATE TABLE IF NOT EXISTS w (at timestamptz)", deadline());
    }
    // Until a write fails, or until `end`. The time of the last acknowledgement.
    TimePoint write_until(TimePoint end) {
        while (connection_ && lab_.clock.now() < end) {
            if (!connection_->query("INSERT INTO w VALUES (now())", deadline())) break;
            last_ = lab_.clock.now();
        }
        return last_;
    }

  private:
    Deadline deadline() const { return Deadline::after(lab_.clock, seconds(5)); }
    Lab& lab_;
    Result<postgres::Connection> connection_;
    TimePoint last_;
};

// All on one machine, so the agent's clock is ours.
TimePoint deadline_of(const Report& r) {
    return TimePoint(r.clock_reading + r.mandate_left);
}

// The moment in which the last of them ends. Looking at /proc takes longer than the end.
TimePoint wait_until_dead(Lab& lab, const std::vector<pid_t>& processes, TimePoint give_up) {
    TimePoint last = lab.clock.now();
    for (const pid_t pid : processes) {
        const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
        if (fd < 0) continue;
        pollfd wait{fd, POLLIN, 0};
        if (poll(&wait, 1, static_cast<int>(to_ms(give_up - lab.clock.now()))) == 1)
            last = lab.clock.now();
        else
            ADD_FAILURE() << "process " << pid << " lives on";
        close(fd);
    }
    return last;
}

void expect_fenced_for_good(Lab& lab, Node& node) {
    const Report fenced =
        node.wait_for("the fence", [](const Report& r) { return r.fence_confirmed; });
    EXPECT_EQ(fenced.fenced, lab.epoch);
    EXPECT_EQ(fenced.mandate, MandateSource::None);
    const OrderAnswer again = node.send(node.order(OrderKind::Lead, "Lead/again"));
    EXPECT_FALSE(again.accepted);
    EXPECT_TRUE(node.processes().empty());
    lab.next_epoch();
    EXPECT_EQ(node.obey(node.order(OrderKind::Lead, "Lead/next")).writable, Known::Yes);
}

// The measured end of a master whose grants have stopped, by whatever kills it.
void expect_dead_in_time(Lab& lab, Node& node, Writer& writer, TimePoint deadline) {
    const auto processes = node.processes();
    EXPECT_GE(processes.size(), 5u);
    const TimePoint last = writer.write_until(deadline + seconds(5));
    const TimePoint dead = wait_until_dead(lab, processes, deadline + seconds(5));
    EXPECT_TRUE(node.processes().empty());
    EXPECT_LT(last, deadline);
    EXPECT_LE(dead, deadline);
    print_time("last acknowledgement, before the deadline", deadline - last);
    print_time("last process gone, before the deadline", deadline - dead);
}

// With a frozen agent only the warden can.
void expect_warden_kills(Lab& lab, Node& node) {
    Writer writer(lab, node);
    lab.stop_granting();
    const Report last = node.report();
    kill(node.agent(), SIGSTOP);
    expect_dead_in_time(lab, node, writer, deadline_of(last));
    kill(node.agent(), SIGCONT);
    expect_fenced_for_good(lab, node);
}

TEST(Mandate, GivenNoMoreGrants_WhenTheDeadlineComes_ThenItIsFencedBeforeIt_INV1) {
    Lab lab(2);
    BRING_UP(lab);
    lab[2].kill_container();
    Writer writer(lab, lab[1]);
    lab.stop_granting();
    const Report last = lab[1].report();
    EXPECT_EQ(last.mandate, MandateSource::Grant);
    EXPECT_EQ(last.candidates_version, 1u);
    expect_dead_in_time(lab, lab[1], writer, deadline_of(last));
    expect_fenced_for_good(lab, lab[1]);
}

TEST(Mandate, GivenAFrozenAgent_WhenTheDeadlineComes_ThenTheWardenKills_INV1) {
    Lab lab(2);
    BRING_UP(lab);
    lab[2].kill_container();
    expect_warden_kills(lab, lab[1]);
}

TEST(Mandate, GivenItsWardenIsKilled_WhenTheAgentFreezes_ThenANewOneKillsInTime) {
    Lab lab(2);
    BRING_UP(lab);
    lab[2].kill_container();
    const pid_t former = lab[1].warden();
    ASSERT_GT(former, 0);
    kill(former, SIGKILL);
    const bool replaced = lab.eventually(seconds(5), [&] {
        const pid_t warden = lab[1].warden();
        return warden > 0 && warden != former;
    });
    ASSERT_TRUE(replaced);
    expect_warden_kills(lab, lab[1]);
}

TEST(Mandate, GivenGrants_WhenManyMandatesPass_ThenItServesOn) {
    Lab lab(2);
    lab.ttl = milliseconds(2000);
    BRING_UP(lab);
    lab[2].kill_container();
    Writer writer(lab, lab[1]);
    const TimePoint end = lab.clock.now() + seconds(6);
    EXPECT_GE(writer.write_until(end), end - milliseconds(500));
    EXPECT_EQ(lab[1].report().mandate, MandateSource::Grant);
}

TEST(Mandate, GivenNoStoredSet_WhenGrantsStop_ThenNoSlavesPromiseHelps) {
    Lab lab(2);
    lab.no_set = true;
    BRING_UP(lab);
    Writer writer(lab, lab[1]);
    lab.stop_granting();
    const Report last = lab[1].report();
    EXPECT_EQ(last.candidates_version, 0u);
    expect_dead_in_time(lab, lab[1], writer, deadline_of(last));
}

TEST(Mandate, GivenAClusterOfOne_WhenTheOperatorIsAway_ThenItServesOn_INV7) {
    Lab lab(1);
    lab.ttl = milliseconds(2000);
    BRING_UP(lab);
    lab.stop_granting();
    Writer writer(lab, lab[1]);
    const TimePoint end = lab.clock.now() + seconds(4);
    EXPECT_GE(writer.write_until(end), end - milliseconds(500));
    EXPECT_EQ(lab[1].report().mandate, MandateSource::Alone);
}

TEST(Mandate, GivenPromises_WhenOperatorAndApiAreAway_ThenItServesUntilASlaveWithholds_INV7) {
    Lab lab(3);
    lab.ttl = milliseconds(2000);
    BRING_UP(lab);
    Writer writer(lab, lab[1]);
    lab.stop_granting();
    const TimePoint end = lab.clock.now() + seconds(6);
    EXPECT_GE(writer.write_until(end), end - milliseconds(500));
    EXPECT_EQ(lab[1].report().mandate, MandateSource::Promises);
    EXPECT_GT(lab[3].report().promised.count(), 0);

    // An expiry that does not respect the promise is refused.
    Order halt = lab[2].order(OrderKind::Halt, "Halt/withhold");
    halt.withhold = true;
    const Report halted = lab[2].obey(halt);
    EXPECT_EQ(halted.withheld, lab.epoch);
    const Proof expiry{ProofKind::Expiry, lab[1].name, lab[1].pod, lab.epoch, {}};
    const auto promotion = [&] {
        Order promote = lab[2].order(OrderKind::Promote, "Promote/2");
        promote.proof = expiry;
        promote.reserved = Timeline(1);
        return promote;
    };
    const TimePoint deadline = deadline_of(lab[1].report());
    const Epoch former = lab.epoch;
    const EpochId former_id = lab.epoch_id;
    lab.next_epoch();
    EXPECT_THAT(lab[2].send(promotion()).reason, HasSubstr("a promise to the old master stands"));
    lab.epoch = former;
    lab.epoch_id = former_id;
    expect_dead_in_time(lab, lab[1], writer, deadline);

    lab[2].wait_for("the end of its promise",
                    [](const Report& r) { return r.promised.count() == 0; });
    lab.next_epoch();
    EXPECT_EQ(lab[2].obey(promotion()).writable, Known::Yes);
}

TEST(Mandate, GivenTheRecord_WhenOperatorAndSlavesAreAway_ThenItIsRenewedUntilItNamesAnother) {
    Lab lab(2);
    lab.ttl = milliseconds(2000);
    LeaseServer api(lab);
    lab.agent_flags = api.agent_flags();
    AuthorityRecord record;
    record.holder = lab[1].name;
    record.holder_pod = lab[1].pod;
    record.epoch = lab.epoch;
    record.epoch_id = lab.epoch_id;
    record.ttl = seconds(2);
    api.put(record);
    BRING_UP(lab);
    lab[2].kill_container();
    Writer writer(lab, lab[1]);
    lab.stop_granting();
    const TimePoint end = lab.clock.now() + seconds(5);
    EXPECT_GE(writer.write_until(end), end - milliseconds(500));
    EXPECT_EQ(lab[1].report().mandate, MandateSource::Record);
    EXPECT_GE(api.renewals(), 3);

    // Between reading and writing somebody else writes: the conflict is read again.
    api.conflict_once();
    const int before = api.renewals();
    EXPECT_GE(writer.write_until(lab.clock.now() + milliseconds(1500)), end);
    EXPECT_GT(api.renewals(), before);

    record.epoch = Epoch(2);
    record.holder = lab[2].name;
    api.put(record);
    const TimePoint named = lab.clock.now();
    const TimePoint last = writer.write_until(named + seconds(5));
    print_time("another named in the record to the last write", last - named);
    EXPECT_LT(last - named, milliseconds(1200)) << "at the next renewal, not at the deadline";
    lab[1].wait_for("the fence", [](const Report& r) { return r.fence_confirmed; });
    EXPECT_THAT(lab[1].log(), HasSubstr("the record names another master"));
}

TEST(Mandate, GivenAClosingRecord_WhenItIsSeen_ThenTheMandateRunsOut) {
    Lab lab(2);
    lab.ttl = milliseconds(2000);
    LeaseServer api(lab);
    lab.agent_flags = api.agent_flags();
    AuthorityRecord record;
    record.holder = lab[1].name;
    record.holder_pod = lab[1].pod;
    record.epoch = lab.epoch;
    record.epoch_id = lab.epoch_id;
    record.ttl = seconds(2);
    record.phase = Phase::Closing;
    api.put(record);
    BRING_UP(lab);
    Writer writer(lab, lab[1]);
    lab.stop_granting();
    const TimePoint deadline = deadline_of(lab[1].report());
    // Its slave would promise, and does not count: the record says that an expiry is waited for.
    const TimePoint last = writer.write_until(deadline + seconds(6));
    EXPECT_LT(last, deadline + seconds(2));
    EXPECT_EQ(api.renewals(), 0);
    lab[1].wait_for("the fence", [](const Report& r) { return r.fence_confirmed; });
}

TEST(Mandate, GivenADeadMaster_WhenTheOperatorIsAway_ThenItStartsItselfOnceByPromises) {
    Lab lab(2);
    BRING_UP(lab);
    lab[1].sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS id");
    lab.stop_granting();
    const pid_t first = lab[1].postmaster();
    const TimePoint killed = lab.clock.now();
    kill(first, SIGKILL);
    // Only the database is looked at: a poll would mean that the operator is there.
    EXPECT_TRUE(lab[1].connects(seconds(20)));
    print_time("postmaster killed to its own start, without polls", lab.clock.now() - killed);
    EXPECT_NE(lab[1].postmaster(), first);
    EXPECT_EQ(lab[1].sql("SELECT count(*) FROM t"), "1000");
    const Report serves = lab[1].report();
    EXPECT_EQ(serves.mandate, MandateSource::Promises);
    EXPECT_EQ(serves.epoch, lab.epoch);
    // A second time it waits for an order.
    kill(lab[1].postmaster(), SIGKILL);
    EXPECT_FALSE(lab[1].connects(seconds(5)));
    EXPECT_EQ(lab[1].report().state, PostgresState::Dead);
}

TEST(Mandate, GivenADeadMaster_WhenTheOperatorPolls_ThenItWaitsForAnOrder) {
    Lab lab(2);
    BRING_UP(lab);
    kill(lab[1].postmaster(), SIGKILL);
    lab[1].wait_for("Dead", [](const Report& r) { return r.state == PostgresState::Dead; });
    EXPECT_FALSE(lab[1].connects(seconds(4)));
    EXPECT_EQ(lab[1].obey(lab[1].order(OrderKind::Lead, "Lead/again")).writable, Known::Yes);
}

TEST(Mandate, GivenAClusterOfOne_WhenPostmasterOrAgentDies_ThenItComesBackByItself) {
    Lab lab(1);
    BRING_UP(lab);
    lab.stop_granting();
    const pid_t first = lab[1].postmaster();
    kill(first, SIGKILL);
    EXPECT_TRUE(lab[1].connects(seconds(20)));
    EXPECT_NE(lab[1].postmaster(), first);
    lab[1].kill_container();
    lab[1].start();
    EXPECT_TRUE(lab[1].connects(seconds(20)));
    EXPECT_EQ(lab[1].report().mandate, MandateSource::Alone);
}

TEST(Vitals, GivenAFrozenPostmaster_WhenItTakesNoConnection_ThenThatIsNews) {
    Lab lab(2);
    BRING_UP(lab);
    const Report slave = lab[2].wait_for("the stream", [](const Report& r) { return r.receiving; });
    EXPECT_LT(slave.stream_age.count(), 4000);
    const Report before = lab[1].report();
    EXPECT_EQ(before.frozen.count(), 0);
    EXPECT_LT(before.disk_stalled.count(), 1000);
    const pid_t postmaster = lab[1].postmaster();
    const TimePoint frozen = lab.clock.now();
    kill(postmaster, SIGSTOP);
    const Report news = lab[1].wait_for(
        "the news",
        [&](const Report& r) {
            return r.frozen >= milliseconds(1500) && r.sequence > before.sequence;
        },
        seconds(5));
    print_time("postmaster frozen to the news", lab.clock.now() - frozen);
    EXPECT_EQ(news.state, PostgresState::Running);
    EXPECT_LT(lab.clock.now() - frozen, seconds(4));
    kill(postmaster, SIGCONT);
    lab[1].wait_for("its recovery", [](const Report& r) { return r.frozen.count() == 0; });
}

}  // namespace
}  // namespace matriarch::testing
