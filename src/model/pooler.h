// What operator, agent and pooler agree on about PgBouncer.
#pragma once

#include <string>
#include <string_view>

namespace matriarch {

// As this role a pooler looks up the users of the application's database, and can do nothing else.
inline constexpr std::string_view kPoolerRole = "matriarch_pooler";
inline constexpr std::string_view kPoolerSchema = "matriarch";
inline constexpr std::string_view kPoolerLookup = "matriarch.pooler_user";

// The section of PgBouncer's settings that the routing ConfigMap has for poolers.
inline constexpr std::string_view kPoolerSettingsKey = "pooler.ini";
// Of these settings, how PgBouncer verifies PostgreSQL: by libpq's words for sslmode.
inline constexpr std::string_view kServerTlsSetting = "server_tls_sslmode";
// In the pooler's Secret: who signs the servers' certificates.
inline constexpr std::string_view kServerCaKey = "server-ca.crt";
// And as whom it asks there, the same as in userlist.txt.
inline constexpr const char* kPoolerUserKey = "username";
inline constexpr const char* kPoolerPasswordKey = "password";
inline std::string routing_config_map(std::string_view cluster) {
    return std::string(cluster) + "-routing";
}
// The ConfigMap by which poolers answer: by pod, the last Routes::pause for which that pooler holds
// all writers back.
inline std::string pooler_words(std::string_view cluster) {
    return std::string(cluster) + "-pooler-words";
}

inline constexpr int kPoolerHealthPort = 8080;  // plain: /healthz, /readyz, /metrics

// What a pooler serves, for the database `app`: app and app_master lead to the master, app_replica
// to the slaves.
inline constexpr std::string_view kPoolerMasterSuffix = "_master";
inline constexpr std::string_view kPoolerReplicaSuffix = "_replica";

}  // namespace matriarch
