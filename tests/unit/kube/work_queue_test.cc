#include "kube/work_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "kube/fakes.h"

namespace matriarch::kube {
namespace {

using Key = std::optional<std::string>;

class WorkQueueCoreTest : public ::testing::Test {
  protected:
    TimePoint now() const { return clock_.now(); }
    Key take() { return queue_.take(now()); }
    void add(const std::string& key, Priority priority = kNormal) {
        queue_.add(key, priority, now());
    }

    testing::FakeClock clock_;
    WorkQueueCore queue_;
};

TEST_F(WorkQueueCoreTest, GivenManyAddsOfAKey_WhenTaken_ThenItRunsOnce) {
    for (int i = 0; i < 5; ++i) add("a");
    EXPECT_EQ(take(), "a");
    queue_.done("a");
    EXPECT_EQ(take(), std::nullopt);
}

TEST_F(WorkQueueCoreTest, GivenAddsWhileItRuns_WhenDone_ThenItRunsExactlyOnceMore) {
    add("a");
    EXPECT_EQ(take(), "a");
    add("a");
    add("a");
    EXPECT_EQ(take(), std::nullopt);
    queue_.done("a");
    EXPECT_EQ(take(), "a");
    queue_.done("a");
    EXPECT_EQ(take(), std::nullopt);
}

TEST_F(WorkQueueCoreTest, GivenPriorities_WhenTaken_ThenUrgentFirstAndElseInOrder) {
    add("start1", kStartUp);
    add("n1");
    add("start2", kStartUp);
    add("n2");
    add("urgent", kUrgent);
    add("start2", kUrgent);   // raised
    add("urgent", kStartUp);  // never lowered
    std::vector<std::string> order;
    while (const Key key = take()) order.push_back(*key);
    EXPECT_EQ(order, (std::vector<std::string>{"start2", "urgent", "n1", "n2", "start1"}));
}

TEST_F(WorkQueueCoreTest, GivenARaiseWhileItRuns_WhenDone_ThenTheNextRunIsUrgent) {
    add("a");
    take();
    add("a");
    add("b");
    add("a", kUrgent);
    queue_.done("a");
    EXPECT_EQ(take(), "a");
}

TEST_F(WorkQueueCoreTest, GivenTwoDelays_WhenTheyPass_ThenTheEarlierWins) {
    queue_.add_after("a", seconds(10), kNormal, now());
    queue_.add_after("a", seconds(3), kNormal, now());
    queue_.add_after("a", seconds(20), kUrgent, now());
    EXPECT_EQ(queue_.next_due(), now() + seconds(3));
    EXPECT_EQ(take(), std::nullopt);
    clock_.advance(seconds(3));
    EXPECT_EQ(take(), "a");
    queue_.done("a");
    clock_.advance(seconds(60));
    EXPECT_EQ(take(), std::nullopt);
    EXPECT_EQ(queue_.next_due(), TimePoint::max());
}

TEST_F(WorkQueueCoreTest, GivenNoDelay_WhenAddedAfter_ThenItIsThereAtOnce) {
    queue_.add_after("a", -seconds(1), kNormal, now());
    EXPECT_EQ(take(), "a");
}

TEST_F(WorkQueueCoreTest, GivenFailuresOfAKey_WhenRateLimited_ThenDelaysDoubleUpToTheCap) {
    Duration expected = milliseconds(5);
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(queue_.add_rate_limited("a", kNormal, now()), expected);
        expected = std::min<Duration>(expected * 2, seconds(30));
        clock_.advance(seconds(60));
        ASSERT_EQ(take(), "a");
        queue_.done("a");
    }
    queue_.forget("a");
    EXPECT_EQ(queue_.failures("a"), 0);
    EXPECT_EQ(queue_.add_rate_limited("a", kNormal, now()), milliseconds(5));
}

TEST_F(WorkQueueCoreTest, GivenAMassFailure_WhenTheBurstIsUsedUp_ThenTheBucketSpreadsTheRest) {
    for (int i = 0; i < 1000; ++i) {
        EXPECT_EQ(queue_.add_rate_limited("k" + std::to_string(i), kNormal, now()),
                  milliseconds(5));
    }
    EXPECT_EQ(queue_.add_rate_limited("late", kNormal, now()), milliseconds(10));
    EXPECT_EQ(queue_.add_rate_limited("later", kNormal, now()), milliseconds(20));
    for (int i = 0; i < 98; ++i) queue_.add_rate_limited("m" + std::to_string(i), kNormal, now());
    EXPECT_EQ(queue_.add_rate_limited("last", kNormal, now()), milliseconds(1010));
    clock_.advance(seconds(2));
    EXPECT_EQ(queue_.add_rate_limited("healed", kNormal, now()), milliseconds(5));
}

TEST_F(WorkQueueCoreTest, GivenShutdown_WhenAdded_ThenOnlyWhatWasQueuedIsDrained) {
    add("a");
    queue_.add_after("later", seconds(1), kNormal, now());
    queue_.shut_down();
    add("b");
    clock_.advance(seconds(5));
    EXPECT_FALSE(queue_.idle());
    EXPECT_EQ(take(), "a");
    EXPECT_EQ(take(), std::nullopt);
    EXPECT_FALSE(queue_.idle());
    queue_.done("a");
    EXPECT_TRUE(queue_.idle());
}

// The queue beside the simplest model that is right: sets and a list of wake-ups.
TEST(WorkQueueProperty, GivenRandomOperations_WhenComparedWithAModel_ThenTheyAgree) {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        testing::SeededRandom random(seed);
        testing::FakeClock clock;
        WorkQueueCore queue;
        std::set<std::string> dirty, processing;
        std::map<std::string, TimePoint> wakes;
        std::map<std::string, int> added_at, taken_at;
        int step = 0;
        const auto wake = [&] {
            for (auto it = wakes.begin(); it != wakes.end();) {
                if (it->second > clock.now()) {
                    ++it;
                    continue;
                }
                dirty.insert(it->first);
                it = wakes.erase(it);
            }
        };
        for (step = 0; step < 400; ++step) {
            const std::string key(1, static_cast<char>('a' + random.below(6)));
            const auto priority = static_cast<Priority>(random.below(3)) * 100 - 100;
            switch (random.below(6)) {
                case 0:
                case 1:
                    queue.add(key, priority, clock.now());
                    dirty.insert(key);
                    added_at[key] = step;
                    break;
                case 2: {
                    const Duration delay = milliseconds(1 + random.below(2000));
                    queue.add_after(key, delay, priority, clock.now());
                    const TimePoint at = clock.now() + delay;
                    const auto [entry, fresh] = wakes.try_emplace(key, at);
                    if (!fresh) entry->second = std::min(entry->second, at);
                    break;
                }
                case 3: {
                    wake();
                    const Key taken = queue.take(clock.now());
                    std::set<std::string> ready;
                    for (const std::string& k : dirty) {
                        if (!processing.contains(k)) ready.insert(k);
                    }
                    ASSERT_EQ(taken.has_value(), !ready.empty()) << "seed " << seed;
                    if (!taken) break;
                    ASSERT_TRUE(ready.contains(*taken)) << "seed " << seed;  // never two workers
                    dirty.erase(*taken);
                    processing.insert(*taken);
                    taken_at[*taken] = step;
                    break;
                }
                case 4:
                    if (processing.empty()) break;
                    queue.done(*processing.begin());
                    processing.erase(processing.begin());
                    break;
                default:
                    clock.advance(milliseconds(random.below(700)));
            }
        }
        // Drain: no add is lost.
        clock.advance(seconds(10));
        for (const std::string& k : processing) queue.done(k);
        while (const Key key = queue.take(clock.now())) {
            taken_at[*key] = step;
            queue.done(*key);
        }
        for (const auto& [key, at] : added_at) {
            ASSERT_GE(taken_at[key], at) << "seed " << seed << " key " << key;
        }
        ASSERT_TRUE(queue.idle());
        ASSERT_EQ(queue.next_due(), TimePoint::max());
    }
}

