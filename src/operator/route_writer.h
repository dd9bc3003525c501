// RouteWriter: publishes Routes in the ConfigMap and the EndpointSlices of a cluster.
//
// Each object is written by compare-and-swap after comparing (epoch, sequence), never by force: an
// operator that was paused can't put an old answer back (INV-4). The master's EndpointSlice goes
// first, since connections wait for it; then the ConfigMap, which is the answer that counts; then
// the other slices. Only what differs is written, so publishing again repairs a publication that
// was cut short. Blocks; one worker at a time per cluster.
//
// kube-proxy begins no change within a second after it applied another (1.34, minSyncPeriod), of
// whatever Service. So while there is no master only the master's slice is written at once: the
// next change must be the one that ends the outage. The other slices follow by mend().
#pragma once

#include "kube/client.h"
#include "model/routes.h"
#include "operator/caches.h"
#include "operator/cluster.h"

namespace matriarch::op {

class RouteWriter {
  public:
    explicit RouteWriter(kube::Client& client) : client_(client) {}

    // Conflict: an object moved on, observe again. Invalid: one belongs to someone else.
    Status publish(const Cluster& cluster, const Caches& caches, const Routes& routes);
    // All of what was published before. `mended` says what all was compared with the last
    // time; while nothing of that changes, nothing is compared again.
    Status mend(const Cluster& cluster, const Caches& caches, const Routes& routes,
                std::string& mended);

  private:
    enum class Scope { Urgent, All };
    Status write(const Cluster& cluster, const Caches& caches, const Routes& routes, Scope scope);

    kube::Client& client_;
};

}  // namespace matriarch::op
