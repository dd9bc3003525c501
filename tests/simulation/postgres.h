// Postgres: the model of one instance's PostgreSQL, behind the agent's own interface.
//
// Modelled: start and crash recovery, fast shutdown that sends the last WAL, SIGKILL, promotion and
// its choice of a timeline number, streaming (receive, flush, replay, keepalives, timeouts of both
// ends, slots that stay busy), commits with synchronous standbys, sessions that stay open, clone,
// pg_rewind with its trust in pg_control, WAL rescue. Not modelled: removal of WAL, replay that
// lags, conflicts of queries with replay. The parts: postgres.cc (the server), postgres_stream.cc,
// postgres_jobs.cc.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/instance.h"
#include "network.h"
#include "process.h"
#include "volume.h"

namespace matriarch::sim {

class Postgres;

// One stream, seen by both ends.
struct Link {
    Postgres *upstream = nullptr, *slave = nullptr;  // valid while their processes live
    std::shared_ptr<Process> up, down;
    std::string slot, application;
    bool open_above = true, open_below = true;
    bool pumping = false;
    TimePoint heard_above, heard_below;  // the last word of the other end
    Lsn sent, flushed, replayed;
};

// What an instance finds at an address.
class Neighbours {
  public:
    virtual ~Neighbours() = default;
    // The pod's PostgreSQL, running or not; null: there is no such pod.
    virtual Postgres* server_at(const std::string& address) = 0;
    // The volume, if the agent there answers to `asker`.
    virtual const Volume* files_at(HostId asker, const std::string& address) = 0;
};

// Sees what happens in PostgreSQL, to judge it.
class Witness {
  public:
    virtual ~Witness() = default;
    virtual void acknowledges(const Postgres& server, std::uint64_t row, Lsn end) = 0;
    virtual void initializes(const Postgres& server) = 0;
    // Its agent starts it as master, or promotes it.
    virtual void makes_master(const Postgres& server) = 0;
    virtual void begins_to_stream(const Postgres& slave, const Postgres& upstream) = 0;
    virtual void replaces_data(const Postgres& server, const Postgres& source) = 0;
};

struct Place {
    World& world;
    Network& net;
    HostId host;
    std::string address;
    InstanceName name;
    PodUid pod;
    Volume& volume;
    Neighbours& neighbours;
    Witness& witness;
};

class Postgres final : public agent::Instance {
  public:
    using Deliver = std::function<void(agent::Event)>;
    using Reply = std::function<void(bool acknowledged)>;

    // `agent` runs the jobs and hears of events.
    Postgres(Place place, std::shared_ptr<Process> agent, Deliver deliver);

    // agent::Instance.
    Result<std::uint64_t> start(agent::Role role, const agent::ConfigFiles& files) override;
    void stop_fast() override;
    void kill_all() override;
    bool shut_down() override { return false; }  // senders are not modelled apart
    bool alive(int) const override { return server_ != nullptr; }
    bool processes_left() override { return server_ != nullptr; }
    Status configure(const agent::ConfigFiles& files) override;
    Status reserve_timelines(Timeline current, Timeline reserved) override;
    Status promote() override;
    std::vector<HistoryEntry> history(Timeline timeline) override;
    void begin(agent::JobId id, agent::Job job) override;
    void cancel(agent::JobId id) override;
    void pace(agent::Pace) override {}  // the end of a promotion is told at once
    void watch_disk(bool on) override { watching_disk_ = on; }
    std::optional<TimePoint> disk_stalled_since() const override;
    void remember_flush(Timeline timeline, Lsn flushed) override;

    // The world's hand.
    void promote_by_hand();
    void die(const std::string& how);  // the server's processes, at once
    void vanish();                     // with its container: nobody here hears of it
    void freeze();                     // SIGSTOP to the server's processes
    void thaw();
    void volume_goes_on();  // the disk's stall is over

    // Clients. The reply goes out when the server sends it; none: the session broke.
    void write(std::uint64_t row, Reply reply);
    bool takes_sessions() const { return server_ && phase_ == Phase::Up; }
    bool writable() const { return takes_sessions() && !recovery_ && !conf_.read_only; }

    const Place& place() const { return place_; }
    const std::shared_ptr<Process>& server() const { return server_; }
    const std::string& sync_text() const { return conf_.sync_text; }
    const DataDirectory& data() const { return place_.volume.data; }
    bool serves_as_master() const { return takes_sessions() && !recovery_; }
    bool streams_from(const InstanceName& upstream) const;
    // No WAL comes to it, neither now nor once it can connect.
    bool stands_still() const { return !server_ || !recovery_ || conf_.host.empty(); }
    std::optional<TimePoint> thawed_at() const { return thawed_at_; }
    void note_thaw() { thawed_at_ = place_.world.now(); }

