// The files and URIs that applications get, as the programs for which they are made read them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <regex>

#include "base/random.h"
#include "operator/app_secret.h"
#include "operator/env_keys.h"
#include "operator/names.h"
#include "operator/routing_config.h"

namespace matriarch::op {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

Cluster orders(int slaves) {
    Cluster out;
    out.key = {"shop", "orders"};
    out.spec.slaves = slaves;
    return out;
}

Routes routes_of(const Cluster& cluster) {
    Routes out;
    out.epoch = Epoch(4);
    out.sequence = 7;
    const auto name = [&](int n) { return instance_name(cluster.key.name, n); };
    out.master =
        MasterRoute{name(1), PodUid("pod-1"), host_of(cluster.key, name(1)), "10.0.0.1", 5432};
    for (int n = 1; n <= cluster.spec.slaves; ++n) {
        SlaveRoute slave;
        slave.position = n;
        slave.instance = name(n + 1);
        slave.address = "10.0.0." + std::to_string(n + 1);
        slave.state = RouteState::Ready;
        slave.weight = cluster.spec.routing.weight_of(n);
        out.slaves.push_back(slave);
    }
    return out;
}

// A file that is gone with the test.
class File {
  public:
    explicit File(const std::string& text) {
        path_ = std::filesystem::temp_directory_path() / ("matriarch-" + SystemRandom().hex(8));
        std::ofstream(path_) << text;
    }
    ~File() { std::filesystem::remove(path_); }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    std::string path() const { return path_; }

