#include "model/spec.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "model/config_json.h"

namespace matriarch {

std::string_view to_string(FailoverMode mode) {
    switch (mode) {
        case FailoverMode::Automatic:
            return "automatic";
        case FailoverMode::Manual:
            return "manual";
        case FailoverMode::Paused:
            return "paused";
    }
    return "automatic";
}

std::string_view to_string(ReplicationMode mode) {
    switch (mode) {
        case ReplicationMode::Async:
            return "async";
        case ReplicationMode::Sync:
            return "sync";
        case ReplicationMode::Quorum:
            return "quorum";
    }
    return "async";
}

std::string_view to_string(Strategy strategy) {
    switch (strategy) {
        case Strategy::RoundRobin:
            return "round_robin";
        case Strategy::Random:
            return "random";
        case Strategy::LeastConnections:
            return "least_connections";
    }
    return "round_robin";
}

std::string_view to_string(PoolMode mode) {
    return mode == PoolMode::Transaction ? "transaction" : "session";
}

static std::string_view to_string(TooFewSlaves policy) {
    return policy == TooFewSlaves::Wait ? "wait" : "degrade";
}

static std::string_view to_string(Spread spread) {
    switch (spread) {
        case Spread::Preferred:
            return "preferred";
        case Spread::Required:
            return "required";
        case Spread::None:
            return "none";
    }
    return "preferred";
}

std::string_view to_string(SslMode mode) {
    switch (mode) {
        case SslMode::Disable:
            return "disable";
        case SslMode::Prefer:
            return "prefer";
        case SslMode::Require:
            return "require";
        case SslMode::VerifyCa:
            return "verify-ca";
        case SslMode::VerifyFull:
            return "verify-full";
    }
    return "require";
}

const std::string& value_of(const StringMap& map, std::string_view key) {
    static const std::string none;
    const auto found = map.find(std::string(key));
    return found == map.end() ? none : found->second;
}

std::string position_name(int position) {
    return "slave" + std::to_string(position);
}

constexpr const char* kMasterWeight = "master";

int RoutingSpec::weight_of(int position) const {
    constexpr int kUsual = 100;
    const auto found = weights.find(position_name(position));
    return found == weights.end() ? kUsual : found->second;
}

int RoutingSpec::master_weight() const {
    const auto found = weights.find(kMasterWeight);
    return found == weights.end() ? 0 : found->second;
}

Result<Bytes> parse_quantity(std::string_view text, std::string_view field) {
    const std::string copy(text);
    char* end = nullptr;
    const double number = std::strtod(copy.c_str(), &end);
    const std::string_view suffix(end);
    // https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    static constexpr std::pair<std::string_view, double> kSuffixes[] = {{"", 1},
                                                                        {"k", 1e3},
                                                                        {"M", 1e6},
                                                                        {"G", 1e9},
                                                                        {"T", 1e12},
                                                                        {"P", 1e15},
                                                                        {"Ki", 1024.0},
                                                                        {"Mi", 1048576.0},
                                                                        {"Gi", 1073741824.0},
                                                                        {"Ti", 1099511627776.0},
                                                                        {"Pi", 1125899906842624.0}};
    const auto* found = std::find_if(std::begin(kSuffixes), std::end(kSuffixes),
                                     [&](const auto& s) { return s.first == suffix; });
    if (end == copy.c_str() || found == std::end(kSuffixes) || number < 0 || !std::isfinite(number))
        return make_error(ErrorKind::Invalid, std::string(field) + ": \"" + copy +
                                                  "\" is not a quantity such as 16Mi or 10Gi");
    return Bytes(static_cast<std::uint64_t>(number * found->second));
}

