#include "agent/run.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "agent/agent.h"
#include "agent/files.h"
#include "agent/install.h"
#include "agent/local_instance.h"
#include "agent/local_ways.h"
#include "agent/service.h"
#include "agent/state_store.h"
#include "agent/tool.h"
#include "agent/warden.h"
#include "base/memory.h"
#include "net/client.h"
#include "postgres/wal.h"
#include "telemetry/log.h"

namespace matriarch::agent {
namespace {

namespace log = telemetry::log;

constexpr Duration kSnapshotEvery = seconds(1);
constexpr Duration kStartUp = seconds(5);
constexpr Duration kWardenAgain = milliseconds(20);

std::string variable(const char* name) {
    const char* value = getenv(name);
    return value == nullptr ? "" : value;
}

// What PostgreSQL and its tools see: nothing of ours. Messages stay English for our parsers.
std::vector<std::string> clean_environment(const RunOptions& o, const std::string& bin_dir) {
    std::vector<std::string> out{"PATH=" + bin_dir + ":/usr/local/bin:/usr/bin:/bin",
                                 "HOME=" + o.paths.root, "LANG=C.UTF-8", "LC_ALL=C.UTF-8",
                                 "TZ=UTC"};
    // Some images need it for PostgreSQL's own libraries.
    for (const char* kept : {"LD_LIBRARY_PATH", "PKGLIBDIR"})
        if (auto value = variable(kept); !value.empty()) out.push_back(kept + ("=" + value));
    return out;
}

// "postgres --version" once: the tests of a version belong to the binaries, not to the data.
int major_version(const postgres::Binaries& binaries) {
    const std::string command = binaries.program("postgres") + " --version";
    FILE* pipe = popen(command.c_str(), "re");
    if (pipe == nullptr) return 0;
    char line[256] = "";
    if (fgets(line, sizeof line, pipe) == nullptr) line[0] = 0;
    pclose(pipe);
    return postgres::parse_version_line(line);
}

FetchWal make_fetch(std::shared_ptr<net::HttpClient> client) {
    return [client](const Rescue& rescue, const WalPart& part, const std::string& into,
                    Deadline deadline) -> Status {
        net::PeerAddress peer;
        peer.ip = rescue.address;
        peer.port = static_cast<std::uint16_t>(rescue.port);
        peer.server_name = rescue.host;
        net::HttpRequest request;
        request.target = std::string(kWalPath) + part.file + "?from=" + std::to_string(part.from) +
                         "&length=" + std::to_string(part.length);
        const auto got =
            client->download_and_wait(peer, 0, std::move(request), {into, part.length}, deadline);
        return got ? Status() : Status(got.error());
    };
}

// PostgreSQL runs this some six times around a promotion, and each run delays it: a link made by
// `ln` takes a millisecond, a copy by ourselves a hundred. Exit codes above 125 would end the
// slave, so `ln` is used only where it is.
std::string restore_command(const Paths& paths) {
    for (const char* ln : {"/bin/ln", "/usr/bin/ln"})
        if (access(ln, X_OK) == 0)
            return std::string(ln) + " -f \"" + paths.rescue() + "/%f\" \"%p\" 2>/dev/null";
    std::string out;
    for (const auto& word : own_command()) out += word + " ";
    return out + "restore --from " + paths.rescue() + " %f %p";
}

Peers peers_of(const RunOptions& o) {
    Peers out;
    out.domain =
        o.peer_domain.empty() ? o.cluster + "-instances." + o.name_space + ".svc" : o.peer_domain;
    out.port = o.order_port;
    for (const auto& peer : o.peers) {
        const auto equals = peer.find('=');
        if (equals != std::string::npos)
            out.elsewhere[peer.substr(0, equals)] = peer.substr(equals + 1);
    }
    return out;
}

ApiServer api_of(const RunOptions& o) {
    return {o.api_host,   o.api_port, o.account_dir + "/token", o.account_dir + "/ca.crt",
            o.name_space, o.cluster};
}

class Process {
  public:
    explicit Process(const RunOptions& options) : o_(options), loop_(clock_) {}

    int run() {
        block_signals();
        if (auto ready = wire(); !ready) {
            log::error("the agent can't start", ready.error());
            return 1;
        }
        agent_->begin();
        loop_.at(clock_.now() + kStartUp, give_back_memory);
        loop_.run();
        service_->stop();
        log::info("ended");
        return 0;
    }

  private:
    // Before any thread exists, so that all inherit the mask.
    void block_signals() {
        signal(SIGPIPE, SIG_IGN);
        loop_.on_signal(SIGCHLD, [this] { instance_->reap(); });
        loop_.on_signal(SIGTERM, [this] { agent_->end(); });
        loop_.on_signal(SIGINT, [this] { agent_->end(); });
    }

