#include "model/order.h"

#include "model/config_json.h"
#include "model/mandate_json.h"
#include "model/record_json.h"

namespace matriarch {

std::string_view to_string(OrderKind kind) {
    switch (kind) {
        case OrderKind::Configure:
            return "configure";
        case OrderKind::Initialize:
            return "initialize";
        case OrderKind::Lead:
            return "lead";
        case OrderKind::Follow:
            return "follow";
        case OrderKind::Halt:
            return "halt";
        case OrderKind::Promote:
            return "promote";
        case OrderKind::Fence:
            return "fence";
        case OrderKind::Restart:
            return "restart";
        case OrderKind::Checkpoint:
            return "checkpoint";
    }
    return "configure";
}

namespace {

using json::at;
using json::Json;
using json::read;

Json write_upstream(const Upstream& u) {
    return {
        {"instance", u.instance.value}, {"host", u.host}, {"address", u.address}, {"port", u.port}};
}

Upstream read_upstream(const Json& object) {
    Upstream u;
    read(object, "instance", u.instance);
    read(object, "host", u.host);
    read(object, "address", u.address);
    read(object, "port", u.port);
    return u;
}

Json write_proof(const Proof& p) {
    return {{"kind", to_string(p.kind)},
            {"of", p.of.value},
            {"pod", p.pod.value},
            {"epoch", p.epoch.value},
            {"confirmedBy", p.confirmed_by.value}};
}

Proof read_proof(const Json& object) {
    Proof p;
    json::read_enum(object, "kind", p.kind, ProofKind::AdministratorsWord);
    read(object, "of", p.of);
    read(object, "pod", p.pod);
    read(object, "epoch", p.epoch);
    read(object, "confirmedBy", p.confirmed_by);
    return p;
}

Json write_rescue(const Rescue& r) {
    return {{"source", r.source.value},     {"host", r.host},
            {"address", r.address},         {"port", r.port},
            {"timeline", r.timeline.value}, {"end", r.end.value},
            {"least", r.least.value}};
}

Rescue read_rescue(const Json& object) {
    Rescue r;
    read(object, "source", r.source);
    read(object, "host", r.host);
    read(object, "address", r.address);
    read(object, "port", r.port);
    read(object, "timeline", r.timeline);
    read(object, "end", r.end);
    read(object, "least", r.least);
    return r;
}

}  // namespace

std::string to_json(const Order& o) {
    Json out = {{"id", o.id.value},
                {"kind", to_string(o.kind)},
                {"term", o.term.value},
                {"epoch", o.epoch.value},
                {"epochId", o.epoch_id.value},
                {"incarnation", o.incarnation.value},
                {"clockReadingMs", o.clock_reading.count()},
                {"validForMs", o.valid_for.count()},
                {"systemIdentifier", o.system_identifier.value},
                {"clean", o.clean},
                {"heir", o.heir.value},
                {"reserved", o.reserved.value},
                {"timeline", o.opening.timeline.value},
                {"timelineOpenedBy", o.opening.by.value},
                {"candidates", json::write_candidates(o.candidates)},
                {"withhold", o.withhold},
                {"ttlMs", o.ttl.count()}};
    if (o.sync) out["sync"] = json::write_sync(*o.sync);
    if (o.upstream) out["upstream"] = write_upstream(*o.upstream);
    if (o.config) out["config"] = json::write_config(*o.config);
    if (o.proof) out["proof"] = write_proof(*o.proof);
    if (o.rescue) out["rescue"] = write_rescue(*o.rescue);
    if (o.grant) out["grant"] = json::write_grant(*o.grant);
    return out.dump();
}

Result<Order> order_from_json(std::string_view text) {
    const auto body = json::parse_object(text);
    if (!body) return make_error(ErrorKind::Invalid, "an order must be a JSON object");
    Order o;
    read(*body, "id", o.id);
    const auto* kind = at(*body, "kind").get_ptr<const std::string*>();
    json::read_enum(*body, "kind", o.kind, OrderKind::Checkpoint);
    if (kind == nullptr || *kind != to_string(o.kind))
        return make_error(ErrorKind::Invalid,
                          "order.kind: unknown, the operator may be newer than this agent");
    read(*body, "term", o.term);
    read(*body, "epoch", o.epoch);
    read(*body, "epochId", o.epoch_id);
    read(*body, "incarnation", o.incarnation);
    read(*body, "clockReadingMs", o.clock_reading);
    read(*body, "validForMs", o.valid_for);
    read(*body, "systemIdentifier", o.system_identifier);
    read(*body, "clean", o.clean);
    read(*body, "heir", o.heir);
    read(*body, "reserved", o.reserved);
    read(*body, "timeline", o.opening.timeline);
    read(*body, "timelineOpenedBy", o.opening.by);
    o.candidates = json::read_candidates(at(*body, "candidates"));
    read(*body, "withhold", o.withhold);
    read(*body, "ttlMs", o.ttl);
    o.sync = json::read_sync(at(*body, "sync"));
    if (at(*body, "upstream").is_object()) o.upstream = read_upstream(at(*body, "upstream"));
    if (at(*body, "config").is_object()) o.config = json::read_config(at(*body, "config"));
    if (at(*body, "proof").is_object()) o.proof = read_proof(at(*body, "proof"));
    if (at(*body, "rescue").is_object()) o.rescue = read_rescue(at(*body, "rescue"));
    o.grant = json::read_grant(at(*body, "grant"));
    return o;
}

}  // namespace matriarch
