#include "agent/warden.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

namespace matriarch::agent {

struct Warden::Page {
    std::atomic<std::int64_t> deadline;  // CLOCK_BOOTTIME in ns; kNever: nobody need die
};

namespace {

static_assert(std::atomic<std::int64_t>::is_always_lock_free);

constexpr std::int64_t kNever = INT64_MAX;
// After the agent's own (150 ms), and early enough: on 2 cores at a load of 10 the last process was
// gone 60 ms after the first SIGKILL.
constexpr std::int64_t kLead = 100'000'000;
// Whatever was started meanwhile dies, too.
constexpr std::int64_t kAgain = 10'000'000;
constexpr int kDeepest = 64;  // ancestors looked at
constexpr int kMostDescriptors = 4096;

// --- the process: only async-signal-safe calls, no memory but the stack --------------------------

std::int64_t boot_time() {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Decimal digits at `text`; 0 if there is none.
pid_t digits(const char* text) {
    pid_t out = 0;
    for (; *text >= '0' && *text <= '9'; ++text) out = out * 10 + (*text - '0');
    return out;
}

// The field behind the command's name and the state; 0 if it is gone.
pid_t parent_of(pid_t pid) {
    char path[32] = "/proc/", text[512];
    char number[16];
    int length = 0;
    for (pid_t rest = pid; rest > 0; rest /= 10)
        number[length++] = static_cast<char>('0' + rest % 10);
    char* at = path + 6;
    while (length > 0) *at++ = number[--length];
    memcpy(at, "/stat", 6);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    const ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0) return 0;
    text[got] = 0;
    const char* bracket = strrchr(text, ')');
    return bracket == nullptr || strlen(bracket) < 5 ? 0 : digits(bracket + 4);
}

bool descends(pid_t pid, pid_t from) {
    for (int depth = 0; depth < kDeepest; ++depth) {
        pid = parent_of(pid);
        if (pid == from) return true;
        if (pid <= 1) return false;
    }
    return false;
}

void kill_descendants(pid_t agent) {
    const pid_t self = getpid();
    const int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0) return;
    alignas(dirent64) char buffer[4096];
    for (long got = 0; (got = syscall(SYS_getdents64, proc, buffer, sizeof buffer)) > 0;)
        for (long at = 0; at < got;) {
            const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
            at += entry->d_reclen;
            const pid_t pid = digits(entry->d_name);
            if (pid > 1 && pid != self && pid != agent && descends(pid, agent)) kill(pid, SIGKILL);
        }
    close(proc);
}

void kill_all_of(pid_t agent) {
    if (agent == 1)
        kill(-1, SIGKILL);
    else
        kill_descendants(agent);
}

// A seccomp profile that does not know close_range yet refuses it.
void close_all_but(int kept) {
    const auto begin = static_cast<unsigned>(kept) + 1;
    if (syscall(SYS_close_range, 0u, begin - 2, 0u) == 0 &&
        syscall(SYS_close_range, begin, ~0u, 0u) == 0)
        return;
    for (int fd = 0; fd < kMostDescriptors; ++fd)
        if (fd != kept) close(fd);
}

// Until `at`, or until the bell rings.
void sleep_until(std::int64_t at, int timer, int bell) {
    itimerspec when{};
    if (at != kNever) {
        when.it_value.tv_sec = at / 1'000'000'000;
        when.it_value.tv_nsec = at % 1'000'000'000;
        if (at <= 0) when.it_value = {0, 1};
    }
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, nullptr);
    pollfd fds[2] = {{timer, POLLIN, 0}, {bell, POLLIN, 0}};
    poll(fds, 2, -1);
    std::uint64_t rings = 0;
    [[maybe_unused]] const auto got = read(bell, &rings, sizeof rings);
}

[[noreturn]] void watch(const std::atomic<std::int64_t>& deadline, int bell, pid_t agent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "warden");
    if (getppid() != agent) _exit(0);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGQUIT}) signal(number, SIG_IGN);
    close_all_but(bell);
    const int timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer < 0) _exit(1);
    while (true) {
        const std::int64_t until = deadline.load();
        const std::int64_t now = boot_time();
        if (until == kNever) {
            sleep_until(kNever, timer, bell);
        } else if (now < until - kLead) {
            sleep_until(until - kLead, timer, bell);
        } else {
            kill_all_of(agent);
            sleep_until(now + kAgain, timer, bell);
        }
    }
}

}  // namespace

Warden::Warden() {
    void* page =
        mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return;
    page_ = new (page) Page{kNever};
    bell_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    make();
}

Warden::~Warden() {
    if (pid_ > 0) kill(pid_, SIGKILL);
    if (bell_ >= 0) close(bell_);
    if (page_ != nullptr) munmap(page_, sizeof(Page));
}

void Warden::make() {
    const pid_t agent = getpid();
    pid_ = fork();
    if (pid_ == 0) watch(page_->deadline, bell_, agent);
}

void Warden::ended() {
    make();
}

void Warden::dead_by(TimePoint deadline) {
    if (page_ == nullptr) return;
    const std::int64_t next =
        deadline == TimePoint::max() ? kNever : deadline.time_since_epoch().count();
    if (page_->deadline.exchange(next) <= next) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto put = write(bell_, &one, sizeof one);
}

}  // namespace matriarch::agent
