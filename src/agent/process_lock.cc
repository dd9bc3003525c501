#include "agent/process_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace matriarch::agent {

ProcessLock::ProcessLock(std::string path) : path_(std::move(path)) {
    fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

ProcessLock::~ProcessLock() {
    if (fd_ >= 0) close(fd_);
}

bool ProcessLock::ours() {
    if (!ours_ && fd_ >= 0) ours_ = flock(fd_, LOCK_EX | LOCK_NB) == 0;
    return ours_;
}

}  // namespace matriarch::agent
