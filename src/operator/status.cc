#include "operator/status.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kube/json_access.h"

namespace matriarch::op {
namespace {

using Json = nlohmann::json;
using kube::get_array;
using kube::get_bool;
using kube::get_int;
using kube::get_string;

constexpr std::size_t kMaxText = 1024;  // maxLength of the messages in the schema
constexpr std::size_t kMaxWord = 64, kMaxLoss = 256;
constexpr std::size_t kMaxMembers = 32, kMaxSteps = 32;
constexpr std::int64_t kLagStepMs = 1000, kLagStepBytes = 1 << 20;

// Bytes, while the schema counts characters: never too long, and never cut within a character.
std::string cut(const std::string& text, std::size_t limit) {
    if (text.size() <= limit) return text;
    std::size_t end = limit;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return text.substr(0, end);
}

void put(Json& out, const char* key, const std::string& text, std::size_t limit = kMaxText) {
    if (!text.empty()) out[key] = cut(text, limit);
}

void put(Json& out, const char* key, const std::optional<std::int64_t>& number) {
    if (number) out[key] = *number;
}

std::optional<std::int64_t> optional_int(const Json& json, const char* key) {
    const Json* found = kube::find_path(json, {key});
    if (!found || !found->is_number_integer()) return {};
    return found->get<std::int64_t>();
}

Json encode_member(const MemberStatus& m) {
    Json out = {{"name", m.name}, {"ready", m.ready}};
    put(out, "role", m.role);
    put(out, "position", m.position);
    put(out, "state", m.state);
    put(out, "lagBytes", m.lag_bytes);
    put(out, "lagMs", m.lag_ms);
    if (m.timeline != 0) out["timeline"] = m.timeline;
    put(out, "pod", m.pod);
    put(out, "node", m.node);
    put(out, "message", m.message);
    return out;
}

MemberStatus decode_member(const Json& m) {
    return {get_string(m, {"name"}),  get_string(m, {"role"}),   get_string(m, {"position"}),
            get_string(m, {"state"}), get_bool(m, {"ready"}),    optional_int(m, "lagBytes"),
            optional_int(m, "lagMs"), get_int(m, {"timeline"}),  get_string(m, {"pod"}),
            get_string(m, {"node"}),  get_string(m, {"message"})};
}

Json encode_change(const ChangeOfMaster& c) {
    Json out = {{"epoch", c.epoch}, {"durationMs", c.duration_ms}};
    put(out, "time", c.time);
    put(out, "from", c.from);
    put(out, "to", c.to);
    put(out, "reason", c.reason, kMaxWord);
    put(out, "proof", c.proof, kMaxWord);
    put(out, "loss", c.loss, kMaxLoss);
    put(out, "lossBytes", c.loss_bytes);
    put(out, "message", c.message);
    for (const StepTime& step : c.steps) {
        if (out["steps"].size() == kMaxSteps) break;
        out["steps"].push_back(
            {{"name", cut(step.name, kMaxWord)}, {"durationMs", step.duration_ms}});
    }
    return out;
}

ChangeOfMaster decode_change(const Json& c) {
    ChangeOfMaster out;
    out.time = get_string(c, {"time"});
    out.epoch = get_int(c, {"epoch"});
    out.from = get_string(c, {"from"});
    out.to = get_string(c, {"to"});
    out.reason = get_string(c, {"reason"});
    out.proof = get_string(c, {"proof"});
    out.duration_ms = get_int(c, {"durationMs"});
    out.loss = get_string(c, {"loss"});
    out.loss_bytes = optional_int(c, "lossBytes");
    out.message = get_string(c, {"message"});
    for (const Json& step : get_array(c, {"steps"}))
        out.steps.push_back({get_string(step, {"name"}), get_int(step, {"durationMs"})});
    return out;
}

void coarsen(std::optional<std::int64_t>& lag, std::int64_t step) {
    if (!lag) return;
    if (*lag < step) {
        lag = 0;
        return;
    }
    std::int64_t out = step;
    while (out <= *lag / 4) out *= 4;
    lag = out;
}

}  // namespace

Json encode_status(const ClusterStatus& s) {
    Json out = {{"observedGeneration", s.observed_generation},
                {"epoch", s.epoch},
                {"readyInstances", s.ready_instances},
                {"instances", s.instances},
                {"slaves", s.slaves},
                {"members", Json::array()},
                {"history", Json::array()},
                {"conditions", kube::encode_conditions(s.conditions)}};
    put(out, "phase", s.phase, kMaxWord);
    put(out, "message", s.message);
    put(out, "master", s.master);
    if (s.timeline != 0) out["timeline"] = s.timeline;
    put(out, "systemIdentifier", s.system_identifier);
    put(out, "selector", s.selector);
    for (const MemberStatus& member : s.members) {
        if (out["members"].size() == kMaxMembers) break;
        out["members"].push_back(encode_member(member));
    }
    if (s.routing_epoch != 0)
        out["routing"] = {{"epoch", s.routing_epoch}, {"sequence", s.routing_sequence}};
    for (const ChangeOfMaster& change : s.history) {
        if (out["history"].size() == kMaxHistory) break;
        out["history"].push_back(encode_change(change));
    }
    if (!s.request.id.empty()) {
        Json& request = out["failoverRequest"] = {{"id", s.request.id}};
        put(request, "state", s.request.state);
        put(request, "message", s.request.message);
    }
    return out;
}

ClusterStatus decode_status(const Json& s) {
    ClusterStatus out;
    out.observed_generation = get_int(s, {"observedGeneration"});
    out.phase = get_string(s, {"phase"});
    out.message = get_string(s, {"message"});
    out.master = get_string(s, {"master"});
    out.epoch = get_int(s, {"epoch"});
    out.timeline = get_int(s, {"timeline"});
    out.system_identifier = get_string(s, {"systemIdentifier"});
    out.ready_instances = static_cast<int>(get_int(s, {"readyInstances"}));
    out.instances = static_cast<int>(get_int(s, {"instances"}));
    out.slaves = static_cast<int>(get_int(s, {"slaves"}));
    out.selector = get_string(s, {"selector"});
    for (const Json& member : get_array(s, {"members"}))
        out.members.push_back(decode_member(member));
    out.routing_epoch = get_int(s, {"routing", "epoch"});
    out.routing_sequence = get_int(s, {"routing", "sequence"});
    for (const Json& change : get_array(s, {"history"}))
        out.history.push_back(decode_change(change));
    out.request = {get_string(s, {"failoverRequest", "id"}),
                   get_string(s, {"failoverRequest", "state"}),
                   get_string(s, {"failoverRequest", "message"})};
    out.conditions = kube::decode_conditions(get_array(s, {"conditions"}));
    return out;
}

ClusterStatus coarse(ClusterStatus status) {
    for (MemberStatus& member : status.members) {
        coarsen(member.lag_bytes, kLagStepBytes);
        coarsen(member.lag_ms, kLagStepMs);
        member.transactions.reset();
        member.answered_in.reset();
        member.heard.reset();
    }
    return status;
}

bool worth_writing(const ClusterStatus& published, const ClusterStatus& wanted) {
    const ClusterStatus before = coarse(published), after = coarse(wanted);
    if (before == after) return false;  // nearly always, and cheap
    // As JSON, since the cuts are made there: a text too long for the schema would differ for ever.
    return encode_status(before) != encode_status(after);
}

}  // namespace matriarch::op
