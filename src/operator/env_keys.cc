#include "operator/env_keys.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>

#include "operator/names.h"
#include "operator/uri.h"

namespace matriarch::op {
namespace {

// Advice for an application's own pool, as twenty processes of it still fit max_connections of a
// usual instance through the pooler. Reads get twice the pool: that is what slaves are for.
constexpr const char* kPoolSize = "5";
constexpr const char* kMaxOverflow = "10";
constexpr const char* kReadPoolSize = "10";
constexpr const char* kReadMaxOverflow = "20";
constexpr const char* kPoolTimeoutSeconds = "30";
constexpr const char* kPoolRecycleSeconds = "1800";
constexpr const char* kHealthCheckSeconds = "10";

constexpr int kShares = 10000;  // four decimals

const char* yes_no(bool value) {
    return value ? "true" : "false";
}

// Of the slaves, and of the master if it takes reads as well.
std::vector<int> read_weights(const RoutingSpec& routing, int slaves) {
    std::vector<int> out;
    for (int n = 1; n <= slaves; ++n) out.push_back(routing.weight_of(n));
    if (routing.master_weight() > 0) out.push_back(routing.master_weight());
    return out;
}

// MASTER, SLAVE1, ... with the Service's host.
std::vector<std::pair<std::string, std::string>> roles(const ClusterKey& key, int slaves) {
    std::vector<std::pair<std::string, std::string>> out = {
        {"MASTER", service_host(key, master_service(key.name))}};
    for (int n = 1; n <= slaves; ++n)
        out.emplace_back("SLAVE" + std::to_string(n),
                         service_host(key, slave_service(key.name, n)));
    return out;
}

std::string comma_list(const std::vector<std::string>& items) {
    std::string out;
    for (const std::string& item : items) out += (out.empty() ? "" : ",") + item;
    return out;
}

}  // namespace

bool wanted(const std::vector<std::string>& list, std::string_view word) {
    return list.empty() || std::find(list.begin(), list.end(), word) != list.end();
}

std::string weight_fractions(const RoutingSpec& routing, int slaves) {
    std::vector<int> weights = read_weights(routing, slaves);
    int total = std::accumulate(weights.begin(), weights.end(), 0);
    if (total == 0) {
        std::fill(weights.begin(), weights.end(), 1);
        total = slaves;
    }
    // Each share is the difference of two rounded sums, so that the shares add up exactly.
    std::vector<std::string> out;
    int sum = 0, given = 0;
    for (const int weight : weights) {
        sum += weight;
        const int share = kShares * sum / total - given;
        given += share;
        char text[16];
        snprintf(text, sizeof text, "%d.%04d", share / kShares, share % kShares);
        out.emplace_back(text);
    }
    return comma_list(out);
}

StringMap public_env(const ClusterKey& key, const ClusterSpec& spec) {
    const std::string port = std::to_string(kPostgresPort);
    const RoutingSpec& routing = spec.routing;
    const char* reads = yes_no(spec.slaves > 0);
    const char* fallback = yes_no(routing.fallback_to_master);
    StringMap out = {
        // The legacy single database of the compose style: whoever is master.
        {"POSTGRES_DB", spec.database},
        {"POSTGRES_USER", spec.owner},
        {"POSTGRES_PORT", port},
        {"DATABASE_REPLICA_FALLBACK", fallback},
        {"DATABASE_POOL_SIZE", kPoolSize},
        {"DATABASE_MAX_OVERFLOW", kMaxOverflow},
        {"DATABASE_READ_POOL_SIZE", kReadPoolSize},
        {"DATABASE_READ_MAX_OVERFLOW", kReadMaxOverflow},
        {"DB_READ_REPLICAS_ENABLED", reads},
        {"DB_READ_REPLICA_STRATEGY", std::string(to_string(routing.strategy))},
        {"DB_READ_REPLICA_FALLBACK", fallback},
        {"DB_READ_REPLICA_HEALTH_CHECK_INTERVAL", kHealthCheckSeconds},
        {"DB_MAX_REPLICATION_LAG_MS", std::to_string(routing.max_lag.count())},
        {"DB_LAG_CHECK_ENABLED", "true"},
        {"ENABLE_READ_REPLICAS", reads},
        {"READ_REPLICA_WEIGHTS", weight_fractions(routing, spec.slaves)},
        // Whole seconds, rounded up: a stricter limit than the cluster's would drop good slaves.
        {"READ_REPLICA_LAG_THRESHOLD",
         std::to_string(std::chrono::ceil<std::chrono::seconds>(routing.max_lag).count())},
        {"READ_REPLICA_POOL_SIZE", kReadPoolSize},
        {"READ_REPLICA_MAX_OVERFLOW", kReadMaxOverflow},
        {"READ_REPLICA_POOL_TIMEOUT", kPoolTimeoutSeconds},
        {"DB_POOL_RECYCLE", kPoolRecycleSeconds},
    };
    for (const auto& [role, host] : roles(key, spec.slaves)) {
        out["POSTGRES_" + role + "_DB"] = spec.database;
        out["POSTGRES_" + role + "_USER"] = spec.owner;
        out["POSTGRES_" + role + "_PORT"] = port;
        out["DB_" + role + "_HOST"] = host;
        out["DB_" + role + "_PORT"] = port;
        out["DB_" + role + "_NAME"] = spec.database;
        out["DB_" + role + "_USER"] = spec.owner;
    }
    return out;
}

StringMap secret_env(const ClusterKey& key, const ClusterSpec& spec, const std::string& password) {
    // The first scheme that the user asks for is the one of these keys.
    const auto& schemes = spec.routing.uri_schemes;
    const std::string scheme = schemes.empty() ? std::string(kLibpqScheme) : schemes.front();
    const auto url = [&](const std::string& host) {
        return make_uri(scheme, {{host}, kPostgresPort, spec.owner, password, spec.database});
    };
    const std::string write = url(service_host(key, master_service(key.name)));
    const std::string read = url(service_host(key, slaves_service(key.name)));
    std::vector<std::string> reads;
    for (int n = 1; n <= spec.slaves; ++n)
        reads.push_back(url(service_host(key, slave_service(key.name, n))));
    if (spec.routing.master_weight() > 0) reads.push_back(write);
    StringMap out = {{"POSTGRES_PASSWORD", password},
                     {"DB_URL", write},
                     {"DATABASE_URL", write},
                     {"DATABASE_REPLICA_URL", read},
                     {"DATABASE_READ_URL", read},
                     {"DATABASE_READ_URLS", nlohmann::json(reads).dump()},
                     {"DB_PRIMARY_URL", write},
                     {"DB_READ_REPLICA_URLS", comma_list(reads)},
                     {"READ_REPLICA_URLS", comma_list(reads)}};
    for (const auto& [role, host] : roles(key, spec.slaves)) {
        out["POSTGRES_" + role + "_PASSWORD"] = password;
        out["DB_" + role + "_PASSWORD"] = password;
    }
    return out;
}

}  // namespace matriarch::op
