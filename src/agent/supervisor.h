// Supervisor: the processes of one instance: start, reap, find and kill them.
//
// As PID 1 every orphan of the container becomes ours, and unreaped zombies make PostgreSQL believe
// that its predecessor lives. Elsewhere (tests, a process supervisor) we become subreaper, so that
// orphaned backends, which PostgreSQL puts into sessions of their own, still come to us. Processes
// of an earlier start are found by the lock file that they hold open (process_lock.h).
// spawn() is safe from any thread; reap() belongs to the main thread and is called on SIGCHLD: exit
// callbacks run there.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"

namespace matriarch::agent {

struct SpawnSpec {
    std::vector<std::string> argv;  // argv[0] is the program's path
    std::vector<std::string> env;
    std::string cwd;       // empty: ours
    int out = -1;          // becomes stdout; -1: ours
    int err = -1;          // becomes stderr; -1: ours
    bool session = false;  // of its own
    bool helper = false;   // a tool of ours (initdb, pg_basebackup), not the server
    int keep = -1;         // one more descriptor that stays open
};

// SIGSTOP, or a debugger, holds it.
bool is_stopped(pid_t pid);

class Supervisor {
  public:
    using OnExit = std::function<void(int wait_status)>;

    // `lock_path`: whoever has this file open belongs to the instance; empty: nobody else does.
    explicit Supervisor(std::string lock_path);

    Result<pid_t> spawn(const SpawnSpec& spec, OnExit on_exit);
    // Waits for every ended child; runs the callbacks of those that were spawned.
    void reap();

    enum class Whom { Servers, All };  // All: helpers and what they started, too
    // Processes of the instance that still may act, other than ourselves and spared ones. One that
    // is stuck in the kernel with SIGKILL pending answers nobody any more and does not count.
    // `earlier`: look also for those of an earlier start, which hold the lock file.
    std::vector<pid_t> alive(Whom whom, bool earlier) const;
    // SIGKILL to all of them; returns how many there were.
    std::size_t kill_all(bool earlier);
    // A helper of our own, started elsewhere, which is no part of the instance.
    void spare(pid_t pid, OnExit on_exit);

  private:
    std::string lock_path_;
    std::set<pid_t> spared_;  // main thread
    mutable std::mutex mutex_;
    std::map<pid_t, OnExit> children_;  // guarded by mutex_
    std::set<pid_t> helpers_;           // guarded by mutex_
};

// "exit code 1", "signal 9".
std::string describe_exit(int wait_status);

}  // namespace matriarch::agent
