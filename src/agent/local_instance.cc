#include "agent/local_instance.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <sstream>

#include "agent/files.h"
#include "agent/jobs.h"
#include "postgres/control_file.h"
#include "telemetry/log.h"

namespace matriarch::agent {
namespace {

namespace log = telemetry::log;

constexpr Duration kKillAgain = milliseconds(2);
constexpr Duration kKillPatience = milliseconds(300);
constexpr Duration kFlushEvery = seconds(1);
constexpr Duration kCertificateEvery = seconds(5);

// Before PostgreSQL 17 ALTER SYSTEM can set what we own; that would win over our file.
std::string without_owned(const std::string& text) {
    std::stringstream in(text);
    std::string out;
    for (std::string line; std::getline(in, line);) {
        const auto name = line.substr(0, line.find_first_of(" ="));
        if (!postgres::owned_parameter(name)) out += line + "\n";
    }
    return out;
}

void remove_files_in(const std::string& folder, std::string_view prefix) {
    for (const auto& name : names_in(folder))
        if (name.starts_with(prefix)) unlink((folder + "/" + name).c_str());
}

}  // namespace

LocalInstance::LocalInstance(LocalWorld world, Loop& loop, const Clock& clock, Deliver deliver)
    : world_(std::move(world)),
      loop_(loop),
      clock_(clock),
      deliver_(std::move(deliver)),
      lock_(world_.paths.lock()),
      supervisor_(world_.paths.lock()),
      probe_(world_.layout.socket_dir, world_.layout.port, world_.paths.data() + "/postmaster.pid",
             clock,
             [this](Probed probed) {
                 loop_.post(
                     [this, event = std::move(probed)]() mutable { deliver_(std::move(event)); });
             }),
      knock_(world_.layout.socket_dir + "/.s.PGSQL." + std::to_string(world_.layout.port),
             world_.paths.data() + "/postmaster.pid", clock,
             [this](Knocked knocked) { loop_.post([this, knocked] { deliver_(knocked); }); }),
      disk_(world_.paths.pulse(), clock,
            [folder = world_.paths.root] { return writes_completed(folder); }) {}

LocalInstance::~LocalInstance() {
    for (auto& [id, job] : jobs_) *job.stop = true;
    for (auto& [id, job] : jobs_) {
        // Their tools' ends are told by reap(), which nobody else calls any more.
        while (job.thread.joinable()) {
            supervisor_.kill_all(false);
            supervisor_.reap();
            job.thread.join();
        }
    }
}

Status LocalInstance::prepare() {
    const auto& p = world_.paths;
    for (const auto& dir :
         {p.agent(), p.pod_dir, p.socket_dir, p.private_tls(), p.check(), p.diverged()})
        if (auto made = make_directory(dir, 0700); !made) return made;
    // Cut in the middle: begun anew when ordered again.
    for (const auto& left : {p.initializing(), p.cloning(), p.rescue()}) {
        if (!exists(left)) continue;
        log::info("removes what a cut initdb or clone left", {{"path", left}});
        if (auto removed = remove_tree(left); !removed) return removed;
    }
    // Only once the new data is in place is the replaced one of no use.
    if (exists(p.replaced()) && exists(p.data() + "/PG_VERSION"))
        if (auto removed = remove_tree(p.replaced()); !removed) return removed;
    renew_certificate();
    return certificate_.empty() ? make_error(ErrorKind::NotFound, "no certificate in " + p.tls_dir)
                                : Status();
}

void LocalInstance::renew_certificate() {
    const TimePoint now = clock_.now();
    if (!certificate_.empty() && now - certificate_looked_at_ < kCertificateEvery) return;
    certificate_looked_at_ = now;
    std::string all;
    std::map<std::string, std::string> parts;
    for (const char* name : {"tls.crt", "tls.key", "ca.crt"}) {
        auto text = read_file(world_.paths.tls_dir + "/" + name);
        if (!text) {
            log::warn("can't read the certificate", text.error());
            return;
        }
        all += *text;
        parts[name] = std::move(*text);
    }
    if (all == certificate_) return;
    // PostgreSQL and libpq want the key owned by them with mode 0600, a mounted Secret's is not.
    for (const auto& [name, text] : parts) {
        const auto path = world_.paths.private_tls() + "/" + name;
        if (auto put = write_file(path, text, Durable::No, 0600); !put) {
            log::error("can't copy the certificate", put.error());
            return;
        }
    }
    const bool first = certificate_.empty();
    certificate_ = std::move(all);
    if (!first) reload();
}

bool LocalInstance::processes_left() {
    const bool ours = lock_.ours();
    if (!ours) return true;
    if (!lock_was_ours_) {
        lock_was_ours_ = true;
        log::info("no process of an earlier start is left");
    }
    return !supervisor_.alive(Supervisor::Whom::Servers, false).empty();
}

// The last write of a stop, before the postmaster lets the senders finish (postmaster.c,
// PM_SHUTDOWN_2).
bool LocalInstance::shut_down() {
    const auto control = postgres::read_control_file(world_.paths.data());
    return control && control->clean_shutdown;
}

bool LocalInstance::alive(int pid) const {
    return kill(pid, 0) == 0 || errno == EPERM;
}

Status LocalInstance::make_ready(Role role) {
    const auto& data = world_.paths.data();
    // Certain that no process is left; a number that is used again would make them look alive.
    unlink((data + "/postmaster.pid").c_str());
    const auto socket =
        world_.layout.socket_dir + "/.s.PGSQL." + std::to_string(world_.layout.port);
    unlink(socket.c_str());
    unlink((socket + ".lock").c_str());
    // In a container /dev/shm is this pod's alone; without the pid file nobody finds its leftovers.
    if (getpid() == 1) remove_files_in("/dev/shm", "PostgreSQL.");
    unlink((data + "/recovery.signal").c_str());
    const auto signal_file = data + "/standby.signal";
    if (role == Role::Slave) {
        if (auto put = write_file(signal_file, "", Durable::Yes); !put) return put;
    } else if (exists(signal_file)) {
        unlink(signal_file.c_str());
        if (auto synced = sync_directory(data); !synced) return synced;
    }
    const auto automatic = data + "/postgresql.auto.conf";
    if (auto text = read_file(automatic); text && without_owned(*text) != *text)
        if (auto put = write_file(automatic, without_owned(*text), Durable::No); !put) return put;
    return {};
}

Status LocalInstance::write_files(const ConfigFiles& files) {
    const auto& p = world_.paths;
    if (auto put = write_file(p.hba(), files.hba, Durable::No); !put) return put;
    if (auto put = write_file(p.ident(), files.ident, Durable::No); !put) return put;
    return write_file(p.data() + "/postgresql.conf", files.postgresql_conf, Durable::No);
}

Result<std::uint64_t> LocalInstance::start(Role role, const ConfigFiles& files) {
    if (postmaster_ != 0 || processes_left())
        return make_error(ErrorKind::Bug, "PostgreSQL can't start: a process is left");
    if (auto ready = make_ready(role); !ready) return ready.error();
    if (auto put = write_files(files); !put) return put.error();
    SpawnSpec spec =
        postgres_process(world_, lock_.descriptor(), world_.binaries.program("postgres"),
                         {"-D", world_.paths.data()});
    spec.session = true;
    const std::uint64_t generation = ++generation_;
    auto pid = supervisor_.spawn(spec, [this, generation](int status) {
        if (generation == generation_) postmaster_ = 0;
        probe_.rest();
        knock_.rest();
        // Posted, since reap() also runs inside a call of the agent's.
        loop_.post([this, generation, how = describe_exit(status)] {
            deliver_(PostmasterEnded{generation, how});
        });
    });
    if (!pid) return pid.error();
    postmaster_ = *pid;
    probe_.watch(generation);
    knock_.watch(generation, postmaster_);
    return generation;
}

void LocalInstance::stop_fast() {
    if (postmaster_ > 0) kill(postmaster_, SIGINT);
}

void LocalInstance::kill_all() {
    kill_round(clock_.now() + kKillPatience);
}

// Until a look at all processes finds none: a postmaster may have forked meanwhile.
void LocalInstance::kill_round(TimePoint give_up) {
    const std::size_t found = supervisor_.kill_all(!lock_.ours());
    if (found == 0 && lock_.ours()) {
        supervisor_.reap();
        probe_.rest();
        knock_.rest();
        loop_.post([this] { deliver_(AllGone{}); });
        return;
    }
    if (clock_.now() > give_up) {
        log::warn("processes don't die", {{"count", found}});
        give_up = clock_.now() + seconds(5);
    }
    loop_.at(clock_.now() + kKillAgain, [this, give_up] { kill_round(give_up); });
}

void LocalInstance::reload() {
    if (postmaster_ > 0) kill(postmaster_, SIGHUP);
}

Status LocalInstance::configure(const ConfigFiles& files) {
    if (auto put = write_files(files); !put) return put;
    reload();
    probe_.hurry();
    return {};
}

Status LocalInstance::reserve_timelines(Timeline current, Timeline reserved) {
    for (std::uint32_t n = current.value + 1; n <= reserved.value; ++n) {
        const auto path = world_.paths.pg_wal() + "/" + postgres::history_file(Timeline(n));
        if (exists(path)) continue;
        if (auto put = write_file(path, "", Durable::Yes); !put) return put;
    }
    return {};
}

// As pg_ctl promote does it: works however many connections are taken.
Status LocalInstance::promote() {
    if (postmaster_ <= 0) return make_error(ErrorKind::Unavailable, "no postmaster to promote");
    if (auto put = write_file(world_.paths.data() + "/promote", "", Durable::No); !put) return put;
    if (kill(postmaster_, SIGUSR1) != 0)
        return make_error(ErrorKind::Unavailable, "can't signal the postmaster", strerror(errno));
    return {};
}

std::vector<HistoryEntry> LocalInstance::history(Timeline timeline) {
    if (timeline.value < 2) return {};
    const auto text = read_file(world_.paths.pg_wal() + "/" + postgres::history_file(timeline));
    if (!text) return {};
    return postgres::parse_history(*text).value_or(std::vector<HistoryEntry>());
}

void LocalInstance::begin(JobId id, Job job) {
    auto stop = std::make_shared<std::atomic<bool>>(false);
    auto work = [this, id, stop, job = std::move(job)] {
        JobWorld world{
            world_, supervisor_, lock_.descriptor(), clock_, *stop, [this, id](std::string text) {
                loop_.post([this, id, text = std::move(text)]() mutable {
                    deliver_(JobProgress{id, std::move(text)});
                });
            }};
        auto output = run_job(world, job);
        loop_.post([this, id, output = std::move(output)]() mutable {
            if (const auto found = jobs_.find(id); found != jobs_.end()) {
                found->second.thread.join();
                jobs_.erase(found);
            }
            deliver_(JobEnded{id, std::move(output)});
        });
    };
    jobs_.emplace(id, Running{std::thread(std::move(work)), stop});
}

void LocalInstance::cancel(JobId id) {
    if (const auto found = jobs_.find(id); found != jobs_.end()) *found->second.stop = true;
}

void LocalInstance::remember_flush(Timeline timeline, Lsn flushed) {
    const TimePoint now = clock_.now();
    if (now - flush_written_ < kFlushEvery) return;
    flush_written_ = now;
    // A hint: lost or stale it costs time, never truth, so nothing is synced.
    (void)write_file(world_.paths.flush(),
                     std::to_string(timeline.value) + " " + flushed.str() + "\n", Durable::No);
}

}  // namespace matriarch::agent
