// PoolSource: the figures of a cluster's poolers, asked when somebody wants them.
//
// One request to each pooler that takes clients, all at once; who does not answer in a moment is
// left out. Blocks for that moment; any thread.
#pragma once

#include <memory>
#include <vector>

#include "base/clock.h"
#include "model/server_pools.h"
#include "net/client.h"
#include "operator/caches.h"
#include "operator/health_view.h"

namespace matriarch::op {

class PoolSource {
  public:
    PoolSource(const std::vector<std::unique_ptr<Caches>>& caches, const Clock& clock);

    // By instance, as HealthFacts has them; empty without poolers.
    std::map<std::string, PoolFigures> pools(const ClusterKey& cluster,
                                             const std::optional<Routes>& routes);

  private:
    const std::vector<std::unique_ptr<Caches>>& caches_;
    const Clock& clock_;
    net::HttpClient client_;
};

// Of the instances that these routes name.
std::map<std::string, PoolFigures> by_instance(const ServerPools& pools, const Routes& routes);

}  // namespace matriarch::op
