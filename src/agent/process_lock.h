// ProcessLock: proof that no process of an earlier start of this pod's PostgreSQL lives.
//
// A file in the emptyDir, locked with flock(2). The lock belongs to the open file description,
// which every process that we start inherits; so it is free exactly when the last of them is gone,
// however the agent itself ended. It says nothing about another pod on the same volume. Main
// thread.
#pragma once

#include <string>

#include "base/error.h"

namespace matriarch::agent {

class ProcessLock {
  public:
    explicit ProcessLock(std::string path);
    ~ProcessLock();
    ProcessLock(const ProcessLock&) = delete;
    ProcessLock& operator=(const ProcessLock&) = delete;

    // True once the lock is ours; tries to take it otherwise. Never waits.
    bool ours();
    // For the children to inherit.
    int descriptor() const { return fd_; }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
    int fd_ = -1;
    bool ours_ = false;
};

}  // namespace matriarch::agent
