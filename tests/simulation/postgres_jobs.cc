// Postgres's jobs: what the agent does with tools, files and SQL.
#include <algorithm>

#include "postgres.h"

namespace matriarch::sim {
namespace {

using agent::DataFacts;
using agent::JobOutput;

Error failed(const std::string& what) {
    return make_error(ErrorKind::Unavailable, what);
}

bool writes(const agent::Job& job) {
    return std::holds_alternative<agent::InitializeJob>(job) ||
           std::holds_alternative<agent::CloneJob>(job) ||
           std::holds_alternative<agent::RewindJob>(job) ||
           std::holds_alternative<agent::RescueJob>(job);
}

}  // namespace

Result<Postgres*> Postgres::upstream_of(const Upstream& upstream) {
    Postgres* there =
        place_.neighbours.server_at(upstream.address.empty() ? upstream.host : upstream.address);
    if (there == nullptr || there == this) return failed("no such host");
    if (!place_.net.open_both(place_.host, there->place_.host)) return failed("no answer");
    if (!there->takes_sessions()) return failed("the upstream takes no connections");
    if (!there->server_->runs()) return failed("no answer");
    return there;
}

Duration Postgres::time_of(const agent::Job& job) {
    const auto any = [&](int least, int most) {
        return world().between(milliseconds(least), milliseconds(most));
    };
    struct Visitor {
        decltype(any)& of;
        Duration operator()(const agent::InspectJob&) { return of(5, 40); }
        Duration operator()(const agent::InitializeJob&) { return of(400, 1500); }
        Duration operator()(const agent::AskUpstreamJob&) { return of(5, 40); }
        Duration operator()(const agent::CloneJob&) { return of(300, 4000); }
        Duration operator()(const agent::RewindJob&) { return of(200, 1500); }
        Duration operator()(const agent::RescueJob&) { return of(10, 200); }
        Duration operator()(const agent::ValidateJob&) { return of(20, 60); }
        Duration operator()(const agent::ReconcileJob&) { return of(10, 60); }
        Duration operator()(const agent::SlotsJob&) { return of(5, 30); }
        Duration operator()(const agent::CheckpointJob&) { return of(50, 1500); }
        Duration operator()(const agent::MeasureJob&) { return of(1, 20); }
    };
    return std::visit(Visitor{any}, job);
}

void Postgres::begin(agent::JobId id, agent::Job job) {
    if (std::holds_alternative<agent::RewindJob>(job)) {
        files().kind = DataFacts::Kind::Broken;
        files().trouble = "pg_rewind was interrupted here";
    }
    const Duration wait = time_of(job);
    auto wanted = std::make_shared<bool>(true);
    jobs_[id] = {std::move(job), wanted};
    agent_->after(wait, [this, id, wanted] {
        if (!*wanted) return;
        const agent::Job done = std::move(jobs_.at(id).job);
        jobs_.erase(id);
        auto output = place_.volume.full && writes(done)
                          ? failed("no space left on device")
                          : std::visit([this](const auto& j) { return result(j); }, done);
        deliver_(agent::JobEnded{id, std::move(output)});
    });
}

void Postgres::cancel(agent::JobId id) {
    const auto found = jobs_.find(id);
    if (found == jobs_.end()) return;
    *found->second.wanted = false;
    jobs_.erase(found);
    deliver_soon(agent::JobEnded{id, make_error(ErrorKind::Cancelled, "the job was stopped")});
}

// Those that are processes; the others are threads of the agent.
void Postgres::end_tools() {
    for (auto job = jobs_.begin(); job != jobs_.end();) {
        const auto& work = job->second.job;
        const bool tool = std::holds_alternative<agent::InitializeJob>(work) ||
                          std::holds_alternative<agent::CloneJob>(work) ||
                          std::holds_alternative<agent::RewindJob>(work) ||
                          std::holds_alternative<agent::ValidateJob>(work);
        if (!tool) {
            ++job;
            continue;
        }
        *job->second.wanted = false;
        deliver_soon(agent::JobEnded{job->first, failed("killed")});
        job = jobs_.erase(job);
    }
}

Result<JobOutput> Postgres::result(const agent::InspectJob& job) {
    const auto& d = data();
    DataFacts facts;
    facts.kind = d.kind;
    facts.end_searched = job.find_end;
    if (d.kind == DataFacts::Kind::None) return JobOutput(std::move(facts));
    facts.trouble = d.kind == DataFacts::Kind::Broken ? d.trouble : "";
    facts.system_identifier = d.system_identifier;
    facts.clean_shutdown = d.clean_shutdown;
    facts.standby = d.standby_signal;
    facts.timeline = job.find_end || d.standby_signal ? d.timeline() : d.checkpoint_timeline;
    for (const auto& entry : d.history)
        if (entry.timeline < facts.timeline) facts.history.push_back(entry);
    if (job.find_end && !server_) facts.end_of_wal = d.end();
    return JobOutput(std::move(facts));
}

Result<JobOutput> Postgres::result(const agent::InitializeJob&) {
    if (data().kind != DataFacts::Kind::None)
        return make_error(ErrorKind::AlreadyExists, "there is a data directory already");
    place_.witness.initializes(*this);
    DataDirectory made;
    made.kind = DataFacts::Kind::Complete;
    made.system_identifier = SystemIdentifier(std::to_string(7'000'000'000 + world().fresh()));
    made.append(64, 0, world().fresh());
    made.synced = 1;
    made.checkpoint_timeline = Timeline(1);
    made.clean_shutdown = true;
    files() = std::move(made);
    tell("initdb");
    return JobOutput();
}

Result<JobOutput> Postgres::result(const agent::AskUpstreamJob& job) {
    auto there = upstream_of(job.upstream);
    if (!there) return there.error();
    const auto& d = (*there)->data();
    postgres::UpstreamFacts facts;
    facts.system_identifier = d.system_identifier;
    facts.position = {d.timeline(), d.history, d.synced_end()};
    facts.in_recovery = (*there)->recovery_;
    facts.checkpoint_timeline = d.checkpoint_timeline;
    return JobOutput(std::move(facts));
}

Result<JobOutput> Postgres::result(const agent::CloneJob& job) {
    auto there = upstream_of(job.upstream);
    if (!there) return there.error();
    if (!(*there)->data().slots.contains(job.slot)) return failed("the slot does not exist");
    if (data().kind != DataFacts::Kind::None) place_.witness.replaces_data(*this, **there);
    DataDirectory copy = (*there)->data();
    copy.cut(copy.synced);
    copy.history_files = {copy.timeline()};
    copy.slots.clear();
    copy.clean_shutdown = false;
    copy.standby_signal = true;
    files() = std::move(copy);
    tell("cloned from " + (*there)->place_.name.value);
    return JobOutput();
}

Result<JobOutput> Postgres::result(const agent::RewindJob& job) {
    auto there = upstream_of(job.upstream);
    if (!there) return there.error();
    if ((*there)->recovery_) return failed("the source is a slave");
    const auto& source = (*there)->data();
    DataDirectory& own = files();
    // It compares what the two pg_control say.
    if (source.checkpoint_timeline != own.checkpoint_timeline) {
        const auto slots = own.slots;
        own = source;
        own.cut(own.synced);
        own.slots = slots;
    }
    const auto foreign = std::find_if(own.wal.begin(), own.wal.end(), [&](const WalRecord& r) {
        return std::find(job.common.begin(), job.common.end(), r.timeline) == job.common.end();
    });
    own.cut(static_cast<std::size_t>(foreign - own.wal.begin()));
    own.kind = DataFacts::Kind::Complete;
    own.trouble.clear();
    own.clean_shutdown = false;
    own.standby_signal = true;
    tell("rewound to " + own.end().str());
    return JobOutput(distance(job.from, job.to));
}

Result<JobOutput> Postgres::result(const agent::RescueJob& job) {
    rescued_.clear();
    if (!(job.rescue.end > job.have)) return JobOutput(job.rescue.least);
    const Volume* source = place_.neighbours.files_at(place_.host, job.rescue.address);
    if (source == nullptr) return failed("the source's agent does not answer");
    for (const auto& record : source->data.wal)
        if (record.timeline == job.rescue.timeline && record.end > job.have &&
            record.end <= job.rescue.end)
            rescued_.push_back(record);
    const Lsn end = rescued_.empty() ? Lsn() : rescued_.back().end;
    if (end < job.rescue.least) return failed("the source has less than it said");
    return JobOutput(end);
}

Result<JobOutput> Postgres::result(const agent::ValidateJob&) {
    return JobOutput(std::vector<ParameterTrouble>());
}

Result<JobOutput> Postgres::result(const agent::ReconcileJob&) {
    if (!serves_as_master() || !server_->runs()) return failed("no session");
    return JobOutput();
}

Result<JobOutput> Postgres::result(const agent::SlotsJob& job) {
    if (!takes_sessions() || !server_->runs()) return failed("no session");
    files().slots = {job.wanted.begin(), job.wanted.end()};
    return JobOutput();
}

Result<JobOutput> Postgres::result(const agent::MeasureJob&) {
    constexpr std::uint64_t kGiB = 1u << 30;
    return JobOutput(agent::VolumeFacts{Bytes(10 * kGiB), Bytes(place_.volume.full ? 0 : 5 * kGiB),
                                        Bytes(kGiB)});
}

Result<JobOutput> Postgres::result(const agent::CheckpointJob&) {
    if (!takes_sessions() || !server_->runs()) return failed("no session");
    if (!recovery_) files().checkpoint_timeline = files().timeline();
    return JobOutput();
}

}  // namespace matriarch::sim
