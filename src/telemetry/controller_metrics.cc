#include "telemetry/controller_metrics.h"

#include <sys/resource.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace matriarch::telemetry {

namespace {

// The buckets of controller-runtime's reconcile histogram.
const std::vector<double> kReconcileBuckets = {
    0.005, 0.01, 0.025, 0.05, 0.1,  0.15, 0.2,  0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6,
    0.7,   0.8,  0.9,   1.0,  1.25, 1.5,  1.75, 2.0,  2.5, 3.0,  3.5, 4.0,  4.5, 5,
    6,     7,    8,     9,    10,   15,   20,   25,   30,  40,   50,  60};

Counter reconcile_total(Registry& registry, const std::string& controller, const char* result) {
    return registry.counter("controller_runtime_reconcile_total",
                            "Total number of reconciliations per controller",
                            {{"controller", controller}, {"result", result}});
}

std::vector<double> queue_buckets() {
    return exponential_buckets(10e-9, 10, 12);
}

// The part of /proc/self/stat after the command's name, which may hold blanks: field 3 is first.
std::vector<std::string> stat_fields() {
    std::ifstream file("/proc/self/stat");
    std::string text;
    std::getline(file, text);
    const auto end = text.rfind(')');
    std::vector<std::string> out;
    if (end == std::string::npos) return out;
    std::istringstream rest(text.substr(end + 1));
    for (std::string field; rest >> field;) out.push_back(field);
    return out;
}

double boot_time_seconds() {
    std::ifstream file("/proc/stat");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("btime ")) return strtod(line.c_str() + 6, nullptr);
    return 0;
}

double count_descriptors() {
    double out = 0;
    std::error_code error;
    for (auto it = std::filesystem::directory_iterator("/proc/self/fd", error);
         !error && it != std::filesystem::directory_iterator(); it.increment(error))
        ++out;
    // One of them is the directory being read.
    return out > 0 ? out - 1 : 0;
}

void collect_process(std::vector<Sample>& out) {
    const auto fields = stat_fields();
    // proc(5): fields 14 utime, 15 stime, 20 num_threads, 22 starttime, 23 vsize, 24 rss.
    const auto number = [&](std::size_t field) {
        return field - 3 < fields.size() ? strtod(fields[field - 3].c_str(), nullptr) : 0.0;
    };
    const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    static const double boot = boot_time_seconds();
    const auto gauge = [&](const char* name, const char* help, double value) {
        out.push_back({name, help, SampleType::Gauge, {}, value});
    };
    out.push_back({"process_cpu_seconds_total",
                   "Total user and system CPU time spent in seconds.",
                   SampleType::Counter,
                   {},
                   (number(14) + number(15)) / ticks});
    gauge("process_resident_memory_bytes", "Resident memory size in bytes.", number(24) * page);
    gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", number(23));
    gauge("process_threads", "Number of threads.", number(20));
    gauge("process_open_fds", "Number of open file descriptors.", count_descriptors());
    gauge("process_max_fds", "Maximum number of open file descriptors.",
          static_cast<double>(files.rlim_cur));
    gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
          boot + number(22) / ticks);
}

}  // namespace

ReconcileMetrics::ReconcileMetrics(Registry& registry, const std::string& controller,
                                   int max_concurrent_reconciles) {
    const Labels labels = {{"controller", controller}};
    success = reconcile_total(registry, controller, "success");
    error = reconcile_total(registry, controller, "error");
    requeue = reconcile_total(registry, controller, "requeue");
    requeue_after = reconcile_total(registry, controller, "requeue_after");
    errors = registry.counter("controller_runtime_reconcile_errors_total",
                              "Total number of reconciliation errors per controller", labels);
    terminal_errors =
        registry.counter("controller_runtime_terminal_reconcile_errors_total",
                         "Total number of terminal reconciliation errors per controller", labels);
    panics = registry.counter("controller_runtime_reconcile_panics_total",
                              "Total number of reconciliation panics per controller", labels);
    timeouts = registry.counter("controller_runtime_reconcile_timeouts_total",
                                "Total number of reconciliation timeouts per controller", labels);
    time_seconds = registry.histogram("controller_runtime_reconcile_time_seconds",
                                      "Length of time per reconciliation per controller",
                                      kReconcileBuckets, labels);
    max_concurrent =
        registry.gauge("controller_runtime_max_concurrent_reconciles",
                       "Maximum number of concurrent reconciles per controller", labels);
    max_concurrent.set(max_concurrent_reconciles);
    active_workers = registry.gauge("controller_runtime_active_workers",
                                    "Number of currently used workers per controller", labels);
}

WorkqueueMetrics::WorkqueueMetrics(Registry& registry, const std::string& name) {
    const Labels labels = {{"name", name}, {"controller", name}};
    depth = registry.gauge("workqueue_depth", "Current depth of workqueue",
                           {{"name", name}, {"controller", name}, {"priority", "0"}});
    adds = registry.counter("workqueue_adds_total", "Total number of adds handled by workqueue",
                            labels);
    retries = registry.counter("workqueue_retries_total",
                               "Total number of retries handled by workqueue", labels);
    queue_seconds =
        registry.histogram("workqueue_queue_duration_seconds",
                           "How long in seconds an item stays in workqueue before being requested",
                           queue_buckets(), labels);
    work_seconds =
        registry.histogram("workqueue_work_duration_seconds",
                           "How long in seconds processing an item takes", queue_buckets(), labels);
    unfinished_seconds = registry.gauge(
        "workqueue_unfinished_work_seconds",
        "How many seconds of work are in progress and not yet observed by work_duration", labels);
    longest_running_seconds =
        registry.gauge("workqueue_longest_running_processor_seconds",
                       "How many seconds the longest running processor has been running", labels);
}

RestClientMetrics::RestClientMetrics(Registry& registry, const std::string& host)
    : registry_(registry), host_(host) {
    for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"})
        for (const char* code : {"200", "<error>"})
            registry_.counter(
                "rest_client_requests_total",
                "Number of HTTP requests, partitioned by status code, method, and host",
                {{"code", code}, {"method", method}, {"host", host_}});
}

void RestClientMetrics::record(int code, const std::string& method, Duration took) const {
    registry_
        .counter("rest_client_requests_total",
                 "Number of HTTP requests, partitioned by status code, method, and host",
                 {{"code", code == 0 ? "<error>" : std::to_string(code)},
                  {"method", method},
                  {"host", host_}})
        .increment();
    // The buckets of client-go's component-base metric.
    registry_
        .histogram("rest_client_request_duration_seconds",
                   "Request latency in seconds, broken down by verb and host",
                   {0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60},
                   {{"verb", method}, {"host", host_}})
        .observe(std::chrono::duration<double>(took).count());
}

LeaderElectionMetrics::LeaderElectionMetrics(Registry& registry, const std::string& lease_name)
    : status(registry.gauge("leader_election_master_status",
                            "1 if this process leads by the Lease of that name, otherwise 0",
                            {{"name", lease_name}})) {}

CertificateMetrics::CertificateMetrics(Registry& registry)
    : reads(registry.counter("certwatcher_read_certificate_total",
                             "Total number of certificate reads")),
      errors(registry.counter("certwatcher_read_certificate_errors_total",
                              "Total number of certificate read errors")) {}

void add_process_metrics(Registry& registry) {
    registry.add_collector(collect_process);
}

}  // namespace matriarch::telemetry
