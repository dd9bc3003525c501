// Instance: everything that the agent can do to its PostgreSQL, and what it learns from it.
//
// The one seam between the deciding core (Agent) and the world: processes, the volume, SQL.
// Production is LocalInstance; a simulation brings its own. Calls return at once; what takes time
// is a job, and its end, like the end of a process, comes back as an Event through the one queue of
// the main loop. Called from the main thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/ways.h"
#include "base/error.h"
#include "model/config.h"
#include "model/order.h"
#include "model/report.h"
#include "postgres/conf.h"
#include "postgres/status.h"
#include "postgres/wal.h"

namespace matriarch::agent {

using postgres::Role;

// What the data directory says while no process uses it.
struct DataFacts {
    enum class Kind { None, Complete, Broken };
    Kind kind = Kind::None;
    std::string trouble;  // Broken: why
    SystemIdentifier system_identifier;
    Timeline timeline;  // of the last record
    std::vector<HistoryEntry> history;
    bool clean_shutdown = false;
    bool standby = false;  // standby.signal: it was a slave
    bool end_searched = false;
    Lsn end_of_wal;  // unknown if not searched, or not found
};

// Jobs: work that takes longer than a moment.
struct InspectJob {
    Lsn hint;  // a flush position sampled earlier, to begin the search for the end at
    bool find_end = false;
};
struct InitializeJob {
    InstanceConfig config;
};
struct AskUpstreamJob {
    Upstream upstream;
};
struct CloneJob {  // gives the diverged WAL that a rewind had kept aside before it was cut
    Upstream upstream;
    std::string slot;
};
struct RewindJob {
    Upstream upstream;
    Epoch epoch;        // names the folder where diverged WAL is kept
    Timeline timeline;  // of our own, diverged WAL ...
    Lsn from, to;       // ... which reaches from the fork to its end
    // The upstream's timeline and its ancestors: WAL and history files of others go, or a later
    // start would take them for the newest timeline.
    std::vector<Timeline> common;
};
struct RescueJob {
    Rescue rescue;
    Lsn have;  // what is there already
};
struct ValidateJob {
    InstanceConfig config;
    std::string postgresql_conf;
};
struct ReconcileJob {  // roles, database, grants: on the master
    InstanceConfig config;
};
struct SlotsJob {
    std::vector<std::string> wanted;
    std::optional<Upstream> upstream;  // of a slave that streams: its slots go where theirs are
};
struct CheckpointJob {};
struct MeasureJob {};  // the volume
using Job = std::variant<InspectJob, InitializeJob, AskUpstreamJob, CloneJob, RewindJob, RescueJob,
                         ValidateJob, ReconcileJob, SlotsJob, CheckpointJob, MeasureJob>;
std::string_view name_of(const Job& job);
// Which kind of job: what Job::index() answers.
template <class T>
constexpr std::size_t job_index() {
    return Job(T{}).index();
}

struct VolumeFacts {
    Bytes size, free, wal;
};

using JobId = std::uint64_t;
using JobOutput = std::variant<std::monostate, DataFacts, postgres::UpstreamFacts,
                               std::vector<ParameterTrouble>, Bytes, Lsn, VolumeFacts>;

// Events.
struct PostmasterEnded {
    std::uint64_t generation = 0;
    std::string how;  // "exit code 1", "signal 9"
};
struct AllGone {};  // kill_all() is done: no process of the instance is left
struct JobEnded {
    JobId id = 0;
    Result<JobOutput> output;
};
struct JobProgress {
    JobId id = 0;
    std::string text;
};
struct Probed {
    std::uint64_t generation = 0;  // of the server that was asked
    TimePoint asked_at;
    Result<postgres::ServerStatus> status;
    std::chrono::microseconds took = {};  // for the answer alone, on a connection that was open
};
struct Knocked {  // told when it changes
    std::uint64_t generation = 0;
    std::optional<TimePoint> silent_since;  // the postmaster takes no fresh connection
};
using Event = std::variant<PostmasterEnded, AllGone, JobEnded, JobProgress, Probed, Knocked,
                           RecordAnswered, PromiseAnswered>;

enum class Pace { Normal, Promotion };

// The three files of a configuration, as text.
struct ConfigFiles {
    std::string postgresql_conf, hba, ident;
};

class Instance {
  public:
    virtual ~Instance() = default;

    // Starts the postmaster on the complete data directory; no process may be left. Gives the
    // number of this start, which its events carry.
    virtual Result<std::uint64_t> start(Role role, const ConfigFiles& files) = 0;
    virtual void stop_fast() = 0;
    // SIGKILL to every process of the instance, of this start or an earlier one, also of jobs.
    // AllGone follows.
    virtual void kill_all() = 0;
    virtual bool processes_left() = 0;
    // While it stops: everything is on disk and nobody is served any more; what is left are the
    // postmaster and the senders that wait for their slaves' last confirmation.
    virtual bool shut_down() = 0;
    virtual bool alive(int pid) const = 0;  // a process of the instance's

    virtual Status configure(const ConfigFiles& files) = 0;  // write, and reload if it runs
    // Leaves empty history files for the numbers up to `reserved`, so that they are not opened.
    virtual Status reserve_timelines(Timeline current, Timeline reserved) = 0;
    virtual Status promote() = 0;
    virtual std::vector<HistoryEntry> history(Timeline timeline) = 0;

    virtual void begin(JobId id, Job job) = 0;
    virtual void cancel(JobId id) = 0;
    virtual void pace(Pace pace) = 0;
    // While a master serves, tiny writes tell whether the volume stalls: since when one waits, and
    // nothing else goes on either (DiskWatch).
    virtual void watch_disk(bool on) = 0;
    virtual std::optional<TimePoint> disk_stalled_since() const = 0;
    // Keeps a flush position for InspectJob over a crash of the agent; cheap, not durable.
    virtual void remember_flush(Timeline timeline, Lsn flushed) = 0;
};

}  // namespace matriarch::agent
