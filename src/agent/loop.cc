#include "agent/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>

namespace matriarch::agent {
namespace {

// Longest sleep, so that liveness can tell a stuck loop from an idle one.
constexpr Duration kLongestWait = seconds(1);

}  // namespace

Loop::Loop(const Clock& clock) : clock_(clock) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sigemptyset(&mask_);
    signals_ = signalfd(-1, &mask_, SFD_CLOEXEC | SFD_NONBLOCK);
    for (const int fd : {wake_, signals_}) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    }
    last_round_ = clock_.now().time_since_epoch().count();
}

Loop::~Loop() {
    for (const int fd : {epoll_, wake_, signals_}) close(fd);
}

void Loop::post(std::function<void()> work) {
    {
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(work));
    }
    const std::uint64_t one = 1;
    // Fails only when the counter is full, and then the loop is awake anyway.
    [[maybe_unused]] const auto put = write(wake_, &one, sizeof one);
}

void Loop::on_signal(int signal, std::function<void()> call) {
    on_signal_[signal] = std::move(call);
    sigaddset(&mask_, signal);
    pthread_sigmask(SIG_BLOCK, &mask_, nullptr);
    signalfd(signals_, &mask_, SFD_CLOEXEC | SFD_NONBLOCK);
}

void Loop::at(TimePoint at, std::function<void()> call) {
    timers_.emplace(at, std::move(call));
}

void Loop::watch_signals() {
    signalfd_siginfo info{};
    while (read(signals_, &info, sizeof info) == sizeof info) {
        const auto found = on_signal_.find(static_cast<int>(info.ssi_signo));
        if (found != on_signal_.end()) found->second();
    }
}

bool Loop::run_posted() {
    std::vector<std::function<void()>> work;
    {
        const std::lock_guard lock(mutex_);
        work.swap(posted_);
    }
    for (auto& call : work) call();
    return !work.empty();
}

void Loop::run_timers() {
    const TimePoint now = clock_.now();
    while (!timers_.empty() && timers_.begin()->first <= now) {
        auto call = std::move(timers_.begin()->second);
        timers_.erase(timers_.begin());
        call();
    }
}

void Loop::run() {
    while (!stop_) {
        const TimePoint now = clock_.now();
        last_round_ = now.time_since_epoch().count();
        TimePoint until = now + kLongestWait;
        if (idle_) until = std::min(until, idle_());
        if (stop_) break;
        if (!timers_.empty()) until = std::min(until, timers_.begin()->first);
        const auto wait = std::max(Duration::zero(), until - clock_.now());
        // Rounded up: a wait of 0.4 ms must not become a busy loop.
        const auto ms = (wait + milliseconds(1) - Duration(1)) / milliseconds(1);
        epoll_event events[4];
        const int count = epoll_wait(epoll_, events, 4, static_cast<int>(ms));
        for (int i = 0; i < count; ++i) {
            if (events[i].data.fd == signals_) watch_signals();
            if (events[i].data.fd == wake_) {
                std::uint64_t drained = 0;
                [[maybe_unused]] const auto got = read(wake_, &drained, sizeof drained);
            }
        }
        run_posted();
        run_timers();
    }
}

}  // namespace matriarch::agent