    Status wire() {
        auto binaries = postgres::find_binaries(o_.bin_dir, variable("PATH"));
        if (!binaries) return binaries.error();
        binaries->major = major_version(*binaries);

        postgres::Layout layout;
        layout.socket_dir = o_.paths.socket_dir;
        layout.tls_dir = o_.paths.private_tls();
        layout.hba_file = o_.paths.hba();
        layout.ident_file = o_.paths.ident();
        layout.os_user = user_name(read_file("/etc/passwd").value_or(""), geteuid());
        if (layout.os_user.empty())
            return make_error(ErrorKind::Invalid,
                              "uid " + std::to_string(geteuid()) +
                                  " has no name in /etc/passwd, so the agent can't be told from "
                                  "others; mount the passwd file that `install` wrote");
        layout.restore_command = restore_command(o_.paths);
        layout.listen = o_.listen;
        layout.port = o_.port;
        layout.cluster = o_.cluster;
        layout.instance = InstanceName(o_.instance);
        layout.major_version = binaries->major;

        tls_ = std::make_shared<net::FileIdentity>(net::FileIdentity::Paths::in(o_.paths.tls_dir),
                                                   clock_);
        net::ClientOptions client;
        client.tls = tls_;
        client_ = std::make_shared<net::HttpClient>(client, clock_);
        LocalWorld world{o_.paths, layout, *binaries, clean_environment(o_, binaries->dir),
                         make_fetch(client_)};
        instance_ = std::make_unique<LocalInstance>(
            std::move(world), loop_, clock_, [this](Event event) { agent_->on(std::move(event)); });
        if (auto ready = instance_->prepare(); !ready) return ready;
        adopt_warden();
        ways_ = std::make_unique<LocalWays>(
            peers_of(o_), api_of(o_), client_, clock_, [this](Event event) {
                loop_.post([this, e = std::move(event)]() mutable { agent_->on(std::move(e)); });
            });

        store_ = std::make_unique<FileStateStore>(o_.paths.state(), o_.paths.state_beside());
        Settings settings;
        settings.pod = PodUid(o_.pod_uid);
        settings.version = "0.1.0";
        settings.layout = layout;
        settings.grace = o_.grace;
        agent_ = std::make_unique<Agent>(std::move(settings), clock_, random_, *store_, *instance_,
                                         *ways_, warden_);

        ServiceOptions service;
        service.bind_address = o_.bind_address;
        service.order_port = static_cast<std::uint16_t>(o_.order_port);
        service.health_port = static_cast<std::uint16_t>(o_.health_port);
        service.tls = tls_;
        service.cluster = o_.cluster;
        service.pg_wal = o_.paths.pg_wal();
        service_ = std::make_unique<Service>(std::move(service), *agent_, loop_, clock_);
        agent_->on_change([this] { service_->changed(); });
        loop_.on_idle([this] { return round(); });
        if (auto started = service_->start(); !started) return started;
        log::info("runs", {{"instance", o_.instance},
                           {"incarnation", agent_->incarnation()},
                           {"postgres", binaries->major},
                           {"bin_dir", binaries->dir}});
        return {};
    }

    // It is never an instance's process, and one that ended is made anew.
    void adopt_warden() {
        instance_->spare(warden_.process(), [this] {
            log::warn("the warden ended");
            loop_.at(clock_.now() + kWardenAgain, [this] {
                warden_.ended();
                adopt_warden();
            });
        });
    }

    // After each round of events.
    TimePoint round() {
        const TimePoint now = clock_.now();
        if (now >= agent_->wake()) agent_->tick();
        if (now >= snapshot_at_) {
            snapshot_at_ = now + kSnapshotEvery;
            instance_->renew_certificate();
            service_->changed();
        }
        if (agent_->ended()) loop_.stop();
        return std::max(std::min(agent_->wake(), snapshot_at_), now + milliseconds(1));
    }

    const RunOptions& o_;
    Warden warden_;  // before any thread, and while little memory is in use
    SystemClock clock_;
    SystemRandom random_;
    Loop loop_;
    std::shared_ptr<net::FileIdentity> tls_;
    std::shared_ptr<net::HttpClient> client_;
    std::unique_ptr<LocalWays> ways_;
    std::unique_ptr<LocalInstance> instance_;
    std::unique_ptr<FileStateStore> store_;
    std::unique_ptr<Agent> agent_;
    std::unique_ptr<Service> service_;
    TimePoint snapshot_at_;
};

}  // namespace

int run(const RunOptions& options) {
    limit_arenas(1);
    Process process(options);
    return process.run();
}

int restore(const std::string& from, const std::string& file, const std::string& target) {
    if (!postgres::is_wal_file_name(file)) return 1;
    if (link((from + "/" + file).c_str(), target.c_str()) == 0) return 0;
    const auto content = read_file(from + "/" + file, 1u << 30);
    if (!content) return 1;
    return write_file(target, *content, Durable::No) ? 0 : 1;
}

}  // namespace matriarch::agent
