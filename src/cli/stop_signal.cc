#include "cli/stop_signal.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>

namespace matriarch::cli {

StopSignal::StopSignal() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    fd_ = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

StopSignal::~StopSignal() {
    close(fd_);
}

bool StopSignal::requested() {
    signalfd_siginfo info;
    if (!requested_ && read(fd_, &info, sizeof info) == sizeof info) requested_ = true;
    return requested_;
}

void StopSignal::wait(const Clock& clock, TimePoint until, std::vector<pollfd>& sockets) {
    if (requested()) return;
    const Duration left = std::max(until - clock.now(), Duration::zero());
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    const timespec timeout{seconds.count(), (left - seconds).count()};
    sockets.push_back({fd_, POLLIN, 0});
    ppoll(sockets.data(), sockets.size(), &timeout, nullptr);
    sockets.pop_back();
    requested();
}

void StopSignal::wait(const Clock& clock, TimePoint until) {
    std::vector<pollfd> none;
    wait(clock, until, none);
}

}  // namespace matriarch::cli
