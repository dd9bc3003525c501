#include "operator/controller.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/memory.h"
#include "kube/client.h"
#include "kube/cpprest_transport.h"
#include "kube/events.h"
#include "kube/leader_election.h"
#include "kube/work_queue.h"
#include "net/router.h"
#include "net/server.h"
#include "operator/agent_channel.h"
#include "operator/caches.h"
#include "operator/external_prober.h"
#include "operator/health_api.h"
#include "operator/health_certificate.h"
#include "operator/health_server.h"
#include "operator/health_source.h"
#include "operator/https_wire.h"
#include "operator/listen.h"
#include "operator/pool_source.h"
#include "operator/reconciler.h"
#include "telemetry/controller_metrics.h"
#include "telemetry/health.h"
#include "telemetry/http_endpoints.h"
#include "telemetry/log.h"

namespace matriarch::op {

namespace log = telemetry::log;

namespace {

constexpr Duration kCalmLook = seconds(1);  // figures moved: look again, not at once
constexpr Duration kDrain = seconds(10);
constexpr Duration kReadAgain = milliseconds(20);  // whether the caches are read by now
// What reading everything once has left free: soon, and now and then.
constexpr Duration kGiveBackSoon = seconds(60), kGiveBackAgain = seconds(600);
constexpr int kLostLeadership = 3;  // exit code

kube::ElectionOptions election_options(const Options& options, Random& random) {
    kube::ElectionOptions out;
    out.lease = {options.lease_namespace, options.lease_name};
    out.identity = kube::make_identity(random);
    return out;
}

void warn(const Error& error) {
    log::warn("kubernetes", {{"kind", to_string(error.kind)}, {"why", error.message()}});
}

Result<std::unique_ptr<net::HttpServer>> listen(const std::string& address, net::Router& router,
                                                const Clock& clock) {
    return net::HttpServer::start(listen_on(address), router.handler(), clock);
}

}  // namespace

struct Controller::Impl {
    Impl(const Options& options_, kube::CredentialSource& credentials, const Clock& clock_,
         Random& random_)
        : options(options_),
          clock(clock_),
          random(random_),
          transport(credentials, clock),
          rest_metrics(registry, "kubernetes"),
          client(transport, clock,
                 [this](const kube::RequestReport& r) {
                     rest_metrics.record(r.code, std::string(r.method), r.took);
                 }),
          queue_waiter(clock),
          queue(clock, queue_waiter),
          channel_waiter(clock),
          wire(clock, random),
          agents(
              wire, clock, channel_waiter,
              [this](const ClusterKey& key, bool urgent) { news(key, urgent); },
              [this] { return election.leadership().valid_until; }),
          events_waiter(clock),
          events(client, clock, random, events_waiter, event_options(options_)),
          election_waiter(clock),
          watch_waiter(clock),
          election(
              client, clock, random, election_waiter, election_options(options_, random),
              [this](const kube::Leadership& l) { leadership_changed(l); }, warn),
          cluster_metrics(registry),
          prober(clock, [this](const ClusterKey& key, bool urgent) { news(key, urgent); }),
          reconciler(
              {client, caches, agents, wire, events, cluster_metrics, clock, random,
               [this] { return election.leadership(); },
               [this](Term term) { election.raise_term(term.value); },
               [this](const ClusterKey& key) { queue.add(key.str(), kube::kUrgent); }, &prober},
              AgentImage{options_.image, options_.image_pull_policy}, options_.cluster_domain),
          reconcile_metrics(registry, "postgrescluster", options_.max_concurrent),
          queue_metrics(registry, "postgrescluster"),
          election_metrics(registry, options_.lease_name),
          healthz("healthz"),
          readyz("readyz"),
          reviews(client),
          health_source(caches, cluster_metrics, clock),
          pool_source(caches, clock),
          health_api(
              {reviews, [this] { return health_source.clusters(); },
               [this](const ClusterKey& key) { return health_source.facts(key); },
               [this](const ClusterKey& key, const auto& routes) {
                   return pool_source.pools(key, routes);
               },
               [this](const auto& endpoints) { return health_source.test(endpoints); }, clock},
              options_.health_api.rate, options_.health_api.anonymous),
          health_certificate(options_.health_api, options_.lease_namespace, options_.cluster_domain,
                             client, clock, random) {
        telemetry::add_process_metrics(registry);
        const auto changed = [this](const ClusterKey& key) { queue.add(key.str()); };
        auto namespaces = options.watch_namespaces;
        if (namespaces.empty()) namespaces.push_back("");
        for (const auto& ns : namespaces)
            caches.push_back(std::make_unique<Caches>(ns, changed, warn));
        healthz.add("leader-election", [this]() -> Status {
            if (election.healthy(seconds(20))) return {};
            return make_error(ErrorKind::Unavailable, "the election thread is stuck");
        });
        readyz.add("caches", [this]() -> Status {
            if (synced()) return {};
            return make_error(ErrorKind::Unavailable, "caches are not read yet");
        });
        telemetry::mount_metrics(metrics_router, registry);
        telemetry::mount_health(health_router, healthz);
        telemetry::mount_health(health_router, readyz);
    }

