// What a server that we do not run says of itself to an ordinary user, by ordinary SQL.
//
// A provider gives no walsender connection and no superuser; every function here is one that PUBLIC
// may call. Functions of a Connection; its owner thread calls them.
#pragma once

#include <chrono>

#include "model/ids.h"
#include "postgres/connection.h"

namespace matriarch::postgres {

struct RemoteStatus {
    bool in_recovery = true;
    bool writable = false;                    // not in recovery, and a transaction may write
    Lsn written;                              // of one that is not in recovery
    Timeline timeline;                        // likewise
    Lsn received, replayed;                   // of one that is
    bool receiving = false;                   // likewise
    std::chrono::milliseconds commit_age{0};  // of the last commit that was replayed
    std::uint64_t transactions = 0;           // ended here since its statistics began
    int version_num = 0;
    friend bool operator==(const RemoteStatus&, const RemoteStatus&) = default;
};

Result<RemoteStatus> read_remote_status(Connection& connection, Deadline deadline);
// Empty where it is not told.
SystemIdentifier read_system_identifier(Connection& connection, Deadline deadline);

}  // namespace matriarch::postgres
