#include "network.h"

namespace matriarch::sim {
namespace {

constexpr Duration kFastest = std::chrono::microseconds(150);
constexpr Duration kResend = milliseconds(200);  // TCP: the first time, then twice as long
constexpr Duration kLatestRepeat = seconds(4);
constexpr int kAttempts = 7;
constexpr int kGivenUp = 20;  // per cent: its connection breaks before
// Clocks differ from the world's by less than half of the 4 % that two of them may differ by.
constexpr std::int64_t kRatePpm = 19'000;
// Beyond it, but within what the waits allow for.
constexpr std::int64_t kOddRatePpm = 70'000;

}  // namespace

HostId Network::add(std::string name, bool odd) {
    Host host;
    host.name = std::move(name);
    auto rate = static_cast<std::int64_t>(world_.random().below(2 * kRatePpm + 1)) - kRatePpm;
    if (odd) rate = rate < 0 ? -kOddRatePpm : kOddRatePpm;
    const auto up = world_.between(seconds(100), seconds(100'000));
    host.clock = std::make_unique<HostClock>(world_, up, rate);
    hosts_.push_back(std::move(host));
    return static_cast<HostId>(hosts_.size()) - 1;
}

Duration Network::delay() {
    return world_.between(kFastest, slowest_);
}

bool Network::open(HostId from, HostId to) const {
    return host(from).on && host(to).on && !cuts_.contains({from, to});
}

void Network::heal(HostId from, HostId to) {
    if (const auto found = cuts_.find({from, to}); found != cuts_.end()) cuts_.erase(found);
}

void Network::send(HostId from, HostId to, Call call) {
    try_to_send(from, to, std::move(call), 0);
}

void Network::perhaps_again(HostId to, Call call) {
    if (repeated_ == 0 || !world_.chance(repeated_)) return;
    world_.after(world_.between(milliseconds(1), kLatestRepeat),
                 [this, to, call = std::move(call)] {
                     if (host(to).on) call();
                 });
}

void Network::try_to_send(HostId from, HostId to, Call call, int attempt) {
    const Duration wait = delay();
    const bool lost = loss_ > 0 && world_.chance(loss_);
    if (!lost && open(from, to)) {
        world_.after(wait, [this, to, call = std::move(call)] {
            if (host(to).on) call();
        });
        return;
    }
    if (attempt == kAttempts || !host(from).on || world_.chance(kGivenUp)) return;
    world_.after(kResend * (1 << attempt),
                 [this, from, to, call = std::move(call), attempt]() mutable {
                     if (host(from).on) try_to_send(from, to, std::move(call), attempt + 1);
                 });
}

}  // namespace matriarch::sim
