// World: virtual time, the queue of everything that will happen, the seed, and the story.
//
// One thread. Events at the same moment run in the order in which they were made, so a seed is one
// run, on any machine. Every `tell` goes into the trace's hash; with `story` it is printed as well.
// A broken promise of the system is a `violate`: the run ends there.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"

namespace matriarch::sim {

using Call = std::function<void()>;
class Process;

// splitmix64.
class SeededRandom final : public Random {
  public:
    explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next() override;

  private:
    std::uint64_t state_;
};

struct Violation {
    std::string rule;  // INV-n, or what else must hold
    std::string what;
    TimePoint at;
};

class World {
  public:
    World(std::uint64_t seed, bool story) : random_(seed), story_(story) {}

    TimePoint now() const { return now_; }
    // In a process it happens as its post() says.
    void at(TimePoint when, Call call, std::shared_ptr<Process> process = nullptr);
    void after(Duration wait, Call call) { at(now_ + wait, std::move(call)); }
    // Until then, or the first violation.
    void run_until(TimePoint end);

    SeededRandom& random() { return random_; }
    Duration between(Duration least, Duration most);
    bool chance(int percent) { return random_.below(100) < static_cast<std::uint64_t>(percent); }
    // A number that was never given before: ids of pods, rows, timelines' openings.
    std::uint64_t fresh() { return ++fresh_; }

    void tell(std::string_view who, const std::string& what);
    // A line of the production code's own log: for people, not part of the hash.
    void murmur(std::string_view line) const;
    void violate(std::string rule, std::string what);
    const std::optional<Violation>& violation() const { return violation_; }
    std::uint64_t trace_hash() const { return hash_; }
    bool story() const { return story_; }
    // Counters for the summary, by name.
    void count(const std::string& name, std::uint64_t by = 1) { counts_[name] += by; }
    const std::map<std::string, std::uint64_t>& counts() const { return counts_; }

  private:
    struct Planned {
        Call call;
        std::shared_ptr<Process> process;
    };
    // What is planned stays where it is while the heap moves what it is ordered by.
    struct Event {
        TimePoint when;
        std::uint64_t number = 0;
        std::size_t planned = 0;
        // For a heap whose front is the next one.
        friend bool operator<(const Event& a, const Event& b) {
            return a.when != b.when ? a.when > b.when : a.number > b.number;
        }
    };

    // False: nothing is planned any more.
    bool draw_near();

    SeededRandom random_;
    const bool story_;
    TimePoint now_;
    std::vector<Event> events_;  // a heap of those up to near_
    std::vector<Event> far_;     // later ones: most are timeouts of what has long ended
    TimePoint near_;
    std::vector<Planned> planned_;
    std::vector<std::size_t> free_;  // places in planned_
    std::uint64_t number_ = 0, fresh_ = 0;
    std::uint64_t hash_ = 14695981039346656037u;
    std::optional<Violation> violation_;
    std::map<std::string, std::uint64_t> counts_;
};

// A host's CLOCK_BOOTTIME, which runs a little faster or slower than the world's time.
class HostClock final : public Clock {
  public:
    HostClock(const World& world, Duration offset, std::int64_t rate_ppm)
        : world_(world), offset_(offset), rate_(1'000'000 + rate_ppm) {}

    TimePoint now() const override;
    WallTime wall() const override;
    void step_wall(std::chrono::seconds by) { wall_offset_ += by; }
    // The first moment of the world at which this clock shows at least `local`.
    TimePoint to_world(TimePoint local) const;

  private:
    const World& world_;
    const Duration offset_;
    const std::int64_t rate_;  // microseconds of ours in a second of the world
    std::chrono::seconds wall_offset_{0};
};

}  // namespace matriarch::sim
