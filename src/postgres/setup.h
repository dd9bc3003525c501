// SQL that makes and keeps what a cluster needs inside the database: roles, the application's
// database, rights for pg_rewind, replication slots.
//
// Level-based and repeatable: each call brings the server to what InstanceConfig says and changes
// nothing that already is so. Verifiers never reach the server's log (logging of statements is off
// in these sessions). Blocking within the deadline; the caller owns the connection.
#pragma once

#include "model/config.h"
#include "postgres/connection.h"

namespace matriarch::postgres {

// Master: roles, database and owner, grants. `version_num` as server_version_num.
Status reconcile_roles(Connection& connection, const InstanceConfig& config, Deadline deadline);

// Master and slave: `wanted` physical slots exist with reserved WAL, lost ones are made again,
// those that nobody wants are dropped when inactive, and, in recovery, moved on to `floor`
// (unknown: our own replay), so that a future master keeps what its slaves still need and no more.
Status reconcile_slots(Connection& connection, const std::vector<std::string>& wanted,
                       Deadline deadline);

}  // namespace matriarch::postgres
