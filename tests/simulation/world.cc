#include "world.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "process.h"

namespace matriarch::sim {
namespace {

constexpr std::uint64_t kHashPrime = 1099511628211u;             // FNV-1a
constexpr Duration kNever = std::chrono::hours(24 * 365 * 100);  // what can't be is not rounded
constexpr std::int64_t kMillion = 1'000'000;
constexpr Duration kNear = seconds(1);

}  // namespace

std::uint64_t SeededRandom::next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void World::at(TimePoint when, Call call, std::shared_ptr<Process> process) {
    if (free_.empty()) {
        free_.push_back(planned_.size());
        planned_.emplace_back();
    }
    const std::size_t place = free_.back();
    free_.pop_back();
    planned_[place] = {std::move(call), std::move(process)};
    const Event event{std::max(when, now_), number_++, place};
    if (event.when > near_) return far_.push_back(event);
    events_.push_back(event);
    std::push_heap(events_.begin(), events_.end());
}

bool World::draw_near() {
    if (!events_.empty()) return true;
    if (far_.empty()) return false;
    const auto sooner = [](const Event& a, const Event& b) { return a.when < b.when; };
    const TimePoint first = std::min_element(far_.begin(), far_.end(), sooner)->when;
    near_ = first < TimePoint::max() - kNear ? first + kNear : TimePoint::max();
    const auto later =
        std::partition(far_.begin(), far_.end(), [this](const Event& e) { return e.when > near_; });
    events_.assign(later, far_.end());
    far_.erase(later, far_.end());
    std::make_heap(events_.begin(), events_.end());
    return true;
}

void World::run_until(TimePoint end) {
    while (!violation_ && draw_near() && events_.front().when <= end) {
        std::pop_heap(events_.begin(), events_.end());
        const Event event = events_.back();
        events_.pop_back();
        now_ = event.when;
        Planned planned = std::exchange(planned_[event.planned], {});
        free_.push_back(event.planned);
        if (planned.process)
            planned.process->post(std::move(planned.call));
        else
            planned.call();
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

// Exact: rounding must not differ between machines.
TimePoint HostClock::now() const {
    const std::int64_t passed = world_.now().time_since_epoch().count();
    return TimePoint(offset_ +
                     Duration(passed / kMillion * rate_ + passed % kMillion * rate_ / kMillion));
}

WallTime HostClock::wall() const {
    constexpr auto kBegin = std::chrono::seconds(1'790'000'000);
    return WallTime(std::chrono::duration_cast<WallTime::duration>(
        kBegin + wall_offset_ + world_.now().time_since_epoch()));
}

TimePoint HostClock::to_world(TimePoint local) const {
    if (local > TimePoint::max() - kNever) return TimePoint::max();
    const std::int64_t ours = (local.time_since_epoch() - offset_).count();
    if (ours <= 0) return TimePoint();
    return TimePoint(
        Duration(ours / rate_ * kMillion + (ours % rate_ * kMillion + rate_ - 1) / rate_));
}

}  // namespace matriarch::sim