    static kube::EventOptions event_options(const Options& options) {
        kube::EventOptions out;
        out.instance = options.pod_name.empty() ? "matriarch-operator" : options.pod_name;
        return out;
    }

    bool synced() const {
        return std::all_of(caches.begin(), caches.end(), [](auto& set) { return set->synced(); });
    }

    void news(const ClusterKey& key, bool urgent) {
        if (urgent)
            queue.add(key.str(), kube::kUrgent);
        else
            queue.add_after(key.str(), kCalmLook);
    }

    void leadership_changed(const kube::Leadership& now) {
        log::info(now.leading ? "leads" : "stands by",
                  {{"term", now.term}, {"holder", now.holder}});
        election_metrics.set_leader(now.leading);
        agents.set_leadership(Term(now.term), now.holder, now.leading);
        if (now.leading) {
            for (const auto& set : caches)
                for (const auto& cluster : set->clusters.all())
                    queue.add(cluster->key.str(), kube::kNormal);
        } else if (was_leader && !stopping) {
            // Another may lead by now; whatever a worker still holds must not be written.
            log::error("leadership was lost, ends at once");
            ::_exit(kLostLeadership);
        }
        was_leader = now.leading;
    }

    void work(std::stop_token stop) {
        while (const auto key = queue.get(stop)) {
            reconcile(*key);
            queue.done(*key);
        }
    }

    void reconcile(const std::string& key) {
        const auto cluster = ClusterKey::parse(key);
        if (!cluster) return;
        const log::Scope scope({{"reconcile_id", random.hex(4)}});
        const TimePoint began = clock.now();
        reconcile_metrics.active_workers.add(1);
        Result<Duration> next = Error{};
        try {
            next = reconciler.reconcile(*cluster);
        } catch (const std::exception& e) {
            reconcile_metrics.panics.increment();
            next = make_error(ErrorKind::Bug, "reconcile threw", e.what());
        }
        reconcile_metrics.active_workers.add(-1);
        reconcile_metrics.time_seconds.observe(
            std::chrono::duration<double>(clock.now() - began).count());
        if (!next) {
            reconcile_metrics.error.increment();
            reconcile_metrics.errors.increment();
            log::warn("reconcile failed", {{"cluster", key}, {"why", next.error().message()}});
            queue.add_rate_limited(key);
            return;
        }
        queue.forget(key);
        if (*next == Duration::max()) {
            reconcile_metrics.success.increment();
        } else {
            reconcile_metrics.requeue_after.increment();
            queue.add_after(key, *next, *next == Duration::zero() ? kube::kUrgent : kube::kNormal);
        }
    }

    // Figures of the queue, read when somebody asks.
    void add_queue_collector() {
        registry.add_collector([this](std::vector<telemetry::Sample>&) {
            const auto stats = queue.stats();
            queue_metrics.depth.set(static_cast<double>(stats.depth));
        });
    }

