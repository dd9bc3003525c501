#include "operator/external_prober.h"

#include <netdb.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <optional>
#include <thread>

#include "postgres/connection.h"
#include "postgres/replay_lag.h"

namespace matriarch::op {
namespace {

constexpr Duration kInterval = milliseconds(150);
constexpr Duration kAnswerIn = milliseconds(1500);

// A file without a name, since libpq reads certificates from files only and the operator's file
// system is read-only.
class MemoryFile {
  public:
    explicit MemoryFile(const std::string& text) {
        if (text.empty()) return;
        fd_ = memfd_create("ca", MFD_CLOEXEC);
        if (fd_ >= 0 && write(fd_, text.data(), text.size()) < 0) text_lost_ = true;
    }
    ~MemoryFile() {
        if (fd_ >= 0) close(fd_);
    }
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;
    // Empty without a text. One that could not be written is no certificate, which libpq says.
    std::string path() const {
        return fd_ < 0 && !text_lost_ ? "" : "/proc/self/fd/" + std::to_string(fd_);
    }

  private:
    int fd_ = -1;
    bool text_lost_ = false;
};

Result<std::vector<std::string>> resolve(const std::string& host) {
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0)
        return make_error(ErrorKind::NotFound, "host " + host + " does not resolve",
                          gai_strerror(error));
    std::vector<std::string> out;
    for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
        char text[NI_MAXHOST];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) ==
            0)
            out.emplace_back(text);
    }
    freeaddrinfo(found);
    return out;
}

// What a failure to connect is about, by libpq's words.
std::string reason_of(const std::string& text) {
    const auto says = [&](const char* words) { return text.find(words) != std::string::npos; };
    if (says("does not resolve")) return "HostNotFound";
    if (says("password authentication failed") || says("no password supplied") ||
        says("pg_hba.conf"))
        return "AccessRefused";
    if (says("certificate") || says("SSL")) return "TlsFailed";
    if (says("does not exist")) return "DatabaseMissing";
    return "Unreachable";
}

}  // namespace

class ExternalProber::Probe {
  public:
    Probe(ExternalProber& prober, ClusterKey cluster, ProbeTarget target)
        : prober_(prober),
          cluster_(std::move(cluster)),
          target_(std::move(target)),
          ca_(target_.ca_pem),
          thread_([this](std::stop_token stop) { run(stop); }) {}

    const ProbeTarget& target() const { return target_; }
    ProbeResult result() const {
        const std::lock_guard lock(mutex_);
        return result_;
    }
    void request_stop() { thread_.request_stop(); }
    bool ended() const { return ended_; }

  private:
    Result<postgres::Connection> open(Deadline deadline) {
        const auto addresses = resolve(target_.host);
        if (!addresses) return addresses.error();
        Error last = make_error(ErrorKind::Unavailable, "no address");
        for (const auto& address : *addresses) {
            auto opened = postgres::Connection::open(options(address), deadline, prober_.clock_);
            if (opened) {
                address_ = address;
                return opened;
            }
            last = opened.error();
        }
        return last;
    }

    postgres::ConnectionOptions options(const std::string& address) const {
        postgres::ConnectionOptions out{{"host", target_.host},
                                        {"hostaddr", address},
                                        {"port", std::to_string(target_.port)},
                                        {"user", target_.user},
                                        {"password", target_.password},
                                        {"dbname", target_.database},
                                        {"sslmode", target_.ssl_mode},
                                        {"application_name", "matriarch-external"},
                                        {"client_encoding", "UTF8"}};
        if (const auto path = ca_.path(); !path.empty()) out.emplace_back("sslrootcert", path);
        return out;
    }