  private:
    std::filesystem::path path_;
};

// What a program says, ended by its exit status.
std::string run(const std::string& command) {
    std::string out;
    FILE* pipe = popen((command + " 2>&1").c_str(), "re");
    if (pipe == nullptr) return "does not start";
    char buffer[4096];
    while (const std::size_t n = fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, n);
    return out + "exit status " + std::to_string(WEXITSTATUS(pclose(pipe)));
}

using Options = std::map<std::string, std::string>;

Options values(PQconninfoOption* options) {
    Options out;
    for (auto* o = options; o != nullptr && o->keyword != nullptr; ++o)
        if (o->val != nullptr) out[o->keyword] = o->val;
    PQconninfoFree(options);
    return out;
}

Options parse(const std::string& uri) {
    char* error = nullptr;
    auto* options = PQconninfoParse(uri.c_str(), &error);
    EXPECT_NE(options, nullptr) << uri << ": " << (error ? error : "");
    PQfreemem(error);
    return values(options);
}

// As libpq takes them from the service file; the hosts do not exist.
Options service(const std::string& name) {
    const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(
        PQconnectStart(("service=" + name).c_str()), &PQfinish);
    EXPECT_THAT(PQerrorMessage(connection.get()), Not(HasSubstr("service file")));
    return values(PQconninfo(connection.get()));
}

TEST(Haproxy, GivenEveryStrategyAndSize_WhenItChecksItsFile_ThenItAgrees) {
    for (const int slaves : {0, 1, 5}) {
        for (const Strategy strategy :
             {Strategy::RoundRobin, Strategy::Random, Strategy::LeastConnections}) {
            for (const bool fallback : {true, false}) {
                Cluster cluster = orders(slaves);
                cluster.spec.routing.strategy = strategy;
                cluster.spec.routing.fallback_to_master = fallback;
                cluster.spec.routing.weights = {{"slave1", 1000}, {"slave2", 0}};
                // Names that resolve here too.
                const File file(std::regex_replace(haproxy_cfg(cluster, routes_of(cluster)),
                                                   std::regex("orders-[a-z0-9]+[.]shop[.]svc"),
                                                   "127.0.0.1"));
                const std::string said = run("haproxy -c -f " + file.path());
                EXPECT_THAT(said, HasSubstr("Configuration file is valid"));
                EXPECT_THAT(said, Not(AnyOf(HasSubstr("WARNING"), HasSubstr("ALERT"))));
            }
        }
    }
}

// A PgBouncer with the file that it would get, but for the port, the place of userlist.txt and an
// administrator who may ask it what it understood.
class PgBouncer {
  public:
    PgBouncer(std::string ini, const std::string& userlist) : users_(userlist) {
        const auto replace = [&](const std::string& what, const std::string& by) {
            const auto at = ini.find(what);
            ASSERT_NE(at, std::string::npos) << what;
            ini.replace(at, what.size(), by);
        };
        replace("listen_addr = *", "listen_addr = 127.0.0.1\nunix_socket_dir =\nadmin_users = app");
        replace("listen_port = 6432", "listen_port = " + std::to_string(kPort));
        replace("/etc/pgbouncer/userlist.txt", users_.path());
        ini_ = std::make_unique<File>(ini);
        pid_ = fork();
        if (pid_ != 0) return;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        const std::string path = ini_->path();
        if (getuid() == 0)
            execlp("pgbouncer", "pgbouncer", "-q", "-u", "nobody", path.c_str(), nullptr);
        else
            execlp("pgbouncer", "pgbouncer", "-q", path.c_str(), nullptr);
        _exit(127);
    }
    ~PgBouncer() {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    PgBouncer(const PgBouncer&) = delete;
    PgBouncer& operator=(const PgBouncer&) = delete;

    // name -> "host port database", as `user` sees it.
    Options databases(const std::string& user, const std::string& password) const {
        const auto connection = connect(user, password);
        EXPECT_EQ(PQstatus(connection.get()), CONNECTION_OK) << PQerrorMessage(connection.get());
        const std::unique_ptr<PGresult, decltype(&PQclear)> rows(
            PQexec(connection.get(), "SHOW DATABASES"), &PQclear);
        Options out;
        for (int row = 0; row < PQntuples(rows.get()); ++row) {
            const auto text = [&](const char* column) {
                return std::string(PQgetvalue(rows.get(), row, PQfnumber(rows.get(), column)));
            };
            out[text("name")] = text("host") + " " + text("port") + " " + text("database");
        }
        return out;
    }

  private:
    static constexpr int kPort = 26432;
    using Handle = std::unique_ptr<PGconn, decltype(&PQfinish)>;

    // It takes a moment to listen.
    static Handle connect(const std::string& user, const std::string& password) {
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        const std::string port = std::to_string(kPort);
        const char* keys[] = {"host", "port", "user", "password", "dbname", nullptr};
        const char* texts[] = {"127.0.0.1",      port.c_str(), user.c_str(),
                               password.c_str(), "pgbouncer",  nullptr};
        while (true) {
            Handle out(PQconnectdbParams(keys, texts, 0), &PQfinish);
            const bool refused =
                std::string(PQerrorMessage(out.get())).find("refused") != std::string::npos;
            if (!refused || std::chrono::steady_clock::now() > until) return out;
            usleep(10000);
        }
    }

    File users_;
    std::unique_ptr<File> ini_;
    pid_t pid_ = 0;
};

TEST(PgBouncerFile, GivenAnOddPassword_WhenItRuns_ThenItServesTheThreeDatabasesToItsUser) {
    SystemRandom random;
    const std::string password = "p@s\"s '%;#x";
    const Cluster cluster = orders(2);
    const auto secret =
        merge_app_secret(cluster, {"a"}, {"a"}, "", {{"password", password}}, random);
    ASSERT_TRUE(secret.ok()) << secret.error().message();
    const PgBouncer bouncer(pgbouncer_ini(cluster, routes_of(cluster)), secret->at("userlist.txt"));
    Options databases = bouncer.databases("app", password);
    databases.erase("pgbouncer");
    EXPECT_EQ(databases,
              (Options{{"app", "orders-master.shop.svc 5432 app"},
                       {"app_master", "orders-master.shop.svc 5432 app"},
                       {"app_replica", "orders-slave1.shop.svc,orders-slave2.shop.svc 5432 app"}}));
}

TEST(Libpq, GivenTheServiceFile_WhenItReadsIt_ThenEachServiceIsWhatItsNameSays) {
    const Cluster cluster = orders(2);
    const Routes routes = routes_of(cluster);
    const File file(pg_service_conf(cluster, routes));
    setenv("PGSERVICEFILE", file.path().c_str(), 1);
    const std::string one = host_of(cluster.key, routes.master->instance);
    const std::string two = host_of(cluster.key, routes.slaves[0].instance);
    const std::string three = host_of(cluster.key, routes.slaves[1].instance);
    for (const char* writes : {"orders", "orders_master"}) {
        Options options = service(writes);
        EXPECT_EQ(options["host"], one + "," + two + "," + three);
        EXPECT_EQ(options["target_session_attrs"], "read-write");
        EXPECT_EQ(options["dbname"], "app");
    }
    Options reads = service("orders_replica");
    EXPECT_EQ(reads["host"], two + "," + three + "," + one);
    EXPECT_EQ(reads["target_session_attrs"], "prefer-standby");
    unsetenv("PGSERVICEFILE");
}

TEST(Libpq, GivenAnOddPassword_WhenItReadsTheUris_ThenItIsTheSame) {
    SystemRandom random;
    const std::string password = "p@s/s,w%rd?#\"' &=:[x]";
    for (const bool fallback : {true, false}) {
        Cluster cluster = orders(2);
        cluster.spec.routing.fallback_to_master = fallback;
        const auto secret =
            merge_app_secret(cluster, {"a", "b"}, {"b", "a"}, "", {{"password", password}}, random);
        ASSERT_TRUE(secret.ok()) << secret.error().message();
        Options write = parse(secret->at("uri"));
        EXPECT_EQ(write["password"], password);
        EXPECT_EQ(write["host"], "a,b");
        Options read = parse(secret->at("read_uri"));
        EXPECT_EQ(read["target_session_attrs"], fallback ? "prefer-standby" : "standby");
        for (const char* key : {"DB_URL", "DATABASE_URL", "DATABASE_REPLICA_URL",
                                "DATABASE_READ_URL", "DB_PRIMARY_URL"})
            EXPECT_EQ(parse(secret->at(key))["password"], password) << key;
        for (const std::string url : nlohmann::json::parse(secret->at("DATABASE_READ_URLS")))
            EXPECT_EQ(parse(url)["password"], password);
        const std::string& list = secret->at("READ_REPLICA_URLS");
        const auto comma = list.find(',');
        EXPECT_EQ(parse(list.substr(0, comma))["host"], "orders-slave1.shop.svc");
        EXPECT_EQ(parse(list.substr(comma + 1))["host"], "orders-slave2.shop.svc");
    }
}

}  // namespace
}  // namespace matriarch::op