  private:
    enum class Phase { Off, Starting, Up, Stopping };
    // What we read of postgresql.conf.
    struct Conf {
        std::string host, address, slot;  // of the upstream; empty: none
        bool restore = false, read_only = true;
        int sync_count = 0;
        std::string sync_text;  // the setting as it is
        bool sync_any = false;
        std::vector<std::string> sync_names;
        static Conf read(const std::string& text);
        bool same_upstream(const Conf& other) const {
            return host == other.host && address == other.address && slot == other.slot;
        }
    };
    struct Commit {
        std::uint64_t row = 0;
        Lsn end;
        Reply reply;
    };
    struct Pending {
        agent::Job job;
        std::shared_ptr<bool> wanted;
    };

    World& world() const { return place_.world; }
    DataDirectory& files() { return place_.volume.data; }
    const HostClock& clock() const { return *place_.net.host(place_.host).clock; }
    void tell(const std::string& what) const;
    void deliver_soon(agent::Event event);

    // The server.
    void up();
    void finish_promotion();
    void finish_stop();
    void ended(const std::string& how);
    void close_links();
    void probe();
    void probe_soon(Duration wait);
    void keep_probing(std::uint64_t generation);
    postgres::ServerStatus status() const;
    void look_whether_silent(std::uint64_t generation, TimePoint since);

    // Commits.
    void flush_soon();
    void flushed(std::size_t count);
    void acknowledge();
    bool enough_standbys(Lsn end) const;

    Status trigger_promotion();

    // Streams.
    void tend_receiver(std::uint64_t generation);
    void connect();
    std::string refusal_of(const Postgres& slave, const Conf& conf) const;
    void accept(const std::shared_ptr<Link>& link);
    void pump_all();
    void pump(const std::shared_ptr<Link>& link);
    void send_wal(const std::shared_ptr<Link>& link);
    void receive(const std::shared_ptr<Link>& link, const std::vector<WalRecord>& records,
                 const std::vector<HistoryEntry>& history);
    void replay();
    void answer_upstream(const std::shared_ptr<Link>& link);
    void ask_upstream(const std::shared_ptr<Link>& link);
    void drop_receiver();
    void restore();

    // Jobs.
    Duration time_of(const agent::Job& job);
    Result<agent::JobOutput> result(const agent::InspectJob& job);
    Result<agent::JobOutput> result(const agent::InitializeJob& job);
    Result<agent::JobOutput> result(const agent::AskUpstreamJob& job);
    Result<agent::JobOutput> result(const agent::CloneJob& job);
    Result<agent::JobOutput> result(const agent::RewindJob& job);
    Result<agent::JobOutput> result(const agent::RescueJob& job);
    Result<agent::JobOutput> result(const agent::ValidateJob& job);
    Result<agent::JobOutput> result(const agent::ReconcileJob& job);
    Result<agent::JobOutput> result(const agent::SlotsJob& job);
    Result<agent::JobOutput> result(const agent::CheckpointJob& job);
    Result<agent::JobOutput> result(const agent::MeasureJob& job);
    Result<Postgres*> upstream_of(const Upstream& upstream);
    void end_tools();

    const Place place_;
    const std::shared_ptr<Process> agent_;
    const Deliver deliver_;

    Phase phase_ = Phase::Off;
    std::shared_ptr<Process> server_;  // null: no process
    std::uint64_t generation_ = 0;
    bool recovery_ = true, promoting_ = false;
    Conf conf_;
    Lsn received_;  // pg_last_wal_receive_lsn(): unknown until a stream began in this run
    std::size_t replayed_ = 0;
    bool watching_disk_ = false, killing_ = false;
    std::optional<TimePoint> thawed_at_;

    std::list<Commit> commits_;  // written, not yet acknowledged
    bool flushing_ = false;

    std::vector<std::shared_ptr<Link>> links_;  // to our slaves
    std::shared_ptr<Link> receiver_;
    bool connecting_ = false;
    std::uint64_t attempt_ = 0;
    TimePoint last_answer_;
    std::vector<WalRecord> rescued_;

    std::map<agent::JobId, Pending> jobs_;
};

}  // namespace matriarch::sim
