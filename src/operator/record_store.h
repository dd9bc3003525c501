// The authority record's way to the Kubernetes API: read live, create, compare-and-swap.
//
// An answer that was lost, and a Conflict that our own re-sent request caused, are settled by
// reading back: a record with our content is our success (INV-9; the epoch's random id is the
// nonce). Blocks; any thread.
#pragma once

#include "kube/client.h"
#include "model/record.h"
#include "operator/cluster.h"

namespace matriarch::op {

class RecordStore {
  public:
    explicit RecordStore(kube::Client& client) : client_(client) {}

    // Nothing if there is no Lease. Invalid if there is one that is no record of this cluster.
    Result<std::optional<AuthorityRecord>> read(const Cluster& cluster);

    // Creates (empty version) or swaps. The stored record with its new version; Conflict or
    // AlreadyExists if another was there: observe again.
    Result<AuthorityRecord> write(const Cluster& cluster, const AuthorityRecord& record);

  private:
    Result<AuthorityRecord> settle(const Cluster& cluster, const AuthorityRecord& wanted,
                                   const Error& error);

    kube::Client& client_;
};

}  // namespace matriarch::op
