// SQL that makes and keeps what a cluster needs inside the database: roles, the application's
// database, rights for pg_rewind, replication slots.
//
// Level-based and repeatable: each call brings the server to what InstanceConfig says and changes
// nothing that already is so. Verifiers never reach the server's log (logging of statements is off
// in these sessions). Blocking within the deadline; the caller owns the connection.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/config.h"
#include "postgres/connection.h"

namespace matriarch::postgres {

// Master: roles, database and owner, grants. `version_num` as server_version_num.
Status reconcile_roles(Connection& connection, const InstanceConfig& config, Deadline deadline);

// Master, in the application's database: the function by which the role `pooler` looks up what it
// needs to let a user in, and that this is all that the role may do. Superusers and replication
// are not found.
Status reconcile_pooler(Connection& connection, const std::string& pooler, Deadline deadline);

// Where physical slots stand, by their names.
using SlotPositions = std::map<std::string, Lsn>;
Result<SlotPositions> read_slots(Connection& connection, Deadline deadline);

// Master and slave: `wanted` physical slots exist with reserved WAL, lost ones are made again, and
// those that nobody wants are dropped when inactive. In recovery they move on with those of the
// upstream, never past our own replay: a future master keeps what its slaves still need and no
// more. A slot that the upstream does not have moves with our replay; with no word of the upstream
// (no value) none moves.
Status reconcile_slots(Connection& connection, const std::vector<std::string>& wanted,
                       const std::optional<SlotPositions>& upstream, Deadline deadline);

}  // namespace matriarch::postgres
