#include "agent/state.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "model/config_json.h"
#include "model/record_json.h"
#include "postgres/wal_scan.h"

namespace matriarch::agent {
namespace {

constexpr std::string_view kMagic = "matriarch-agent-state 1 ";

std::uint32_t checksum(std::string_view body) {
    return postgres::crc32c(0xFFFFFFFFu, body.data(), body.size()) ^ 0xFFFFFFFFu;
}

}  // namespace

std::string encode_state(const StoredState& stored) {
    const State& s = stored.state;
    json::Json body = {{"count", stored.count},
                       {"term", s.term.value},
                       {"epoch", s.epoch.value},
                       {"epochId", s.epoch_id.value},
                       {"fenced", s.fenced.value},
                       {"fencedBy", s.fenced_by.value},
                       {"ttlMs", s.ttl.count()},
                       {"candidates", json::write_candidates(s.candidates)},
                       {"sync", json::write_sync(s.sync)},
                       {"initializedFor", s.initialized_for.value},
                       {"rejoinedBy", to_string(s.rejoined.by)},
                       {"rejoinedEpoch", s.rejoined.epoch.value},
                       {"diverged", s.rejoined.diverged.value},
                       {"timeline", s.opening.timeline.value},
                       {"timelineOpenedBy", s.opening.by.value},
                       {"promotes", s.promotes.value}};
    if (s.config) body["config"] = json::write_config(*s.config);
    if (s.goal) body["goal"] = json::Json::parse(to_json(*s.goal), nullptr, false);
    const std::string text = body.dump(1) + "\n";
    char head[16];
    snprintf(head, sizeof head, "%08x\n", checksum(text));
    return std::string(kMagic) + head + text;
}

Result<StoredState> decode_state(std::string_view text) {
    const auto bad = [](const char* why) {
        return make_error(ErrorKind::Invalid, "the agent's stored state is unusable", why);
    };
    if (!text.starts_with(kMagic)) return bad("it does not begin as it should");
    text.remove_prefix(kMagic.size());
    const auto newline = text.find('\n');
    if (newline != 8) return bad("it has no checksum");
    std::uint32_t sum = 0;
    std::from_chars(text.data(), text.data() + newline, sum, 16);
    text.remove_prefix(newline + 1);
    if (checksum(text) != sum) return bad("its checksum is wrong");
    const auto body = json::parse_object(text);
    if (!body) return bad("it is no JSON");
    StoredState stored;
    State& s = stored.state;
    json::read(*body, "count", stored.count);
    json::read(*body, "term", s.term);
    json::read(*body, "epoch", s.epoch);
    json::read(*body, "epochId", s.epoch_id);
    json::read(*body, "fenced", s.fenced);
    json::read(*body, "fencedBy", s.fenced_by);
    json::read(*body, "ttlMs", s.ttl);
    s.candidates = json::read_candidates(json::at(*body, "candidates"));
    s.sync = json::read_sync(json::at(*body, "sync")).value_or(SyncRule());
    json::read(*body, "initializedFor", s.initialized_for);
    json::read_enum(*body, "rejoinedBy", s.rejoined.by, RejoinedBy::Clone);
    json::read(*body, "rejoinedEpoch", s.rejoined.epoch);
    json::read(*body, "diverged", s.rejoined.diverged);
    json::read(*body, "timeline", s.opening.timeline);
    json::read(*body, "timelineOpenedBy", s.opening.by);
    json::read(*body, "promotes", s.promotes);
    if (body->contains("config")) s.config = json::read_config((*body)["config"]);
    if (body->contains("goal"))
        if (auto goal = order_from_json((*body)["goal"].dump())) s.goal = std::move(*goal);
    return stored;
}

}  // namespace matriarch::agent
