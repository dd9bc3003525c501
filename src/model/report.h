// Report: what one agent knows of its instance. Sent as the answer to every long poll, at once when
// `sequence` rose (postmaster died, order done, role changed), otherwise at the end of the poll.
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/ids.h"
#include "model/order.h"

namespace matriarch {

enum class PostgresState {
    NoData,    // no data directory, nothing runs
    Cloning,   // initdb, pg_basebackup or pg_rewind is at work
    Stopped,   // complete data directory, no process
    Starting,  // processes, no connections yet
    Running,   // accepts connections
    Stopping,  //
    Dead,      // the postmaster ended without our asking; no process is left
    Broken,    // data that can't be started as it is; see `trouble`
};
std::string_view to_string(PostgresState state);

// One switch in a timeline's history: `timeline` was left at `end`.
struct HistoryEntry {
    Timeline timeline;
    Lsn end;
    friend bool operator==(const HistoryEntry&, const HistoryEntry&) = default;
};

// The master's view of one connected slave (pg_stat_replication).
struct StreamView {
    std::string application_name;  // the slave's instance name
    std::string state;             // streaming, catchup, ...
    std::string sync_state;
    Lsn sent, flush, replay;
    friend bool operator==(const StreamView&, const StreamView&) = default;
};

struct SlotView {
    std::string name;
    bool active = false;
    std::string wal_status;  // reserved, extended, unreserved, lost
    Lsn restart;
    friend bool operator==(const SlotView&, const SlotView&) = default;
};

// How an instance came back under another master: what it had, and that one's history had not.
enum class RejoinedBy { Nothing, Following, Rewind, Clone };
std::string_view to_string(RejoinedBy way);

struct Rejoined {
    RejoinedBy by = RejoinedBy::Nothing;
    Epoch epoch;     // of that master
    Bytes diverged;  // by Rewind: kept aside; by Clone: not known
    friend bool operator==(const Rejoined&, const Rejoined&) = default;
};

enum class OrderState { None, Working, Done, Failed };
std::string_view to_string(OrderState state);

struct OrderProgress {
    OrderId id;
    OrderKind kind = OrderKind::Configure;
    OrderState state = OrderState::None;
    std::string message;  // Failed: why; Working: at what
    friend bool operator==(const OrderProgress&, const OrderProgress&) = default;
};

struct ParameterTrouble {
    std::string name, message;
    friend bool operator==(const ParameterTrouble&, const ParameterTrouble&) = default;
};

struct Report {
    std::uint64_t sequence = 0;  // rises with every event worth an answer at once
    std::string agent_version;
    InstanceName instance;
    PodUid pod;
    Incarnation incarnation;
    std::chrono::milliseconds clock_reading{0};  // CLOCK_BOOTTIME when this was made

    // Durable, outside the data directory.
    Term term;
    Epoch epoch;
    EpochId epoch_id;
    Epoch fenced;  // fenced at this epoch; 0: never
    // No process of this pod's PostgreSQL is left, of this start or an earlier one (the process
    // lock is ours), and `fenced` is on disk: the proof "confirmed fence" for epochs <= fenced.
    bool fence_confirmed = false;
    PodUid fenced_by;  // the pod whose processes were gone when `fenced` was written

    // The mandate, of a master: what is left of it, and what prolonged it last.
    MandateSource mandate = MandateSource::None;
    std::chrono::milliseconds mandate_left{0};
    std::chrono::milliseconds ttl{0};      // the longest mandate that it counts with
    std::uint64_t candidates_version = 0;  // of the set that is stored for `epoch`; 0: none
    // Promises: for so long no promotion after an expiry is accepted; and none is made any more
    // for epochs up to this one.
    std::chrono::milliseconds promised{0};
    Epoch withheld;

    // The data directory.
    PostgresState state = PostgresState::NoData;
    SystemIdentifier system_identifier;
    Timeline timeline;           // of the last record ...
    EpochId timeline_opened_by;  // ... and the epoch that opened it; empty: none that is known
    std::vector<HistoryEntry> history;  // ancestors of `timeline`, oldest first
    bool clean_shutdown = false;
    bool standby = false;  // a slave's: it needs a promotion to lead
    Lsn end_of_wal;        // end of the last valid record, known only while no process runs

