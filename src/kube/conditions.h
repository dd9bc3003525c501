// Status conditions, by the API conventions (metav1.Condition).
//
// lastTransitionTime changes only when the status does; a list has one condition a type. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace matriarch::kube {

enum class ConditionStatus { True, False, Unknown };

std::string_view to_string(ConditionStatus status);

struct Condition {
    std::string type = {};
    ConditionStatus status = ConditionStatus::Unknown;
    std::string reason = {};  // UpperCamelCase; required by the API
    std::string message = {};
    std::int64_t observed_generation = 0;
    std::string last_transition_time = {};  // RFC 3339 with seconds

    friend bool operator==(const Condition&, const Condition&) = default;
};

// Adds or replaces the condition of its type, which takes the old transition time if the status is
// the same, else `now`. Cuts reason and message to the API's limits; an impossible reason becomes
// "Unknown". True if anything changed, so that an unchanged status is not written.
bool set_condition(std::vector<Condition>& conditions, Condition condition, WallTime now);

const Condition* find_condition(const std::vector<Condition>& conditions, std::string_view type);

nlohmann::json encode_conditions(const std::vector<Condition>& conditions);
// Entries that are not conditions are dropped.
std::vector<Condition> decode_conditions(const nlohmann::json& array);

}  // namespace matriarch::kube
