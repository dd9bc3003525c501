// Where the agent's files are: on the volume, in the emptyDir, in the mounted Secret.
#pragma once

#include <string>

namespace matriarch::agent {

struct Paths {
    std::string root = "/var/lib/matriarch";     // the volume
    std::string socket_dir = "/run/matriarch";   // an emptyDir of the pod, in memory
    std::string pod_dir = "/tmp/matriarch";      // in an emptyDir of the pod, on its node's disk
    std::string tls_dir = "/etc/matriarch/tls";  // the mounted Secret

    std::string data() const { return root + "/pgdata"; }
    std::string pg_wal() const { return data() + "/pg_wal"; }
    // What is being made; becomes data() by a rename when complete.
    std::string initializing() const { return root + "/pgdata.init"; }
    std::string cloning() const { return root + "/pgdata.clone"; }
    // The data that a finished clone replaced, until it is removed.
    std::string replaced() const { return root + "/pgdata.old"; }

    std::string agent() const { return root + "/agent"; }
    std::string state() const { return agent() + "/state.json"; }
    std::string state_beside() const { return pod_dir + "/state.json"; }
    std::string pulse() const { return agent() + "/pulse"; }
    std::string flush() const { return agent() + "/flush"; }
    std::string rewinding() const { return agent() + "/rewinding"; }
    std::string diverged() const { return agent() + "/diverged"; }
    std::string rescue() const { return agent() + "/rescue"; }
    std::string hba() const { return agent() + "/pg_hba.conf"; }
    std::string ident() const { return agent() + "/pg_ident.conf"; }

    std::string lock() const { return socket_dir + "/processes.lock"; }
    std::string check() const { return socket_dir + "/check"; }
    std::string private_tls() const { return socket_dir + "/tls"; }
};

}  // namespace matriarch::agent
