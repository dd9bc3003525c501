// The operator's options, as flags and the chart give them. A value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace matriarch::op {

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
};

}  // namespace matriarch::op
