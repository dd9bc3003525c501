#include "operator_process.h"

#include "kube/watcher.h"
#include "operator/names.h"

namespace matriarch::sim {
namespace {

constexpr Duration kCalmLook = seconds(1);  // as in operator/controller.cc
constexpr Duration kDrain = seconds(10);    // likewise
constexpr const char* kNamespace = "shop";

kube::ElectionOptions election_options(const std::string& name, Random& random) {
    kube::ElectionOptions out;
    out.lease = {"matriarch-system", "matriarch-operator"};
    out.identity = name + "_" + random.hex(8);
    return out;
}

}  // namespace

OperatorProcess::OperatorProcess(Surroundings around, std::function<void()> on_end)
    : around_(std::move(around)),
      on_end_(std::move(on_end)),
      random_(around_.world.random().next()),
      process_(std::make_shared<Process>(around_.world)),
      threads_(around_.world, *around_.net.host(around_.host).clock, process_),
      transport_(threads_, around_.net, around_.host, around_.api_host, around_.api,
                 around_.weather),
      client_(transport_, threads_.clock()),
      queue_waiter_(threads_),
      channel_waiter_(threads_),
      events_waiter_(threads_),
      election_waiter_(threads_),
      queue_(threads_.clock(), queue_waiter_),
      wire_(threads_, around_.net, around_.host, around_.ports,
            [this] { return election_.leadership().valid_until; }),
      agents_(
          wire_, threads_.clock(), channel_waiter_,
          [this](const ClusterKey& key, bool urgent) { news(key, urgent); },
          [this] { return election_.leadership().valid_until; }),
      events_(client_, threads_.clock(), random_, events_waiter_, {}),
      election_(client_, threads_.clock(), random_, election_waiter_,
                election_options(around_.name, random_),
                [this](const kube::Leadership& l) { leadership_changed(l); }),
      reconciler_({client_, caches_, agents_, wire_, events_, metrics_, threads_.clock(), random_,
                   [this] { return election_.leadership(); },
                   [this](Term term) { election_.raise_term(term.value); },
                   [this](const ClusterKey& key) { queue_.add(key.str(), kube::kUrgent); }},
                  op::AgentImage{"matriarch", "IfNotPresent"}, "cluster.local") {
    caches_.push_back(std::make_unique<op::Caches>(
        kNamespace, [this](const ClusterKey& key) { queue_.add(key.str()); }, [](const Error&) {}));
    op::Caches& c = *caches_.front();
    watch(kube::kPostgresClusters, c.clusters, false);
    watch(kube::kStatefulSets, c.stateful_sets, true);
    watch(kube::kPods, c.pods, true);
    watch(kube::kClaims, c.claims, true);
    watch(kube::kServices, c.services, true);
    watch(kube::kEndpointSlices, c.endpoint_slices, true);
    watch(kube::kConfigMaps, c.config_maps, true);
    watch(kube::kSecrets, c.secrets, true);
    watch(kube::kLeases, c.records, true);
    const auto begin = [this](int& running, std::function<void()> body) {
        ++running;
        threads_.begin([&running, body = std::move(body)] {
            body();
            --running;
        });
    };
    begin(working_, [this] { agents_.run(work_stop_.get_token()); });
    begin(working_, [this] { work(); });
    begin(electing_, [this] { election_.run(election_stop_.get_token()); });
    threads_.begin([this] {
        FiberWaiter waiter(threads_);
        election_.watch({}, waiter);
    });
}

OperatorProcess::~OperatorProcess() {
    kill();
}

void OperatorProcess::kill() {
    process_->kill();
    threads_.kill_all();
}

void OperatorProcess::watch(const kube::Resource& resource, kube::WatchSink& sink, bool ours) {
    threads_.begin([this, resource, &sink, ours] {
        FiberWaiter waiter(threads_);
        kube::WatchTarget target{resource, kNamespace};
        if (ours) target.label_selector = op::kClusterLabel;
        kube::Watcher(client_, threads_.clock(), random_, waiter, target, sink).run({});
    });
}

void OperatorProcess::news(const ClusterKey& key, bool urgent) {
    if (urgent)
        queue_.add(key.str(), kube::kUrgent);
    else
        queue_.add_after(key.str(), kCalmLook);
}

// Losing leadership ends the process, as in production.
void OperatorProcess::leadership_changed(const kube::Leadership& now) {
    around_.world.tell(around_.name,
                       now.leading ? "leads in term " + std::to_string(now.term) : "stands by");
    agents_.set_leadership(Term(now.term), now.holder, now.leading);
    if (now.leading) {
        for (const auto& cluster : caches_.front()->clusters.all()) queue_.add(cluster->key.str());
    } else if (was_leader_ && !stopping_) {
        around_.world.tell(around_.name, "lost leadership and ends");
        end_here();
    }
    was_leader_ = now.leading;
}

void OperatorProcess::end_here() {
    process_->kill();
    around_.world.after(Duration::zero(), on_end_);
    throw Fiber::Killed{};
}

void OperatorProcess::freeze_here() {
    process_->freeze();
    const auto sleep = threads_.prepare();
    threads_.wake(sleep);
    threads_.sleep(sleep, TimePoint::max());
}

void OperatorProcess::terminate() {
    if (!std::exchange(stopping_, true)) threads_.begin([this] { wind_down(); });
}

// In the order of operator/controller.cc: the lease is released last.
void OperatorProcess::wind_down() {
    FiberWaiter waiter(threads_);
    const auto join = [&](const int& running) {
        while (running > 0)
            waiter.wait(waiter.ticket(), Deadline::after(threads_.clock(), milliseconds(1)), {});
    };
    queue_.shut_down();
    queue_.drain(Deadline::after(threads_.clock(), kDrain), {});
    work_stop_.request_stop();
    channel_waiter_.notify();
    queue_waiter_.notify();
    join(working_);
    election_stop_.request_stop();
    election_waiter_.notify();
    join(electing_);
    around_.world.tell(around_.name, "ends");
    end_here();
}

void OperatorProcess::work() {
    worker_ = Fiber::current();
    while (const auto key = queue_.get(work_stop_.get_token())) {
        around_.world.count("reconciles");
        auto next = reconciler_.reconcile(*ClusterKey::parse(*key));
        if (!next) {
            queue_.add_rate_limited(*key);
        } else {
            queue_.forget(*key);
            const bool now = *next == Duration::zero();
            if (*next != Duration::max())
                queue_.add_after(*key, *next, now ? kube::kUrgent : kube::kNormal);
        }
        queue_.done(*key);
    }
}

}  // namespace matriarch::sim
