// The model, without agents: its jobs are begun by hand.
#include <map>

#include "../network.h"
#include "../postgres.h"
#include "postgres/conf.h"
#include "rig.h"

namespace matriarch::sim {
namespace {

constexpr Duration kPatience = seconds(8);

class Nobody final : public Witness {
  public:
    void acknowledges(const Postgres&, std::uint64_t, Lsn) override {}
    void makes_master(const Postgres&) override {}
    void initializes(const Postgres&) override {}
    void begins_to_stream(const Postgres&, const Postgres&) override {}
    void replaces_data(const Postgres&, const Postgres&) override {}
};

class ModelRig final : public Rig, public Neighbours {
  public:
    // Neighbours.
    Postgres* server_at(const std::string& address) override {
        const auto found = instances_.find(address);
        return found == instances_.end() ? nullptr : found->second.postgres.get();
    }
    const Volume* files_at(HostId, const std::string&) override { return nullptr; }

    // Rig.
    void initialize(const std::string& name) override { run(name, agent::InitializeJob{}); }
    void clone(const std::string& name, const std::string& from) override {
        keep_slots(from);
        agent::CloneJob job;
        job.upstream = upstream(from);
        job.slot = name;
        run(name, job);
    }
    void rewind(const std::string& name, const std::string& from) override {
        agent::RewindJob job;
        job.upstream = upstream(from);
        const auto& source = instance(from).volume.data;
        for (const auto& entry : source.history) job.common.push_back(entry.timeline);
        job.common.push_back(source.timeline());
        run(name, job);
    }
    void start_as_master(const std::string& name) override { start(name, agent::Role::Master, ""); }
    void start_as_slave(const std::string& name, const std::string& from) override {
        start(name, agent::Role::Slave, from);
        keep_slots(from);
    }
    void stop(const std::string& name) override {
        postgres(name).stop_fast();
        until([&] { return !postgres(name).takes_sessions(); });
    }
    void kill(const std::string& name) override { postgres(name).die("signal 9"); }
    void reserve(const std::string& name, int timeline) override {
        auto& p = postgres(name);
        (void)p.reserve_timelines(p.data().timeline(),
                                  Timeline(static_cast<std::uint32_t>(timeline)));
    }
    void promote(const std::string& name) override {
        until([&] { return postgres(name).takes_sessions(); });
        (void)postgres(name).promote();
        until([&] { return postgres(name).serves_as_master(); });
        run(name, agent::CheckpointJob{});
        keep_slots(name);
    }
    void write(const std::string& name, int rows) override {
        for (int i = 0; i < rows; ++i) {
            bool done = false;
            postgres(name).write(world_.fresh(), [&](bool acknowledged) { done = acknowledged; });
            until([&] { return done; });
        }
    }
    int rows(const std::string& name) override {
        int out = 0;
        for (const auto& record : instance(name).volume.data.wal) out += record.row != 0 ? 1 : 0;
        return out;
    }
    int timeline(const std::string& name) override {
        return static_cast<int>(instance(name).volume.data.timeline().value);
    }
    bool follows(const std::string& name, const std::string& from) override {
        return until([&] {
            return postgres(name).streams_from(InstanceName(from)) &&
                   postgres(name).data().end() == postgres(from).data().end();
        });
    }

  private:
    struct Instance {
        Volume volume;
        std::shared_ptr<Process> agent;
        std::unique_ptr<Postgres> postgres;
    };

    Instance& instance(const std::string& name) {
        const auto [found, made] = instances_.try_emplace(name);
        Instance& i = found->second;
        if (!made) return i;
        i.agent = std::make_shared<Process>(world_);
        Place place{world_,   net_,     net_.add(name), name,   InstanceName(name),
                    PodUid(), i.volume, *this,          nobody_};
        i.postgres = std::make_unique<Postgres>(std::move(place), i.agent, [this](agent::Event e) {
            if (std::holds_alternative<agent::JobEnded>(e)) ended_ = true;
        });
        return i;
    }
    Postgres& postgres(const std::string& name) { return *instance(name).postgres; }

    static Upstream upstream(const std::string& name) {
        return {InstanceName(name), name, name, 5432};
    }
    template <class Condition>
    bool until(Condition condition) {
        const TimePoint end = world_.now() + kPatience;
        while (!condition() && world_.now() < end)
            world_.run_until(world_.now() + milliseconds(10));
        return condition();
    }
    void run(const std::string& name, agent::Job job) {
        ended_ = false;
        postgres(name).begin(++jobs_, std::move(job));
        until([this] { return ended_; });
    }
    // Everybody has a slot everywhere.
    void keep_slots(const std::string& at) {
        if (!until([&] { return postgres(at).takes_sessions(); })) return;
        agent::SlotsJob job;
        for (const char* name : {"a", "b", "c"}) job.wanted.emplace_back(name);
        run(at, job);
    }
    void start(const std::string& name, agent::Role role, const std::string& from) {
        postgres::Layout layout;
        layout.instance = InstanceName(name);
        postgres::ServerConfig server;
        server.role = role;
        if (!from.empty()) {
            server.primary_conninfo = postgres::upstream_conninfo(layout, upstream(from));
            server.primary_slot_name = name;
        }
        // As the agent does it, a slave that is promoted here accepts writes.
        server.read_only = false;
        (void)postgres(name).start(role, {render_postgresql_conf(layout, {}, server), "", ""});
        until([&] { return postgres(name).takes_sessions(); });
    }

    World world_{1, false};
    Network net_{world_};
    Nobody nobody_;
    std::map<std::string, Instance> instances_;
    agent::JobId jobs_ = 0;
    bool ended_ = false;
};

}  // namespace

std::unique_ptr<Rig> make_model_rig() {
    return std::make_unique<ModelRig>();
}

}  // namespace matriarch::sim