namespace {

using json::at;
using json::Json;
using json::read;
using json::read_enum;
using json::read_list;
using json::read_one;
using json::read_string_map;

std::map<std::string, int> read_int_map(const Json& object) {
    std::map<std::string, int> out;
    if (!object.is_object()) return out;
    for (const auto& [key, value] : object.items())
        if (value.is_number_integer()) out[key] = value.get<int>();
    return out;
}

void read_postgresql(const Json& p, PostgresqlSpec& out) {
    out.parameters = read_string_map(at(p, "parameters"));
    out.master_parameters = read_string_map(at(p, "masterParameters"));
    out.slave_parameters = read_string_map(at(p, "slaveParameters"));
    read_list(p, "hba", out.hba, read_one<std::string>);
    const Json& initdb = at(p, "initdb");
    read(initdb, "encoding", out.encoding);
    read(initdb, "locale", out.locale);
    read(initdb, "walSegmentSizeMB", out.wal_segment_size_mb);
}

void read_replication(const Json& r, ReplicationSpec& out) {
    read_enum(r, "mode", out.mode, ReplicationMode::Quorum);
    read(r, "synchronousSlaves", out.synchronous_slaves);
    read_enum(r, "onTooFewSlaves", out.on_too_few, TooFewSlaves::Degrade);
    read(r, "maxSlotWalKeepSize", out.max_slot_wal_keep_size);
}

Status read_failover(const Json& f, FailoverSpec& out) {
    read_enum(f, "mode", out.mode, FailoverMode::Paused);
    read(f, "mandateSeconds", out.mandate);
    read(f, "rescueSeconds", out.rescue);
    read_list(f, "order", out.order, read_one<std::string>);
    read_list(f, "exclude", out.exclude, read_one<std::string>);
    read(f, "target", out.target);
    read(f, "requestId", out.request_id);
    read(f, "acceptDataLoss", out.accept_data_loss);
    read(at(f, "confirmDead"), "podUid", out.confirmed_dead);
    const Json& max_lag = at(f, "maxLag");
    if (max_lag.is_null()) return {};
    const auto bytes = parse_quantity(
        max_lag.is_string() ? max_lag.get<std::string>() : max_lag.dump(), "spec.failover.maxLag");
    if (!bytes) return bytes.error();
    out.max_lag = *bytes;
    return {};
}

// The schema refuses all of this; objects that were stored before a rule of it was made may have
// it.
void ignore_bad_routing(const Json& r, int slaves, bool external, RoutingSpec& out) {
    const RoutingSpec good;
    const auto ignore = [&](const std::string& field, const std::string& why) {
        out.ignored.push_back("spec.routing." + field + " " + why);
    };
    if (out.max_lag.count() < 1) {
        ignore("maxLagMs", "is " + std::to_string(out.max_lag.count()) +
                               " and must be 1 or more: " + std::to_string(good.max_lag.count()) +
                               " counts until it is");
        out.max_lag = good.max_lag;
    }
    if (out.hold.count() < 0) {
        ignore("holdSeconds", "must not be below 0: " + std::to_string(good.hold.count()) +
                                  " counts until it is mended");
        out.hold = good.hold;
    }
    const auto strategy = read_one<std::string>(at(r, "strategy"));
    if (!strategy.empty() && strategy != to_string(out.strategy))
        ignore("strategy", "is \"" + strategy +
                               "\", which is none of round_robin, random and least_connections: " +
                               std::string(to_string(out.strategy)) + " counts until it is");
    std::erase_if(out.weights, [&](const auto& weight) {
        if (weight.first == kMasterWeight && weight.second >= 0) return false;
        for (int n = 1; n <= slaves; ++n)
            if (weight.first == position_name(n) && weight.second >= 0) return false;
        ignore("weights." + weight.first,
               weight.second < 0
                   ? "must not be below 0: set 0 or more"
                   : std::string("names no slave, as ") +
                         (external ? "the number of spec.external.slaves is " : "spec.slaves is ") +
                         std::to_string(slaves) + ": remove that weight, or " +
                         (external ? "add a slave" : "raise spec.slaves"));
        return true;
    });
}

void read_routing(const Json& r, int slaves, bool external, RoutingSpec& out) {
    read(r, "maxLagMs", out.max_lag);
    read(r, "holdSeconds", out.hold);
    read(r, "fallbackToMaster", out.fallback_to_master);
    read_enum(r, "strategy", out.strategy, Strategy::LeastConnections);
    out.weights = read_int_map(at(r, "weights"));
    read_list(r, "formats", out.formats, read_one<std::string>);
    read_list(r, "uriSchemes", out.uri_schemes, read_one<std::string>);
    ignore_bad_routing(r, slaves, external, out);
}

// What an endpoint does not say itself is said for all of them.
void read_connection(const Json& e, ExternalEndpoint& out) {
    read(e, "credentialsSecret", out.credentials_secret);
    read_enum(e, "sslMode", out.ssl_mode, SslMode::VerifyFull);
    const Json& ca = at(e, "ca");
    if (!ca.is_object()) return;
    out.ca_secret = read_one<std::string>(at(ca, "secretName"));
    out.ca_config_map = read_one<std::string>(at(ca, "configMapName"));
    read(ca, "key", out.ca_key);
}

Result<ExternalSpec> read_external(const Json& x) {
    ExternalSpec out;
    read(x, "validateOnly", out.validate_only);
    ExternalEndpoint usual;
    read_connection(x, usual);
    const auto endpoint = [&](const Json& e) {
        ExternalEndpoint one = usual;
        read(e, "name", one.name);
        read(e, "host", one.host);
        read(e, "port", one.port);
        read(e, "provider", one.provider);
        read_connection(e, one);
        return one;
    };
    std::vector<ExternalEndpoint> slaves;
    read_list(x, "slaves", slaves, endpoint);
    out.endpoints.push_back(endpoint(at(x, "master")));
    out.endpoints.insert(out.endpoints.end(), slaves.begin(), slaves.end());
    for (auto a = out.endpoints.begin(); a != out.endpoints.end(); ++a) {
        if (a->name.empty() || a->host.empty())
            return make_error(ErrorKind::Invalid,
                              "spec.external: the master and every slave need a name and a host");
        for (auto b = out.endpoints.begin(); b != a; ++b)
            if (a->name == b->name || (a->host == b->host && a->port == b->port))
                return make_error(ErrorKind::Invalid,
                                  "spec.external: " + b->name.value + " and " + a->name.value +
                                      " have the same name, or the same host and port: every "
                                      "endpoint is named once");
    }
    return out;
}

void read_services(const Json& s, ServicesSpec& out) {
    read(s, "type", out.type);
    out.annotations = read_string_map(at(s, "annotations"));
    out.node_ports = read_int_map(at(s, "nodePorts"));
    read_list(s, "loadBalancerSourceRanges", out.source_ranges, read_one<std::string>);
}

void read_pooler(const Json& p, PoolerSpec& out) {
    if (!p.is_object()) return;
    out.instances = 2;
    read(p, "instances", out.instances);
    read(p, "image", out.image);
    read_enum(p, "mode", out.mode, PoolMode::Session);
    read(p, "maxClientConnections", out.max_client_connections);
    read(p, "poolSize", out.pool_size);
    out.parameters = read_string_map(at(p, "parameters"));
    out.requests = read_string_map(at(at(p, "resources"), "requests"));
    out.limits = read_string_map(at(at(p, "resources"), "limits"));
}

void read_scheduling(const Json& s, ClusterSpec& out) {
    read_enum(s, "spread", out.spread, Spread::None);
    read(s, "topologyKey", out.topology_key);
    out.node_selector = read_string_map(at(s, "nodeSelector"));
    if (at(s, "tolerations").is_array()) out.tolerations_json = at(s, "tolerations").dump();
    read(s, "priorityClassName", out.priority_class);
}

// What objects may hold that were stored before a rule of the schema was made.
Status check_limits(const ClusterSpec& spec) {
    const auto& replication = spec.replication;
    if (replication.mode != ReplicationMode::Async && replication.synchronous_slaves > spec.slaves)
        return make_error(ErrorKind::Invalid, "spec.replication.synchronousSlaves is " +
                                                  std::to_string(replication.synchronous_slaves) +
                                                  " and must not exceed spec.slaves, which is " +
                                                  std::to_string(spec.slaves));
    const auto mandate = spec.failover.mandate;
    if (mandate < kShortestMandate || mandate > kLongestMandate)
        return make_error(ErrorKind::Invalid,
                          "spec.failover.mandateSeconds is " + std::to_string(mandate.count()) +
                              " and must be from " + std::to_string(kShortestMandate.count()) +
                              " to " + std::to_string(kLongestMandate.count()));
    return {};
}

}  // namespace