TEST(WorkQueue, GivenADelayedKey_WhenGotten_ThenTheWaitIsUntilItIsDue) {
    testing::FakeClock clock;
    std::stop_source stop;
    testing::FakeWaiter waiter(clock, stop);
    WorkQueue queue(clock, waiter);
    queue.add_after("a", seconds(4));
    EXPECT_EQ(queue.get(stop.get_token()), "a");
    EXPECT_EQ(waiter.waits, (std::vector<Duration>{seconds(4)}));
    queue.done("a");
    EXPECT_EQ(queue.get(stop.get_token()), std::nullopt);  // would wait for ever
    EXPECT_EQ(queue.stats().adds, 1U);
}

TEST(WorkQueue, GivenAnExceptionInAWorker_WhenItsItemEnds_ThenTheKeyIsGivenBack) {
    testing::FakeClock clock;
    std::stop_source stop;
    testing::FakeWaiter waiter(clock, stop);
    WorkQueue queue(clock, waiter);
    queue.add("a");
    try {
        WorkItem item(queue, *queue.get(stop.get_token()));
        queue.add("a");
        throw std::runtime_error("worker");
    } catch (const std::runtime_error&) {
    }
    EXPECT_EQ(queue.get(stop.get_token()), "a");
}

TEST(WorkQueue, GivenWorkersAndProducers_WhenTheyRace_ThenNoKeyIsWithTwoAndNoAddIsLost) {
    SystemClock clock;
    ThreadWaiter waiter(clock);
    WorkQueue queue(clock, waiter);
    constexpr int kKeys = 8;
    std::array<std::atomic<int>, kKeys> busy{}, wanted{}, seen{};
    std::atomic<bool> overlap{false};
    std::vector<std::jthread> workers;
    for (int i = 0; i < 4; ++i) {
        workers.emplace_back([&](std::stop_token stop) {
            while (const auto key = queue.get(stop)) {
                const WorkItem item(queue, *key);
                const auto k = static_cast<std::size_t>(std::stoi(*key));
                if (busy[k].fetch_add(1) != 0) overlap = true;
                seen[k] = wanted[k].load();
                busy[k].fetch_sub(1);
            }
        });
    }
    {
        std::vector<std::jthread> producers;
        for (int p = 0; p < 3; ++p) {
            producers.emplace_back([&, p] {
                testing::SeededRandom random(static_cast<std::uint64_t>(p));
                for (int i = 0; i < 3000; ++i) {
                    const auto k = static_cast<std::size_t>(random.below(kKeys));
                    wanted[k].fetch_add(1);
                    if (random.below(4) == 0) {
                        queue.add_after(std::to_string(k), milliseconds(1));
                    } else {
                        queue.add(std::to_string(k));
                    }
                }
            });
        }
    }
    // Delayed ones have to arrive before the shutdown drops them.
    const Deadline deadline = Deadline::after(clock, seconds(20));
    const auto all_seen = [&] {
        for (std::size_t k = 0; k < kKeys; ++k) {
            if (seen[k] != wanted[k]) return false;
        }
        return true;
    };
    while (!all_seen() && !deadline.passed(clock)) std::this_thread::yield();
    EXPECT_TRUE(all_seen());
    queue.shut_down();
    EXPECT_TRUE(queue.drain(deadline, {}));
    EXPECT_FALSE(overlap);
}

}  // namespace
}  // namespace matriarch::kube
