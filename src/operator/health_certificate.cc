#include "operator/health_certificate.h"

#include <nlohmann/json.hpp>

#include "kube/base64.h"
#include "kube/objects.h"
#include "kube/waiter.h"
#include "operator/certificates.h"
#include "operator/names.h"
#include "telemetry/log.h"

namespace matriarch::op {

namespace log = telemetry::log;

namespace {

using Json = nlohmann::json;

constexpr Duration kLookAgain = seconds(60);
constexpr Duration kTryAgain = seconds(2);

Json secret_object(const ClusterKey& service, const std::string& name, const StringMap& data) {
    Json encoded = Json::object();
    for (const auto& [key, value] : data) encoded[key] = kube::base64_encode(value);
    return {{"metadata",
             {{"name", name},
              {"namespace", service.name_space},
              {"labels", {{std::string(kManagedByLabel), kManagedBy}}}}},
            {"type", "Opaque"},
            {"data", std::move(encoded)}};
}

}  // namespace

HealthCertificate::HealthCertificate(const HealthApiOptions& options, std::string name_space,
                                     std::string domain, kube::Client& client, const Clock& clock,
                                     Random& random)
    : service_{std::move(name_space), options.service},
      domain_(std::move(domain)),
      client_(client),
      clock_(clock),
      random_(random) {
    if (options.tls_directory.empty()) {
        source_ = own_ = std::make_shared<net::MemoryIdentity>(nullptr);
        return;
    }
    // No client shows a certificate, so there is no CA to be read; not every Secret has one.
    auto paths = net::FileIdentity::Paths::in(options.tls_directory);
    paths.ca = paths.chain;
    source_ = std::make_shared<net::FileIdentity>(std::move(paths), clock_);
}

template <class Due>
Result<StringMap> HealthCertificate::secret(const std::string& name, Due due,
                                            const kube::Call& call) {
    const auto object = client_.get(kube::kSecrets, {service_.name_space, name}, call);
    if (!object && object.error().kind != ErrorKind::NotFound) return object.error();
    kube::Secret held;
    if (object) {
        auto decoded = kube::decode_secret(*object);
        if (!decoded) return decoded.error();
        held = std::move(*decoded);
    }
    auto wanted = due(held.data);
    if (!wanted) return wanted.error();
    if (object && *wanted == held.data) return *wanted;
    Json body = secret_object(service_, name, *wanted);
    if (object) body["metadata"]["resourceVersion"] = held.resource_version;
    // Another operator was faster: AlreadyExists or Conflict, and the next look reads what it made.
    const auto written = object ? client_.update(kube::kSecrets, body, call)
                                : client_.create(kube::kSecrets, body, call);
    if (!written) return written.error();
    return *wanted;
}

Status HealthCertificate::renew(const kube::Call& call) {
    const auto ca_due = [this](const StringMap& held) {
        return ensure_ca(service_, held, clock_, random_);
    };
    const auto ca = secret(ca_secret(service_.name), ca_due, call);
    if (!ca) return ca.error();
    const auto leaf_due = [&](const StringMap& held) {
        return ensure_leaf(*ca, service_certificate(service_, domain_), held, clock_, random_);
    };
    const auto leaf = secret(tls_secret(InstanceName(service_.name)), leaf_due, call);
    if (!leaf) return leaf.error();
    if (*leaf == held_) return {};
    auto identity =
        net::TlsIdentity::parse(leaf->at("tls.crt"), leaf->at("tls.key"), leaf->at("ca.crt"));
    if (!identity) return identity.error();
    own_->replace(std::move(*identity));
    held_ = *leaf;
    log::info("health API has a certificate",
              {{"secret", service_.name_space + "/" + tls_secret(InstanceName(service_.name))}});
    return {};
}

void HealthCertificate::keep(std::stop_token stop) {
    kube::ThreadWaiter waiter(clock_);
    while (!stop.stop_requested()) {
        Duration pause = kLookAgain;
        if (own_)
            if (const auto renewed = renew({.stop = stop}); !renewed) {
                const auto kind = renewed.error().kind;
                const bool race = kind == ErrorKind::AlreadyExists || kind == ErrorKind::Conflict;
                if (!race)
                    log::warn("health API's certificate", {{"why", renewed.error().message()}});
                pause = kTryAgain;
            }
        waiter.sleep(clock_, Deadline::after(clock_, pause), stop);
    }
}

}  // namespace matriarch::op
