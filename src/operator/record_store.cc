#include "operator/record_store.h"

#include <nlohmann/json.hpp>

#include "base/mutant.h"
#include "kube/objects.h"
#include "operator/names.h"
#include "operator/object_meta.h"

namespace matriarch::op {
namespace {

// A record is one small object: an API server that needs longer is not there.
const kube::Call kCall{.timeout = seconds(5)};

kube::ObjectKey lease_key(const Cluster& cluster) {
    return {cluster.key.name_space, lease_name(cluster.key.name)};
}

}  // namespace

Result<std::optional<AuthorityRecord>> RecordStore::read(const Cluster& cluster) {
    auto lease = client_.get(kube::kLeases, lease_key(cluster), kCall);
    if (!lease) {
        if (lease.error().kind == ErrorKind::NotFound) return std::optional<AuthorityRecord>();
        return lease.error();
    }
    auto record = record_from_lease(*lease);
    if (!record) return record.error();
    return std::optional(std::move(*record));
}

Result<AuthorityRecord> RecordStore::write(const Cluster& cluster, const AuthorityRecord& record) {
    auto lease = owned_object(cluster, kube::kLeases, lease_name(cluster.key.name),
                              cluster_labels(cluster.key.name));
    record_to_lease(record, lease);
    if (mutant("record_without_cas"))
        if (const auto there = read(cluster); there && *there)
            lease["metadata"]["resourceVersion"] = (*there)->version.value;
    auto stored = record.version.empty() ? client_.create(kube::kLeases, lease, kCall)
                                         : client_.update(kube::kLeases, lease, kCall);
    if (!stored) return settle(cluster, record, stored.error());
    return record_from_lease(*stored);
}

Result<AuthorityRecord> RecordStore::settle(const Cluster& cluster, const AuthorityRecord& wanted,
                                            const Error& error) {
    const bool in_doubt = error.kind == ErrorKind::OutcomeUnknown ||
                          error.kind == ErrorKind::Timeout || error.kind == ErrorKind::Conflict ||
                          error.kind == ErrorKind::AlreadyExists;
    if (!in_doubt) return error;
    auto there = read(cluster);
    if (!there || !*there) return error;
    AuthorityRecord compared = wanted;
    compared.version = (*there)->version;
    if (compared == **there) return compared;
    return error;
}

}  // namespace matriarch::op
