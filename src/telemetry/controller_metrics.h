// The metrics that every Kubernetes controller is expected to have, under their usual names.
//
// Dashboards and alerts for controller-runtime then work with Matriarch (its
// pkg/internal/controller/metrics and pkg/metrics have the names). Structs of handles, made once at
// the start with all known label sets at 0 and filled by the operator. Threads as in metrics.h.
#pragma once

#include <string>

#include "base/clock.h"
#include "telemetry/metrics.h"

namespace matriarch::telemetry {

// controller_runtime_*{controller}
struct ReconcileMetrics {
    ReconcileMetrics(Registry& registry, const std::string& controller, int max_concurrent);

    Counter success;          // controller_runtime_reconcile_total{result="success"}
    Counter error;            // …{result="error"}
    Counter requeue;          // …{result="requeue"}
    Counter requeue_after;    // …{result="requeue_after"}
    Counter errors;           // controller_runtime_reconcile_errors_total
    Counter terminal_errors;  // controller_runtime_terminal_reconcile_errors_total
    Counter panics;           // controller_runtime_reconcile_panics_total
    Counter timeouts;         // controller_runtime_reconcile_timeouts_total
    Histogram time_seconds;   // controller_runtime_reconcile_time_seconds
    Gauge max_concurrent;     // controller_runtime_max_concurrent_reconciles
    Gauge active_workers;     // controller_runtime_active_workers
};

// workqueue_*{name,controller}
struct WorkqueueMetrics {
    WorkqueueMetrics(Registry& registry, const std::string& name);

    Gauge depth;                    // workqueue_depth{priority="0"}
    Counter adds;                   // workqueue_adds_total
    Counter retries;                // workqueue_retries_total
    Histogram queue_seconds;        // workqueue_queue_duration_seconds
    Histogram work_seconds;         // workqueue_work_duration_seconds
    Gauge unfinished_seconds;       // workqueue_unfinished_work_seconds, set every 500 ms
    Gauge longest_running_seconds;  // workqueue_longest_running_processor_seconds, likewise
};

// rest_client_*: calls to the Kubernetes API.
class RestClientMetrics {
  public:
    RestClientMetrics(Registry& registry, const std::string& host);
    // `code` is the HTTP status, or 0 ("<error>") when there was no answer.
    void record(int code, const std::string& method, Duration took) const;

  private:
    Registry& registry_;
    std::string host_;
};

// leader_election_master_status{name}: 1 on the leader, else 0.
struct LeaderElectionMetrics {
    LeaderElectionMetrics(Registry& registry, const std::string& lease_name);
    void set_leader(bool leads) const { status.set(leads ? 1 : 0); }
    Gauge status;
};

// certwatcher_*: reads of mounted certificates.
struct CertificateMetrics {
    explicit CertificateMetrics(Registry& registry);
    Counter reads;   // certwatcher_read_certificate_total
    Counter errors;  // certwatcher_read_certificate_errors_total
};

// process_*: memory, CPU, file descriptors, threads and start time, read from /proc/self whenever
// somebody asks.
void add_process_metrics(Registry& registry);

}  // namespace matriarch::telemetry
