// PostgreSQL itself: its programs, by the shell, as the user postgres where this is root.
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <stdexcept>
#include <thread>

#include "rig.h"

namespace matriarch::sim {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrograms = "/usr/lib/postgresql/15/bin/";
constexpr auto kPatience = std::chrono::seconds(6);

class RealRig final : public Rig {
  public:
    RealRig() {
        std::string pattern = (fs::temp_directory_path() / "matriarch-model-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no folder");
        root_ = pattern;
        fs::permissions(root_, fs::perms::all);
    }
    ~RealRig() override {
        for (const auto& [name, port] : ports_) (void)shell(ctl(name) + "-m immediate stop");
        fs::remove_all(root_);
    }

    void initialize(const std::string& name) override {
        must("initdb -k -A trust -U postgres --no-sync -D " + data(name));
        configure(name);
    }
    void clone(const std::string& name, const std::string& from) override {
        must("pg_basebackup -c fast -X stream -D " + data(name) + " -d '" + conninfo(from) + "'");
        configure(name);
    }
    void rewind(const std::string& name, const std::string& from) override {
        (void)shell("rm -f " + data(name) + "/standby.signal");  // else it can't finish recovery
        must("pg_rewind --no-sync -D " + data(name) + " --source-server '" + conninfo(from) + "'");
        configure(name);
    }
    void start_as_master(const std::string& name) override {
        start(name);
        sql(name, "create table if not exists rows (n int)");
    }
    void start_as_slave(const std::string& name, const std::string& upstream) override {
        (void)shell("psql -Atq -d '" + conninfo(upstream) +
                    "' -c \"select pg_create_physical_replication_slot('" + name +
                    "', true)\" 2>/dev/null");
        append(name, "primary_conninfo = '" + conninfo(upstream) + " application_name=" + name +
                         "'\nprimary_slot_name = '" + name + "'");
        (void)shell("touch " + data(name) + "/standby.signal");
        start(name);
    }
    void stop(const std::string& name) override { must(ctl(name) + "-m fast stop"); }
    void kill(const std::string& name) override {
        (void)shell(ctl(name) + "-m immediate stop");  // SIGQUIT: nobody writes or sends a thing
    }
    void reserve(const std::string& name, int timeline) override {
        for (int n = this->timeline(name) + 1; n <= timeline; ++n) {
            std::array<char, 32> file{};
            snprintf(file.data(), file.size(), "/pg_wal/%08X.history", static_cast<unsigned>(n));
            (void)shell("touch " + data(name) + file.data());
        }
    }
    void promote(const std::string& name) override {
        must(ctl(name) + "promote");
        sql(name, "checkpoint");
    }
    void write(const std::string& name, int rows) override {
        for (int i = 0; i < rows; ++i) sql(name, "insert into rows values (1)");
    }
    int rows(const std::string& name) override {
        return std::atoi(sql(name, "select count(*) from rows").c_str());
    }
    int timeline(const std::string& name) override {
        // Of the last WAL: a slave's pg_control lags behind.
        const char* query =
            "select case when pg_is_in_recovery() then coalesce((select received_tli from "
            "pg_stat_wal_receiver), 0) else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), "
            "1, 8))::bit(32)::int end";
        return std::atoi(sql(name, query).c_str());
    }
    bool follows(const std::string& name, const std::string& upstream) override {
        const auto end = std::chrono::steady_clock::now() + kPatience;
        const std::string own =
            "select coalesce(pg_last_wal_replay_lsn(), '0/0') from "
            "pg_stat_wal_receiver where status = 'streaming' and "
            "sender_port = " +
            std::to_string(ports_.at(upstream));
        const char* theirs =
            "select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() "
            "else pg_current_wal_lsn() end";
        while (std::chrono::steady_clock::now() < end) {
            const auto there = sql(upstream, theirs);
            if (!there.empty() && sql(name, own) == there) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
        return false;
    }

  private:
    std::string data(const std::string& name) const { return (root_ / name).string(); }
    std::string ctl(const std::string& name) const {
        return "pg_ctl -s -w -D " + data(name) + " -l " + data(name) + ".log ";
    }
    std::string conninfo(const std::string& name) const {
        return "host=" + root_.string() + " port=" + std::to_string(ports_.at(name)) +
               " user=postgres";
    }
    // The command's status; what it wrote is in `out`.
    static int shell(const std::string& command, std::string* out = nullptr) {
        const std::string path = std::string("PATH=") + kPrograms + ":$PATH; ";
        std::string quoted;
        for (const char c : path + command)
            quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
        const std::string as =
            geteuid() == 0 ? "setpriv --reuid postgres --regid postgres --clear-groups " : "";
        FILE* pipe = popen(("cd /; " + as + "sh -c '" + quoted + "' </dev/null 2>&1").c_str(), "r");
        if (pipe == nullptr) return -1;
        std::array<char, 512> buffer{};
        while (fgets(buffer.data(), buffer.size(), pipe) != nullptr)
            if (out != nullptr) *out += buffer.data();
        return pclose(pipe);
    }
    static void must(const std::string& command) {
        std::string out;
        if (shell(command, &out) != 0) throw std::runtime_error(command + ": " + out);
    }
    std::string sql(const std::string& name, const std::string& query) const {
        std::string out;
        if (shell("psql -Atq -d '" + conninfo(name) + "' -c \"" + query + "\"", &out) != 0)
            return "";
        while (!out.empty() && out.back() == '\n') out.pop_back();
        return out;
    }
    void append(const std::string& name, const std::string& lines) const {
        must("echo \"" + lines + "\" >> " + data(name) + "/postgresql.auto.conf");
    }
    void configure(const std::string& name) {
        const int port =
            ports_.try_emplace(name, 6000 + static_cast<int>(ports_.size())).first->second;
        append(name, "port = " + std::to_string(port) + "\nunix_socket_directories = '" +
                         root_.string() + "'\nlisten_addresses = ''\nfsync = off\n" +
                         "wal_retrieve_retry_interval = '100ms'\nwal_log_hints = on\n" +
                         "shared_buffers = '16MB'\nwal_keep_size = '64MB'");
    }
    void start(const std::string& name) { must(ctl(name) + "start"); }

    fs::path root_;
    std::map<std::string, int> ports_;  // of sockets in our own folder: nobody else is there
};

}  // namespace

std::unique_ptr<Rig> make_real_rig() {
    return std::make_unique<RealRig>();
}

}  // namespace matriarch::sim
