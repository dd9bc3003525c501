// What a pooler shows in /metrics: its pools as last asked, and how fast it follows the routes.
//
// `note` replaces the snapshot that the collector reads, so nobody who asks waits for PgBouncer.
// Safe from any thread.
#pragma once

#include <mutex>

#include "pooler/console.h"
#include "telemetry/metrics.h"

namespace matriarch::pooler {

class PoolMetrics {
  public:
    // `pool_size` of PgBouncer's settings is read from them. Adds itself to the registry.
    PoolMetrics(telemetry::Registry& registry, telemetry::Labels labels);
    PoolMetrics(const PoolMetrics&) = delete;
    PoolMetrics& operator=(const PoolMetrics&) = delete;

    void note(Pools pools, ServerPools servers, int pool_size, bool holding);
    // For GET /pools.
    ServerPools servers() const;
    telemetry::Histogram followed;  // seconds
    telemetry::Histogram held;      // seconds

  private:
    void collect(std::vector<telemetry::Sample>& out) const;

    const telemetry::Labels labels_;
    mutable std::mutex mutex_;
    Pools pools_;  // guarded by mutex_, as the next
    ServerPools servers_;
    int pool_size_ = 0;
    bool holding_ = false;
};

// default_pool_size of the settings; PgBouncer's own default where they have none.
int pool_size_in(const std::string& settings);

}  // namespace matriarch::pooler
