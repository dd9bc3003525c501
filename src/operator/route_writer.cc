#include "operator/route_writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "operator/names.h"
#include "operator/object_writer.h"

namespace matriarch::op {
namespace {

// The order in which consumers need them.
int rank(const Cluster& cluster, const ObjectWrite& write) {
    if (write.name == master_service(cluster.key.name)) return 0;
    return write.resource.plural == kube::kConfigMaps.plural ? 1 : 2;
}

}  // namespace

Status RouteWriter::publish(const Cluster& cluster, const Caches& caches, const Routes& routes) {
    auto provision = provision_routes(cluster, routes, held_in(caches, cluster.key));
    if (!provision.conflicts.empty())
        return make_error(ErrorKind::Invalid, provision.conflicts.front().message());
    std::stable_sort(
        provision.writes.begin(), provision.writes.end(),
        [&](const auto& a, const auto& b) { return rank(cluster, a) < rank(cluster, b); });
    for (const auto& write : provision.writes)
        if (auto done = execute(client_, cluster.key, write); !done) return done;
    return {};
}

}  // namespace matriarch::op
