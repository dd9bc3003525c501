// Slots on every instance, what they keep, and what becomes of a slave that was away too long.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "failover.h"
#include "fixture.h"

namespace matriarch::testing {
namespace {

#define BRING_UP(lab) \
    lab.bring_up();   \
    if (::testing::Test::HasFatalFailure()) return

const SlotView* slot_of(const Report& report, const Node& node) {
    const auto found = std::find_if(report.slots.begin(), report.slots.end(),
                                    [&](const auto& s) { return s.name == slot_name(node.name); });
    return found == report.slots.end() ? nullptr : &*found;
}

void write_wal(Node& master, int megabytes) {
    master.sql("CREATE TABLE IF NOT EXISTS bulk (text text)");
    master.sql("INSERT INTO bulk SELECT repeat(md5(n::text), 32) FROM generate_series(1, " +
               std::to_string(megabytes * 1000) + ") AS n");
}

TEST(Slots, GivenASlave_WhenItsMasterMovesOn_ThenItsSlotsMoveAsFarAsTheOthersNeedThem) {
    Lab lab(3);
    BRING_UP(lab);
    // The third one stands still: whoever becomes master must keep its WAL.
    const Report halted = lab[3].obey(lab[3].order(OrderKind::Halt, "Halt/3"));
    write_wal(lab[1], 20);
    const Lsn written = lab[1].written();
    const Report slave = lab[2].wait_for("its slots to move", [&](const Report& r) {
        const auto* free = slot_of(r, lab[1]);
        return free != nullptr && free->restart >= written;
    });
    const auto* kept = slot_of(slave, lab[3]);
    ASSERT_NE(kept, nullptr);
    EXPECT_TRUE(kept->restart.known());
    EXPECT_LE(kept->restart, halted.position());
    const auto* masters = slot_of(lab[1].report(), lab[3]);
    ASSERT_NE(masters, nullptr);
    EXPECT_LE(kept->restart, masters->restart);

    fail_over(lab, lab[1], lab[2]);
    const TimePoint following = lab.clock.now();
    lab.follow(lab[3], lab[2]);
    print_time("a slave 20 MB behind follows the new master", lab.clock.now() - following);
    EXPECT_THAT(lab[3].log(), ::testing::Not(::testing::HasSubstr("no longer has the WAL")));
}

TEST(Slots, GivenASlotThatIsMissingOnASlave_WhenSeen_ThenItIsMadeAgain) {
    Lab lab(2);
    BRING_UP(lab);
    lab[2].wait_for("the slot", [&](const Report& r) { return slot_of(r, lab[1]) != nullptr; });
    lab[2].as_superuser("SELECT pg_drop_replication_slot('orders_1')");
    EXPECT_TRUE(lab.eventually(seconds(15), [&] {
        return lab[2].as_superuser("SELECT count(*) FROM pg_replication_slots") == "1\n";
    }));
}

TEST(Slots, GivenASlaveAwayForTooLong_WhenItsSlotIsLost_ThenSlotAndSlaveAreMadeAnewByThemselves) {
    Lab lab(2);
    lab.parameters = {{"max_slot_wal_keep_size", "32MB"},
                      {"wal_keep_size", "0"},
                      {"max_wal_size", "48MB"},
                      {"min_wal_size", "32MB"}};
    BRING_UP(lab);
    lab[2].obey(lab[2].order(OrderKind::Halt, "Halt/2"));
    // Given up at the end of a checkpoint; then made anew, with the WAL that is left.
    const Lsn before = lab[2].report().position();
    lab[1].wait_for(
        "the slot to be made anew",
        [&](const Report& r) {
            const auto* slot = slot_of(r, lab[2]);
            const bool anew = slot != nullptr && slot->wal_status == "reserved" &&
                              distance(before, slot->restart).value > 64u << 20;
            if (!anew) write_wal(lab[1], 24);
            return anew;
        },
        seconds(90));
    const TimePoint returning = lab.clock.now();
    lab.follow(lab[2], lab[1]);  // it streams for a moment, then hears that the WAL is gone
    EXPECT_TRUE(lab.eventually(seconds(30), [&] {
        return lab[2].log().find("the upstream no longer has the WAL") != std::string::npos;
    }));
    const Lsn written = lab[1].written();
    lab[2].wait_for("the clone to follow",
                    [&](const Report& r) { return r.receiving && r.replayed >= written; });
    print_time("a slave whose WAL is gone: order to streaming", lab.clock.now() - returning);
}

TEST(Volume, GivenARunningInstance_WhenAsked_ThenItTellsSizeFreeSpaceAndWal) {
    Lab lab(1);
    BRING_UP(lab);
    const Report r = lab[1].wait_for(
        "a measurement", [](const Report& report) { return report.wal_size.value > 0; });
    EXPECT_GE(r.wal_size.value, 16u << 20);
    EXPECT_GT(r.volume_size, r.volume_free);
    EXPECT_GT(r.volume_free.value, 0u);
}

TEST(Statistics, GivenReadsOnASlave_WhenAsked_ThenTheirTransactionsAreCounted) {
    Lab lab(2);
    BRING_UP(lab);
    const auto before = lab[2].report().transactions;
    for (int i = 0; i < 10; ++i) lab[2].sql("SELECT 1");
    lab[2].wait_for("ten more", [&](const Report& r) { return r.transactions >= before + 10; });
}

}  // namespace
}  // namespace matriarch::testing
