#include "pooler/run.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <sstream>

#include "agent/files.h"
#include "agent/loop.h"
#include "agent/supervisor.h"
#include "base/random.h"
#include "kube/cpprest_transport.h"
#include "kube/credentials.h"
#include "model/pooler.h"
#include "net/server.h"
#include "pooler/console.h"
#include "pooler/follower.h"
#include "pooler/master_watch.h"
#include "pooler/pool_metrics.h"
#include "pooler/routes_watch.h"
#include "telemetry/controller_metrics.h"
#include "telemetry/health.h"
#include "telemetry/http_endpoints.h"
#include "telemetry/log.h"

namespace matriarch::pooler {
namespace {

namespace log = telemetry::log;

constexpr Duration kLookEvery = seconds(1);  // at the pools, and at the mounted Secret
constexpr Duration kPatience = seconds(5);   // of readiness: without an answer of PgBouncer
// Until kube-proxy of every node has left this pod out.
constexpr Duration kSettle = seconds(3);
constexpr Duration kLastMoments = seconds(5);  // of the grace period: clients are cut off
constexpr const char* kUsualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string find_program(const std::string& wanted) {
    if (!wanted.empty()) return wanted;
    const char* path = getenv("PATH");
    std::stringstream folders(std::string(path == nullptr ? "" : path) + ":" + kUsualPath);
    for (std::string folder; std::getline(folders, folder, ':');) {
        const std::string program = folder + "/pgbouncer";
        if (!folder.empty() && access(program.c_str(), X_OK) == 0) return program;
    }
    return {};
}

// The kubelet brings a changed Secret by moving the link ..data.
std::int64_t changed_at(const std::string& folder) {
    struct stat found {};
    if (::lstat((folder + "/..data").c_str(), &found) != 0) return 0;
    return found.st_mtim.tv_sec * 1'000'000'000 + found.st_mtim.tv_nsec;
}

class Process {
  public:
    explicit Process(const RunOptions& options)
        : o_(options),
          loop_(clock_),
          children_(""),
          console_(o_.place.run_dir, o_.place.port, clock_),
          metrics_(registry_, {{"namespace", o_.name_space}, {"cluster", o_.cluster}}),
          follower_(o_.place, console_,
                    {[this](const std::string& ini) { return write_ini(ini); },
                     [this](const std::string& word) { watch_->tell(word); },
                     [this](Duration d) { metrics_.followed.observe(in_seconds(d)); },
                     [this](Duration d) { metrics_.held.observe(in_seconds(d)); }},
                    clock_),
          master_watch_(clock_, [this](const std::string& address, bool takes_clients) {
              loop_.post([this, address, takes_clients] { see_master(address, takes_clients); });
          }) {}

    int run() {
        signal(SIGPIPE, SIG_IGN);
        loop_.on_signal(SIGCHLD, [this] { children_.reap(); });
        loop_.on_signal(SIGTERM, [this] { leave(); });
        loop_.on_signal(SIGINT, [this] { leave(); });
        if (auto ready = wire(); !ready) {
            log::error("the pooler can't start", ready.error());
            return 1;
        }
        watch_->start();
        look();
        loop_.run();
        server_->stop();
        watch_.reset();
        log::info("ended");
        return exit_code_;
    }

  private:
    static double in_seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

    Status wire() {
        program_ = find_program(o_.program);
        if (program_.empty())
            return make_error(ErrorKind::NotFound,
                              "there is no program pgbouncer in PATH: "
                              "spec.pooler.image must have PgBouncer");
        auto credentials = kube::find_credentials(kube::Surroundings::of_process(),
                                                  {.path = o_.kubeconfig}, clock_);
        if (!credentials) return credentials.error();
        credentials_ = std::move(*credentials);
        watch_ = std::make_unique<RoutesWatch>(
            *credentials_, o_.name_space, o_.cluster, o_.pod, clock_, random_,
            [this](const Routes& routes, const std::string& settings) {
                loop_.post([this, routes, settings] { see(routes, settings); });
            });
        healthz_.add("loop", [this]() -> Status {
            if (clock_.now() - loop_.last_round() < kPatience) return {};
            return make_error(ErrorKind::Timeout, "the main loop is stuck");
        });
        readyz_.add("pgbouncer", [this]() -> Status {
            if (!leaving_ && clock_.now() - TimePoint(Duration(answered_.load())) < kPatience)
                return {};
            return make_error(ErrorKind::Unavailable, "PgBouncer takes no clients");
        });
        telemetry::add_process_metrics(registry_);
        telemetry::mount_metrics(router_, registry_);
        router_.on("GET", std::string(kPoolsPath),
                   [this](const net::HttpRequest&, net::Responder responder) {
                       responder.answer(net::json_response(200, to_json(metrics_.servers())));
                   });
        telemetry::mount_health(router_, healthz_);
        telemetry::mount_health(router_, readyz_);
        net::ServerOptions plain;
        plain.bind_address = o_.bind_address;
        plain.port = static_cast<std::uint16_t>(o_.health_port);
        plain.max_connections = 64;
        plain.max_body_bytes = 4096;
        auto started = net::HttpServer::start(std::move(plain), router_.handler(), clock_);
        if (!started) return started.error();
        server_ = std::move(*started);
        return {};
    }

