#include "kube/waiter.h"

#include <gtest/gtest.h>

#include <thread>

namespace matriarch::kube {
namespace {

TEST(ThreadWaiter, GivenANotificationAfterTheTicket_WhenWaiting_ThenItReturnsAtOnce) {
    SystemClock clock;
    ThreadWaiter waiter(clock);
    const auto ticket = waiter.ticket();
    waiter.notify();
    waiter.wait(ticket, Deadline::never(), {});
}

TEST(ThreadWaiter, GivenANotificationFromAnotherThread_WhenWaiting_ThenItReturns) {
    SystemClock clock;
    ThreadWaiter waiter(clock);
    const auto ticket = waiter.ticket();
    std::jthread other([&] { waiter.notify(); });
    waiter.wait(ticket, Deadline::never(), {});
}

TEST(ThreadWaiter, GivenAStop_WhenWaitingOrSleeping_ThenItReturns) {
    SystemClock clock;
    ThreadWaiter waiter(clock);
    std::stop_source stop;
    std::jthread other([&] { stop.request_stop(); });
    waiter.wait(waiter.ticket(), Deadline::never(), stop.get_token());
    waiter.sleep(clock, Deadline::never(), stop.get_token());
}

TEST(ThreadWaiter, GivenADeadline_WhenItPasses_ThenItReturnsNotEarlier) {
    SystemClock clock;
    ThreadWaiter waiter(clock);
    const Deadline deadline = Deadline::after(clock, milliseconds(30));
    waiter.sleep(clock, deadline, {});
    EXPECT_TRUE(deadline.passed(clock));
}

}  // namespace
}  // namespace matriarch::kube
