#include "operator/agent_channel.h"

#include <algorithm>

#include "base/mutant.h"

namespace matriarch::op {
namespace {

constexpr Duration kPollSlack = seconds(1);  // on top of the wait, before an agent counts as silent
// Less than the idle timeout of the wire's connections: the first order of a failover must not wait
// for a handshake.
constexpr Duration kWarmUpEvery = seconds(30);
constexpr Duration kRetryFirst = milliseconds(50);
constexpr Duration kRetryCap = seconds(1);
constexpr Duration kClockWindow = seconds(60);  // clocks are compared over at most so long

Duration retry_delay(int failures) {
    return std::min(kRetryCap, kRetryFirst * (1 << std::min(failures, 6)));
}

constexpr milliseconds kFrozen{1000};

// What decides something, as against figures that move all the time.
bool significant(const Report& before, const Report& after) {
    return before.sequence != after.sequence || before.incarnation != after.incarnation ||
           before.state != after.state || before.in_recovery != after.in_recovery ||
           before.writable != after.writable || before.epoch != after.epoch ||
           before.fenced != after.fenced || before.order != after.order ||
           before.receiving != after.receiving || before.timeline != after.timeline ||
           before.slots.size() != after.slots.size() || before.config_hash != after.config_hash ||
           before.restart_pending != after.restart_pending ||
           before.parameter_troubles != after.parameter_troubles ||
           before.candidates_version != after.candidates_version ||
           before.withheld != after.withheld ||
           (before.frozen > kFrozen) != (after.frozen > kFrozen);
}

AgentWire::Lane other(AgentWire::Lane lane) {
    return lane == AgentWire::kPollLane ? AgentWire::kSpareLane : AgentWire::kPollLane;
}

}  // namespace

AgentChannel::AgentChannel(AgentWire& wire, const Clock& clock, kube::Waiter& waiter,
                           OnNews on_news, LeadershipEnd leadership_end)
    : wire_(wire),
      clock_(clock),
      waiter_(waiter),
      on_news_(std::move(on_news)),
      leadership_end_(std::move(leadership_end)) {}

void AgentChannel::watch(const AgentAddress& address) {
    std::optional<AgentAddress> former;
    {
        std::lock_guard lock(mutex_);
        Peer& peer = peers_[{address.cluster, address.instance}];
        if (peer.generation != 0 && peer.known.address == address) return;
        if (peer.generation != 0) former = peer.known.address;
        peer.known.address = address;
        peer.known.reachable = false;
        peer.known.asked = false;
        peer.known.trouble = "not asked yet";
        peer.generation = ++generations_;
        peer.polling = false;
        peer.failures = 0;
        peer.next_poll = clock_.now();
        peer.first_reading.reset();
        peer.known.clock_trouble.clear();
    }
    if (former) wire_.forget(*former);
    waiter_.notify();
}

void AgentChannel::forget(const ClusterKey& cluster, const InstanceName& instance) {
    std::optional<AgentAddress> address;
    {
        std::lock_guard lock(mutex_);
        const auto found = peers_.find({cluster, instance});
        if (found == peers_.end()) return;
        address = found->second.known.address;
        peers_.erase(found);
    }
    wire_.forget(*address);
}

void AgentChannel::forget(const ClusterKey& cluster) {
    std::vector<InstanceName> instances;
    {
        std::lock_guard lock(mutex_);
        for (const auto& [key, peer] : peers_)
            if (key.first == cluster) instances.push_back(key.second);
        grants_.erase(cluster);
    }
    for (const auto& instance : instances) forget(cluster, instance);
}

void AgentChannel::set_leadership(Term term, std::string leader, bool valid) {
    {
        std::lock_guard lock(mutex_);
        term_ = term;
        leader_ = std::move(leader);
        leading_ = valid;
    }
    waiter_.notify();
}

std::optional<AgentKnowledge> AgentChannel::knowledge(const ClusterKey& cluster,
                                                      const InstanceName& instance) const {
    std::lock_guard lock(mutex_);
    const auto found = peers_.find({cluster, instance});
    if (found == peers_.end()) return {};
    return found->second.known;
}

bool AgentChannel::absorb(Peer& peer, Report report, TimePoint now) {
    AgentKnowledge& known = peer.known;
    peer.failures = 0;
    const bool back = !known.reachable;
    known.reachable = true;
    known.trouble.clear();
    // The answers to a poll and to an order may overtake each other.
    if (known.report && known.report->incarnation == report.incarnation &&
        report.clock_reading < known.report->clock_reading)
        return back;
    const bool news = back || !known.report || significant(*known.report, report);
    known.report = std::move(report);
    known.reported_at = now;
    return news;
}

bool AgentChannel::lost(Peer& peer, const Error& error) {
    const bool news = peer.known.reachable;
    peer.known.reachable = false;
    peer.known.trouble = error.message();
    ++peer.failures;
    // On a link that loses packets the broken connection takes a mandate's time to be made anew.
    peer.lane = other(peer.lane);
    peer.next_warm_up = TimePoint();
    return news;
}

void AgentChannel::grant(const ClusterKey& cluster,
                         const std::optional<decide::Granting>& granting) {
    std::lock_guard lock(mutex_);
    grants_[cluster].to = granting;
}

std::optional<TimePoint> AgentChannel::last_grant(const ClusterKey& cluster) const {
    std::lock_guard lock(mutex_);
    const auto found = grants_.find(cluster);
    return found == grants_.end() ? std::nullopt : found->second.from;
}

bool AgentChannel::granted(const Key& key, const Peer& peer) const {
    const auto found = grants_.find(key.first);
    if (found == grants_.end() || !found->second.to || !peer.known.report) return false;
    const auto& to = *found->second.to;
    return to.master == key.second && to.pod == peer.known.address.pod &&
           peer.known.report->pod == to.pod;
}

// Counted from a reading that we have, so from before the grant is sent.
std::optional<Grant> AgentChannel::grant_for(const Key& key, const Peer& peer,
                                             TimePoint leadership_end) {
    if (!granted(key, peer)) return {};
    Grants& grants = grants_.at(key.first);
    const auto& to = *grants.to;
    const Report& report = *peer.known.report;
    const TimePoint now = clock_.now();
    const auto left = std::chrono::duration_cast<milliseconds>(leadership_end - now);
    if (left <= milliseconds(0) || !peer.known.clock_trouble.empty()) return {};
    grants.counts_from(peer.known.reported_at);
    const auto ttl = mutant("grant_beyond_leadership") ? to.ttl : std::min(to.ttl, left);
    return Grant{to.epoch, to.epoch_id, report.clock_reading, ttl, to.candidates};
}

// Sound however long messages take: an elapsed time of ours is known within two bounds, and only
// an agent's elapsed time outside of both, and the tolerance, is held against it.
void AgentChannel::compare_clocks(Peer& peer, const Report& report, TimePoint now) {
    const bool restarted =
        peer.known.report && peer.known.report->incarnation != report.incarnation;
    if (restarted) peer.known.clock_trouble.clear();
    if (!peer.first_reading || restarted || now - peer.first_to > kClockWindow) {
        peer.first_reading = report.clock_reading;
        peer.first_from = peer.poll_sent;
        peer.first_to = now;
        return;
    }
    using Seconds = std::chrono::duration<double>;
    const Seconds theirs = report.clock_reading - *peer.first_reading;
    const Seconds least = peer.poll_sent - peer.first_to, most = now - peer.first_from;
    if (theirs > most * (1 + kClockTolerance))
        peer.known.clock_trouble = "its clock runs too fast";
    else if (theirs < least * (1 - kClockTolerance))
        peer.known.clock_trouble = "its clock runs too slowly";
    else if (now - peer.first_to > kClockWindow / 2)
        peer.known.clock_trouble.clear();
}

void AgentChannel::begin_poll(const Key& key, Peer& peer, TimePoint leadership_end) {
    Poll poll;
    poll.term = term_;
    poll.leader = leader_;
    if (peer.known.report) {
        poll.seen = peer.known.report->sequence;
        poll.incarnation = peer.known.report->incarnation;
    }
    // The first poll of an address is answered at once: nothing is known yet.
    poll.wait = peer.known.reachable ? kPollWait : milliseconds(0);
    poll.grant = grant_for(key, peer, leadership_end);
    if (poll.grant) poll.wait = std::min(poll.wait, poll.grant->ttl / 6);
    peer.polling = true;
    peer.poll_sent = clock_.now();
    wire_.poll(peer.known.address, peer.lane, poll, poll.wait + kPollSlack,
               [this, key, generation = peer.generation](Result<Report>&& report) {
                   poll_ended(key, generation, std::move(report));
               });
}

void AgentChannel::warm_up(const Key& key, Peer& peer) {
    peer.next_warm_up = clock_.now() + kWarmUpEvery;
    const auto open = [&](AgentWire::Lane lane) {
        wire_.poll(peer.known.address, lane, Poll{}, kPollSlack, [](const Result<Report>&) {});
    };
    open(AgentWire::kOrderLane);
    if (granted(key, peer)) open(other(peer.lane));
}

void AgentChannel::poll_ended(const Key& key, std::uint64_t generation, Result<Report>&& report) {
    bool news = false;
    {
        std::lock_guard lock(mutex_);
        const auto found = peers_.find(key);
        if (found == peers_.end() || found->second.generation != generation) return;
        Peer& peer = found->second;
        peer.polling = false;
        peer.known.asked = true;
        if (report && report->pod == peer.known.address.pod) {
            compare_clocks(peer, *report, clock_.now());
            news = absorb(peer, std::move(*report), clock_.now());
            peer.next_poll = clock_.now();
        } else {
            news = lost(peer, report ? make_error(ErrorKind::Unavailable,
                                                  "another pod answers at this address")
                                     : report.error());
            peer.next_poll = clock_.now() + retry_delay(peer.failures);
        }
    }
    on_news_(key.first, news);
    waiter_.notify();
}

void AgentChannel::order(const ClusterKey& cluster, const InstanceName& instance,
                         const Order& order, Duration timeout, OnAnswer on_answer) {
    const Key key{cluster, instance};
    std::optional<AgentAddress> address;
    std::uint64_t generation = 0;
    {
        std::lock_guard lock(mutex_);
        const auto found = peers_.find(key);
        if (found != peers_.end()) {
            address = found->second.known.address;
            if (order.grant) grants_[cluster].counts_from(found->second.known.reported_at);
            generation = found->second.generation;
        }
    }
    if (!address) {
        on_answer(make_error(ErrorKind::Unavailable, instance.value + ": no agent is known"));
        return;
    }
    wire_.order(*address, order, timeout,
                [this, key, generation,
                 on_answer = std::move(on_answer)](const Result<OrderAnswer>& answer) {
                    bool current = false;
                    if (answer) {
                        std::lock_guard lock(mutex_);
                        const auto found = peers_.find(key);
                        current = found != peers_.end() && found->second.generation == generation;
                        if (current) absorb(found->second, answer->report, clock_.now());
                    }
                    on_answer(answer);
                    if (current) on_news_(key.first, true);
                });
}

void AgentChannel::run(std::stop_token stop) {
    while (!stop.stop_requested()) {
        const auto ticket = waiter_.ticket();
        TimePoint next = TimePoint::max();
        const TimePoint leadership_end = leadership_end_();
        {
            std::lock_guard lock(mutex_);
            const TimePoint now = clock_.now();
            for (auto& [key, peer] : peers_) {
                if (!leading_) continue;
                if (peer.known.reachable && peer.next_warm_up <= now) warm_up(key, peer);
                if (peer.polling) continue;
                if (peer.next_poll <= now)
                    begin_poll(key, peer, leadership_end);
                else
                    next = std::min(next, peer.next_poll);
            }
        }
        waiter_.wait(ticket, Deadline{next}, stop);
    }
}

}  // namespace matriarch::op
