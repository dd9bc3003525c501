// LocalInstance: the real Instance: postgres and its tools as processes, the volume, libpq.
//
// Owned by the main thread. Each job runs on a thread that lives as long as the job; its end, like
// every event, is posted to the main loop. The postmaster is our child, and its death is known with
// the SIGCHLD that it causes. Every process inherits the process lock.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "agent/instance.h"
#include "agent/loop.h"
#include "agent/paths.h"
#include "agent/probe.h"
#include "agent/process_lock.h"
#include "agent/supervisor.h"
#include "agent/vitals.h"
#include "postgres/binaries.h"

namespace matriarch::agent {

// A part of one WAL file of another agent, for rescues.
struct WalPart {
    std::string file;
    std::uint64_t from = 0, length = 0;
};
using FetchWal =
    std::function<Status(const Rescue&, const WalPart&, const std::string& into, Deadline)>;

struct LocalWorld {
    Paths paths;
    postgres::Layout layout;
    postgres::Binaries binaries;
    std::vector<std::string> environment;  // of PostgreSQL's processes: never our library path
    FetchWal fetch_wal;
};

class LocalInstance final : public Instance {
  public:
    using Deliver = std::function<void(Event)>;
    LocalInstance(LocalWorld world, Loop& loop, const Clock& clock, Deliver deliver);
    ~LocalInstance() override;

    // Folders, leftovers of a cut initdb or clone, the server's copy of its certificate.
    Status prepare();
    void reap() { supervisor_.reap(); }
    // A process of our own that is no part of the instance; `ended` is called by reap().
    void spare(pid_t pid, std::function<void()> ended) {
        supervisor_.spare(pid, [ended = std::move(ended)](int) { ended(); });
    }
    // Copies the certificate again if the mounted one changed, and reloads. Cheap; called each
    // tick.
    void renew_certificate();

    Result<std::uint64_t> start(Role role, const ConfigFiles& files) override;
    void stop_fast() override;
    void kill_all() override;
    bool processes_left() override;
    bool shut_down() override;
    bool alive(int pid) const override;
    Status configure(const ConfigFiles& files) override;
    Status reserve_timelines(Timeline current, Timeline reserved) override;
    Status promote() override;
    std::vector<HistoryEntry> history(Timeline timeline) override;
    void begin(JobId id, Job job) override;
    void cancel(JobId id) override;
    void pace(Pace pace) override { probe_.pace(pace); }
    void watch_disk(bool on) override { disk_.watch(on); }
    std::optional<TimePoint> disk_stalled_since() const override { return disk_.stalled_since(); }
    void remember_flush(Timeline timeline, Lsn flushed) override;

  private:
    struct Running {
        std::thread thread;
        std::shared_ptr<std::atomic<bool>> stop;
    };

    Status write_files(const ConfigFiles& files);
    Status make_ready(Role role);
    void reload();
    void kill_round(TimePoint give_up);

    LocalWorld world_;
    Loop& loop_;
    const Clock& clock_;
    Deliver deliver_;
    ProcessLock lock_;
    Supervisor supervisor_;
    Probe probe_;
    KnockWatch knock_;
    DiskWatch disk_;
    std::uint64_t generation_ = 0;
    pid_t postmaster_ = 0;
    bool lock_was_ours_ = false;
    std::map<JobId, Running> jobs_;
    TimePoint flush_written_;
    TimePoint certificate_looked_at_;
    std::string certificate_;  // as copied last
};

}  // namespace matriarch::agent
