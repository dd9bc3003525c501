// `matriarch-pooler run`: the process as a whole. Wires loop, PgBouncer, follower and watch
// together and goes round until PgBouncer is gone. Returns the exit code.
#pragma once

#include <string>

#include "base/clock.h"
#include "pooler/pgbouncer_ini.h"

namespace matriarch::pooler {

struct RunOptions {
    Place place;
    std::string cluster, name_space, pod;
    std::string program;       // PgBouncer's; searched for in PATH if empty
    std::string kubeconfig;    // default: in-cluster
    std::string bind_address;  // of the health port; empty: all
    int health_port = 8080;
    Duration grace = seconds(60);
};

int run(const RunOptions& options);

}  // namespace matriarch::pooler
