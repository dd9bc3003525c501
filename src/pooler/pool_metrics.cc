#include "pooler/pool_metrics.h"

#include <cstdlib>

#include "pooler/pgbouncer_ini.h"

namespace matriarch::pooler {
namespace {

using telemetry::Sample;
using telemetry::SampleType;

struct Figure {
    const char* name;
    const char* help;
    SampleType type;
    double (*value)(const PoolFigures&);
};

constexpr Figure kFigures[] = {
    {"matriarch_pooler_clients_active", "Clients that have, or need, no other connection.",
     SampleType::Gauge, [](const PoolFigures& f) { return double(f.clients_active); }},
    {"matriarch_pooler_clients_waiting", "Clients that wait for a connection to a server.",
     SampleType::Gauge, [](const PoolFigures& f) { return double(f.clients_waiting); }},
    {"matriarch_pooler_longest_wait_seconds", "How long the first of them has waited.",
     SampleType::Gauge, [](const PoolFigures& f) { return f.longest_wait; }},
    {"matriarch_pooler_servers_active", "Connections to servers that are in use.",
     SampleType::Gauge, [](const PoolFigures& f) { return double(f.servers_active); }},
    {"matriarch_pooler_servers_idle", "Connections to servers that are free.", SampleType::Gauge,
     [](const PoolFigures& f) { return double(f.servers_idle); }},
    {"matriarch_pooler_transactions_total", "Transactions that were pooled.", SampleType::Counter,
     [](const PoolFigures& f) { return double(f.transactions); }},
    {"matriarch_pooler_queries_total", "Queries that were pooled.", SampleType::Counter,
     [](const PoolFigures& f) { return double(f.queries); }},
};

}  // namespace

PoolMetrics::PoolMetrics(telemetry::Registry& registry, telemetry::Labels labels)
    : followed(registry.histogram("matriarch_pooler_follow_seconds",
                                  "From a change of the routes seen to PgBouncer's reload.",
                                  telemetry::exponential_buckets(0.001, 2, 12), labels)),
      held(registry.histogram("matriarch_pooler_hold_seconds",
                              "How long writers were held back for a change of master.",
                              telemetry::exponential_buckets(0.05, 2, 12), labels)),
      labels_(std::move(labels)) {
    registry.add_collector([this](std::vector<Sample>& out) { collect(out); });
}

void PoolMetrics::note(Pools pools, ServerPools servers, int pool_size, bool holding) {
    const std::lock_guard lock(mutex_);
    pools_ = std::move(pools);
    servers_ = std::move(servers);
    pool_size_ = pool_size;
    holding_ = holding;
}

ServerPools PoolMetrics::servers() const {
    const std::lock_guard lock(mutex_);
    return servers_;
}

void PoolMetrics::collect(std::vector<Sample>& out) const {
    const std::lock_guard lock(mutex_);
    out.push_back({"matriarch_pooler_holding", "1 while writers are held back.", SampleType::Gauge,
                   labels_, holding_ ? 1.0 : 0.0});
    for (const auto& [database, figures] : pools_) {
        telemetry::Labels labels = labels_;
        labels["database"] = database;
        for (const auto& f : kFigures)
            out.push_back({f.name, f.help, f.type, labels, f.value(figures)});
        if (pool_size_ > 0)
            out.push_back({"postgresql_pool_utilization_percent",
                           "Connections in use, of those that the pool may have.",
                           SampleType::Gauge, labels, 100.0 * figures.servers_active / pool_size_});
    }
}

int pool_size_in(const std::string& settings) {
    constexpr int kDefault = 20;
    const auto size = setting_in(settings, "default_pool_size");
    return size ? std::atoi(size->c_str()) : kDefault;
}

}  // namespace matriarch::pooler
