#include "agent/vitals.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "agent/probe.h"
#include "agent/supervisor.h"
#include "postgres/knock.h"

namespace matriarch::agent {
namespace {

constexpr Duration kKnockEvery = seconds(1), kKnockAgain = milliseconds(500);
constexpr Duration kKnockIn = milliseconds(500);
constexpr Duration kLookEvery = milliseconds(250);  // at the process's state
constexpr Duration kWriteEvery = seconds(1);
constexpr std::size_t kPage = 4096;
// A write that takes so long is as bad as none, whatever else the device does.
constexpr Duration kBusyAtMost = seconds(10);
// A file system without a block device (NFS, …) tells nothing of other writes: twice the patience.
constexpr Duration kUnknownDevice = kStallIsNews;

}  // namespace

// --- KnockWatch -------------------------------------------------------------------------------

KnockWatch::KnockWatch(std::string socket, std::string pid_file, const Clock& clock,
                       Deliver deliver)
    : socket_(std::move(socket)),
      pid_file_(std::move(pid_file)),
      clock_(clock),
      deliver_(std::move(deliver)),
      thread_([this] { run(); }) {}

KnockWatch::~KnockWatch() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void KnockWatch::watch(std::uint64_t generation, pid_t postmaster) {
    const std::lock_guard lock(mutex_);
    generation_ = generation;
    postmaster_ = postmaster;
    changed_.notify_all();
}

void KnockWatch::rest() {
    const std::lock_guard lock(mutex_);
    generation_ = 0;
    changed_.notify_all();
}

// Any answer is one: "too many clients" comes from a postmaster that is alive.
bool KnockWatch::silent(pid_t postmaster) {
    if (is_stopped(postmaster)) return true;
    const TimePoint now = clock_.now();
    if (now - knocked_ < (unanswered_ ? kKnockAgain : kKnockEvery)) return unanswered_;
    if (!says_ready(pid_file_)) return unanswered_ = false;
    knocked_ = now;
    const auto answer = postgres::knock(socket_, Deadline{now + kKnockIn}, clock_);
    return unanswered_ = !answer && answer.error().kind == ErrorKind::Timeout;
}

void KnockWatch::run() {
    std::optional<TimePoint> since;
    std::uint64_t generation = 0;
    std::unique_lock lock(mutex_);
    while (!stop_) {
        if (generation_ != generation) {
            generation = generation_;
            since.reset();
            unanswered_ = false;
            knocked_ = clock_.now();
        }
        if (generation == 0) {
            changed_.wait(lock, [this] { return stop_ || generation_ != 0; });
            continue;
        }
        const pid_t postmaster = postmaster_;
        lock.unlock();
        const TimePoint asked = clock_.now();
        const bool nobody = silent(postmaster);
        const bool news = nobody != since.has_value();
        if (news) since = nobody ? std::optional(asked) : std::nullopt;
        if (news) deliver_({generation, since});
        lock.lock();
        changed_.wait_for(lock, kLookEvery, [&] { return stop_ || generation_ != generation; });
    }
}

// --- DiskWatch --------------------------------------------------------------------------------

// The kernel's Documentation/admin-guide/iostats: the fifth number counts completed writes.
std::optional<std::uint64_t> writes_completed(const std::string& folder) {
    struct stat st {};
    if (stat(folder.c_str(), &st) != 0) return {};
    std::ifstream in("/sys/dev/block/" + std::to_string(major(st.st_dev)) + ":" +
                     std::to_string(minor(st.st_dev)) + "/stat");
    std::uint64_t field = 0;
    for (int n = 0; n < 5; ++n)
        if (!(in >> field)) return {};
    return field;
}

DiskWatch::DiskWatch(std::string path, const Clock& clock, Completed completed)
    : path_(std::move(path)),
      clock_(clock),
      completed_(std::move(completed)),
      thread_([this] { run(); }) {}

DiskWatch::~DiskWatch() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void DiskWatch::watch(bool on) {
    const std::lock_guard lock(mutex_);
    if (on_ == on) return;
    on_ = on;
    changed_.notify_all();
}

std::optional<TimePoint> DiskWatch::stalled_since() const {
    const std::lock_guard lock(mutex_);
    if (!busy_since_) return {};
    const auto writes = completed_();
    if (!writes) return *busy_since_ + kUnknownDevice;
    if (writes != writes_) {
        writes_ = writes;
        progress_ = clock_.now();
    }
    return std::min(std::max(*busy_since_, progress_), *busy_since_ + kBusyAtMost - kStallIsNews);
}

void DiskWatch::write_once() {
    // An error ends at once and is PostgreSQL's to report; only what does not end is stalled.
    const int fd = open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return;
    char page[kPage];
    memset(page, 0, sizeof page);
    if (pwrite(fd, page, sizeof page, 0) > 0) (void)fdatasync(fd);
    close(fd);
}

void DiskWatch::run() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
        changed_.wait(lock, [this] { return stop_ || on_; });
        if (stop_) return;
        busy_since_ = clock_.now();
        progress_ = TimePoint();
        writes_ = completed_();
        lock.unlock();
        write_once();
        lock.lock();
        busy_since_.reset();
        changed_.wait_for(lock, kWriteEvery, [this] { return stop_ || !on_; });
    }
}

}  // namespace matriarch::agent
