// matriarch-operator: flags, signals, exit codes.
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <thread>

#include "base/clock.h"
#include "base/random.h"
#include "kube/cpprest_transport.h"
#include "kube/credentials.h"
#include "operator/check.h"
#include "operator/controller.h"
#include "telemetry/log.h"

namespace {

using namespace matriarch;
namespace log = telemetry::log;

// Where a network is cut, each agent takes several sockets (net/connect_race.h). The soft limit is
// often 1,024 for the sake of select(2), which nothing here uses.
void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

// All threads inherit the mask; one waits. The second signal ends the process at once.
void stop_on_signals(std::stop_source& source) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::thread([signals, source]() mutable {
        int got = 0;
        sigwait(&signals, &got);
        source.request_stop();
        sigwait(&signals, &got);
        ::_exit(1);
    }).detach();
}

int fail(const Error& error) {
    log::error(error.message());
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    kube::prepare_process();
    op::Options options;
    CLI::App app{"Matriarch: keeps PostgreSQL master/slave topologies alive on Kubernetes."};
    app.add_option("--watch-namespaces", options.watch_namespaces,
                   "namespaces to watch, comma-separated; none: all")
        ->delimiter(',');
    app.add_option("--leader-election-namespace", options.lease_namespace,
                   "where the leader's Lease is")
        ->envname("POD_NAMESPACE");
    app.add_option("--leader-election-name", options.lease_name, "name of that Lease");
    app.add_option("--image", options.image, "this operator's own image: agents come from it");
    app.add_option("--image-pull-policy", options.image_pull_policy, "of that image in pods");
    app.add_option("--metrics-address", options.metrics_address, "ADDRESS:PORT of /metrics");
    app.add_option("--health-address", options.health_address, "ADDRESS:PORT of /healthz, /readyz");
    auto& health = options.health_api;
    app.add_option("--health-api-address", health.address,
                   "ADDRESS:PORT of the health API of the clusters, by HTTPS; none: not served");
    app.add_option("--health-api-service", health.service,
                   "its Service: the certificate's names, and its Secrets -ca and -tls");
    app.add_option("--health-api-tls", health.tls_directory,
                   "folder with its tls.crt and tls.key; none: the operator issues its own");
    app.add_flag("--health-api-anonymous", health.anonymous,
                 "let anybody see /health/database and /api/v2/database/health");
    app.add_option("--health-api-rate", health.rate.per_second, "requests a second of each caller")
        ->check(CLI::Range(0.1, 10000.0));
    app.add_option("--health-api-burst", health.rate.burst, "requests of a caller at once")
        ->check(CLI::Range(1.0, 10000.0));
    app.add_option("--kubeconfig", options.kubeconfig, "default: in-cluster, or KUBECONFIG");
    app.add_option("--context", options.context, "context of the kubeconfig");
    app.add_option("--cluster-domain", options.cluster_domain, "DNS domain of the cluster");
    app.add_option("--log-format", options.log_format, "json or console");
    app.add_option("--log-level", options.log_level, "debug, info, warn, error");
    app.add_option("--max-concurrent-reconciles", options.max_concurrent, "clusters at a time")
        ->check(CLI::Range(1, 64));
    app.add_option("--pod-name", options.pod_name, "reported in events")->envname("POD_NAME");
    auto* check = app.add_subcommand("check", "verify API access, rights and the CRD, then exit");
    app.set_version_flag("--version", MATRIARCH_VERSION);
    CLI11_PARSE(app, argc, argv);

    const auto level = log::parse_level(options.log_level);
    if (!level) return fail(level.error());
    const auto format = log::parse_format(options.log_format);
    if (!format) return fail(format.error());
    log::configure({*level, *format, {}, nullptr});

    raise_descriptor_limit();
    std::stop_source source;
    stop_on_signals(source);
    SystemClock clock;
    SystemRandom random;
    auto credentials = kube::find_credentials(kube::Surroundings::of_process(),
                                              {options.kubeconfig, options.context}, clock);
    if (!credentials) return fail(credentials.error());
    if (check->parsed()) return op::check(options, **credentials, clock);
    op::Controller controller(options, **credentials, clock, random);
    log::info("starts", {{"version", MATRIARCH_VERSION}});
    if (auto ran = controller.run(source.get_token()); !ran) return fail(ran.error());
    return 0;
}
