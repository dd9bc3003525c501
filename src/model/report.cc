#include "model/report.h"

#include "model/json.h"
#include "model/mandate_json.h"
#include "model/record_json.h"

namespace matriarch {

const StreamView* Report::stream_to(const InstanceName& slave) const {
    for (const auto& stream : streams)
        if (stream.application_name == slave.value && stream.state == "streaming") return &stream;
    return nullptr;
}

std::string_view to_string(PostgresState state) {
    switch (state) {
        case PostgresState::NoData:
            return "no data";
        case PostgresState::Cloning:
            return "cloning";
        case PostgresState::Stopped:
            return "stopped";
        case PostgresState::Starting:
            return "starting";
        case PostgresState::Running:
            return "running";
        case PostgresState::Stopping:
            return "stopping";
        case PostgresState::Dead:
            return "dead";
        case PostgresState::Broken:
            return "broken";
    }
    return "broken";
}

std::string_view to_string(RejoinedBy way) {
    switch (way) {
        case RejoinedBy::Nothing:
            return "nothing";
        case RejoinedBy::Following:
            return "following";
        case RejoinedBy::Rewind:
            return "pg_rewind";
        case RejoinedBy::Clone:
            return "a new clone";
    }
    return "nothing";
}

std::string_view to_string(OrderState state) {
    switch (state) {
        case OrderState::None:
            return "none";
        case OrderState::Working:
            return "working";
        case OrderState::Done:
            return "done";
        case OrderState::Failed:
            return "failed";
    }
    return "none";
}

namespace {

using json::at;
using json::Json;
using json::read;
using json::read_enum;

// One list of members serves writing and reading: `io(key, member)`.
template <class Report_, class Io>
void plain_members(Report_& r, Io&& io) {
    io("sequence", r.sequence);
    io("agentVersion", r.agent_version);
    io("instance", r.instance);
    io("pod", r.pod);
    io("incarnation", r.incarnation);
    io("clockReadingMs", r.clock_reading);
    io("term", r.term);
    io("epoch", r.epoch);
    io("epochId", r.epoch_id);
    io("fenced", r.fenced);
    io("fenceConfirmed", r.fence_confirmed);
    io("fencedBy", r.fenced_by);
    io("mandateLeftMs", r.mandate_left);
    io("ttlMs", r.ttl);
    io("candidatesVersion", r.candidates_version);
    io("promisedMs", r.promised);
    io("withheld", r.withheld);
    io("streamAgeMs", r.stream_age);
    io("frozenMs", r.frozen);
    io("diskStalledMs", r.disk_stalled);
    io("volumeFullMs", r.volume_full);
    io("systemIdentifier", r.system_identifier);
    io("timeline", r.timeline);
    io("timelineOpenedBy", r.timeline_opened_by);
    io("cleanShutdown", r.clean_shutdown);
    io("standby", r.standby);
    io("endOfWal", r.end_of_wal);
    io("volumeSize", r.volume_size);
    io("volumeFree", r.volume_free);
    io("walSize", r.wal_size);
    io("rejoinedEpoch", r.rejoined.epoch);
    io("diverged", r.rejoined.diverged);
    io("written", r.written);
    io("flushed", r.flushed);
    io("received", r.received);
    io("replayed", r.replayed);
    io("receiving", r.receiving);
    io("upstream", r.upstream);
    io("syncSince", r.sync_since);
    io("lagMs", r.lag);
    io("conflictMs", r.conflict);
    io("transactions", r.transactions);
    io("answeredInUs", r.answered_in);
    io("serverVersion", r.server_version_num);
    io("configHash", r.config_hash);
    io("restartPending", r.restart_pending);
    io("trouble", r.trouble);
    io("memory", r.memory);
}

Json write(const Report& r) {
    Json out = Json::object();
    plain_members(r, [&](const char* key, const auto& member) { out[key] = json::write(member); });
    out["state"] = to_string(r.state);
    out["mandate"] = to_string(r.mandate);
    out["rejoinedBy"] = to_string(r.rejoined.by);
    out["inRecovery"] = to_string(r.in_recovery);
    out["writable"] = to_string(r.writable);
    for (const auto& h : r.history)
        out["history"].push_back({{"timeline", h.timeline.value}, {"end", h.end.value}});
    for (const auto& s : r.streams)
        out["streams"].push_back({{"name", s.application_name},
                                  {"state", s.state},
                                  {"sync", s.sync_state},
                                  {"sent", s.sent.value},
                                  {"flush", s.flush.value},
                                  {"replay", s.replay.value}});
    for (const auto& s : r.slots)
        out["slots"].push_back({{"name", s.name},
                                {"active", s.active},
                                {"walStatus", s.wal_status},
                                {"restart", s.restart.value}});
    for (const auto& t : r.parameter_troubles)
        out["parameterTroubles"].push_back({{"name", t.name}, {"message", t.message}});
    if (r.sync) out["sync"] = json::write_sync(*r.sync);
    out["order"] = {{"id", r.order.id.value},
                    {"kind", to_string(r.order.kind)},
                    {"state", to_string(r.order.state)},
                    {"message", r.order.message}};
    return out;
}

Report read_report(const Json& body) {
    Report r;
    plain_members(r, [&](const char* key, auto& member) { read(body, key, member); });
    read_enum(body, "state", r.state, PostgresState::Broken);
    read_enum(body, "mandate", r.mandate, MandateSource::Alone);
    read_enum(body, "rejoinedBy", r.rejoined.by, RejoinedBy::Clone);
    read_enum(body, "inRecovery", r.in_recovery, Known::Yes);
    read_enum(body, "writable", r.writable, Known::Yes);
    json::read_list(body, "history", r.history, [](const Json& item) {
        HistoryEntry h;
        read(item, "timeline", h.timeline);
        read(item, "end", h.end);
        return h;
    });
    json::read_list(body, "streams", r.streams, [](const Json& item) {
        StreamView s;
        read(item, "name", s.application_name);
        read(item, "state", s.state);
        read(item, "sync", s.sync_state);
        read(item, "sent", s.sent);
        read(item, "flush", s.flush);
        read(item, "replay", s.replay);
        return s;
    });
    json::read_list(body, "slots", r.slots, [](const Json& item) {
        SlotView s;
        read(item, "name", s.name);
        read(item, "active", s.active);
        read(item, "walStatus", s.wal_status);
        read(item, "restart", s.restart);
        return s;
    });
    json::read_list(body, "parameterTroubles", r.parameter_troubles, [](const Json& item) {
        ParameterTrouble t;
        read(item, "name", t.name);
        read(item, "message", t.message);
        return t;
    });
    r.sync = json::read_sync(at(body, "sync"));
    const Json& order = at(body, "order");
    read(order, "id", r.order.id);
    read_enum(order, "kind", r.order.kind, OrderKind::Checkpoint);
    read_enum(order, "state", r.order.state, OrderState::Failed);
    read(order, "message", r.order.message);
    return r;
}

}  // namespace

std::string to_json(const Report& report) {
    return write(report).dump();
}

Result<Report> report_from_json(std::string_view text) {
    const auto body = json::parse_object(text);
    if (!body) return make_error(ErrorKind::Invalid, "a report must be a JSON object");
    return read_report(*body);
}

std::string to_json(const Poll& p) {
    Json out{{"term", p.term.value},
             {"leader", p.leader},
             {"seen", p.seen},
             {"incarnation", p.incarnation.value},
             {"waitMs", p.wait.count()}};
    if (p.grant) out["grant"] = json::write_grant(*p.grant);
    return out.dump();
}

Result<Poll> poll_from_json(std::string_view text) {
    const auto body = json::parse_object(text);
    if (!body) return make_error(ErrorKind::Invalid, "a poll must be a JSON object");
    Poll p;
    read(*body, "term", p.term);
    read(*body, "leader", p.leader);
    read(*body, "seen", p.seen);
    read(*body, "incarnation", p.incarnation);
    read(*body, "waitMs", p.wait);
    p.grant = json::read_grant(at(*body, "grant"));
    return p;
}

std::string to_json(const OrderAnswer& a) {
    return Json{{"accepted", a.accepted}, {"reason", a.reason}, {"report", write(a.report)}}.dump();
}

Result<OrderAnswer> order_answer_from_json(std::string_view text) {
    const auto body = json::parse_object(text);
    if (!body) return make_error(ErrorKind::Invalid, "an order's answer must be a JSON object");
    OrderAnswer a;
    read(*body, "accepted", a.accepted);
    read(*body, "reason", a.reason);
    a.report = read_report(at(*body, "report"));
    return a;
}

}  // namespace matriarch
