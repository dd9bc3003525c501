// The operator's options, as flags and the chart give them. A value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "operator/rate_limit.h"

namespace matriarch::op {

// Health of the clusters for applications, by HTTPS.
struct HealthApiOptions {
    std::string address;                       // empty: not served
    std::string service = "matriarch-health";  // of the certificate's names and of its Secrets
    std::string tls_directory;  // tls.crt and tls.key of somebody else's; empty: we issue our own
    bool anonymous = false;     // GET …/health without a token
    RateLimit rate{10, 20};     // per caller
};

struct Options {
    std::vector<std::string> watch_namespaces;  // empty: all
    std::string lease_namespace = "default", lease_name = "matriarch-operator";
    std::string image = "matriarch/matriarch:latest";  // our own: the agents come from it
    std::string image_pull_policy = "IfNotPresent";
    std::string metrics_address = ":8080", health_address = ":8081";
    std::string kubeconfig, context;
    std::string cluster_domain = "cluster.local";
    std::string pod_name;
    std::string log_format = "json", log_level = "info";
    int max_concurrent = 4;
    HealthApiOptions health_api;
};

}  // namespace matriarch::op