    ProbeResult look() {
        const Clock& clock = prober_.clock_;
        const Deadline deadline = Deadline::after(clock, kAnswerIn);
        ProbeResult out = result();
        out.asked = true;
        const auto failed = [&](const Error& error) {
            connection_.reset();
            lag_.restart();
            out.reachable = false;
            out.trouble = error.message();
            out.reason = reason_of(out.trouble);
            return out;
        };
        if (!connection_) {
            auto opened = open(deadline);
            if (!opened) return failed(opened.error());
            connection_ = std::move(*opened);
            out.system = read_system_identifier(*connection_, deadline);
        }
        const TimePoint began = clock.now();
        const auto status = read_remote_status(*connection_, deadline);
        if (!status) return failed(status.error());
        const TimePoint now = clock.now();
        out.took = std::chrono::duration_cast<std::chrono::microseconds>(now - began);
        out.reachable = true;
        out.reason = out.trouble = "";
        out.status = *status;
        out.heard = began;
        out.address = address_;
        const Lsn end = std::max(status->received, prober_.newest_wal(cluster_));
        lag_.sample({status->receiving, end, status->replayed, status->commit_age}, now);
        out.lag = status->in_recovery ? lag_.at(now) : std::chrono::milliseconds(0);
        return out;
    }

    // Whether it is worth a look at once.
    static bool news(const ProbeResult& a, const ProbeResult& b) {
        return a.asked != b.asked || a.reachable != b.reachable || a.reason != b.reason ||
               a.address != b.address || a.status.writable != b.status.writable ||
               a.status.in_recovery != b.status.in_recovery;
    }

    void run(std::stop_token stop) {
        while (!stop.stop_requested()) {
            ProbeResult now = look();
            const bool urgent = news(result(), now);
            std::unique_lock lock(mutex_);
            result_ = std::move(now);
            if (!stop.stop_requested()) {
                lock.unlock();
                prober_.on_news_(cluster_, urgent);
                lock.lock();
            }
            changed_.wait_for(lock, stop, kInterval, [] { return false; });
        }
        connection_.reset();
        ended_ = true;
    }

    ExternalProber& prober_;
    const ClusterKey cluster_;
    const ProbeTarget target_;
    const MemoryFile ca_;
    // The thread's own.
    std::optional<postgres::Connection> connection_;
    std::string address_;
    postgres::ReplayLag lag_;

    mutable std::mutex mutex_;
    std::condition_variable_any changed_;
    ProbeResult result_;  // guarded by mutex_
    std::atomic<bool> ended_{false};
    std::jthread thread_;  // the last: it uses all of these
};

ExternalProber::ExternalProber(const Clock& clock, OnNews on_news)
    : clock_(clock), on_news_(std::move(on_news)) {}

ExternalProber::~ExternalProber() {
    std::list<std::unique_ptr<Probe>> all;
    {
        const std::lock_guard lock(mutex_);
        for (auto& [cluster, probes] : probes_)
            for (auto& [name, probe] : probes) retire(std::move(probe));
        probes_.clear();
        all.swap(retired_);
    }
    // Joins without the mutex, which the probes take.
}

void ExternalProber::retire(std::unique_ptr<Probe> probe) {
    probe->request_stop();
    retired_.push_back(std::move(probe));
}

void ExternalProber::watch(const ClusterKey& cluster, const std::vector<ProbeTarget>& targets) {
    const std::lock_guard lock(mutex_);
    std::erase_if(retired_, [](const auto& probe) { return probe->ended(); });
    Probes& probes = probes_[cluster];
    for (auto it = probes.begin(); it != probes.end();) {
        const bool stays =
            std::find(targets.begin(), targets.end(), it->second->target()) != targets.end();
        if (!stays) retire(std::move(it->second));
        it = stays ? std::next(it) : probes.erase(it);
    }
    for (const auto& target : targets)
        if (!probes.contains(target.name))
            probes[target.name] = std::make_unique<Probe>(*this, cluster, target);
}

void ExternalProber::forget(const ClusterKey& cluster) {
    const std::lock_guard lock(mutex_);
    const auto found = probes_.find(cluster);
    if (found == probes_.end()) return;
    for (auto& [name, probe] : found->second) retire(std::move(probe));
    probes_.erase(found);
}

ExternalProber::Results ExternalProber::results(const ClusterKey& cluster) const {
    const std::lock_guard lock(mutex_);
    Results out;
    const auto found = probes_.find(cluster);
    if (found != probes_.end())
        for (const auto& [name, probe] : found->second) out[name] = probe->result();
    return out;
}

// What a slave may lack: the end of the WAL of whoever writes.
Lsn ExternalProber::newest_wal(const ClusterKey& cluster) const {
    Lsn out;
    for (const auto& [name, result] : results(cluster))
        if (result.reachable && result.status.writable) out = std::max(out, result.status.written);
    return out;
}

}  // namespace matriarch::op
