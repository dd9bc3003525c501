#include "kube/conditions.h"

#include <algorithm>

#include "kube/json_access.h"

namespace matriarch::kube {
namespace {

constexpr std::size_t kMaxReason = 1024;  // metav1.Condition
constexpr std::size_t kMaxMessage = 32768;

// ^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$; one bad reason makes the server refuse the whole
// status.
bool is_reason(std::string_view reason) {
    const auto letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); };
    const auto word = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '_'; };
    return !reason.empty() && letter(reason.front()) && word(reason.back()) &&
           std::all_of(reason.begin(), reason.end(),
                       [&](char c) { return word(c) || c == ',' || c == ':'; });
}

// Not inside of a UTF-8 character.
void cut(std::string& text, std::size_t limit) {
    if (text.size() <= limit) return;
    while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
    text.resize(limit);
}

// metav1.Time has no fraction.
std::string format_seconds(WallTime time) {
    return format_rfc3339(time).substr(0, 19) + "Z";
}

ConditionStatus parse_status(const std::string& text) {
    if (text == "True") return ConditionStatus::True;
    return text == "False" ? ConditionStatus::False : ConditionStatus::Unknown;
}

}  // namespace

std::string_view to_string(ConditionStatus status) {
    switch (status) {
        case ConditionStatus::True:
            return "True";
        case ConditionStatus::False:
            return "False";
        case ConditionStatus::Unknown:
            return "Unknown";
    }
    return "Unknown";
}

bool set_condition(std::vector<Condition>& conditions, Condition condition, WallTime now) {
    cut(condition.reason, kMaxReason);
    if (!is_reason(condition.reason)) condition.reason = "Unknown";
    cut(condition.message, kMaxMessage);
    const auto old =
        std::find_if(conditions.begin(), conditions.end(),
                     [&](const Condition& other) { return other.type == condition.type; });
    const bool same_status = old != conditions.end() && old->status == condition.status &&
                             !old->last_transition_time.empty();
    condition.last_transition_time = same_status ? old->last_transition_time : format_seconds(now);
    if (old == conditions.end()) {
        conditions.push_back(std::move(condition));
        return true;
    }
    if (*old == condition) return false;
    *old = std::move(condition);
    return true;
}

const Condition* find_condition(const std::vector<Condition>& conditions, std::string_view type) {
    for (const Condition& condition : conditions) {
        if (condition.type == type) return &condition;
    }
    return nullptr;
}

Json encode_conditions(const std::vector<Condition>& conditions) {
    Json array = Json::array();
    for (const Condition& condition : conditions) {
        array.push_back({{"type", condition.type},
                         {"status", to_string(condition.status)},
                         {"reason", condition.reason},
                         {"message", condition.message},
                         {"observedGeneration", condition.observed_generation},
                         {"lastTransitionTime", condition.last_transition_time}});
    }
    return array;
}

std::vector<Condition> decode_conditions(const Json& array) {
    std::vector<Condition> conditions;
    if (!array.is_array()) return conditions;
    for (const Json& item : array) {
        Condition condition;
        condition.type = get_string(item, {"type"});
        if (condition.type.empty()) continue;
        condition.status = parse_status(get_string(item, {"status"}));
        condition.reason = get_string(item, {"reason"});
        condition.message = get_string(item, {"message"});
        condition.observed_generation = get_int(item, {"observedGeneration"});
        condition.last_transition_time = get_string(item, {"lastTransitionTime"});
        conditions.push_back(std::move(condition));
    }
    return conditions;
}

}  // namespace matriarch::kube
