#include "kube/waiter.h"

#include "kube/timed_wait.h"

namespace matriarch::kube {

void Waiter::sleep(const Clock& clock, Deadline deadline, std::stop_token stop) {
    while (!deadline.passed(clock) && !stop.stop_requested()) wait(ticket(), deadline, stop);
}

std::uint64_t ThreadWaiter::ticket() {
    std::scoped_lock lock(mutex_);
    return count_;
}

void ThreadWaiter::wait(std::uint64_t ticket, Deadline deadline, std::stop_token stop) {
    std::unique_lock lock(mutex_);
    timed_wait(changed_, lock, clock_, deadline, stop, [&] { return count_ != ticket; });
}

void ThreadWaiter::notify() {
    {
        std::scoped_lock lock(mutex_);
        ++count_;
    }
    changed_.notify_all();
}

}  // namespace matriarch::kube
