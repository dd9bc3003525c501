// The brain: what to do next toward the goal. Pure and level-based.
//
// `think` looks at a LocalView (volume, processes, server, jobs) and the goal and answers with the
// next actions, the goal's progress in words, and when to think again at the latest. No I/O, clock
// or lock; equal views give equal decisions, so that it runs in a simulation and a cut at any point
// is resumed by looking again. A master is started here only while an order for it stands and a
// mandate is held; who drops that goal when its postmaster dies is Agent.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/instance.h"
#include "base/clock.h"
#include "model/order.h"

namespace matriarch::agent {

enum class Run { Off, Starting, Up, Stopping };

struct LocalView {
    // The volume.
    DataFacts data;
    bool data_fresh = false;        // nothing ran or changed it since
    bool initialized_here = false;  // the data was made for the goal's epoch
    bool must_check = false;        // standby data that may have left the upstream's history
    Opening opening;                // what is known of the data's ...
    EpochId opened_by;              // ... and who opened its timeline; empty: nobody known
    bool promoted_here = false;     // the promotion of the stored epoch was triggered here

    // Processes.
    Run run = Run::Off;
    Role role = Role::Slave;
    bool processes_left = false;
    TimePoint run_since;   // of this phase
    bool restart = false;  // an order to restart is not fulfilled yet
    // Of a server that stops: since when all is on disk and nobody is served any more, and the
    // slaves that had and had not confirmed the last record by now.
    std::optional<TimePoint> shut_down;
    std::vector<InstanceName> confirmed, unconfirmed;

    // The server, as sampled in this run.
    std::optional<postgres::ServerStatus> server;
    bool sampled_after_conf = false;
    bool conf_current = false;  // files are as the goal wants them
    bool sync_loaded = false;   // it has loaded whom commits wait for
    TimePoint conf_since;
    bool promoting = false;  // the promotion was triggered in this run
    TimePoint promoting_since;
    bool reserved = false;         // the timeline reservation is in place
    bool reconciled = false;       // roles and database are as the configuration says
    std::optional<Lsn> rescued;    // the WAL that the rescue names is here; its last record ends so
    bool checkpointed = false;     // before a clean stop, so that the stop is short
    std::optional<Bytes> rewound;  // diverged WAL that pg_rewind took back, kept aside

    // Work.
    std::optional<std::size_t> job;                   // index of the Job that runs
    std::optional<postgres::UpstreamFacts> upstream;  // its answer, for this goal
    TimePoint upstream_at;
    int failures = 0;      // of the goal's jobs and starts, in a row
    TimePoint not_before;  // backoff after the last one
    std::string last_failure;
    int failed_starts = 0;  // in a row, of a slave's data
    bool recloned = false;  // for that reason, and it has not started since

    // The agent.
    bool has_config = false;
    bool may_serve = false;  // a mandate is held
    Epoch epoch, fenced;     // as stored
    Epoch lost;              // not 0: this epoch's mandate ran out while it was served
    bool ending = false;     // SIGTERM
    TimePoint ending_since;
    Duration grace = seconds(30);
};

struct Goal {
    Order order;
    TimePoint since;
};

struct Action {
    enum class Kind {
        KillAll,
        StopFast,
        Start,       // as `role`
        Configure,   // write the files that the goal wants, reload
        Reserve,     // timelines up to the goal's
        Promote,     //
        StoreFence,  // `fenced at epoch`, durably
        CancelJob,   //
        Begin,       // `job`
    };
    Kind kind = Kind::KillAll;
    Role role = Role::Slave;
    std::optional<Job> job;
    std::string why;
    Epoch epoch;  // StoreFence
};

struct Decision {
    std::vector<Action> actions;
    OrderState progress = OrderState::Working;
    std::string message;
    TimePoint wake = TimePoint::max();
};

// `self` is the slot that the upstream keeps for us.
Decision think(const LocalView& view, const std::optional<Goal>& goal, const std::string& slot,
               TimePoint now);

// What the server's files should say for this goal. `former` is what they say now.
postgres::ServerConfig wanted_server_config(const LocalView& view, const std::optional<Goal>& goal,
                                            const postgres::Layout& layout,
                                            const postgres::ServerConfig& former);

// 1 s, 2 s, 4 s … 30 s.
Duration backoff(int failures);

}  // namespace matriarch::agent
