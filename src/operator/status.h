// The status of a PostgresCluster: what the operator tells people. Nothing decides from it.
//
// A status write wakes every watcher, so an unchanged status is not written, and lag counts in
// coarse steps only. Texts are cut to the schema's limits: a refused status would hide everything.
// Pure; any thread; decoding is total (what is not understood is empty).
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "kube/conditions.h"

namespace matriarch::op {

// Reasons that several parts of the operator set; each has its own type.
inline constexpr std::string_view kReadyCondition = "Ready";
inline constexpr std::string_view kSpecValidCondition = "SpecValid";
inline constexpr std::string_view kObjectsCondition = "ObjectsInPlace";

struct MemberStatus {
    std::string name, role, position, state;
    bool ready = false;
    std::optional<std::int64_t> lag_bytes, lag_ms;
    std::int64_t timeline = 0;
    std::string pod, node, message;
    // For metrics and the health API, not published.
    std::optional<std::uint64_t> transactions = {};
    std::optional<std::chrono::microseconds> answered_in = {};  // the agent's last look at it
    std::optional<TimePoint> heard = {};                        // when its agent last answered
    friend bool operator==(const MemberStatus&, const MemberStatus&) = default;
};

struct StepTime {
    std::string name;
    std::int64_t duration_ms = 0;
    friend bool operator==(const StepTime&, const StepTime&) = default;
};

struct ChangeOfMaster {
    std::string time;  // RFC 3339
    std::int64_t epoch = 0;
    std::string from, to, reason, proof;
    std::int64_t duration_ms = 0;
    std::vector<StepTime> steps;
    std::string loss;
    std::optional<std::int64_t> loss_bytes;  // nothing: unknown
    std::string message;
    friend bool operator==(const ChangeOfMaster&, const ChangeOfMaster&) = default;
};

struct FailoverRequestStatus {
    std::string id, state, message;
    friend bool operator==(const FailoverRequestStatus&, const FailoverRequestStatus&) = default;
};

struct ClusterStatus {
    std::int64_t observed_generation = 0;
    std::string phase, message, master;
    std::int64_t epoch = 0, timeline = 0;
    std::string system_identifier;
    int ready_instances = 0, instances = 0, slaves = 0;
    std::string selector;
    std::vector<MemberStatus> members;
    std::int64_t routing_epoch = 0, routing_sequence = 0;
    std::vector<ChangeOfMaster> history;  // newest first
    FailoverRequestStatus request;
    std::vector<kube::Condition> conditions;
    friend bool operator==(const ClusterStatus&, const ClusterStatus&) = default;
};

inline constexpr std::size_t kMaxHistory = 10;

// The value of `status`. Byte-equal for equal statuses.
nlohmann::json encode_status(const ClusterStatus& status);
ClusterStatus decode_status(const nlohmann::json& status);

// The same status with lag in the steps that are published: 0 below a second or a MiB, then powers
// of four.
ClusterStatus coarse(ClusterStatus status);
// Whether `wanted` is worth a write over what is published.
bool worth_writing(const ClusterStatus& published, const ClusterStatus& wanted);

}  // namespace matriarch::op
