// What a running server says of itself, in one round trip each: its role, positions, streams,
// slots.
//
// Asked over a walsender connection (replication=database): it takes no place of max_connections,
// so a storm of clients cannot hide a healthy server, and it answers both SQL and IDENTIFY_SYSTEM,
// the only truthful source of a slave's timeline (pg_control's moves at restart points only).
// Functions of a Connection; its owner thread calls them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/ids.h"
#include "model/report.h"
#include "postgres/connection.h"
#include "postgres/wal.h"

namespace matriarch::postgres {

// A process that sends WAL to a slave.
struct Sender {
    InstanceName slave;
    int pid = 0;
};

struct ServerStatus {
    bool in_recovery = true;
    bool read_only_default = true;  // default_transaction_read_only
    Lsn written, flushed;           // master
    Lsn received, replayed;         // slave
    Timeline timeline;              // of the newest WAL here
    bool receiving = false;
    std::chrono::milliseconds stream_age{0};  // since the last message of the stream
    Timeline receiving_timeline;
    std::string sender_host;  // where the stream comes from, as primary_conninfo named it
    int sender_port = 0;
    Lsn upstream_end;  // slave: the end of the upstream's WAL, as the stream's last message said
    std::chrono::milliseconds commit_age{0};  // slave: of the last commit that was replayed
    bool replay_waits = false;                // slave: for queries here, which it conflicts with
    std::uint64_t transactions = 0;  // ended here since its statistics began, of users' databases
    std::vector<StreamView> streams;
    std::vector<Sender> senders;  // of these streams
    std::vector<SlotView> slots;
    int version_num = 0;
    bool restart_pending = false;
    bool conninfo_set = false;  // slave: primary_conninfo is not empty
    std::string synchronous_standby_names;
};

// How the agent talks to its own server.
ConnectionOptions local_options(const std::string& socket_dir, int port, bool walsender,
                                const std::string& application_name);

Result<ServerStatus> read_status(Connection& connection, Deadline deadline);
// Only pg_is_in_recovery(): watched each few ms during a promotion.
Result<bool> read_in_recovery(Connection& connection, Deadline deadline);

// What a slave-to-be must know of the server it shall follow.
struct UpstreamFacts {
    SystemIdentifier system_identifier;
    Position position;  // timeline, its history, and the newest WAL there
    bool in_recovery = false;
    Timeline checkpoint_timeline;  // pg_rewind trusts only this one
    Lsn oldest_wal;                // WAL before is no longer there; unknown: not told
};
// Over a connection made with replication=database.
Result<UpstreamFacts> read_upstream(Connection& connection, Deadline deadline);

}  // namespace matriarch::postgres
