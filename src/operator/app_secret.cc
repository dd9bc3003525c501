#include "operator/app_secret.h"

#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "model/pooler.h"
#include "net/crypto.h"
#include "operator/env_keys.h"
#include "operator/names.h"
#include "operator/object_meta.h"
#include "operator/pooler_objects.h"
#include "operator/uri.h"

namespace matriarch::op {
namespace {

std::string random_bytes(Random& random, std::size_t count) {
    std::string out;
    while (out.size() < count) {
        std::uint64_t bits = random.next();
        for (int i = 0; i < 8 && out.size() < count; ++i, bits >>= 8)
            out += static_cast<char>(bits & 0xff);
    }
    return out;
}

// PBKDF2 is made to be slow, and every pass over a cluster's objects asks the same again.
bool fits(const std::string& verifier, const std::string& password) {
    static std::mutex mutex;
    static std::set<std::string> known;  // of pairs that fit, the hashes
    constexpr std::size_t kMost = 1024;
    const std::string pair = net::hmac_sha256(verifier, password);
    {
        std::lock_guard lock(mutex);
        if (known.contains(pair)) return true;
    }
    const auto matches = net::scram_matches(verifier, password);
    if (!matches || !*matches) return false;
    std::lock_guard lock(mutex);
    if (known.size() >= kMost) known.clear();
    known.insert(pair);
    return true;
}

// The salt makes each new verifier another one, and another verifier is another configuration of
// every instance: the one that is there stays as long as it fits.
Result<std::string> verifier_for(const std::string& password, const std::string& held,
                                 Random& random) {
    if (!held.empty() && fits(held, password)) return held;
    return net::scram_verifier(password, random_bytes(random, net::kScramSaltBytes));
}

}  // namespace

Result<StringMap> keep_login(const StringMap& former, Random& random) {
    std::string password = value_of(former, kPasswordKey);
    if (password.empty()) password = random.password(kPasswordLength);
    auto verifier = verifier_for(password, value_of(former, kVerifierKey), random);
    if (!verifier)
        return make_error(ErrorKind::Invalid,
                          "key password: PostgreSQL can't store it; use ASCII characters",
                          verifier.error().message());
    return StringMap{{std::string(kPasswordKey), std::move(password)},
                     {std::string(kVerifierKey), std::move(*verifier)}};
}

Result<StringMap> merge_app_secret(const Cluster& cluster, const std::vector<std::string>& hosts,
                                   const std::vector<std::string>& read_hosts,
                                   const std::string& ca_pem, const StringMap& former,
                                   Random& random) {
    const ClusterSpec& spec = cluster.spec;
    const auto login = keep_login(former, random);
    if (!login)
        return make_error(login.error().kind,
                          "Secret " + app_secret(cluster.key.name) + ", " + login.error().what,
                          login.error().cause);
    const std::string& password = login->at(std::string(kPasswordKey));

    const auto& schemes = spec.routing.uri_schemes;
    StringMap out;
    if (wanted(spec.routing.formats, "env")) out = secret_env(cluster.key, spec, password);
    out["username"] = spec.owner;
    out.insert(login->begin(), login->end());
    out["dbname"] = spec.database;
    out["host"] = service_host(cluster.key, master_service(cluster.key.name));
    out["port"] = std::to_string(kPostgresPort);
    if (!ca_pem.empty()) out["ca.crt"] = ca_pem;
    if (wanted(spec.routing.formats, "pgbouncer"))
        out["userlist.txt"] = userlist(spec.owner, password);

    const UriParts write{hosts,    kPostgresPort, spec.owner,
                         password, spec.database, Session::ReadWrite};
    const UriParts read{read_hosts, kPostgresPort, spec.owner,
                        password,   spec.database, read_session(spec.routing)};
    // libpq's always: psql and most drivers take it.
    out["uri"] = make_uri(kLibpqScheme, write);
    out["read_uri"] = make_uri(kLibpqScheme, read);
    if (spec.pooler.wanted()) {
        UriParts pooled{{service_host(cluster.key, pooler_name(cluster.key.name))},
                        kPoolerPort,
                        spec.owner,
                        password,
                        spec.database + std::string(kPoolerMasterSuffix)};
        out["pooler_uri"] = make_uri(kLibpqScheme, pooled);
        pooled.database = spec.database + std::string(kPoolerReplicaSuffix);
        out["pooler_read_uri"] = make_uri(kLibpqScheme, pooled);
    }
    if (wanted(schemes, kAsyncpgScheme)) {
        out["asyncpg_uri"] = make_uri(kAsyncpgScheme, write);
        out["asyncpg_read_uri"] = make_uri(kAsyncpgScheme, read);
    }
    if (wanted(schemes, kJdbcScheme)) {
        out["jdbc_uri"] = make_uri(kJdbcScheme, write);
        out["jdbc_read_uri"] = make_uri(kJdbcScheme, read);
    }
    return out;
}

nlohmann::json secret_object(const Cluster& cluster, const std::string& name, std::string_view type,
                             std::string_view component, const StringMap& data) {
    nlohmann::json out =
        owned_object(cluster, kube::kSecrets, name, cluster_labels(cluster.key.name, component));
    out["type"] = type;
    out["data"] = nlohmann::json::object();
    for (const auto& [key, value] : data) out["data"][key] = net::base64_encode(value);
    return out;
}

nlohmann::json app_secret_object(const Cluster& cluster, const StringMap& data) {
    return secret_object(cluster, app_secret(cluster.key.name), "kubernetes.io/basic-auth", "app",
                         data);
}

}  // namespace matriarch::op
