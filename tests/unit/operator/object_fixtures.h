// A cluster "orders" in namespace "shop" with two slaves, its routes, and time and randomness that
// the test owns.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "kube/objects.h"
#include "model/routes.h"
#include "operator/cluster.h"
#include "operator/instance_objects.h"
#include "operator/names.h"

namespace matriarch::op {

using Json = nlohmann::json;

inline Cluster orders_cluster(int slaves = 2) {
    Cluster out;
    out.key = {"shop", "orders"};
    out.uid = "cluster-uid";
    out.generation = 3;
    out.spec.slaves = slaves;
    return out;
}

inline InstanceName orders(int ordinal) {
    return instance_name("orders", ordinal);
}

inline const AgentImage kAgent{"registry.example/matriarch:1.0", "IfNotPresent"};

inline SlaveRoute slave_route(int position, RouteState state = RouteState::Ready) {
    SlaveRoute out;
    const int ordinal = position + 1;
    out.position = position;
    out.instance = orders(ordinal);
    out.pod = PodUid("pod-" + std::to_string(ordinal));
    out.host = host_of({"shop", "orders"}, out.instance);
    out.address = "10.0.0." + std::to_string(ordinal);
    out.state = state;
    out.weight = 100;
    return out;
}

inline Routes orders_routes() {
    Routes out;
    out.epoch = Epoch(4);
    out.sequence = 7;
    out.timeline = Timeline(4);
    out.master =
        MasterRoute{orders(1), PodUid("pod-1"), host_of({"shop", "orders"}, orders(1)), "10.0.0.1"};
    out.slaves = {slave_route(1), slave_route(2)};
    return out;
}

// What a cache would hold after `object` was written: with a uid, and the cluster as its owner.
inline kube::Meta stored(Json object, const std::string& uid = "uid") {
    object["metadata"]["uid"] = uid;
    object["metadata"]["resourceVersion"] = "17";
    return kube::decode_meta(object).value();
}

class FixedClock final : public Clock {
  public:
    TimePoint now() const override { return TimePoint(wall_.time_since_epoch()); }
    WallTime wall() const override { return wall_; }
    void advance(Duration by) { wall_ += std::chrono::duration_cast<WallTime::duration>(by); }

  private:
    WallTime wall_ = WallTime(std::chrono::hours(24 * 365 * 56));
};

class CountingRandom final : public Random {
  public:
    std::uint64_t next() override {
        return state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    }

  private:
    std::uint64_t state_ = 1;
};

}  // namespace matriarch::op
