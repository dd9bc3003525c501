// Waiter: the one place where code above Transport may sleep.
//
// An event count: take a ticket, look at your state, and wait for a notification that is younger
// than the ticket; so no notification is lost and no lock is held. ThreadWaiter blocks the thread;
// a simulator gives its own and switches fibers instead. Any number of threads may wait and notify.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>

#include "base/clock.h"

namespace matriarch::kube {

class Waiter {
  public:
    virtual ~Waiter() = default;

    virtual std::uint64_t ticket() = 0;
    // Returns when notify() was called after ticket(), when the deadline passed, or when stop was
    // requested. May return early for no reason: look at your state again.
    virtual void wait(std::uint64_t ticket, Deadline deadline, std::stop_token stop) = 0;
    virtual void notify() = 0;

    // Sleeps until the deadline or the stop; notifications do not end it.
    void sleep(const Clock& clock, Deadline deadline, std::stop_token stop);
};

class ThreadWaiter final : public Waiter {
  public:
    explicit ThreadWaiter(const Clock& clock) : clock_(clock) {}

    std::uint64_t ticket() override;
    void wait(std::uint64_t ticket, Deadline deadline, std::stop_token stop) override;
    void notify() override;

  private:
    const Clock& clock_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::uint64_t count_ = 0;  // guarded by mutex_
};

}  // namespace matriarch::kube