Result<ClusterSpec> parse_spec(const Json& spec) {
    ClusterSpec out;
    read(spec, "image", out.image);
    read(spec, "imagePullPolicy", out.image_pull_policy);
    read_list(spec, "imagePullSecrets", out.image_pull_secrets,
              [](const Json& item) { return read_one<std::string>(at(item, "name")); });
    read(spec, "uid", out.uid);
    read(spec, "gid", out.gid);
    read(spec, "slaves", out.slaves);
    const Json& storage = at(spec, "storage");
    read(storage, "size", out.storage.size);
    read(storage, "storageClass", out.storage.storage_class);
    out.storage.keep_on_delete = at(storage, "onDelete") != "Delete";
    if (const auto size = parse_quantity(out.storage.size, "spec.storage.size"); !size)
        return size.error();
    out.requests = read_string_map(at(at(spec, "resources"), "requests"));
    out.limits = read_string_map(at(at(spec, "resources"), "limits"));
    read_postgresql(at(spec, "postgresql"), out.postgresql);
    read(at(spec, "database"), "name", out.database);
    read(at(spec, "database"), "owner", out.owner);
    read_replication(at(spec, "replication"), out.replication);
    if (const auto failover = read_failover(at(spec, "failover"), out.failover); !failover)
        return failover.error();
    const Json& external = at(spec, "external");
    if (external.is_object()) {
        auto topology = read_external(external);
        if (!topology) return topology.error();
        out.external = std::move(*topology);
        out.slaves = static_cast<int>(out.external->endpoints.size()) - 1;
    }
    read_routing(at(spec, "routing"), out.slaves, out.external.has_value(), out.routing);
    read_services(at(spec, "services"), out.services);
    read_pooler(at(spec, "pooler"), out.pooler);
    read_scheduling(at(spec, "scheduling"), out);
    out.pod_labels = read_string_map(at(at(spec, "pod"), "labels"));
    out.pod_annotations = read_string_map(at(at(spec, "pod"), "annotations"));
    if (const auto good = check_limits(out); !good) return good.error();
    return out;
}

}  // namespace matriarch
