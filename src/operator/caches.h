// Caches: what the operator knows of the Kubernetes API without asking. One set per watched
// namespace (or one for all of them), each kind with a watcher and a thread of its own.
//
// Everything but clusters is selected by the label matriarch.dev/cluster, so foreign objects cost
// nothing. Written by the watchers' threads, read by any. Absence means something only once
// synced().
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/objects.h"
#include "kube/waiter.h"
#include "kube/watcher.h"
#include "model/record.h"
#include "operator/cluster.h"

namespace matriarch::op {

// The Lease of a cluster: a record, or why it is none.
struct RecordView : kube::Meta {
    std::optional<AuthorityRecord> record;
    std::string trouble;
};

class Caches {
  public:
    // Something about this cluster changed.
    using OnChange = std::function<void(const ClusterKey& cluster)>;
    using OnError = std::function<void(const Error& error)>;

    Caches(std::string name_space, OnChange on_change, OnError on_error);

    kube::Cache<Cluster> clusters;
    kube::Cache<kube::StatefulSet> stateful_sets;
    kube::Cache<kube::Pod> pods;
    kube::Cache<kube::Claim> claims;
    kube::Cache<kube::Service> services;
    kube::Cache<kube::EndpointSlice> endpoint_slices;
    kube::Cache<kube::ConfigMap> config_maps;
    kube::Cache<kube::Secret> secrets;
    kube::Cache<RecordView> records;

    const std::string& name_space() const { return name_space_; }  // empty: all
    bool synced() const;

    // Watches until stopped; returns when all watchers have ended.
    void run(kube::Client& client, const Clock& clock, Random& random, std::stop_token stop);

    // All of a cluster's objects of one kind.
    template <class T>
    static std::vector<std::shared_ptr<const T>> of(const kube::Cache<T>& cache,
                                                    const ClusterKey& cluster) {
        return cache.find(kByCluster, cluster.str());
    }

  private:
    static constexpr char kByCluster[] = "cluster";

    template <class T>
    void prepare(kube::Cache<T>& cache);

    const std::string name_space_;
    const OnChange on_change_;
    const OnError on_error_;
};

}  // namespace matriarch::op