    Status run(std::stop_token stop) {
        auto metrics_server = listen(options.metrics_address, metrics_router, clock);
        if (!metrics_server) return metrics_server.error();
        auto health_server = listen(options.health_address, health_router, clock);
        if (!health_server) return health_server.error();
        std::unique_ptr<HealthServer> health_api_server;
        if (!options.health_api.address.empty()) {
            auto started =
                HealthServer::start(options.health_api.address, health_certificate.source(),
                                    health_api, registry, clock);
            if (!started) return started.error();
            health_api_server = std::move(*started);
        }
        add_queue_collector();

        std::stop_source cache_stop, work_stop, event_stop, election_stop;
        std::jthread certifying;
        if (health_api_server)
            certifying = std::jthread([&](std::stop_token s) { health_certificate.keep(s); });
        std::vector<std::jthread> watching;
        for (auto& set : caches)
            watching.emplace_back([&] { set->run(client, clock, random, cache_stop.get_token()); });
        std::jthread telling([&] { events.run(event_stop.get_token()); });
        std::jthread polling([&] { agents.run(work_stop.get_token()); });
        std::vector<std::jthread> working;
        for (int i = 0; i < options.max_concurrent; ++i)
            working.emplace_back([&] { work(work_stop.get_token()); });
        std::jthread electing([&] {
            // One that knows nothing yet can't lead: it would only keep another from it.
            const std::stop_token stopped = election_stop.get_token();
            kube::ThreadWaiter unread(clock);
            while (!stopped.stop_requested() && !synced())
                unread.sleep(clock, Deadline::after(clock, kReadAgain), stopped);
            if (synced()) log::info("ready");
            election.run(stopped);
        });
        std::jthread standing_by([&] { election.watch(election_stop.get_token(), watch_waiter); });

        kube::ThreadWaiter waiter(clock);
        for (Duration wait = kGiveBackSoon; !stop.stop_requested(); wait = kGiveBackAgain) {
            waiter.wait(waiter.ticket(), Deadline::after(clock, wait), stop);
            give_back_memory();
        }

        log::info("stops");
        stopping = true;
        queue.shut_down();
        queue.drain(Deadline::after(clock, kDrain), {});
        work_stop.request_stop();
        for (auto& thread : working) thread.join();
        polling.join();
        wire.stop();
        cache_stop.request_stop();
        for (auto& thread : watching) thread.join();
        event_stop.request_stop();
        telling.join();
        election_stop.request_stop();  // the lease is released last
        electing.join();
        standing_by.join();
        return {};
    }

    const Options options;
    const Clock& clock;
    Random& random;
    telemetry::Registry registry;
    kube::CpprestTransport transport;
    telemetry::RestClientMetrics rest_metrics;
    kube::Client client;
    kube::ThreadWaiter queue_waiter;
    kube::WorkQueue queue;
    kube::ThreadWaiter channel_waiter;
    HttpsWire wire;
    AgentChannel agents;
    kube::ThreadWaiter events_waiter;
    kube::EventRecorder events;
    kube::ThreadWaiter election_waiter, watch_waiter;
    kube::LeaderElection election;
    std::vector<std::unique_ptr<Caches>> caches;
    ClusterMetrics cluster_metrics;
    ExternalProber prober;
    Reconciler reconciler;
    telemetry::ReconcileMetrics reconcile_metrics;
    telemetry::WorkqueueMetrics queue_metrics;
    telemetry::LeaderElectionMetrics election_metrics;
    telemetry::HealthChecks healthz, readyz;
    net::Router metrics_router, health_router;
    KubeReviews reviews;
    HealthSource health_source;
    PoolSource pool_source;
    HealthApi health_api;
    HealthCertificate health_certificate;
    std::atomic<bool> was_leader{false}, stopping{false};
};

Controller::Controller(const Options& options, kube::CredentialSource& credentials,
                       const Clock& clock, Random& random)
    : impl_(std::make_unique<Impl>(options, credentials, clock, random)) {}

Controller::~Controller() = default;

Status Controller::run(std::stop_token stop) {
    return impl_->run(stop);
}

}  // namespace matriarch::op
