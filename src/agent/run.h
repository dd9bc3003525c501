// `matriarch-agent run`: the process as a whole. Wires clock, loop, instance, agent and service
// together and goes round until PostgreSQL is gone after SIGTERM. Returns the exit code.
#pragma once

#include <string>
#include <vector>

#include "agent/paths.h"
#include "base/clock.h"

namespace matriarch::agent {

struct RunOptions {
    Paths paths;
    std::string cluster, instance, pod_uid, pod_ip;
    std::string bin_dir;
    std::string listen = "*";  // PostgreSQL's listen_addresses
    std::string bind_address;  // of our own ports
    int order_port = 8443, health_port = 8080, port = 5432;
    Duration grace = seconds(30);

    // The other agents: <pod>.<peer_domain>; empty: <cluster>-instances.<name_space>.svc.
    std::string name_space, peer_domain;
    std::vector<std::string> peers;  // instance=address:port, for those that are elsewhere
    // The Kubernetes API, where the record is; no host: never asked.
    std::string api_host, account_dir = "/var/run/secrets/kubernetes.io/serviceaccount";
    int api_port = 443;
};

int run(const RunOptions& options);

// `matriarch-agent restore --from DIR FILE TARGET`: PostgreSQL's restore_command while WAL is being
// rescued. 1: there is no such file.
int restore(const std::string& from, const std::string& file, const std::string& target);

}  // namespace matriarch::agent
