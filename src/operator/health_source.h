// HealthSource: what an operator knows of the clusters' health, without asking anybody.
//
// On the leader that is its last look at a cluster, at most a second old while its agents answer;
// on a standby, and where the leader has not looked yet, what is published in status and routes. So
// both answer, and a change of leader interrupts nothing. Any thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "operator/caches.h"
#include "operator/cluster_metrics.h"
#include "operator/health_view.h"

namespace matriarch::op {

class HealthSource {
  public:
    HealthSource(const std::vector<std::unique_ptr<Caches>>& caches, const ClusterMetrics& looks,
                 const Clock& clock)
        : caches_(caches), looks_(looks), clock_(clock) {}

    std::vector<ClusterKey> clusters() const;
    std::optional<HealthFacts> facts(const ClusterKey& cluster) const;
    // Knocks at all of them at once, with a deadline; nothing else is ever connected to.
    std::vector<Result<Duration>> test(const std::vector<TestedEndpoint>& endpoints) const;

  private:
    const std::vector<std::unique_ptr<Caches>>& caches_;
    const ClusterMetrics& looks_;
    const Clock& clock_;
};

}  // namespace matriarch::op