    void see(const Routes& routes, const std::string& settings) {
        if (!follower_.see(routes, settings))
            return log::warn("older routes are not followed",
                             {{"epoch", routes.epoch}, {"sequence", routes.sequence}});
        pool_size_ = pool_size_in(settings);
        step();
        follow_master(routes, settings);
    }

    void follow_master(const Routes& routes, const std::string& settings) {
        const auto& folder = o_.place.secret_dir;
        const auto secret = [&](std::string_view key) {
            return agent::read_file(folder + "/" + std::string(key)).value_or("");
        };
        master_ = {};
        if (routes.master)
            master_ = {.host = routes.master->host,
                       .address = routes.master->address,
                       .port = routes.master->port,
                       .database = o_.place.database,
                       .user = secret(kPoolerUserKey),
                       .password = secret(kPoolerPasswordKey),
                       .ssl_mode = server_tls(settings),
                       .ca_file = folder + "/" + std::string(kServerCaKey)};
        // By an older operator's Secret there is nobody to ask as.
        if (master_.user.empty()) master_ = {};
        master_watch_.follow(master_);
    }

    void see_master(const std::string& address, bool takes_clients) {
        if (address != master_.address) return;
        if (follower_.see_master(takes_clients)) step();
    }

    // Steps that are due at the same time are one.
    void step() {
        const TimePoint next = follower_.step();
        if (next >= next_step_ && next_step_ > clock_.now()) return;
        next_step_ = next;
        loop_.at(next, [this, next] {
            if (next == next_step_) step();
        });
    }

    Status write_ini(const std::string& ini) {
        if (auto put = agent::write_file(o_.place.ini_path(), ini, agent::Durable::No); !put)
            return put;
        if (child_ != 0) return {};
        agent::SpawnSpec spec;
        spec.argv = {program_, o_.place.ini_path()};
        spec.env = {std::string("PATH=") + kUsualPath, "HOME=/tmp", "LANG=C.UTF-8", "TZ=UTC"};
        auto child = children_.spawn(spec, [this](int status) { ended(status); });
        if (!child) return child.error();
        child_ = *child;
        log::info("starts PgBouncer", {{"program", program_}});
        return {};
    }

    void ended(int status) {
        log::info("PgBouncer ended", {{"how", agent::describe_exit(status)}});
        exit_code_ = leaving_ ? 0 : 1;
        loop_.stop();
    }

    void look() {
        loop_.at(clock_.now() + kLookEvery, [this] { look(); });
        if (const auto now = changed_at(o_.place.secret_dir); now != secret_changed_) {
            const bool first = secret_changed_ == 0;
            secret_changed_ = now;
            if (!first) {
                follower_.reload_files();
                step();
            }
        }
        if (child_ == 0) return;
        auto pools = console_.pools();
        auto servers = console_.servers(pool_size_);
        if (!pools || !servers || !console_.add_totals(*pools)) return;
        answered_ = clock_.now().time_since_epoch().count();
        metrics_.note(std::move(*pools), std::move(*servers), pool_size_, follower_.holding());
    }

    // Its Service leaves it out first; then clients go one after another, and at last all.
    void leave() {
        if (leaving_.exchange(true)) return;
        log::info("leaves");
        if (child_ == 0) return loop_.stop();
        watch_->tell("");
        loop_.at(clock_.now() + kSettle, [this] {
            if (auto asked = console_.shut_down(); !asked) {  // before version 1.23
                log::info("PgBouncer knows no slow end", {{"why", asked.error().message()}});
                kill(child_, SIGINT);
            }
        });
        loop_.at(clock_.now() + o_.grace - kLastMoments, [this] { kill(child_, SIGQUIT); });
    }

    const RunOptions o_;
    SystemClock clock_;
    SystemRandom random_;
    agent::Loop loop_;
    agent::Supervisor children_;
    PgBouncerConsole console_;
    telemetry::Registry registry_;
    PoolMetrics metrics_;
    Follower follower_;
    telemetry::HealthChecks healthz_{"healthz"}, readyz_{"readyz"};
    net::Router router_;
    std::unique_ptr<kube::CredentialSource> credentials_;
    std::unique_ptr<RoutesWatch> watch_;
    std::unique_ptr<net::HttpServer> server_;
    std::string program_;
    MasterSession master_;
    pid_t child_ = 0;
    int pool_size_ = 0, exit_code_ = 0;
    std::int64_t secret_changed_ = 0;
    TimePoint next_step_{};
    std::atomic<std::int64_t> answered_{0};  // when PgBouncer did, last
    std::atomic<bool> leaving_{false};
    MasterWatch master_watch_;  // the last: its thread uses the loop
};

}  // namespace

int run(const RunOptions& options) {
    return Process(options).run();
}

}  // namespace matriarch::pooler
