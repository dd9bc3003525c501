// The mandate, with real processes: what is not prolonged ends in time, whatever is frozen or away.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

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

TimePoint wait_until_dead(Lab& lab, Node& node, TimePoint give_up) {
    while (!node.processes().empty() && lab.clock.now() < give_up)
        std::this_thread::sleep_for(milliseconds(1));
    return lab.clock.now();
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
    const TimePoint last = writer.write_until(deadline + seconds(5));
    const TimePoint dead = wait_until_dead(lab, node, deadline + seconds(5));
    EXPECT_LT(last, deadline);
    EXPECT_LE(dead, deadline);
    print_time("last acknowledgement, before the deadline", deadline - last);
    print_time("last process gone, before the deadline", deadline - dead);
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
    Writer writer(lab, lab[1]);
    lab.stop_granting();
    const Report last = lab[1].report();
    kill(lab[1].agent(), SIGSTOP);
    expect_dead_in_time(lab, lab[1], writer, deadline_of(last));
    kill(lab[1].agent(), SIGCONT);
    expect_fenced_for_good(lab, lab[1]);
}

TEST(Mandate, GivenItsWardenIsKilled_WhenTheAgentFreezes_ThenANewOneKillsInTime) {
    Lab lab(2);
    BRING_UP(lab);
    lab[2].kill_container();
    const pid_t former = lab[1].warden();
    ASSERT_GT(former, 0);
    kill(former, SIGKILL);
    const TimePoint give_up = lab.clock.now() + seconds(5);
    while (lab[1].warden() <= 0 && lab.clock.now() < give_up)
        std::this_thread::sleep_for(milliseconds(2));
    ASSERT_GT(lab[1].warden(), 0);
    EXPECT_NE(lab[1].warden(), former);
    Writer writer(lab, lab[1]);
    lab.stop_granting();
    const Report last = lab[1].report();
    kill(lab[1].agent(), SIGSTOP);
    expect_dead_in_time(lab, lab[1], writer, deadline_of(last));
    kill(lab[1].agent(), SIGCONT);
    expect_fenced_for_good(lab, lab[1]);
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
    EXPECT_THAT(lab[1].log(), HasSubstr("the record names another"));
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

}  // namespace
}  // namespace matriarch::testing
