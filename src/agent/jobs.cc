#include "agent/jobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "agent/files.h"
#include "agent/tool.h"
#include "postgres/connection.h"
#include "postgres/control_file.h"
#include "postgres/setup.h"
#include "postgres/wal_scan.h"
#include "telemetry/log.h"

namespace matriarch::agent {
namespace {

using postgres::Connection;

constexpr Duration kSqlPatience = seconds(15);
constexpr Duration kCheckpointPatience = std::chrono::minutes(30);
constexpr Duration kUpstreamPatience = seconds(5);
constexpr Duration kFetchPatience = seconds(5);  // for one segment
constexpr int kValidateRounds = 10;
constexpr std::uint64_t kWalPage = 8192;  // XLOG_BLCKSZ, as every package builds it

Error failed(const std::string& what, const ToolEnd& end) {
    return make_error(ErrorKind::Unavailable, what, last_words(end));
}

// --- the data directory ---------------------------------------------------------------------

// The newest timeline that has segments here and descends from `timeline`.
Timeline newest_descendant(const std::string& pg_wal, Timeline timeline,
                           std::vector<HistoryEntry>& history) {
    DIR* dir = opendir(pg_wal.c_str());
    if (dir == nullptr) return timeline;
    std::vector<std::uint32_t> numbers;
    while (const dirent* entry = readdir(dir)) {
        const auto name = postgres::parse_segment_file(entry->d_name, 16u << 20);
        if (name && name->timeline > timeline) numbers.push_back(name->timeline.value);
    }
    closedir(dir);
    std::sort(numbers.rbegin(), numbers.rend());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    for (const auto number : numbers) {
        const auto text = read_file(pg_wal + "/" + postgres::history_file(Timeline(number)));
        if (!text) continue;
        const auto parsed = postgres::parse_history(*text);
        if (!parsed) continue;
        for (const auto& entry : *parsed) {
            if (entry.timeline != timeline) continue;
            history = *parsed;
            return Timeline(number);
        }
    }
    return timeline;
}

Lsn stored_hint(const Paths& paths) {
    const auto text = read_file(paths.flush());
    if (!text) return {};
    const auto space = text->find(' ');
    if (space == std::string::npos) return {};
    return Lsn::parse(std::string_view(*text).substr(space + 1, text->find('\n') - space - 1))
        .value_or(Lsn());
}

void find_end(const Paths& paths, DataFacts& facts, Lsn hint) {
    facts.end_searched = true;
    const auto control = postgres::read_control_file(paths.data());
    if (!control) return;
    postgres::WalScan scan;
    scan.pg_wal = paths.pg_wal();
    scan.segment_size = postgres::segment_size_of(scan.pg_wal);
    scan.timeline = newest_descendant(scan.pg_wal, facts.timeline, facts.history);
    scan.history = facts.history;
    if (!hint.known()) hint = stored_hint(paths);
    // A hint beyond the truth, or into a segment that is gone, finds nothing; the redo point does.
    for (const Lsn from : {std::max(hint, control->redo), control->redo}) {
        scan.from = from;
        const auto end = postgres::find_wal_end(scan);
        if (!end) continue;
        facts.end_of_wal = end->end;
        if (end->timeline > facts.timeline) facts.timeline = end->timeline;
        break;
    }
    // History of the timeline that the WAL really ends on.
    if (facts.timeline != scan.timeline) {
        std::erase_if(facts.history,
                      [&](const HistoryEntry& e) { return e.timeline >= facts.timeline; });
    }
}

Result<JobOutput> inspect(const JobWorld& w, const InspectJob& job) {
    DataFacts facts = look_at_data(w.local.paths);
    if (job.find_end && facts.kind == DataFacts::Kind::Complete)
        find_end(w.local.paths, facts, job.hint);
    if (job.find_end) facts.end_searched = true;
    return JobOutput(std::move(facts));
}

// --- making data ----------------------------------------------------------------------------

ToolRun tool(const JobWorld& w, const std::string& program, std::vector<std::string> arguments) {
    ToolRun run;
    run.spec = postgres_process(w.local, w.lock_descriptor, w.local.binaries.program(program),
                                std::move(arguments));
    return run;
}

Result<JobOutput> initialize(const JobWorld& w, const InitializeJob& job) {
    const auto& p = w.local.paths;
    if (look_at_data(p).kind != DataFacts::Kind::None)
        return make_error(ErrorKind::AlreadyExists, "there is a data directory already");
    if (auto removed = remove_tree(p.initializing()); !removed) return removed.error();
    ToolRun run = tool(
        w, "initdb",
        {"-D", p.initializing(), "-U", "postgres", "--data-checksums", "--auth-local=peer",
         "--auth-host=reject", "--encoding=" + job.config.encoding, "--locale=" + job.config.locale,
         "--wal-segsize=" + std::to_string(job.config.wal_segment_size_mb)});
    const auto end = run_tool(w.supervisor, std::move(run), w.stop);
    if (!end) return end.error();
    if (!end->good) return failed("initdb failed", *end);
    rmdir(p.data().c_str());  // an empty folder may stand there
    if (auto moved = move_path(p.initializing(), p.data()); !moved) return moved.error();
    return JobOutput();
}

std::string upstream(const JobWorld& w, const Upstream& up, std::string_view database = {}) {
    return postgres::upstream_conninfo(w.local.layout, up, database);
}

// Puts a complete new data directory in the place of the old one, which goes last.
Status replace_data(const Paths& p) {
    rmdir(p.data().c_str());
    const bool old = exists(p.data());
    if (old) {
        if (auto removed = remove_tree(p.replaced()); !removed) return removed;
        if (auto moved = move_path(p.data(), p.replaced()); !moved) return moved;
    }
    if (auto moved = move_path(p.cloning(), p.data()); !moved) return moved;
    unlink(p.rewinding().c_str());
    unlink(p.flush().c_str());
    if (auto synced = sync_directory(p.agent()); !synced) return synced;
    return old ? remove_tree(p.replaced()) : Status();
}

// What a rewind that never ended had counted, and kept aside.
std::optional<Bytes> begun_rewind(const Paths& p) {
    const auto text = read_file(p.rewinding());
    return text ? std::optional(Bytes(std::strtoull(text->c_str(), nullptr, 10))) : std::nullopt;
}

Result<JobOutput> clone(const JobWorld& w, const CloneJob& job) {
    const auto& p = w.local.paths;
    if (auto removed = remove_tree(p.cloning()); !removed) return removed.error();
    // Under the slave's name its confirmations would release commits that wait for that slave, and
    // a clone may be given up. The last of equal keywords counts.
    const auto source = upstream(w, job.upstream) + " application_name='pg_basebackup'";
    ToolRun run = tool(
        w, "pg_basebackup",
        {"-D", p.cloning(), "-d", source, "-X", "stream", "-S", job.slot, "--checkpoint=fast",
         "--no-password", "--progress", "--label", "matriarch " + w.local.layout.instance.value});
    run.on_line = [&](std::string_view line) {
        if (line.find('%') != std::string_view::npos)
            w.progress("clones from " + job.upstream.instance.value + ": " +
                       std::string(line.substr(line.find_first_not_of(' '))));
    };
    const auto end = run_tool(w.supervisor, std::move(run), w.stop);
    if (!end || !end->good) {
        (void)remove_tree(p.cloning());
        return end ? failed("pg_basebackup from " + job.upstream.instance.value + " failed", *end)
                   : end.error();
    }
    if (auto put = write_file(p.cloning() + "/standby.signal", "", Durable::Yes); !put)
        return put.error();
    const auto diverged = begun_rewind(p);
    if (auto replaced = replace_data(p); !replaced) return replaced.error();
    return diverged ? JobOutput(*diverged) : JobOutput();
}

Status copy_file(const std::string& from, const std::string& to) {
    const int in = open(from.c_str(), O_RDONLY | O_CLOEXEC);
    if (in < 0) return make_error(ErrorKind::NotFound, "cannot open " + from);
    const int out = open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char buffer[65536];
    ssize_t got = out < 0 ? -1 : 1;
    while (got > 0) {
        got = read(in, buffer, sizeof buffer);
        if (got > 0 && write(out, buffer, static_cast<std::size_t>(got)) != got) got = -1;
    }
    const bool good = got == 0 && fsync(out) == 0;
    close(in);
    if (out >= 0) close(out);
    return good ? Status() : Status(make_error(ErrorKind::Unavailable, "cannot copy to " + to));
}

// The segments that only this instance has, before pg_rewind overwrites them in place.
Status keep_diverged(const JobWorld& w, const RewindJob& job) {
    const auto& p = w.local.paths;
    const auto folder = p.diverged() + "/" + std::to_string(job.epoch.value);
    if (auto made = make_directory(folder, 0700); !made) return made;
    const auto size = postgres::segment_size_of(p.pg_wal());
    if (size == 0) return make_error(ErrorKind::NotFound, "no WAL to keep aside");
    for (auto n = job.from.value / size; n <= job.to.value / size; ++n) {
        const auto file = postgres::segment_file(job.timeline, n, size);
        if (!exists(p.pg_wal() + "/" + file)) continue;
        if (auto kept = copy_file(p.pg_wal() + "/" + file, folder + "/" + file); !kept) return kept;
    }
    const auto history = postgres::history_file(job.timeline);
    if (exists(p.pg_wal() + "/" + history))
        if (auto kept = copy_file(p.pg_wal() + "/" + history, folder + "/" + history); !kept)
            return kept;
    return sync_directory(folder);
}

// What is left of timelines that the upstream never had. pg_rewind leaves it where it finds nothing
// to rewind: a promotion whose first checkpoint never ended is not in pg_control. It was kept
// aside.
Status remove_foreign_wal(const JobWorld& w, const RewindJob& job) {
    const auto& wal = w.local.paths.pg_wal();
    const auto size = postgres::segment_size_of(wal);
    for (const auto& name : names_in(wal)) {
        const auto history = postgres::parse_history_file(name);
        const auto segment = postgres::parse_segment_file(name, size);
        if (!history && !segment) continue;
        const Timeline timeline = history ? *history : segment->timeline;
        if (std::find(job.common.begin(), job.common.end(), timeline) != job.common.end()) continue;
        unlink((wal + "/" + name).c_str());
    }
    return sync_directory(wal);
}

Result<JobOutput> rewind(const JobWorld& w, const RewindJob& job) {
    const auto& p = w.local.paths;
    if (auto kept = keep_diverged(w, job); !kept) return kept.error();
    const auto bytes = distance(job.from, job.to);
    if (auto marked = write_file(p.rewinding(), std::to_string(bytes.value) + "\n", Durable::Yes);
        !marked)
        return marked.error();
    // It recovers a crashed target in single-user mode, which standby mode forbids.
    unlink((p.data() + "/standby.signal").c_str());
    ToolRun run = tool(
        w, "pg_rewind",
        {"-D", p.data(), "--source-server=" + upstream(w, job.upstream, "postgres"), "--progress"});
    const auto end = run_tool(w.supervisor, std::move(run), w.stop);
    if (!end) return end.error();
    if (!end->good) return failed("pg_rewind failed", *end);
    if (auto put = write_file(p.data() + "/standby.signal", "", Durable::Yes); !put)
        return put.error();
    if (auto removed = remove_foreign_wal(w, job); !removed) return removed.error();
    unlink(p.rewinding().c_str());
    unlink(p.flush().c_str());
    if (auto synced = sync_directory(p.agent()); !synced) return synced.error();
    return JobOutput(bytes);
}

// --- WAL from others ------------------------------------------------------------------------

// A whole segment from what is here up to `from` and the fetched part behind it; the rest is empty,
// as in a segment that is being written. PostgreSQL syncs what restore_command gives it.
Status splice(const std::string& ours, std::uint64_t from, const std::string& part,
              const std::string& into, std::uint64_t size) {
    const int out = open(into.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0) return make_error(ErrorKind::Unavailable, "cannot write " + into);
    const auto append = [&](const std::string& path, std::uint64_t limit) {
        const int in = open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (in < 0) return false;
        char buffer[65536];
        bool good = true;
        while (good && limit > 0) {
            const auto got = read(in, buffer, std::min<std::uint64_t>(sizeof buffer, limit));
            if (got <= 0) {
                good = got == 0;
                break;
            }
            good = write(out, buffer, static_cast<std::size_t>(got)) == got;
            limit -= static_cast<std::uint64_t>(got);
        }
        close(in);
        return good;
    };
    bool good = from == 0 || append(ours, from);
    good = good && append(part, size) && ftruncate(out, static_cast<off_t>(size)) == 0;
    close(out);
    unlink(part.c_str());
    return good ? Status() : Status(make_error(ErrorKind::Unavailable, "cannot make " + into));
}

// Where the last complete record of what was fetched ends: replay can come no further.
Result<JobOutput> end_of_rescued(const std::string& folder, std::uint64_t size,
                                 const RescueJob& job) {
    postgres::WalScan scan;
    scan.pg_wal = folder;
    scan.segment_size = size;
    scan.timeline = job.rescue.timeline;
    scan.from = job.have;
    const auto found = postgres::find_wal_end(scan);
    const Lsn end = found ? found->end : Lsn();
    if (end < job.rescue.least)
        return make_error(ErrorKind::Unavailable, "the WAL from " + job.rescue.source.value +
                                                      " ends at " + end.str() + ", not at " +
                                                      job.rescue.least.str());
    return JobOutput(end);
}

// Only what is missing: a slave mostly lacks some kilobytes, and a segment has 16 MB or more.
Result<JobOutput> rescue(const JobWorld& w, const RescueJob& job) {
    const auto& p = w.local.paths;
    if (auto removed = remove_tree(p.rescue()); !removed) return removed.error();
    if (auto made = make_directory(p.rescue(), 0700); !made) return made.error();
    const auto size = postgres::segment_size_of(p.pg_wal());
    if (size == 0) return make_error(ErrorKind::NotFound, "no WAL segment here");
    if (!(job.rescue.end > job.have)) return JobOutput(job.rescue.least);
    const std::uint64_t end = job.rescue.end.value;
    for (auto n = job.have.value / size; n <= (end - 1) / size; ++n) {
        if (w.stop) return make_error(ErrorKind::Cancelled, "the rescue was stopped");
        const auto file = postgres::segment_file(job.rescue.timeline, n, size);
        const auto ours = p.pg_wal() + "/" + file;
        const bool first = n == job.have.value / size && exists(ours);
        // Whole pages, since the last one here may be half written.
        const auto from = first ? job.have.value % size / kWalPage * kWalPage : 0;
        const auto until = std::min((end - n * size + kWalPage - 1) / kWalPage * kWalPage, size);
        const auto into = p.rescue() + "/" + file, part = into + ".part";
        w.progress("fetches " + std::to_string(until - from) + " bytes of " + file + " from " +
                   job.rescue.source.value);
        const Deadline deadline = Deadline::after(w.clock, kFetchPatience);
        const auto got = w.local.fetch_wal(job.rescue, {file, from, until - from}, part, deadline);
        if (!got) return got.error();
        if (auto made = splice(ours, from, part, into, size); !made) return made.error();
    }
    return end_of_rescued(p.rescue(), size, job);
}

// pg_wal may be thousands of files, whose names and sizes the kernel has at hand.
Result<JobOutput> measure(const JobWorld& w) {
    const auto& p = w.local.paths;
    struct statvfs volume {};
    if (statvfs(p.root.c_str(), &volume) != 0)
        return make_error(ErrorKind::Unavailable, "the volume can't be measured", strerror(errno));
    VolumeFacts out;
    out.size = Bytes(volume.f_blocks * volume.f_frsize);
    out.free = Bytes(volume.f_bavail * volume.f_frsize);  // what others than root may use
    for (const auto& name : names_in(p.pg_wal())) {
        struct stat file {};
        if (stat((p.pg_wal() + "/" + name).c_str(), &file) == 0)
            out.wal.value += static_cast<std::uint64_t>(file.st_blocks) * 512;  // as POSIX counts
    }
    return JobOutput(out);
}

// --- SQL ------------------------------------------------------------------------------------

Result<Connection> local_session(const JobWorld& w, Deadline deadline,
                                 const std::string& database = "postgres") {
    auto options = postgres::local_options(w.local.layout.socket_dir, w.local.layout.port, false,
                                           "matriarch-agent");
    options.emplace_back("dbname", database);  // libpq takes the last word
    return Connection::open(options, deadline, w.clock);
}

Result<Connection> upstream_session(const JobWorld& w, const Upstream& up, Deadline deadline) {
    postgres::ConnectionOptions options{{"dbname", upstream(w, up, "postgres")},
                                        {"replication", "database"}};
    auto connection = Connection::open(options, deadline, w.clock);
    if (connection) return connection;
    return make_error(connection.error().kind,
                      "the upstream " + up.instance.value + " can't be asked",
                      connection.error().message());
}

Result<JobOutput> ask_upstream(const JobWorld& w, const AskUpstreamJob& job) {
    const Deadline deadline = Deadline::after(w.clock, kUpstreamPatience);
    auto connection = upstream_session(w, job.upstream, deadline);
    if (!connection) return connection.error();
    auto facts = postgres::read_upstream(*connection, deadline);
    if (!facts) return facts.error();
    return JobOutput(std::move(*facts));
}

Result<JobOutput> with_session(const JobWorld& w, Duration patience,
                               const std::function<Status(Connection&, Deadline)>& work) {
    const Deadline deadline = Deadline::after(w.clock, patience);
    auto connection = local_session(w, deadline);
    if (!connection) return connection.error();
    if (auto done = work(*connection, deadline); !done) return done.error();
    return JobOutput();
}

// The promotion waits until all of it is replayed, which somebody may have paused.
Result<JobOutput> rescue_to_replay(const JobWorld& w, const RescueJob& job) {
    auto rescued = rescue(w, job);
    if (!rescued) return rescued;
    auto resumed = with_session(w, kSqlPatience, [](Connection& c, Deadline d) {
        const auto done = c.query(
            "SELECT pg_catalog.pg_wal_replay_resume() WHERE pg_catalog.pg_is_wal_replay_paused()",
            d);
        return done ? Status() : Status(done.error());
    });
    if (!resumed) telemetry::log::warn("can't resume replay", resumed.error());
    return rescued;
}

// An upstream that can't be asked is no reason to leave a lost slot as it is.
Result<JobOutput> keep_slots(const JobWorld& w, const SlotsJob& job) {
    std::optional<postgres::SlotPositions> theirs;
    if (job.upstream) {
        const Deadline deadline = Deadline::after(w.clock, kUpstreamPatience);
        auto connection = upstream_session(w, *job.upstream, deadline);
        auto slots = connection ? postgres::read_slots(*connection, deadline)
                                : Result<postgres::SlotPositions>(connection.error());
        if (slots) theirs = std::move(*slots);
    }
    return with_session(w, kSqlPatience, [&](Connection& c, Deadline d) {
        return postgres::reconcile_slots(c, job.wanted, theirs, d);
    });
}

std::string without_parameter(const std::string& conf, const std::string& name) {
    std::string out;
    std::stringstream in(conf);
    for (std::string line; std::getline(in, line);)
        if (strcasecmp(line.substr(0, line.find(' ')).c_str(), name.c_str()) != 0)
            out += line + "\n";
    return out;
}

// PostgreSQL reads the file as it would at a start. It names unknown parameters before it looks at
// any value, so what it refused is taken out and the rest asked about again.
Result<JobOutput> validate(const JobWorld& w, const ValidateJob& job) {
    auto troubles = postgres::owned_parameter_troubles(job.config);
    const auto& folder = w.local.paths.check();
    std::string conf = job.postgresql_conf;
    for (int round = 0; round < kValidateRounds; ++round) {
        if (auto put = write_file(folder + "/postgresql.conf", conf, Durable::No); !put)
            return put.error();
        ToolRun run = tool(w, "postgres", {"-C", "max_connections", "-D", folder});
        const auto end = run_tool(w.supervisor, std::move(run), w.stop);
        if (!end) return end.error();
        if (end->how.starts_with("signal"))
            return failed("the configuration was not checked", *end);
        if (end->good) break;
        auto found = postgres::parse_parameter_errors(end->said, job.config);
        if (found.empty()) found.push_back({"", last_words(*end)});
        const bool named = !found.front().name.empty();
        for (auto& trouble : found) {
            conf = without_parameter(conf, trouble.name);
            // "… in file "/run/…/postgresql.conf" line 23" tells a user nothing.
            trouble.message = trouble.message.substr(0, trouble.message.find(" in file \""));
            troubles.push_back(std::move(trouble));
        }
        if (!named) break;
    }
    return JobOutput(std::move(troubles));
}

}  // namespace

SpawnSpec postgres_process(const LocalWorld& local, int lock_descriptor, const std::string& program,
                           std::vector<std::string> arguments) {
    SpawnSpec spec;
    spec.argv.push_back(program);
    for (auto& argument : arguments) spec.argv.push_back(std::move(argument));
    spec.env = local.environment;
    spec.cwd = local.paths.root;
    spec.keep = lock_descriptor;
    return spec;
}

DataFacts look_at_data(const Paths& paths) {
    DataFacts facts;
    const auto data = paths.data();
    if (!exists(data + "/PG_VERSION")) {
        DIR* dir = opendir(data.c_str());
        bool empty = true;
        while (const dirent* entry = dir ? readdir(dir) : nullptr) {
            const std::string_view name = entry->d_name;
            if (name != "." && name != "..") empty = false;
        }
        if (dir != nullptr) closedir(dir);
        // A cut between the two renames of a clone: the old data is still complete beside it.
        if (empty && exists(paths.replaced() + "/PG_VERSION")) {
            rmdir(data.c_str());
            if (move_path(paths.replaced(), data)) return look_at_data(paths);
        }
        if (empty) return facts;
        facts.kind = DataFacts::Kind::Broken;
        facts.trouble = "the data directory has no PG_VERSION";
        return facts;
    }
    facts.kind = DataFacts::Kind::Complete;
    facts.standby = exists(data + "/standby.signal");
    const auto control = postgres::read_control_file(data);
    if (!control) {
        facts.kind = DataFacts::Kind::Broken;
        facts.trouble = control.error().message();
        return facts;
    }
    facts.system_identifier = control->system_identifier;
    facts.clean_shutdown = control->clean_shutdown;
    facts.timeline = std::max(control->checkpoint_timeline, control->min_recovery_timeline);
    if (facts.timeline.value > 1) {
        const auto text = read_file(paths.pg_wal() + "/" + postgres::history_file(facts.timeline));
        if (text) facts.history = postgres::parse_history(*text).value_or(facts.history);
    }
    if (exists(paths.rewinding())) {
        facts.kind = DataFacts::Kind::Broken;
        facts.trouble = "pg_rewind was interrupted here";
    }
    return facts;
}

Result<JobOutput> run_job(const JobWorld& w, const Job& job) {
    struct Visitor {
        const JobWorld& w;
        Result<JobOutput> operator()(const InspectJob& j) { return inspect(w, j); }
        Result<JobOutput> operator()(const MeasureJob&) { return measure(w); }
        Result<JobOutput> operator()(const InitializeJob& j) { return initialize(w, j); }
        Result<JobOutput> operator()(const AskUpstreamJob& j) { return ask_upstream(w, j); }
        Result<JobOutput> operator()(const CloneJob& j) { return clone(w, j); }
        Result<JobOutput> operator()(const RewindJob& j) { return rewind(w, j); }
        Result<JobOutput> operator()(const RescueJob& j) { return rescue_to_replay(w, j); }
        Result<JobOutput> operator()(const ValidateJob& j) { return validate(w, j); }
        Result<JobOutput> operator()(const ReconcileJob& j) {
            return with_session(w, kSqlPatience, [&](Connection& c, Deadline d) -> Status {
                if (auto roles = postgres::reconcile_roles(c, j.config, d); !roles) return roles;
                if (j.config.pooler_role.empty()) return {};
                auto app = local_session(w, d, j.config.database);
                if (!app) return app.error();
                return postgres::reconcile_pooler(*app, j.config.pooler_role, d);
            });
        }
        Result<JobOutput> operator()(const SlotsJob& j) { return keep_slots(w, j); }
        Result<JobOutput> operator()(const CheckpointJob&) {
            return with_session(w, kCheckpointPatience, [](Connection& c, Deadline d) -> Status {
                const auto done = c.query("CHECKPOINT", d);
                return done ? Status() : Status(done.error());
            });
        }
    };
    return std::visit(Visitor{w}, job);
}

}  // namespace matriarch::agent
