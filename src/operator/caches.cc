#include "operator/caches.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "operator/names.h"

namespace matriarch::op {
namespace {

// Labels and annotations that something here reads from a cached object. All of them would take
// more memory than the rest of the objects together.
constexpr std::array kReadHere = {
    kClusterLabel,
    kInstanceLabel,
    kRoleLabel,
    kManagedByLabel,
    std::string_view("app.kubernetes.io/component"),
    kContentHashAnnotation,
    kClaimAnnotation,
    kStampAnnotation,
    kAddressTypeAnnotation,
    kRestartHashAnnotation,
};

void keep_what_is_read(kube::Meta& object) {
    const auto unread = [](const auto& entry) {
        return std::find(kReadHere.begin(), kReadHere.end(), entry.first) == kReadHere.end();
    };
    std::erase_if(object.labels, unread);
    std::erase_if(object.annotations, unread);
    object.finalizers = {};
}

template <class T>
typename kube::Cache<T>::Decode slim(Result<T> (*decode)(const nlohmann::json& object)) {
    return [decode](const nlohmann::json& object) {
        Result<T> out = decode(object);
        if (out) keep_what_is_read(*out);
        return out;
    };
}

// Where routes are published the keys of applications repeat them, in ten times the memory.
Result<kube::ConfigMap> decode_config_map(const nlohmann::json& object) {
    auto map = kube::decode_config_map(object);
    if (map && map->name == routing_config_map(map->label(std::string(kClusterLabel))))
        std::erase_if(map->data, [](const auto& entry) { return entry.first != "routes.json"; });
    return map;
}

Result<RecordView> decode_record(const nlohmann::json& object) {
    auto meta = kube::decode_meta(object);
    if (!meta) return meta.error();
    RecordView view;
    static_cast<kube::Meta&>(view) = std::move(*meta);
    auto record = record_from_lease(object);
    if (record)
        view.record = std::move(*record);
    else
        view.trouble = "Lease " + view.name + ": " + record.error().message();
    return view;
}

std::optional<ClusterKey> cluster_of(const kube::Meta& object) {
    const std::string& name = object.label(std::string(kClusterLabel));
    if (name.empty()) return {};
    return ClusterKey{object.ns, name};
}

}  // namespace

template <class T>
void Caches::prepare(kube::Cache<T>& cache) {
    cache.add_index(kByCluster, [](const T& object) -> std::vector<std::string> {
        const auto key = cluster_of(object);
        return key ? std::vector{key->str()} : std::vector<std::string>{};
    });
    cache.on_change([this](const auto& before, const auto& after) {
        const auto key = cluster_of(after ? *after : *before);
        if (key) on_change_(*key);
    });
}

Caches::Caches(std::string name_space, OnChange on_change, OnError on_error)
    : clusters(decode_cluster, [on_error](const auto&, const Error& e) { on_error(e); }),
      stateful_sets(slim(kube::decode_stateful_set)),
      pods(slim(kube::decode_pod)),
      claims(slim(kube::decode_claim)),
      services(slim(kube::decode_service)),
      endpoint_slices(slim(kube::decode_endpoint_slice)),
      config_maps(slim(decode_config_map)),
      secrets(slim(kube::decode_secret)),
      records(slim(decode_record)),
      name_space_(std::move(name_space)),
      on_change_(std::move(on_change)),
      on_error_(std::move(on_error)) {
    clusters.on_change([this](const auto& before, const auto& after) {
        on_change_(after ? after->key : before->key);
    });
    prepare(stateful_sets);
    prepare(pods);
    prepare(claims);
    prepare(services);
    prepare(endpoint_slices);
    prepare(config_maps);
    prepare(secrets);
    prepare(records);
}

bool Caches::synced() const {
    return clusters.synced() && stateful_sets.synced() && pods.synced() && claims.synced() &&
           services.synced() && endpoint_slices.synced() && config_maps.synced() &&
           secrets.synced() && records.synced();
}

void Caches::run(kube::Client& client, const Clock& clock, Random& random, std::stop_token stop) {
    // The first thing that a half-made installation lacks.
    const auto remedy = [this](const Error& error) {
        Error told = error;
        if (error.kind == ErrorKind::NotFound)
            told.what +=
                " (is the CRD postgresclusters.matriarch.dev installed? Helm value "
                "crds.enabled, or kubectl apply -f crds/)";
        on_error_(told);
    };
    const auto watch = [&](const kube::Resource& resource, kube::WatchSink& sink, bool ours) {
        return std::jthread([&, ours, stop] {
            kube::ThreadWaiter waiter(clock);
            kube::WatchTarget target{resource, name_space_};
            if (ours) target.label_selector = kClusterLabel;
            kube::Watcher(client, clock, random, waiter, target, sink, {}, remedy).run(stop);
        });
    };
    const std::jthread threads[] = {
        watch(kube::kPostgresClusters, clusters, false),
        watch(kube::kStatefulSets, stateful_sets, true),
        watch(kube::kPods, pods, true),
        watch(kube::kClaims, claims, true),
        watch(kube::kServices, services, true),
        watch(kube::kEndpointSlices, endpoint_slices, true),
        watch(kube::kConfigMaps, config_maps, true),
        watch(kube::kSecrets, secrets, true),
        watch(kube::kLeases, records, true),
    };
}

}  // namespace matriarch::op
