// What the operator shows of each cluster in its metrics: under the names that applications know
// (db_replica_*, postgresql_replica_*), and the state of conditions and of the last change of
// master.
//
// A snapshot per cluster, replaced at each look and read when somebody asks, so that the series of
// an instance or a cluster that is gone end by themselves. Only the leader looks. Safe from any
// thread.
#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "model/routes.h"
#include "operator/status.h"
#include "telemetry/metrics.h"

namespace matriarch::op {

class ClusterMetrics {
  public:
    // Adds itself to the registry, which must not be asked after this is gone.
    explicit ClusterMetrics(telemetry::Registry& registry);
    ClusterMetrics(const ClusterMetrics&) = delete;
    ClusterMetrics& operator=(const ClusterMetrics&) = delete;

    void show(const ClusterKey& cluster, const ClusterStatus& status,
              const std::optional<Routes>& routes);
    void forget(const ClusterKey& cluster);

    struct Shown {
        ClusterStatus status;  // without texts for people: figures, roles and states alone
        std::optional<Routes> routes;
    };
    // The last look at it: nothing on a standby.
    std::optional<Shown> shown(const ClusterKey& cluster) const;

  private:
    void collect(std::vector<telemetry::Sample>& out) const;

    mutable std::mutex mutex_;
    std::map<ClusterKey, Shown> shown_;  // guarded by mutex_
};

}  // namespace matriarch::op
