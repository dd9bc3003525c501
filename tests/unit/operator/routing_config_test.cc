#include "operator/routing_config.h"

#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "object_fixtures.h"
#include "operator/app_secret.h"
#include "operator/env_keys.h"

namespace matriarch::op {
namespace {

const std::set<std::string> kSecretKeys = {"POSTGRES_MASTER_PASSWORD",
                                           "POSTGRES_SLAVE1_PASSWORD",
                                           "POSTGRES_SLAVE2_PASSWORD",
                                           "POSTGRES_PASSWORD",
                                           "DB_MASTER_PASSWORD",
                                           "DB_SLAVE1_PASSWORD",
                                           "DB_SLAVE2_PASSWORD",
                                           "DB_URL",
                                           "DATABASE_URL",
                                           "DATABASE_REPLICA_URL",
                                           "DATABASE_READ_URL",
                                           "DATABASE_READ_URLS",
                                           "DB_PRIMARY_URL",
                                           "DB_READ_REPLICA_URLS",
                                           "READ_REPLICA_URLS"};

// Every name that the applications' contract lists, for two slaves.
std::set<std::string> contract() {
    std::set<std::string> out = kSecretKeys;
    for (const std::string role : {"MASTER", "SLAVE1", "SLAVE2"}) {
        for (const char* key : {"DB", "USER", "PORT"}) out.insert("POSTGRES_" + role + "_" + key);
        for (const char* key : {"HOST", "PORT", "NAME", "USER"})
            out.insert("DB_" + role + "_" + key);
    }
    out.insert({"POSTGRES_DB",
                "POSTGRES_USER",
                "POSTGRES_PORT",
                "DATABASE_REPLICA_FALLBACK",
                "DATABASE_POOL_SIZE",
                "DATABASE_MAX_OVERFLOW",
                "DATABASE_READ_POOL_SIZE",
                "DATABASE_READ_MAX_OVERFLOW",
                "DB_READ_REPLICAS_ENABLED",
                "DB_READ_REPLICA_STRATEGY",
                "DB_READ_REPLICA_FALLBACK",
                "DB_READ_REPLICA_HEALTH_CHECK_INTERVAL",
                "DB_MAX_REPLICATION_LAG_MS",
                "DB_LAG_CHECK_ENABLED",
                "ENABLE_READ_REPLICAS",
                "READ_REPLICA_WEIGHTS",
                "READ_REPLICA_LAG_THRESHOLD",
                "READ_REPLICA_POOL_SIZE",
                "READ_REPLICA_MAX_OVERFLOW",
                "READ_REPLICA_POOL_TIMEOUT",
                "DB_POOL_RECYCLE"});
    return out;
}

TEST(EnvKeys, GivenTheContract_WhenBothObjectsAreMade_ThenEveryKeyIsInExactlyTheRightOne) {
    const Cluster cluster = orders_cluster();
    const StringMap open = public_env(cluster.key, cluster.spec);
    const StringMap secret = secret_env(cluster.key, cluster.spec, "pw");
    std::set<std::string> all;
    for (const auto& [key, value] : open) {
        EXPECT_FALSE(kSecretKeys.contains(key)) << key;
        all.insert(key);
    }
    for (const auto& [key, value] : secret) {
        EXPECT_TRUE(kSecretKeys.contains(key)) << key;
        all.insert(key);
    }
    EXPECT_EQ(all, contract());
}

TEST(EnvKeys, GivenAFailover_WhenMadeAgain_ThenValuesNameServicesAndStayTrue) {
    const Cluster cluster = orders_cluster();
    StringMap env = public_env(cluster.key, cluster.spec);
    env.merge(secret_env(cluster.key, cluster.spec, "pw"));
    EXPECT_EQ(env["DB_MASTER_HOST"], "orders-master.shop.svc");
    EXPECT_EQ(env["DB_SLAVE2_HOST"], "orders-slave2.shop.svc");
    EXPECT_EQ(env["DATABASE_URL"], "postgresql://app:pw@orders-master.shop.svc:5432/app");
    EXPECT_EQ(env["DATABASE_READ_URLS"],
              R"(["postgresql://app:pw@orders-slave1.shop.svc:5432/app",)"
              R"("postgresql://app:pw@orders-slave2.shop.svc:5432/app"])");
    EXPECT_EQ(env["READ_REPLICA_LAG_THRESHOLD"], "10");
    EXPECT_EQ(env["DB_MAX_REPLICATION_LAG_MS"], "10000");
    for (const auto& [key, value] : env)
        EXPECT_EQ(value.find("orders-1"), std::string::npos) << key;
}

TEST(EnvKeys, GivenTheSchemeAskedFor_WhenUrlsAreMade_ThenTheFirstOneIsUsed) {
    Cluster cluster = orders_cluster(0);
    cluster.spec.routing.uri_schemes = {"postgresql+asyncpg", "postgresql"};
    const StringMap env = secret_env(cluster.key, cluster.spec, "pw");
    EXPECT_EQ(env.at("DB_URL"), "postgresql+asyncpg://app:pw@orders-master.shop.svc:5432/app");
    EXPECT_EQ(env.at("DATABASE_READ_URLS"), "[]");
    EXPECT_EQ(public_env(cluster.key, cluster.spec).at("ENABLE_READ_REPLICAS"), "false");
}

TEST(EnvKeys, GivenWeights_WhenWrittenAsFractions_ThenTheyAddUpToOne) {
    RoutingSpec routing;
    EXPECT_EQ(weight_fractions(routing, 2), "0.5000,0.5000");
    EXPECT_EQ(weight_fractions(routing, 3), "0.3333,0.3333,0.3334");
    EXPECT_EQ(weight_fractions(routing, 1), "1.0000");
    EXPECT_EQ(weight_fractions(routing, 0), "");
    routing.weights = {{"slave1", 300}};
    EXPECT_EQ(weight_fractions(routing, 2), "0.7500,0.2500");
    routing.weights = {{"slave1", 0}, {"slave2", 0}};
    EXPECT_EQ(weight_fractions(routing, 2), "0.5000,0.5000");
}

TEST(EnvKeys, GivenAWeightOfTheMaster_WhenReadUrlsAreMade_ThenItIsTheLast) {
    Cluster cluster = orders_cluster(1);
    cluster.spec.routing.weights = {{"master", 100}, {"slave1", 300}};
    EXPECT_EQ(weight_fractions(cluster.spec.routing, 1), "0.7500,0.2500");
    EXPECT_EQ(secret_env(cluster.key, cluster.spec, "pw").at("READ_REPLICA_URLS"),
              "postgresql://app:pw@orders-slave1.shop.svc:5432/app,"
              "postgresql://app:pw@orders-master.shop.svc:5432/app");
}

TEST(RoutingConfig, GivenAllFormats_WhenTheConfigMapIsMade_ThenItIsStampedAndHoldsNoPassword) {
    const Cluster cluster = orders_cluster();
    const Json object = routing_config_map_object(cluster, orders_routes());
    EXPECT_EQ(object["metadata"]["annotations"][std::string(kStampAnnotation)], "4.7");
    for (const char* key : {"routes.json", "pg_service.conf", "haproxy.cfg", "pgbouncer.ini"})
        EXPECT_TRUE(object["data"].contains(key)) << key;
    EXPECT_EQ(routes_from_json(object["data"]["routes.json"].get<std::string>()).value(),
              orders_routes());
    EXPECT_EQ(object.dump(), routing_config_map_object(cluster, orders_routes()).dump());
    EXPECT_EQ(object.dump().find("PASSWORD"), std::string::npos);
}

TEST(RoutingConfig, GivenChosenFormats_WhenMade_ThenOnlyThoseAndRoutesJsonAreThere) {
    Cluster cluster = orders_cluster();
    cluster.spec.routing.formats = {"haproxy"};
    const StringMap data = routing_data(cluster, orders_routes());
    EXPECT_EQ(data.size(), 2u);
    EXPECT_TRUE(data.contains("routes.json"));
    EXPECT_TRUE(data.contains("haproxy.cfg"));
}

TEST(PgServiceConf, GivenRoutes_WhenWritten_ThenTheMasterIsFirstForWritesAndLastForReads) {
    const std::string conf = pg_service_conf(orders_cluster(), orders_routes());
    const std::string one = "orders-1-0.orders-instances.shop.svc";
    const std::string two = "orders-2-0.orders-instances.shop.svc";
    const std::string three = "orders-3-0.orders-instances.shop.svc";
    EXPECT_NE(conf.find("[orders_master]\nhost=" + one + "," + two + "," + three +
                        "\nport=5432\ndbname=app\nuser=app\ntarget_session_attrs=read-"
                        "write\nconnect_timeout=3\n"),
              std::string::npos);
    EXPECT_NE(conf.find("[orders_replica]\nhost=" + two + "," + three + "," + one),
              std::string::npos);
}

TEST(PgServiceConf, GivenASlaveThatIsOut_WhenWritten_ThenReadsDoNotNameIt) {
    Routes routes = orders_routes();
    routes.slaves[0].state = RouteState::Lagging;
    const std::string one = "orders-1-0.orders-instances.shop.svc";
    const std::string three = "orders-3-0.orders-instances.shop.svc";
    const auto replica = [&](const Cluster& cluster) {
        const std::string conf = pg_service_conf(cluster, routes);
        return conf.substr(conf.find("[orders_replica]"));
    };
    Cluster cluster = orders_cluster();
    EXPECT_EQ(replica(cluster), "[orders_replica]\nhost=" + three + "," + one +
                                    "\nport=5432\ndbname=app\nuser=app\n"
                                    "target_session_attrs=prefer-standby\nconnect_timeout=3\n");
    cluster.spec.routing.fallback_to_master = false;
    EXPECT_NE(replica(cluster).find("host=" + three + "\n"), std::string::npos);
    EXPECT_NE(replica(cluster).find("target_session_attrs=standby\n"), std::string::npos);
    routes.slaves[1].state = RouteState::Down;
    EXPECT_NE(replica(cluster).find("host=orders-slaves.shop.svc\n"), std::string::npos)
        << "nowhere, until a slave is back";
}

TEST(PgServiceConf, GivenNoInstanceYet_WhenWritten_ThenTheServiceStandsIn) {
    EXPECT_EQ(hosts_writes_first(orders_cluster(), {}),
              std::vector<std::string>{"orders-master.shop.svc"});
}

TEST(PgServiceConf, GivenANameWithALineBreak_WhenRendered_ThenFilesOfLinesAreLeftOut) {
    Cluster cluster = orders_cluster();
    cluster.spec.database = "app\nhost=evil";
    const StringMap data = routing_data(cluster, orders_routes());
    EXPECT_FALSE(data.contains("pg_service.conf"));
    EXPECT_FALSE(data.contains("pgbouncer.ini"));
}

TEST(Haproxy, GivenWeights_WhenWritten_ThenTheyFitHaproxysRangeAndTheMasterIsTheBackup) {
    Cluster cluster = orders_cluster();
    cluster.spec.routing.weights = {{"slave1", 1000}, {"slave2", 1}};
    cluster.spec.routing.strategy = Strategy::LeastConnections;
    const std::string config = haproxy_cfg(cluster, {});
    EXPECT_NE(config.find("balance leastconn"), std::string::npos);
    EXPECT_NE(config.find("server slave1 orders-slave1.shop.svc:5432 weight 256\n"),
              std::string::npos);
    EXPECT_NE(config.find("server slave2 orders-slave2.shop.svc:5432 weight 1\n"),
              std::string::npos);
    EXPECT_NE(config.find("server master orders-master.shop.svc:5432 backup\n"), std::string::npos);
    cluster.spec.routing.fallback_to_master = false;
    EXPECT_EQ(haproxy_cfg(cluster, {}).find("backup"), std::string::npos);
    cluster.spec.routing.weights["master"] = 500;
    EXPECT_NE(
        haproxy_cfg(cluster, {}).find("server master orders-master.shop.svc:5432 weight 128\n"),
        std::string::npos);
}

TEST(Haproxy, GivenASlaveThatLags_WhenWritten_ThenItsWeightIsTheOneOfNow) {
    Routes routes = orders_routes();
    routes.slaves[0].weight = 25;
    const std::string config = haproxy_cfg(orders_cluster(), routes);
    EXPECT_NE(config.find("server slave1 orders-slave1.shop.svc:5432 weight 64\n"),
              std::string::npos)
        << config;
    routes.slaves[0].state = RouteState::Lagging;
    routes.slaves[0].weight = 0;
    EXPECT_NE(haproxy_cfg(orders_cluster(), routes)
                  .find("server slave1 orders-slave1.shop.svc:5432 weight 256\n"),
              std::string::npos)
        << "its Service leads to the other one";
}

TEST(Haproxy, GivenEachStrategy_WhenWritten_ThenItIsTheBalance) {
    Cluster cluster = orders_cluster();
    for (const auto& [strategy, word] : {std::pair(Strategy::RoundRobin, "roundrobin"),
                                         {Strategy::Random, "random"},
                                         {Strategy::LeastConnections, "leastconn"}}) {
        cluster.spec.routing.strategy = strategy;
        EXPECT_NE(haproxy_cfg(cluster, {}).find("balance " + std::string(word) + "\n"),
                  std::string::npos);
        EXPECT_EQ(public_env(cluster.key, cluster.spec).at("DB_READ_REPLICA_STRATEGY"),
                  to_string(strategy));
    }
}

TEST(PgBouncer, GivenADatabase_WhenWritten_ThenReadsAndWritesHaveNamesOfTheirOwn) {
    const std::string config = pgbouncer_ini(orders_cluster(), orders_routes());
    for (const char* line :
         {"app = host=orders-master.shop.svc port=5432 dbname=app\n",
          "app_master = host=orders-master.shop.svc port=5432 dbname=app\n",
          "app_replica = host=orders-slave1.shop.svc,orders-slave2.shop.svc port=5432 "
          "dbname=app\n",
          "pool_mode = transaction\n"})
        EXPECT_NE(config.find(line), std::string::npos) << line << config;
}

TEST(PgBouncer, GivenWeightsAndStrategies_WhenWritten_ThenItsListOfHostsSaysThem) {
    Cluster cluster = orders_cluster();
    Routes routes = orders_routes();
    const auto hosts = [&] {
        const std::string config = pgbouncer_ini(cluster, routes);
        const auto from = config.find("app_replica = host=") + 19;
        return std::regex_replace(config.substr(from, config.find(" port=", from) - from),
                                  std::regex("orders-|[.]shop[.]svc"), "");
    };
    EXPECT_EQ(hosts(), "slave1,slave2");
    routes.slaves[1].weight = 50;
    EXPECT_EQ(hosts(), "slave1,slave2,slave1") << "the one that lags gets less";
    cluster.spec.routing.strategy = Strategy::Random;
    EXPECT_EQ(hosts(), "slaves");
    cluster.spec.routing.strategy = Strategy::LeastConnections;
    cluster.spec.routing.weights = {{"slave1", 0}};
    routes.slaves[0].weight = 0;
    EXPECT_EQ(hosts(), "slave2") << "never slave1";
    cluster.spec.routing.weights["master"] = 25;
    EXPECT_EQ(hosts(), "slave2,master,slave2");
    cluster.spec.routing.weights.clear();
    cluster.spec.slaves = 0;
    EXPECT_EQ(hosts(), "slaves");
}

TEST(PgBouncer, GivenANameThatItCannotRead_WhenRendered_ThenItsFileIsLeftOut) {
    Cluster cluster = orders_cluster();
    for (const char* odd : {"o'dd", "\"db\"", "d b", "db;x", "shop-1"}) {
        cluster.spec.database = odd;
        EXPECT_FALSE(routing_data(cluster, orders_routes()).contains("pgbouncer.ini")) << odd;
    }
}

}  // namespace
}  // namespace matriarch::op
