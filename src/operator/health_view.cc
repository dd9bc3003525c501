#include "operator/health_view.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace matriarch::op {
namespace {

using Json = nlohmann::json;

// One endpoint as every answer sees it.
struct Endpoint {
    std::string name;
    std::string position;  // of a slave
    std::string state;
    bool healthy = false;
    std::optional<std::int64_t> lag_ms;
    std::optional<double> response_ms;
    std::optional<WallTime> checked;
};

const MemberStatus* member_of(const HealthFacts& facts, const std::string& name) {
    const auto& members = facts.status.members;
    const auto found =
        std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.name == name; });
    return found == members.end() ? nullptr : &*found;
}

// In milliseconds with three digits: that is what clocks here can tell.
double in_ms(std::chrono::microseconds time) {
    return static_cast<double>(time.count()) / 1000;
}

void take_figures(Endpoint& out, const HealthFacts& facts, const MemberStatus* member) {
    if (member == nullptr) return;
    if (member->answered_in) out.response_ms = in_ms(*member->answered_in);
    if (member->heard)
        out.checked = facts.wall - std::chrono::duration_cast<WallTime::duration>(
                                       std::max(Duration::zero(), facts.now - *member->heard));
}

// Nobody may be written to: it still has a name, of who is to be master by the record.
Endpoint primary_of(const HealthFacts& facts) {
    Endpoint out;
    const bool routed = facts.routes && facts.routes->master;
    out.name = routed ? facts.routes->master->instance.value : facts.status.master;
    const auto* member = member_of(facts, out.name);
    take_figures(out, facts, member);
    // Published, and at the last look it accepted writes.
    out.healthy = routed && member != nullptr && member->role == "master" && member->ready;
    return out;
}

Endpoint replica_of(const HealthFacts& facts, const SlaveRoute& route) {
    Endpoint out;
    out.name = route.instance.value;
    out.position = position_name(route.position);
    out.state = to_string(route.state);
    const auto* member = member_of(facts, out.name);
    take_figures(out, facts, member);
    // Fit for reads as published, and not gone since.
    out.healthy =
        route.state == RouteState::Ready && member != nullptr && member->state == "running";
    // The leader's figure is exact; a published one is in coarse steps, the routes' finer.
    if (out.checked)
        out.lag_ms = member->lag_ms;
    else if (route.lag)
        out.lag_ms = route.lag->count();
    return out;
}

std::vector<Endpoint> replicas_of(const HealthFacts& facts) {
    std::vector<Endpoint> out;
    if (facts.routes)
        for (const auto& route : facts.routes->slaves) out.push_back(replica_of(facts, route));
    return out;
}

// A slave that the spec wants and that is not there yet counts as unhealthy.
struct Counts {
    std::size_t total = 0, healthy = 0;
    bool all() const { return healthy == total; }
};
Counts count(const HealthFacts& facts, const std::vector<Endpoint>& replicas) {
    Counts out;
    out.total = std::max(replicas.size(), static_cast<std::size_t>(std::max(0, facts.slaves)));
    out.healthy = static_cast<std::size_t>(std::count_if(
        replicas.begin(), replicas.end(), [](const Endpoint& e) { return e.healthy; }));
    return out;
}

bool has_replicas(const HealthFacts& facts) {
    return facts.slaves > 0;
}

template <class T>
Json or_null(const std::optional<T>& value) {
    return value ? Json(*value) : Json();
}

Json name_or_null(const std::string& name) {
    return name.empty() ? Json() : Json(name);
}

Json seconds_of(const std::optional<std::int64_t>& lag_ms) {
    return lag_ms ? Json(static_cast<double>(*lag_ms) / 1000) : Json();
}

const PoolFigures* pool_of(const HealthFacts& facts, const Endpoint& endpoint) {
    const auto found = facts.pools.find(endpoint.name);
    return found == facts.pools.end() ? nullptr : &found->second;
}

Json with_pool(const HealthFacts& facts, const Endpoint& endpoint) {
    const PoolFigures* pool = pool_of(facts, endpoint);
    return {{"name", name_or_null(endpoint.name)},
            {"healthy", endpoint.healthy},
            {"response_time_ms", or_null(endpoint.response_ms)},
            {"pool_size", pool ? Json(pool->pool_size) : Json()},
            {"checked_out", pool ? Json(pool->checked_out) : Json()}};
}

Json pool_json(const HealthFacts& facts, const Endpoint& endpoint) {
    Json out = {{"name", name_or_null(endpoint.name)},
                {"pool_size", nullptr},
                {"checked_in", nullptr},
                {"checked_out", nullptr},
                {"overflow", nullptr},
                {"utilization_percent", nullptr}};
    const PoolFigures* pool = pool_of(facts, endpoint);
    if (pool == nullptr) return out;
    out["pool_size"] = pool->pool_size;
    out["checked_in"] = pool->checked_in;
    out["checked_out"] = pool->checked_out;
    out["overflow"] = pool->overflow;
    if (pool->pool_size > 0)
        out["utilization_percent"] = 100.0 * pool->checked_out / pool->pool_size;
    return out;
}

