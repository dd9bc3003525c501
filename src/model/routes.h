// Routes: the published answer to "where do I write, where do I read", stamped (epoch, sequence).
//
// decide makes them; the operator writes them into the ConfigMap <cluster>-routing (routes.json and
// the keys of applications) and into EndpointSlices. (epoch, sequence) never falls (INV-4): every
// consumer rejects a lower one. A value type.
#pragma once

#include <chrono>
#include <compare>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/ids.h"
#include "model/spec.h"

namespace matriarch {

enum class RouteState {
    Ready,     // takes reads
    Lagging,   // was beyond maxLagMs and is not yet below half of it
    Down,      // no answer, or not running
    Cloning,   // being made or made anew
    Joining,   // runs, but has not been well for holdSeconds yet
    Conflict,  // its replay waits for queries that run on it
};
std::string_view to_string(RouteState state);

struct MasterRoute {
    InstanceName instance;
    PodUid pod;
    std::string host;     // the instance's stable name in DNS
    std::string address;  // pod IP; bound to `pod`
    int port = 5432;
    friend bool operator==(const MasterRoute&, const MasterRoute&) = default;
};

struct SlaveRoute {
    int position = 0;  // 1 = slave1
    InstanceName instance;
    PodUid pod;
    std::string host, address;
    int port = 5432;
    RouteState state = RouteState::Down;
    // In coarse steps; absent: not known.
    std::optional<std::chrono::milliseconds> lag;
    std::optional<Bytes> lag_bytes;
    int weight = 0;  // the spec's, less for a slave that lags; 0: takes no reads
    friend bool operator==(const SlaveRoute&, const SlaveRoute&) = default;
};

// How the spec wants reads spread: for consumers that choose among the slaves themselves.
struct ReadPolicy {
    Strategy strategy = Strategy::RoundRobin;
    std::chrono::milliseconds max_lag{10000};
    bool fallback_to_master = true;
    int master_weight = 0;  // beside the slaves'; 0: the master takes no reads beside them
    friend bool operator==(const ReadPolicy&, const ReadPolicy&) = default;
};

struct Routes {
    Epoch epoch;
    std::uint64_t sequence = 0;
    Timeline timeline;
    std::optional<MasterRoute> master;  // nothing while nobody may be written to
    std::vector<SlaveRoute> slaves;     // by position
    ReadPolicy reads;
    // A change of master that was planned comes: poolers hold their writers back until other routes
    // say otherwise, and tell when they do by this word (model/pooler.h). Empty: none.
    std::string pause;

    // The same answer, whatever the stamp.
    bool same_content(const Routes& other) const;
    friend bool operator==(const Routes&, const Routes&) = default;
};

// Whether a slave is to get reads now.
bool takes_reads(const SlaveRoute& slave);

struct RouteAddress {
    std::string ip;
    int port = 5432;
    friend auto operator<=>(const RouteAddress&, const RouteAddress&) = default;
};

// Where the Service of all reads, and each position's own Service, lead to: ready slaves, and the
// master if the spec gives it a weight, or lets it stand in for them.
std::vector<RouteAddress> read_addresses(const Routes& routes, const RoutingSpec& spec);
std::vector<RouteAddress> position_addresses(const Routes& routes, int position,
                                             const RoutingSpec& spec);

struct WeightedHost {
    std::string host;
    int weight = 0;
};
// A list for those who take its hosts in turn: each as often as its weight says, at most four
// times and, but for weight 0, at least once.
std::vector<std::string> hosts_in_turn(const std::vector<WeightedHost>& hosts);

std::string to_json(const Routes& routes);
Result<Routes> routes_from_json(std::string_view text);

}  // namespace matriarch