    // The volume and the WAL on it; a size of 0: not measured yet.
    Bytes volume_size, volume_free, wal_size;
    Rejoined rejoined;  // the last time

    // The running server.
    Known in_recovery = Known::Unknown;
    Known writable = Known::Unknown;  // master that accepts writes
    Lsn written, flushed;             // master
    Lsn received, replayed;           // slave
    bool receiving = false;           // the WAL receiver streams ...
    // ... and heard its upstream so long ago, a witness of the master beside its agent.
    std::chrono::milliseconds stream_age{0};
    // For so long the postmaster has taken no connection though it should: frozen, not busy.
    std::chrono::milliseconds frozen{0};
    // For so long a tiny write to the data volume waits and its device completes none: stalled, not
    // busy. Of a master, and of one that was fenced for it.
    std::chrono::milliseconds disk_stalled{0};
    // For so long the volume has had no room for one more WAL segment: a master on it ends with the
    // next one, and refuses what needs a new block.
    std::chrono::milliseconds volume_full{0};
    InstanceName upstream;             // where from
    std::chrono::milliseconds lag{0};  // replay lag by time; 0 when caught up
    // For so long replay has waited for queries on this slave, which it conflicts with.
    std::chrono::milliseconds conflict{0};
    std::uint64_t transactions = 0;  // ended here since its statistics began, of users' databases
    std::chrono::microseconds answered_in{0};  // the agent's last look at the server; 0: not known
    std::vector<StreamView> streams;
    std::vector<SlotView> slots;
    std::optional<SyncRule> sync;  // that the server is known to have loaded ...
    Lsn sync_since;                // ... master: all commits behind this position keep it
    int server_version_num = 0;

    // Work.
    OrderProgress order;           // the last order but Configure and Checkpoint
    std::string config_hash;       // of the configuration in force
    bool restart_pending = false;  // a parameter waits for a restart
    std::vector<ParameterTrouble> parameter_troubles;
    std::string trouble;  // why the state is what it is, for people; empty when all is well
    Bytes memory;         // the agent's own resident memory

    friend bool operator==(const Report&, const Report&) = default;

    // How far this slave could promote: GREATEST(receive, replay), since receive alone restarts at
    // a segment's beginning (reference: PAF#225).
    Lsn position() const { return received > replayed ? received : replayed; }
    // The stream to a slave that has caught up; null: there is none.
    const StreamView* stream_to(const InstanceName& slave) const;
};

// What the operator asks with each long poll.
struct Poll {
    Term term;
    std::string leader;
    std::uint64_t seen = 0;   // sequence of the last report it has
    Incarnation incarnation;  // of that report
    std::chrono::milliseconds wait{0};
    std::optional<Grant> grant;  // for that incarnation
    friend bool operator==(const Poll&, const Poll&) = default;
};

std::string to_json(const Report& report);
Result<Report> report_from_json(std::string_view text);
std::string to_json(const Poll& poll);
Result<Poll> poll_from_json(std::string_view text);

// The answer to an order: accepted (work goes on, see Report::order), or why it is refused.
struct OrderAnswer {
    bool accepted = false;
    std::string reason;
    Report report;
    friend bool operator==(const OrderAnswer&, const OrderAnswer&) = default;
};
std::string to_json(const OrderAnswer& answer);
Result<OrderAnswer> order_answer_from_json(std::string_view text);

// HTTP paths of the agent's order port (mutual TLS) and its health port (plain).
inline constexpr int kAgentPort = 8443;
inline constexpr int kAgentHealthPort = 8080;
inline constexpr std::string_view kPollPath = "/v1/poll";    // POST Poll -> Report
inline constexpr std::string_view kOrderPath = "/v1/order";  // POST Order -> OrderAnswer
inline constexpr std::string_view kWalPath = "/v1/wal/";     // GET + file name -> the segment
// Common names in certificates.
inline constexpr std::string_view kOperatorName = "matriarch-operator";
inline constexpr std::string_view kReplicationRole = "matriarch_replication";

}  // namespace matriarch
