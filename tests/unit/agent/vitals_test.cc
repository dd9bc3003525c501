#include "agent/vitals.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>

#include "agent/files.h"

namespace matriarch::agent {
namespace {

// Goes on only when told.
class StoppedClock final : public Clock {
  public:
    TimePoint now() const override { return TimePoint(Duration(now_.load())); }
    WallTime wall() const override { return {}; }
    void pass(Duration time) { now_ += time.count(); }

  private:
    std::atomic<Duration::rep> now_{Duration(std::chrono::hours(1)).count()};
};

// A named pipe that nobody reads stands for a volume that takes no write.
class StalledVolume : public ::testing::Test {
  protected:
    StalledVolume() {
        folder = ::testing::TempDir() + "matriarch-vitals-XXXXXX";
        EXPECT_NE(mkdtemp(folder.data()), nullptr);
        EXPECT_EQ(mkfifo(pulse().c_str(), 0600), 0);
    }
    ~StalledVolume() override {
        const int reader = open(pulse().c_str(), O_RDONLY | O_NONBLOCK);  // it goes on
        watch.reset();
        close(reader);
        EXPECT_TRUE(remove_tree(folder));
    }
    std::string pulse() const { return folder + "/pulse"; }

    Duration stalled_for(DiskWatch::Completed completed, std::initializer_list<Duration> passing) {
        watch.emplace(pulse(), clock, std::move(completed));
        watch->watch(true);
        while (!watch->stalled_since()) std::this_thread::yield();
        for (const Duration time : passing) {
            clock.pass(time);
            since = watch->stalled_since();
        }
        return clock.now() - since.value_or(clock.now());
    }

    StoppedClock clock;
    std::string folder;
    std::optional<DiskWatch> watch;
    std::optional<TimePoint> since;
};

TEST_F(StalledVolume, GivenADeviceThatCompletesNothing_WhenAWriteWaits_ThenItCountsFromItsBegin) {
    EXPECT_EQ(stalled_for([] { return 7; }, {seconds(1), seconds(1)}), seconds(2));
}

TEST_F(StalledVolume, GivenABusyDevice_WhenAWriteWaits_ThenItIsNoStallUntilTenSeconds) {
    const auto busy = [n = std::uint64_t(0)]() mutable { return ++n; };
    EXPECT_LT(stalled_for(busy, {seconds(4), seconds(4)}), kStallIsNews);
    clock.pass(seconds(2));
    EXPECT_EQ(clock.now() - *watch->stalled_since(), kStallIsNews);
}

TEST_F(StalledVolume, GivenNoBlockDevice_WhenAWriteWaits_ThenThePatienceIsTwiceAsLong) {
    const auto unknown = [] { return std::optional<std::uint64_t>(); };
    EXPECT_EQ(stalled_for(unknown, {kStallIsNews, kStallIsNews}), kStallIsNews);
}

}  // namespace
}  // namespace matriarch::agent
