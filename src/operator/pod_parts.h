// What the pods of instances and of poolers have in common. Pure; for the .cc files that make pods.
//
// Both fulfil the restricted Pod Security Standard and run a stock image: an init container puts
// our program, with its own loader and libraries, into the emptyDir "agent", mounted at /matriarch.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "operator/instance_objects.h"

namespace matriarch::op {

inline constexpr int kReadableByGroup = 0440;  // fsGroup makes the group that of our program

// Each of them may be empty.
nlohmann::json resources(const StringMap& requests, const StringMap& limits);

nlohmann::json pod_security(std::int64_t uid, std::int64_t gid);
nlohmann::json container_security();

// GET `path` on the port "health". Seconds.
nlohmann::json probe(std::string_view path, int period, int timeout, int failures);
nlohmann::json container_port(const char* name, int number);
nlohmann::json from_field(const char* name, const char* path);
nlohmann::json mount(const char* volume, const char* path, bool read_only = false,
                     const char* sub_path = nullptr);

// The volume "token": the account's token as the in-cluster convention has it, but for the
// container alone that mounts it at kTokenPath.
inline constexpr const char* kTokenPath = "/var/run/secrets/kubernetes.io/serviceaccount";
nlohmann::json token_volume();

nlohmann::json install_container(const std::string& program, std::int64_t uid, std::int64_t gid,
                                 const nlohmann::json& resources, const AgentImage& agent);
// How the main container starts it.
nlohmann::json installed_command(const std::string& program);

// What the spec says of every pod of the cluster: nodeSelector, priority, pull secrets.
void place(nlohmann::json& pod, const ClusterSpec& spec);

// Anti-affinity, not topology spread constraints: "required" means never two of these pods on one
// node, while a skew of 1 allows a second one as soon as every node has its first.
nlohmann::json apart(const Cluster& cluster, const StringMap& selector, bool required);

}  // namespace matriarch::op
