#include "kube/leader_election.h"

#include <unistd.h>

#include <algorithm>

#include "kube/json_access.h"

namespace matriarch::kube {

std::string make_identity(Random& random) {
    char host[256] = {};
    if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
    return std::string(host) + "_" + random.hex(8);
}

// Hands what the watch sees to the machine and wakes run().
class LeaderElection::LeaseSink final : public WatchSink {
  public:
    explicit LeaseSink(LeaderElection& election) : election_(election) {}

    void list_begin() override { found_.reset(); }
    void list_item(const std::string&, const Json& object) override {
        if (Result<Lease> lease = decode_lease(object)) found_ = std::move(*lease);
    }
    void list_end(const std::string& resource_version) override {
        if (found_) {
            see(*found_);
        } else {
            see_absent(resource_version);
        }
    }
    void changed(const std::string&, const std::string&, const Json& object) override {
        if (const Result<Lease> lease = decode_lease(object)) see(*lease);
    }
    void removed(const std::string&, const std::string& resource_version) override {
        see_absent(resource_version);
    }
    void bookmark(const std::string&) override {}

  private:
    void see(const Lease& lease) {
        {
            std::scoped_lock lock(election_.mutex_);
            election_.machine_.observed(lease, election_.clock_.now());
        }
        election_.waiter_.notify();
    }
    void see_absent(const std::string& resource_version) {
        {
            std::scoped_lock lock(election_.mutex_);
            election_.machine_.absent(resource_version, election_.clock_.now());
        }
        election_.waiter_.notify();
    }

    LeaderElection& election_;
    std::optional<Lease> found_;
};

LeaderElection::LeaderElection(Client& client, const Clock& clock, Random& random, Waiter& waiter,
                               ElectionOptions options, OnChange on_change, OnError on_error)
    : client_(client),
      clock_(clock),
      random_(random),
      waiter_(waiter),
      options_(std::move(options)),
      on_change_(std::move(on_change)),
      on_error_(std::move(on_error)),
      machine_(options_, random) {}

void LeaderElection::run(std::stop_token stop) {
    while (!stop.stop_requested()) {
        const std::uint64_t ticket = waiter_.ticket();
        ElectionMachine::Action action;
        {
            std::scoped_lock lock(mutex_);
            last_turn_ = clock_.now();
            action = machine_.next(last_turn_, clock_.wall());
        }
        tell();
        if (action.what == ElectionMachine::Do::Wait) {
            waiter_.wait(ticket, {action.wait_until}, stop);
        } else {
            act(action, stop);
            tell();
        }
    }
    if (options_.release_on_stop) release();
    {
        std::scoped_lock lock(mutex_);
        machine_.released();
    }
    tell();
}

void LeaderElection::act(const ElectionMachine::Action& action, std::stop_token stop) {
    const TimePoint sent = clock_.now();
    // client-go: half of the renew deadline. Our own word about the end of leadership must not come
    // late because a renewal hangs.
    Duration timeout = std::max<Duration>(std::chrono::seconds(1), options_.renew_deadline / 2);
    if (const Leadership now = leadership(); now.leading) {
        timeout = std::min(timeout, now.valid_until - sent);
    }
    const Call call{.timeout = timeout, .stop = stop, .lane = Lane::Lease};

    if (action.what == ElectionMachine::Do::Read) {
        const Result<Json> answer = client_.get(kLeases, options_.lease, call);
        const Result<Lease> lease = answer ? decode_lease(*answer) : answer.error();
        const bool absent = !lease && lease.error().kind == ErrorKind::NotFound;
        if (!lease && !absent) report(lease.error());
        std::scoped_lock lock(mutex_);
        if (lease) {
            machine_.read(*lease, clock_.now());
        } else if (absent) {
            machine_.absent("", clock_.now());
        } else {
            machine_.read_failed(clock_.now());
        }
        return;
    }

    const Json body = encode_lease(action.write);
    const Result<Json> answer = action.what == ElectionMachine::Do::Create
                                    ? client_.create(kLeases, body, call)
                                    : client_.update(kLeases, body, call);
    const Result<Lease> lease = answer ? decode_lease(*answer) : answer.error();
    if (lease) {
        std::scoped_lock lock(mutex_);
        machine_.written(*lease, sent);
        return;
    }
    Error error = lease.error();
    if (answer) error.kind = ErrorKind::OutcomeUnknown;  // it went through, whatever came back
    // Losing a race is the ordinary life of a standby.
    if (error.kind != ErrorKind::Conflict && error.kind != ErrorKind::AlreadyExists) report(error);
    std::scoped_lock lock(mutex_);
    machine_.write_failed(error, action.write, sent, clock_.now());
}

void LeaderElection::release() {
    const Deadline deadline = Deadline::after(clock_, std::chrono::seconds(2));
    // Twice: the first may conflict with our own last renewal, whose answer was cut off.
    for (int attempt = 0; attempt < 2 && !deadline.passed(clock_); ++attempt) {
        std::optional<Lease> lease;
        {
            std::scoped_lock lock(mutex_);
            lease = machine_.release(clock_.wall());
        }
        if (!lease) return;
        const Call call{.timeout = deadline.remaining(clock_), .lane = Lane::Lease};
        const Result<Json> answer = client_.update(kLeases, encode_lease(*lease), call);
        if (answer) return;
        if (answer.error().kind != ErrorKind::Conflict) {
            report(answer.error());
            return;
        }
        const Result<Json> read = client_.get(kLeases, options_.lease, call);
        if (!read) return;
        if (const Result<Lease> current = decode_lease(*read)) {
            std::scoped_lock lock(mutex_);
            machine_.observed(*current, clock_.now());
        }
    }
}

void LeaderElection::watch(std::stop_token stop, Waiter& waiter) {
    LeaseSink sink(*this);
    WatchTuning tuning;
    // A standby that hears late waits too long; after a lost connection every second counts.
    tuning.backoff_first = std::chrono::milliseconds(200);
    tuning.backoff_cap = options_.lease_duration;
    // The leader's renewals come every second: silence means a dead connection.
    tuning.idle = 2 * options_.lease_duration;
    Watcher watcher(client_, clock_, random_, waiter,
                    {.resource = kLeases,
                     .ns = options_.lease.ns,
                     .field_selector = "metadata.name=" + options_.lease.name},
                    sink, tuning, on_error_);
    watcher.run(stop);
}

Leadership LeaderElection::leadership() const {
    std::scoped_lock lock(mutex_);
    return machine_.leadership(clock_.now());
}

void LeaderElection::raise_term(std::uint64_t at_least) {
    std::scoped_lock lock(mutex_);
    machine_.raise_term(at_least);
}

bool LeaderElection::healthy(Duration grace) const {
    std::scoped_lock lock(mutex_);
    return !told_leading_ || clock_.now() < last_turn_ + options_.validity() + grace;
}

void LeaderElection::tell() {
    Leadership now;
    {
        std::scoped_lock lock(mutex_);
        now = machine_.leadership(clock_.now());
        const bool same = now.leading == told_leading_ && (!now.leading || now.term == told_term_);
        if (same) return;
        told_leading_ = now.leading;
        told_term_ = now.term;
    }
    if (on_change_) on_change_(now);
}

void LeaderElection::report(const Error& error) const {
    if (on_error_) on_error_(error);
}

}  // namespace matriarch::kube
