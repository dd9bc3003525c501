#include "operator/external_targets.h"

#include <nlohmann/json.hpp>

#include "kube/objects.h"
#include "net/pki.h"

namespace matriarch::op {
namespace {

// Each object once; one that does not exist has no data.
class Sources {
  public:
    Sources(kube::Client& client, std::string name_space)
        : client_(client), name_space_(std::move(name_space)) {}

    Result<std::optional<StringMap>> secret(const std::string& name) {
        return read(kube::kSecrets, name, [](const nlohmann::json& object) -> Result<StringMap> {
            auto secret = kube::decode_secret(object);
            return secret ? Result<StringMap>(std::move(secret->data)) : secret.error();
        });
    }
    Result<std::optional<StringMap>> config_map(const std::string& name) {
        return read(kube::kConfigMaps, name, [](const nlohmann::json& object) -> Result<StringMap> {
            auto map = kube::decode_config_map(object);
            return map ? Result<StringMap>(std::move(map->data)) : map.error();
        });
    }

  private:
    using Data = std::optional<StringMap>;
    template <class Decode>
    Result<Data> read(const kube::Resource& resource, const std::string& name, Decode decode) {
        const auto key = std::pair(std::string(resource.plural), name);
        if (const auto known = known_.find(key); known != known_.end()) return known->second;
        const auto object = client_.get(resource, {name_space_, name});
        if (!object && object.error().kind != ErrorKind::NotFound) return object.error();
        Data out;
        if (object) {
            auto data = decode(*object);
            if (!data) return data.error();
            out = std::move(*data);
        }
        known_[key] = out;
        return out;
    }

    kube::Client& client_;
    const std::string name_space_;
    std::map<std::pair<std::string, std::string>, Data> known_;
};

// The credentials, or what is wrong with them.
Status take_credentials(Sources& sources, const ExternalEndpoint& endpoint, ProbeTarget& target,
                        EndpointProblem& problem) {
    const std::string& name = endpoint.credentials_secret;
    const auto data = sources.secret(name);
    if (!data) return data.error();
    if (!*data) {
        problem = {"SecretMissing", "there is no Secret " + name +
                                        " (spec.external.credentialsSecret): make it, with "
                                        "username and password"};
        return {};
    }
    target.user = value_of(**data, "username");
    target.password = value_of(**data, "password");
    if (target.user.empty())
        problem = {"SecretIncomplete", "Secret " + name + " has no key username: add it"};
    return {};
}

Status take_ca(Sources& sources, const ExternalEndpoint& endpoint, WallTime now,
               ProbeTarget& target, EndpointProblem& problem) {
    const bool secret = !endpoint.ca_secret.empty();
    if (!secret && endpoint.ca_config_map.empty()) return {};
    const std::string& name = secret ? endpoint.ca_secret : endpoint.ca_config_map;
    const std::string what = (secret ? "Secret " : "ConfigMap ") + name;
    const auto data = secret ? sources.secret(name) : sources.config_map(name);
    if (!data) return data.error();
    target.ca_pem = *data ? value_of(**data, endpoint.ca_key) : "";
    if (target.ca_pem.empty()) {
        problem = {"CaMissing", what +
                                    (*data ? " has no key " + endpoint.ca_key : " does not exist") +
                                    " (spec.external…ca): put the CA's certificate there"};
        return {};
    }
    const auto certificates = net::parse_certificates(target.ca_pem);
    if (!certificates || certificates->empty()) {
        problem = {"CaUnusable",
                   what + ", key " + endpoint.ca_key + ", holds no certificate in PEM"};
        return {};
    }
    for (const auto& certificate : *certificates)
        if (!certificate.expired(now)) return {};
    problem = {"CaExpired", "the CA in " + what + " ended " +
                                format_rfc3339(certificates->front().not_after) +
                                ": put the one there that signs the server's certificate now"};
    return {};
}

}  // namespace

Result<ExternalTargets> read_targets(kube::Client& client, const Cluster& cluster, WallTime now) {
    Sources sources(client, cluster.key.name_space);
    ExternalTargets out;
    for (const auto& endpoint : cluster.spec.external->endpoints) {
        ProbeTarget target{endpoint.name,
                           endpoint.host,
                           endpoint.port,
                           {},
                           {},
                           cluster.spec.database,
                           std::string(to_string(endpoint.ssl_mode)),
                           {}};
        EndpointProblem problem;
        if (auto taken = take_credentials(sources, endpoint, target, problem); !taken)
            return taken.error();
        if (problem.reason.empty())
            if (auto taken = take_ca(sources, endpoint, now, target, problem); !taken)
                return taken.error();
        // The first one is the spec's master, whose credentials are the topology's.
        if (out.login.user.empty()) out.login = {target.user, target.password, target.ca_pem};
        if (problem.reason.empty())
            out.targets.push_back(std::move(target));
        else
            out.problems[endpoint.name] = std::move(problem);
    }
    return out;
}

}  // namespace matriarch::op
