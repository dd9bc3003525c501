// What the jobs of Instance do, each as one blocking function for a job's thread.
//
// All of them can be cut at any point: what they make appears under its final name by a rename when
// it is complete, and a data directory that pg_rewind has begun to change is marked until it ended.
// `stop` ends them early with Cancelled.
#pragma once

#include <atomic>
#include <functional>

#include "agent/local_instance.h"

namespace matriarch::agent {

struct JobWorld {
    const LocalWorld& local;
    Supervisor& supervisor;
    int lock_descriptor = -1;
    const Clock& clock;
    const std::atomic<bool>& stop;
    std::function<void(std::string)> progress;
};

Result<JobOutput> run_job(const JobWorld& world, const Job& job);

// What pgdata says; the quick part of InspectJob, usable at any time.
DataFacts look_at_data(const Paths& paths);

// The environment and inherited lock of a PostgreSQL process.
SpawnSpec postgres_process(const LocalWorld& local, int lock_descriptor, const std::string& program,
                           std::vector<std::string> arguments);

}  // namespace matriarch::agent
