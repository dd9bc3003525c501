// The objects of a cluster's poolers: PgBouncer in a Deployment behind one Service.
//
// matriarch-pooler is PID 1 of each pod, in a stock PgBouncer image. It follows the routing
// ConfigMap, whose key `pooler.ini` has the settings that come from the spec, and answers in the
// ConfigMap <cluster>-pooler-words. Users are looked up in the database by a role of the poolers'
// own. Pure; equal inputs give byte-equal JSON; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "operator/cluster.h"
#include "operator/cluster_objects.h"
#include "operator/instance_objects.h"

namespace matriarch::op {

// The section [pgbouncer], but for what depends on where it runs (src/pooler/pgbouncer_ini.h).
std::string pooler_settings(const Cluster& cluster);
// PgBouncer's auth_file: one user.
std::string userlist(const std::string& user, const std::string& password);

nlohmann::json pooler_deployment(const Cluster& cluster, const AgentImage& agent);
nlohmann::json pooler_service(const Cluster& cluster);
nlohmann::json pooler_budget(const Cluster& cluster);
nlohmann::json pooler_words_object(const Cluster& cluster);
// To read the routes and to answer: two ConfigMaps of this cluster, and nothing else.
Account pooler_account(const Cluster& cluster);

}  // namespace matriarch::op
