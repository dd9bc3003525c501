#include "model/record.h"

#include <algorithm>

#include "model/record_json.h"

namespace matriarch {

std::string_view to_string(Phase phase) {
    switch (phase) {
        case Phase::Serving:
            return "serving";
        case Phase::Closing:
            return "closing";
        case Phase::Promoting:
            return "promoting";
    }
    return "serving";
}

std::string_view to_string(ProofKind kind) {
    switch (kind) {
        case ProofKind::ConfirmedFence:
            return "confirmed fence";
        case ProofKind::Expiry:
            return "expiry";
        case ProofKind::AdministratorsWord:
            return "administrator's word";
    }
    return "confirmed fence";
}

const Member* CandidateSet::find(const PodUid& pod) const {
    for (const auto& member : members)
        if (member.pod == pod) return &member;
    return nullptr;
}

std::string_view to_string(SyncMethod method) {
    return method == SyncMethod::First ? "first" : "any";
}

bool SyncRule::names(const InstanceName& instance) const {
    return std::find(members.begin(), members.end(), instance) != members.end();
}

bool SyncRule::same_as(const SyncRule& other) const {
    SyncRule compared = other;
    compared.version = version;
    return compared == *this;
}

std::string synchronous_standby_names(const SyncRule& rule) {
    if (!rule.waits()) return "";
    std::string names;
    for (const auto& member : rule.members)
        names += (names.empty() ? "\"" : ", \"") + member.value + "\"";
    return (rule.method == SyncMethod::Any ? "ANY " : "FIRST ") + std::to_string(rule.wait_for) +
           " (" + names + ")";
}

static std::string_view to_string(Membership membership) {
    return membership == Membership::Full ? "full" : "joining";
}

namespace json {

Json write_names(const std::vector<InstanceName>& names) {
    Json out = Json::array();
    for (const auto& name : names) out.push_back(name.value);
    return out;
}

std::vector<InstanceName> read_names(const Json& list) {
    std::vector<InstanceName> out;
    if (list.is_array())
        for (const Json& item : list) out.push_back(read_one<InstanceName>(item));
    return out;
}

Json write_candidates(const CandidateSet& set) {
    Json members = Json::array();
    for (const auto& m : set.members)
        members.push_back({{"instance", m.instance.value},
                           {"pod", m.pod.value},
                           {"membership", to_string(m.membership)}});
    return {{"version", set.version}, {"members", std::move(members)}};
}

CandidateSet read_candidates(const Json& object) {
    CandidateSet out;
    read(object, "version", out.version);
    read_list(object, "members", out.members, [](const Json& item) {
        Member m;
        read(item, "instance", m.instance);
        read(item, "pod", m.pod);
        if (at(item, "membership") == "full") m.membership = Membership::Full;
        return m;
    });
    return out;
}

Json write_sync(const SyncRule& rule) {
    return {{"waitFor", rule.wait_for},
            {"members", write_names(rule.members)},
            {"method", to_string(rule.method)},
            {"version", rule.version}};
}

std::optional<SyncRule> read_sync(const Json& value) {
    if (!value.is_object()) return {};
    SyncRule rule;
    read(value, "waitFor", rule.wait_for);
    rule.members = read_names(at(value, "members"));
    read_enum(value, "method", rule.method, SyncMethod::Any);
    read(value, "version", rule.version);
    return rule;
}

}  // namespace json

using json::Json;

Result<AuthorityRecord> record_from_lease(const Json& lease) {
    const Json& meta = json::at(lease, "metadata");
    const Json& spec = json::at(lease, "spec");
    AuthorityRecord r;
    json::read(meta, "resourceVersion", r.version);

    std::string holder;
    json::read(spec, "holderIdentity", holder);
    const auto slash = holder.find('/');
    r.holder = InstanceName(holder.substr(0, slash));
    if (slash != std::string::npos) r.holder_pod = PodUid(holder.substr(slash + 1));
    json::read(spec, "leaseTransitions", r.epoch);
    json::read(spec, "leaseDurationSeconds", r.ttl);

    const auto* text = json::at(json::at(meta, "annotations"), kRecordAnnotation.data())
                           .get_ptr<const std::string*>();
    const auto body = text ? json::parse_object(*text) : std::nullopt;
    if (!body)
        return make_error(ErrorKind::Invalid,
                          "the Lease has no readable annotation matriarch.dev/record: it is not an "
                          "authority record; restore it or remove the Lease");
    json::read(*body, "epochId", r.epoch_id);
    json::read(*body, "term", r.term);
    json::read_enum(*body, "phase", r.phase, Phase::Promoting);
    json::read(*body, "holderNode", r.holder_node);
    json::read(*body, "formerTtlSeconds", r.former_ttl);
    json::read(*body, "former", r.former);
    json::read(*body, "formerPod", r.former_pod);
    ProofKind proof = ProofKind::ConfirmedFence;
    if (json::at(*body, "proof").is_string()) {
        json::read_enum(*body, "proof", proof, ProofKind::AdministratorsWord);
        r.proof = proof;
    }
    json::read(*body, "mustReach", r.must_reach);
    json::read(*body, "lossAccepted", r.loss_accepted);
    r.candidates = json::read_candidates(json::at(*body, "candidates"));
    r.sync = json::read_sync(json::at(*body, "sync")).value_or(SyncRule());
    json::read_list(*body, "formerSync", r.former_sync,
                    [](const Json& item) { return json::read_sync(item).value_or(SyncRule()); });
    json::read(*body, "timeline", r.timeline);
    json::read(*body, "timelineOpenedBy", r.timeline_opened_by);
    json::read(*body, "verified", r.verified);
    json::read(*body, "reserved", r.reserved);
    json::read(*body, "systemIdentifier", r.system_identifier);
    r.positions = json::read_names(json::at(*body, "positions"));
    json::read(*body, "handledRequest", r.handled_request);
    return r;
}

void record_to_lease(const AuthorityRecord& r, Json& lease) {
    Json former = Json::array();
    for (const auto& rule : r.former_sync) former.push_back(json::write_sync(rule));
    if (!r.version.empty()) lease["metadata"]["resourceVersion"] = r.version.value;
    lease["spec"]["holderIdentity"] = r.holder.value + "/" + r.holder_pod.value;
    lease["spec"]["leaseTransitions"] = r.epoch.value;
    lease["spec"]["leaseDurationSeconds"] = r.ttl.count();
    const Json body = {{"epochId", r.epoch_id.value},
                       {"term", r.term.value},
                       {"phase", to_string(r.phase)},
                       {"holderNode", r.holder_node},
                       {"formerTtlSeconds", r.former_ttl.count()},
                       {"former", r.former.value},
                       {"formerPod", r.former_pod.value},
                       {"proof", r.proof ? Json(to_string(*r.proof)) : Json()},
                       {"mustReach", r.must_reach.value},
                       {"lossAccepted", r.loss_accepted},
                       {"candidates", json::write_candidates(r.candidates)},
                       {"sync", json::write_sync(r.sync)},
                       {"formerSync", std::move(former)},
                       {"timeline", r.timeline.value},
                       {"timelineOpenedBy", r.timeline_opened_by.value},
                       {"verified", r.verified},
                       {"reserved", r.reserved.value},
                       {"systemIdentifier", r.system_identifier.value},
                       {"positions", json::write_names(r.positions)},
                       {"handledRequest", r.handled_request}};
    lease["metadata"]["annotations"][std::string(kRecordAnnotation)] = body.dump();
}

}  // namespace matriarch
