#include "failover.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

namespace matriarch::testing {

Proof fence_of(const Report& fenced) {
    return {ProofKind::ConfirmedFence, fenced.instance, fenced.pod, fenced.fenced,
            fenced.incarnation};
}

Report fail_over(Lab& lab, Node& old, Node& next, WithRescue rescue, Timeline reserved) {
    const TimePoint killed = lab.clock.now();
    kill(old.postmaster(), SIGKILL);
    old.wait_for("Dead", [](const Report& r) { return r.state == PostgresState::Dead; });
    print_time("postmaster killed to Dead reported", lab.clock.now() - killed);

    const TimePoint fencing = lab.clock.now();
    const Report fenced =
        old.obey(old.order(OrderKind::Fence, "Fence/" + std::to_string(lab.epoch.value) + "/kill"));
    print_time("fence: order to confirmed", lab.clock.now() - fencing);
    EXPECT_TRUE(fenced.fence_confirmed);
    EXPECT_TRUE(fenced.end_of_wal.known());

    const TimePoint halting = lab.clock.now();
    const Report halted = next.obey(
        next.order(OrderKind::Halt, "Halt/" + std::to_string(lab.epoch.value) + "/receiver"));
    print_time("halt: order to receiver gone", lab.clock.now() - halting);
    EXPECT_FALSE(halted.receiving);

    lab.next_epoch();
    Order promote = next.order(OrderKind::Promote, "Promote/" + std::to_string(lab.epoch.value));
    promote.proof = fence_of(fenced);
    promote.reserved = std::max(halted.timeline, reserved);
    if (rescue == WithRescue::Yes && fenced.end_of_wal > halted.position())
        promote.rescue = Rescue{old.name,       old.name.str(),  "127.0.0.1",
                                old.order_port, fenced.timeline, fenced.end_of_wal};
    const TimePoint promoting = lab.clock.now();
    const Report promoted = next.obey(promote);
    print_time(
        promote.rescue ? "promote with rescue: order to writable" : "promote: order to writable",
        lab.clock.now() - promoting);
    EXPECT_EQ(promoted.writable, Known::Yes);
    EXPECT_EQ(promoted.timeline.value, promote.reserved.value + 1);
    return fenced;
}

}  // namespace matriarch::testing
