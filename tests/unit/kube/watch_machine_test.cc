#include "kube/watch_machine.h"

#include <gtest/gtest.h>

#include "kube/fakes.h"

namespace matriarch::kube {
namespace {

using std::chrono::minutes;

Error error(ErrorKind kind) {
    return make_error(kind, "test");
}

class WatchMachineTest : public ::testing::Test {
  protected:
    TimePoint now() const { return clock_.now(); }
    // In the middle of a healthy watch.
    void start_watch() {
        machine_.listed("100", now());
        machine_.watch_started(now());
        clock_.advance(seconds(5));
    }
    // The delay until the state after the backoff, and that state.
    std::pair<Duration, WatchState> after_backoff() {
        const auto step = machine_.next(now());
        if (step.state != WatchState::Backoff) return {Duration::zero(), step.state};
        return {step.until - now(), machine_.next(step.until).state};
    }

    testing::FakeClock clock_;
    testing::ZeroRandom random_;
    WatchMachine machine_{random_};
};

struct EndCase {
    const char* name;
    ErrorKind kind;
    bool backs_off;
    WatchState then;
};

TEST_F(WatchMachineTest, GivenAnErrorEventInALivingWatch_WhenItCame_ThenOnlyTheRightOnesRelist) {
    const EndCase cases[] = {
        {"410", ErrorKind::Gone, false, WatchState::List},
        {"429", ErrorKind::Throttled, true, WatchState::Watch},
        {"500 InternalError", ErrorKind::Unavailable, true, WatchState::Watch},
        {"504", ErrorKind::Timeout, true, WatchState::Watch},
        {"anything else", ErrorKind::Invalid, true, WatchState::List},
    };
    for (const EndCase& c : cases) {
        clock_.advance(minutes(10));
        start_watch();
        EXPECT_EQ(machine_.error_event(error(c.kind), now()), WatchVerdict::Leave) << c.name;
        machine_.watch_ended(now());  // the stream is over, too: it must not undo the choice
        const auto [delay, then] = after_backoff();
        EXPECT_EQ(delay > Duration::zero(), c.backs_off) << c.name;
        EXPECT_EQ(then, c.then) << c.name;
    }
}

TEST_F(WatchMachineTest, GivenAWatchThatFails_WhenTheServerIsAway_ThenItIsResumedWithoutAList) {
    const EndCase cases[] = {
        {"refused", ErrorKind::Unavailable, true, WatchState::Watch},
        {"401", ErrorKind::Unauthorized, true, WatchState::Watch},
        {"403", ErrorKind::Forbidden, true, WatchState::Watch},
        {"429", ErrorKind::Throttled, true, WatchState::Watch},
        {"410", ErrorKind::Gone, false, WatchState::List},
        {"404", ErrorKind::NotFound, true, WatchState::List},
        {"400", ErrorKind::Invalid, true, WatchState::List},
    };
    for (const EndCase& c : cases) {
        clock_.advance(minutes(10));
        start_watch();
        machine_.event("105");
        machine_.watch_failed(error(c.kind), now());
        const auto [delay, then] = after_backoff();
        EXPECT_EQ(delay > Duration::zero(), c.backs_off) << c.name;
        EXPECT_EQ(then, c.then) << c.name;
        EXPECT_EQ(machine_.resource_version(), "105") << c.name;
    }
}

TEST_F(WatchMachineTest, GivenACleanEnd_WhenTheWatchLived_ThenItGoesOnAtOnceFromTheLastVersion) {
    start_watch();
    machine_.event("107");
    machine_.watch_ended(now());
    const auto step = machine_.next(now());
    EXPECT_EQ(step.state, WatchState::Watch);
    EXPECT_EQ(step.resource_version, "107");
}

TEST_F(WatchMachineTest, GivenABrokenStream_WhenItHadLived_ThenItIsResumedAtOnceElseWithADelay) {
    start_watch();
    machine_.event("107");
    machine_.watch_broken(error(ErrorKind::Unavailable), now());
    EXPECT_EQ(machine_.next(now()).resource_version, "107");
    EXPECT_EQ(machine_.next(now()).state, WatchState::Watch);
    machine_.watch_started(now());
    machine_.watch_broken(error(ErrorKind::Unavailable), now());
    EXPECT_EQ(after_backoff(), std::pair(Duration(milliseconds(800)), WatchState::Watch));
}

TEST_F(WatchMachineTest, GivenACleanEnd_WhenItWasTooShortAndEmpty_ThenThereIsADelay) {
    machine_.listed("100", now());
    machine_.watch_started(now());
    clock_.advance(milliseconds(500));
    machine_.watch_ended(now());
    EXPECT_EQ(after_backoff(), std::pair(Duration(milliseconds(800)), WatchState::Watch));
}

TEST_F(WatchMachineTest, GivenEach410AtOnce_WhenRepeated_ThenNoHotLoopOfLists) {
    machine_.listed("100", now());
    machine_.watch_started(now());
    machine_.error_event(error(ErrorKind::Gone), now());
    machine_.watch_ended(now());
    EXPECT_EQ(after_backoff(), std::pair(Duration(milliseconds(800)), WatchState::List));
}

TEST_F(WatchMachineTest, GivenAListThatExpires_WhenItHappensOnce_ThenItIsRepeatedAtOnce) {
    machine_.list_failed(error(ErrorKind::Gone), now());
    EXPECT_EQ(machine_.next(now()).state, WatchState::List);
    machine_.list_failed(error(ErrorKind::Gone), now());
    EXPECT_EQ(machine_.next(now()).state, WatchState::Backoff);
}

TEST_F(WatchMachineTest, GivenFailuresInARow_WhenBackingOff_ThenItDoublesToItsCapAndHeals) {
    const int expected[] = {800, 1600, 3200, 6400, 12800, 25600, 30000, 30000};
    for (const int ms : expected) {
        machine_.list_failed(error(ErrorKind::Forbidden), now());
        const auto step = machine_.next(now());
        ASSERT_EQ(step.state, WatchState::Backoff);
        EXPECT_EQ(step.until - now(), milliseconds(ms));
        clock_.set(step.until);
    }
    machine_.listed("1", now());
    clock_.advance(minutes(3));
    machine_.watch_failed(error(ErrorKind::Unavailable), now());
    EXPECT_EQ(machine_.next(now()).until - now(), milliseconds(800));
}

// A list of a server that was away for a minute came up to a minute later: until then a restarted
// operator could not decide anything.
TEST_F(WatchMachineTest, GivenAServerThatIsAway_WhenItLasts_ThenItIsAskedEveryFewSeconds) {
    for (const auto kind :
         {ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::OutcomeUnknown}) {
        clock_.advance(minutes(10));
        for (const int ms : {800, 1600, 2000, 2000, 2000}) {
            machine_.list_failed(error(kind), now());
            const auto step = machine_.next(now());
            ASSERT_EQ(step.state, WatchState::Backoff);
            EXPECT_EQ(step.until - now(), milliseconds(ms));
            clock_.set(step.until);
        }
    }
    // Away after it had refused for long: not as slow as that.
    for (int i = 0; i < 6; ++i) machine_.list_failed(error(ErrorKind::Forbidden), now());
    machine_.list_failed(error(ErrorKind::Unavailable), now());
    EXPECT_EQ(machine_.next(now()).until - now(), seconds(2));
}

TEST_F(WatchMachineTest, GivenRetryAfter_WhenThrottled_ThenAtLeastThatLong) {
    Error throttled = error(ErrorKind::Throttled);
    throttled.retry_after = std::chrono::seconds(7);
    start_watch();
    machine_.watch_failed(throttled, now());
    EXPECT_EQ(after_backoff(), std::pair(Duration(seconds(7)), WatchState::Watch));
}

TEST(WatchMachine, GivenRandomness_WhenAskedOften_ThenTimeoutsAndJitterStayInTheirRanges) {
    testing::SeededRandom random(3);
    testing::FakeClock clock;
    std::chrono::seconds low{1000}, high{0};
    for (int i = 0; i < 2000; ++i) {
        WatchMachine machine(random);
        machine.listed("1", clock.now());
        const auto step = machine.next(clock.now());
        low = std::min(low, step.timeout);
        high = std::max(high, step.timeout);
        machine.watch_failed(error(ErrorKind::Unavailable), clock.now());
        const Duration wait = machine.next(clock.now()).until - clock.now();
        EXPECT_GE(wait, milliseconds(800));
        EXPECT_LT(wait, milliseconds(1600));
    }
    EXPECT_GE(low, seconds(300));
    EXPECT_LE(high, seconds(600));
    EXPECT_GT(high - low, seconds(250));
}

}  // namespace
}  // namespace matriarch::kube
