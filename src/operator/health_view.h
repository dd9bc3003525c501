// What the health API says of one cluster, as JSON in the shapes that applications know.
//
// Pure: from what is published of a cluster (status and routes) or, on the leader, from its last
// look, which has fresher figures and says when each agent answered. What is not known is null,
// never a guess. docs/health-api.yaml states every shape. Any thread.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/ids.h"
#include "model/routes.h"
#include "operator/status.h"

namespace matriarch::op {

// Of one endpoint's pool of connections.
struct PoolFigures {
    int pool_size = 0;
    int checked_in = 0, checked_out = 0;
    int overflow = 0;
    friend bool operator==(const PoolFigures&, const PoolFigures&) = default;
};

struct HealthFacts {
    int slaves = 0;  // as the spec wants it
    std::chrono::milliseconds max_lag{0};
    ClusterStatus status;
    std::optional<Routes> routes;
    // By instance; one without an entry has no pool, and its figures are null.
    std::map<std::string, PoolFigures> pools;
    TimePoint now;
    WallTime wall;
};

// GET /health/database
nlohmann::json database_health(const HealthFacts& facts);
// GET /api/v2/database/health
nlohmann::json overall_health(const HealthFacts& facts);
// GET /api/v2/database/pool-metrics
nlohmann::json pool_metrics(const HealthFacts& facts);
// GET /api/v2/database/replica-lag
nlohmann::json replica_lag(const HealthFacts& facts);

// POST /api/v2/database/test-connection
enum class DatabaseType { Primary, Replica, All };
Result<DatabaseType> parse_database_type(const std::string& text);

struct TestedEndpoint {
    std::string name, role;  // instance; primary or replica
    std::string address;     // empty: nothing leads there now
    int port = 5432;
};
// The cluster's own endpoints of that type, by its routes.
std::vector<TestedEndpoint> endpoints_to_test(const HealthFacts& facts, DatabaseType type);
// `answers` is in the order of `endpoints`: how long each took, or why it did not answer.
nlohmann::json connection_tests(DatabaseType type, const std::vector<TestedEndpoint>& endpoints,
                                const std::vector<Result<Duration>>& answers, WallTime wall);

}  // namespace matriarch::op