std::string_view to_string(DatabaseType type) {
    switch (type) {
        case DatabaseType::Primary:
            return "primary";
        case DatabaseType::Replica:
            return "replica";
        case DatabaseType::All:
            return "all";
    }
    return "all";
}

}  // namespace

Json database_health(const HealthFacts& facts) {
    const Endpoint primary = primary_of(facts);
    const auto replicas = replicas_of(facts);
    const Counts counts = count(facts, replicas);
    const bool well = primary.healthy && counts.all();
    Json details = Json::object();
    const auto add = [&](const Endpoint& endpoint, const char* role) -> Json& {
        return details[endpoint.name] = {{"role", role},
                                         {"healthy", endpoint.healthy},
                                         {"response_time_ms", or_null(endpoint.response_ms)}};
    };
    if (!primary.name.empty()) add(primary, "primary")["lag_ms"] = 0;
    for (const Endpoint& replica : replicas) {
        Json& entry = add(replica, "replica");
        entry["lag_ms"] = or_null(replica.lag_ms);
        entry["position"] = replica.position;
        entry["state"] = replica.state;
    }
    return {{"status", !well                 ? "degraded"
                       : has_replicas(facts) ? "healthy"
                                             : "single_database"},
            {"replicas",
             {{"total", counts.total},
              {"healthy", counts.healthy},
              {"unhealthy", counts.total - counts.healthy}}},
            {"details", std::move(details)}};
}

Json overall_health(const HealthFacts& facts) {
    const Endpoint primary = primary_of(facts);
    const auto replicas = replicas_of(facts);
    Json list = Json::array();
    for (const Endpoint& replica : replicas) list.push_back(with_pool(facts, replica));
    return {{"overall_healthy", primary.healthy && count(facts, replicas).all()},
            {"primary", with_pool(facts, primary)},
            {"replicas", std::move(list)},
            {"timestamp", format_rfc3339(facts.wall)},
            {"read_replicas_enabled", has_replicas(facts)}};
}

Json pool_metrics(const HealthFacts& facts) {
    const auto replicas = replicas_of(facts);
    Json list = Json::array();
    for (const Endpoint& replica : replicas) list.push_back(pool_json(facts, replica));
    return {{"primary", pool_json(facts, primary_of(facts))},
            {"replicas", std::move(list)},
            {"timestamp", format_rfc3339(facts.wall)},
            {"total_databases", 1 + count(facts, replicas).total}};
}

Json replica_lag(const HealthFacts& facts) {
    const auto replicas = replicas_of(facts);
    const Counts counts = count(facts, replicas);
    Json list = Json::array();
    for (const Endpoint& replica : replicas)
        list.push_back(
            {{"replica_name", replica.name},
             {"lag_seconds", seconds_of(replica.lag_ms)},
             {"healthy", replica.healthy},
             {"last_checked", replica.checked ? Json(format_rfc3339(*replica.checked)) : Json()}});
    return {{"read_replicas_enabled", has_replicas(facts)},
            {"replica_count", counts.total},
            {"lag_threshold_seconds", static_cast<double>(facts.max_lag.count()) / 1000},
            {"replicas", std::move(list)},
            {"overall_healthy", counts.all()}};
}

Result<DatabaseType> parse_database_type(const std::string& text) {
    for (const auto type : {DatabaseType::Primary, DatabaseType::Replica, DatabaseType::All})
        if (text == to_string(type)) return type;
    return make_error(ErrorKind::Invalid, "database_type must be primary, replica or all");
}

std::vector<TestedEndpoint> endpoints_to_test(const HealthFacts& facts, DatabaseType type) {
    std::vector<TestedEndpoint> out;
    if (type != DatabaseType::Replica) {
        TestedEndpoint primary{primary_of(facts).name, "primary", "", 5432};
        if (facts.routes && facts.routes->master) {
            primary.address = facts.routes->master->address;
            primary.port = facts.routes->master->port;
        }
        out.push_back(std::move(primary));
    }
    if (type != DatabaseType::Primary && facts.routes)
        for (const auto& slave : facts.routes->slaves)
            out.push_back({slave.instance.value, "replica", slave.address, slave.port});
    return out;
}

Json connection_tests(DatabaseType type, const std::vector<TestedEndpoint>& endpoints,
                      const std::vector<Result<Duration>>& answers, WallTime wall) {
    Json results = Json::array();
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
        const auto& endpoint = endpoints[i];
        const auto& answer = answers[i];
        Json result = {{"name", name_or_null(endpoint.name)},
                       {"role", endpoint.role},
                       {"healthy", answer.ok()},
                       {"response_time_ms", nullptr},
                       {"error", nullptr}};
        if (answer)
            result["response_time_ms"] =
                in_ms(std::chrono::duration_cast<std::chrono::microseconds>(*answer));
        else
            result["error"] = answer.error().message();
        results.push_back(std::move(result));
    }
    return {{"database_type", to_string(type)},
            {"results", std::move(results)},
            {"timestamp", format_rfc3339(wall)}};
}

}  // namespace matriarch::op
