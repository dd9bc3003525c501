#include "operator/object_writer.h"

#include <nlohmann/json.hpp>

namespace matriarch::op {

HeldObjects held_in(const Caches& caches, const ClusterKey& cluster) {
    HeldObjects held;
    const auto add_all = [&](const kube::Resource& resource, const auto& cache) {
        for (const auto& object : Caches::of(cache, cluster)) held.add(resource, *object);
    };
    add_all(kube::kStatefulSets, caches.stateful_sets);
    add_all(kube::kServices, caches.services);
    add_all(kube::kEndpointSlices, caches.endpoint_slices);
    add_all(kube::kConfigMaps, caches.config_maps);
    for (const auto& claim : Caches::of(caches.claims, cluster)) held.add(*claim);
    for (const auto& secret : Caches::of(caches.secrets, cluster)) held.add(*secret);
    return held;
}

Status read_into(kube::Client& client, const kube::Resource& resource, const kube::ObjectKey& key,
                 HeldObjects& held) {
    const auto live = client.get(resource, key);
    if (!live) return live.error().kind == ErrorKind::NotFound ? Status() : live.error();
    const auto add = [&](auto decoded) -> Status {
        if (!decoded) return decoded.error();
        held.add(*decoded);
        return {};
    };
    if (resource.plural == kube::kClaims.plural) return add(kube::decode_claim(*live));
    if (resource.plural == kube::kSecrets.plural) return add(kube::decode_secret(*live));
    const auto meta = kube::decode_meta(*live);
    if (!meta) return meta.error();
    held.add(resource, *meta);
    return {};
}

bool blind(const ObjectWrite& write) {
    return write.kind == WriteKind::Create || (write.kind == WriteKind::Apply && write.uid.empty());
}

namespace {

Status send(kube::Client& client, const ClusterKey& cluster, const ObjectWrite& write) {
    const auto status = [](const Result<nlohmann::json>& result) {
        return result ? Status() : Status(result.error());
    };
    switch (write.kind) {
        case WriteKind::Create:
            return status(client.create(write.resource, *write.body));
        case WriteKind::Apply:
            return status(client.apply(write.resource, *write.body));
        case WriteKind::Replace:
            return status(client.update(write.resource, *write.body));
        case WriteKind::Delete: {
            auto gone =
                client.remove(write.resource, {cluster.name_space, write.name}, {.uid = write.uid});
            return !gone && gone.error().kind == ErrorKind::NotFound ? Status() : gone;
        }
    }
    return {};
}

}  // namespace

Status execute(kube::Client& client, const ClusterKey& cluster, const ObjectWrite& write) {
    auto sent = send(client, cluster, write);
    if (sent) return sent;
    Error error = sent.error();
    // Somebody was faster, or our own request was sent twice: the next look sees.
    if (error.kind == ErrorKind::AlreadyExists || error.kind == ErrorKind::OutcomeUnknown ||
        (error.kind == ErrorKind::NotFound && write.kind == WriteKind::Replace))
        error.kind = ErrorKind::Conflict;
    return error;
}

}  // namespace matriarch::op
