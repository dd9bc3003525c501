#include "world.h"

#include <algorithm>
#include <cstdio>

namespace matriarch::sim {
namespace {

constexpr std::uint64_t kHashPrime = 1099511628211u;             // FNV-1a
constexpr Duration kNever = std::chrono::hours(24 * 365 * 100);  // what can't be is not rounded
constexpr std::int64_t kMillion = 1'000'000;

}  // namespace

std::uint64_t SeededRandom::next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void World::at(TimePoint when, Call call) {
    events_.push_back({std::max(when, now_), number_++, std::move(call)});
    std::push_heap(events_.begin(), events_.end());
}

void World::run_until(TimePoint end) {
    while (!violation_ && !events_.empty() && events_.front().when <= end) {
        std::pop_heap(events_.begin(), events_.end());
        Event event = std::move(events_.back());
        events_.pop_back();
        now_ = event.when;
        event.call();
    }
    if (!violation_) now_ = std::max(now_, end);
}

Duration World::between(Duration least, Duration most) {
    const auto span = static_cast<std::uint64_t>((most - least).count());
    return least + Duration(static_cast<std::int64_t>(random_.below(span + 1)));
}

void World::tell(std::string_view who, const std::string& what) {
    const auto add = [this](std::string_view text) {
        for (const char c : text) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * kHashPrime;
    };
    add(std::to_string(now_.time_since_epoch().count()));
    add(who);
    add(what);
    if (!story_) return;
    printf("%9.3f  %-12.*s %s\n", static_cast<double>(to_ms(now_)) / 1000,
           static_cast<int>(who.size()), who.data(), what.c_str());
}

void World::murmur(std::string_view line) const {
    line.remove_prefix(std::min(line.find(' '), line.size()));  // the machine's own time
    if (story_)
        printf("%9.3f    . %.*s\n", static_cast<double>(to_ms(now_)) / 1000,
               static_cast<int>(line.size()), line.data());
}

void World::violate(std::string rule, std::string what) {
    tell("VIOLATION", rule + ": " + what);
    if (!violation_) violation_ = Violation{std::move(rule), std::move(what), now_};
}

// Exact in 128 bits: rounding must not differ between machines.
TimePoint HostClock::now() const {
    const auto passed = static_cast<__int128>(world_.now().time_since_epoch().count());
    return TimePoint(offset_ + Duration(static_cast<std::int64_t>(passed * rate_ / kMillion)));
}

WallTime HostClock::wall() const {
    constexpr auto kBegin = std::chrono::seconds(1'790'000'000);
    return WallTime(std::chrono::duration_cast<WallTime::duration>(
        kBegin + wall_offset_ + world_.now().time_since_epoch()));
}

TimePoint HostClock::to_world(TimePoint local) const {
    if (local > TimePoint::max() - kNever) return TimePoint::max();
    const auto ours = static_cast<__int128>((local.time_since_epoch() - offset_).count());
    if (ours <= 0) return TimePoint();
    return TimePoint(Duration(static_cast<std::int64_t>((ours * kMillion + rate_ - 1) / rate_)));
}

}  // namespace matriarch::sim
