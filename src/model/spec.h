// ClusterSpec: what a user asked for, as the API server defaulted and validated it.
//
// Field names follow crds/postgresclusters.matriarch.dev.yaml, where every default and limit is
// stated; the values here repeat the defaults only for tests. parse_spec answers Invalid with the
// field's name for what the schema can't express. A value type.
#pragma once

#include <chrono>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/ids.h"

namespace matriarch {

enum class FailoverMode { Automatic, Manual, Paused };
enum class ReplicationMode { Async, Sync, Quorum };
enum class TooFewSlaves { Wait, Degrade };
enum class Spread { Preferred, Required, None };
enum class Strategy { RoundRobin, Random, LeastConnections };

std::string_view to_string(FailoverMode mode);
std::string_view to_string(ReplicationMode mode);
std::string_view to_string(Strategy strategy);

using StringMap = std::map<std::string, std::string>;
// Empty if absent.
const std::string& value_of(const StringMap& map, std::string_view key);

struct StorageSpec {
    std::string size = "10Gi";
    std::string storage_class;  // empty: the default class
    bool keep_on_delete = true;
};

struct PostgresqlSpec {
    StringMap parameters, master_parameters, slave_parameters;
    std::vector<std::string> hba;
    std::string encoding = "UTF8", locale = "C.UTF-8";
    int wal_segment_size_mb = 16;
};

struct ReplicationSpec {
    ReplicationMode mode = ReplicationMode::Async;
    int synchronous_slaves = 1;
    TooFewSlaves on_too_few = TooFewSlaves::Wait;
    std::string max_slot_wal_keep_size;  // a quantity; empty: from the volume's size
};

// Of spec.failover.mandateSeconds.
inline constexpr std::chrono::seconds kShortestMandate{2}, kLongestMandate{30};

struct FailoverSpec {
    FailoverMode mode = FailoverMode::Automatic;
    std::chrono::seconds mandate{3};
    Bytes max_lag{16u << 20};
    std::chrono::seconds rescue{2};
    std::vector<std::string> order;    // instances or positions, the preferred successor first
    std::vector<std::string> exclude;  // instances that are never promoted
    std::string target;                // a change of master that the user asks for ...
    std::string request_id;            // ... once per id
    bool accept_data_loss = false;
    PodUid confirmed_dead;  // an administrator's word that this pod runs no more
};

// 1 -> slave1, as users name positions.
std::string position_name(int position);

struct RoutingSpec {
    std::chrono::milliseconds max_lag{10000};
    std::chrono::seconds hold{10};
    bool fallback_to_master = true;
    Strategy strategy = Strategy::RoundRobin;
    std::map<std::string, int> weights;  // by position: slave1 -> 100; and of the master
    std::vector<std::string> formats, uri_schemes;
    // Settings that make no sense and are left out, each with its field, the cause and the remedy:
    // a mistake in the routing stops neither the other routes nor a failover.
    std::vector<std::string> ignored;

    int weight_of(int position) const;
    int master_weight() const;  // 0: no reads while a slave is fit for them
};

struct ServicesSpec {
    std::string type = "ClusterIP";
    StringMap annotations;
    std::map<std::string, int> node_ports;
    std::vector<std::string> source_ranges;
};

enum class PoolMode { Transaction, Session };

// PgBouncer in front of the cluster.
struct PoolerSpec {
    int instances = 0;  // 0: spec.pooler is absent
    std::string image = "docker.io/edoburu/pgbouncer:v1.24.1-p1";
    PoolMode mode = PoolMode::Transaction;
    int max_client_connections = 1000;
    int pool_size = 25;    // connections to a server, per database and user
    StringMap parameters;  // further ones of PgBouncer, as they are
    StringMap requests, limits;

    bool wanted() const { return instances > 0; }
};
std::string_view to_string(PoolMode mode);

enum class SslMode { Disable, Prefer, Require, VerifyCa, VerifyFull };
std::string_view to_string(SslMode mode);  // libpq's word

// A database that runs elsewhere.
struct ExternalEndpoint {
    InstanceName name;
    std::string host;  // DNS name or IP address
    int port = 5432;
    std::string provider = "self-managed";
    std::string credentials_secret;  // with username and password
    SslMode ssl_mode = SslMode::Require;
    std::string ca_secret, ca_config_map, ca_key = "ca.crt";  // both empty: none is verified
};

// A topology of which the provider does the failover: we probe it and route to it.
struct ExternalSpec {
    bool validate_only = false;
    std::vector<ExternalEndpoint> endpoints;  // the one that the spec calls master first
};

struct ClusterSpec {
    std::string image = "docker.io/library/postgres:17";
    std::string image_pull_policy = "IfNotPresent";
    std::vector<std::string> image_pull_secrets;
    std::int64_t uid = 999, gid = 999;
    int slaves = 2;
    StorageSpec storage;
    StringMap requests, limits;
    PostgresqlSpec postgresql;
    std::string database = "app", owner = "app";
    ReplicationSpec replication;
    FailoverSpec failover;
    RoutingSpec routing;
    ServicesSpec services;
    PoolerSpec pooler;
    Spread spread = Spread::Preferred;
    std::string topology_key = "kubernetes.io/hostname";
    StringMap node_selector;
    std::string tolerations_json = "[]";  // passed through as it is
    std::string priority_class;
    StringMap pod_labels, pod_annotations;
    std::optional<ExternalSpec> external;  // `slaves` is then how many endpoints it has but one
};

Result<ClusterSpec> parse_spec(const nlohmann::json& spec);

// A Kubernetes quantity ("16Mi", "1.5G", "200k", "1e3") in whole units; Invalid names `field`.
Result<Bytes> parse_quantity(std::string_view text, std::string_view field);

}  // namespace matriarch
