#include "operator/certificates.h"

#include <algorithm>
#include <set>

#include "model/report.h"
#include "operator/names.h"

namespace matriarch::op {
namespace {

constexpr const char* kCaCrt = "ca.crt";
constexpr const char* kIssuerCrt = "issuer.crt";
constexpr const char* kCaKey = "ca.key";
constexpr const char* kNextCrt = "next.crt";
constexpr const char* kNextKey = "next.key";
constexpr const char* kTlsCrt = "tls.crt";
constexpr const char* kTlsKey = "tls.key";

Result<std::optional<net::CertificateInfo>> parse(const StringMap& data, const char* key) {
    if (value_of(data, key).empty()) return std::optional<net::CertificateInfo>();
    auto info = net::parse_certificate(value_of(data, key));
    if (!info) return info.error();
    return std::optional<net::CertificateInfo>(std::move(*info));
}

Result<net::KeyPair> new_ca(const ClusterKey& cluster, const Clock& clock, Random& random) {
    // Two CAs of one cluster must differ in name, or a verifier can't tell which one signed.
    const std::string name = "matriarch CA of " + cluster.name.substr(0, 32) + " " + random.hex(4);
    return net::create_ca(name, net::kCaLifetime, clock, random);
}

// Every form in which a client of the cluster may dial a Service or a pod.
void add_names(std::vector<std::string>& names, const std::string& name,
               const std::string& name_space, std::string_view domain) {
    names.push_back(name);
    names.push_back(name + "." + name_space);
    names.push_back(name + "." + name_space + ".svc");
    if (!domain.empty()) names.push_back(name + "." + name_space + ".svc." + std::string(domain));
}

bool holds_all(const std::vector<std::string>& held, const std::vector<std::string>& wanted) {
    const std::set<std::string> have(held.begin(), held.end());
    return std::all_of(wanted.begin(), wanted.end(),
                       [&](const std::string& name) { return have.contains(name); });
}

Error damaged(const std::string& what, const std::string& remedy, const Error& cause) {
    return make_error(ErrorKind::Invalid, what + " is damaged: " + remedy, cause.message());
}

}  // namespace

CaStep ca_step(const std::optional<net::CertificateInfo>& issuer,
               const std::optional<net::CertificateInfo>& next, WallTime now) {
    if (!issuer) return CaStep::Create;
    if (next) {
        // An issuer that has ended protects nobody: no reason to wait.
        const bool known = now >= next->not_before + net::kClockSkewAllowance + kAnnouncement;
        return known || issuer->expired(now) ? CaStep::Switch : CaStep::Keep;
    }
    return issuer->renew_due(now) ? CaStep::Announce : CaStep::Keep;
}

Result<StringMap> ensure_ca(const ClusterKey& cluster, const StringMap& held, const Clock& clock,
                            Random& random) {
    const auto issuer = parse(held, kIssuerCrt);
    const auto next = parse(held, kNextCrt);
    if (!issuer || !next)
        return damaged("Secret " + ca_secret(cluster.name),
                       "restore it, or delete it to have a new CA made",
                       issuer ? next.error() : issuer.error());
    StringMap out = held;
    switch (ca_step(*issuer, *next, clock.wall())) {
        case CaStep::Keep:
            return out;
        case CaStep::Create: {
            const auto ca = new_ca(cluster, clock, random);
            if (!ca) return ca.error();
            return StringMap{{kCaCrt, ca->certificate_pem},
                             {kIssuerCrt, ca->certificate_pem},
                             {kCaKey, ca->key_pem}};
        }
        case CaStep::Announce: {
            const auto ca = new_ca(cluster, clock, random);
            if (!ca) return ca.error();
            auto bundle = net::ca_bundle(ca->certificate_pem, value_of(held, kCaCrt), clock.wall());
            if (!bundle) return bundle.error();
            out[kCaCrt] = std::move(*bundle);
            out[kNextCrt] = ca->certificate_pem;
            out[kNextKey] = ca->key_pem;
            return out;
        }
        case CaStep::Switch:
            out[kIssuerCrt] = value_of(held, kNextCrt);
            out[kCaKey] = value_of(held, kNextKey);
            out.erase(kNextCrt);
            out.erase(kNextKey);
            return out;
    }
    return out;
}

std::string trusted_pem(const StringMap& ca) {
    return value_of(ca, kCaCrt);
}

net::KeyPair issuer_of(const StringMap& ca) {
    return {value_of(ca, kIssuerCrt), value_of(ca, kCaKey)};
}

WantedCertificate instance_certificate(const ClusterKey& cluster, const InstanceName& instance,
                                       int slaves, std::string_view domain) {
    WantedCertificate out;
    out.common_name = instance.value;
    const std::string pod = pod_name(instance);
    out.dns_names = {pod, "localhost"};
    add_names(out.dns_names, pod + "." + instances_service(cluster.name), cluster.name_space,
              domain);
    for (const RouteService& service : route_services(cluster.name, slaves))
        add_names(out.dns_names, service.name, cluster.name_space, domain);
    out.ip_addresses = {"127.0.0.1", "::1"};
    return out;
}

WantedCertificate service_certificate(const ClusterKey& service, std::string_view domain) {
    WantedCertificate out;
    out.common_name = service.name;
    out.dns_names = {"localhost"};
    add_names(out.dns_names, service.name, service.name_space, domain);
    return out;
}

WantedCertificate operator_certificate() {
    WantedCertificate out;
    out.common_name = kOperatorName;
    out.dns_names = {std::string(kOperatorName)};
    return out;
}

std::string leaf_due(const WantedCertificate& wanted, const net::CertificateInfo& held,
                     bool signed_by_issuer, WallTime now) {
    if (held.common_name != wanted.common_name) return "it is of " + held.common_name;
    if (!signed_by_issuer) return "another CA issued it";
    if (held.renew_due(now)) return "two thirds of its life are over";
    if (!holds_all(held.dns_names, wanted.dns_names)) return "it lacks a name";
    return {};
}

Result<StringMap> ensure_leaf(const StringMap& ca, const WantedCertificate& wanted,
                              const StringMap& held, const Clock& clock, Random& random) {
    const net::KeyPair issuer = issuer_of(ca);
    bool due = value_of(held, kTlsKey).empty();
    // A damaged leaf is simply made anew: nothing is lost with it.
    const auto info = net::parse_certificate(value_of(held, kTlsCrt));
    if (!info) {
        due = true;
    } else {
        const auto ours = net::signed_by(value_of(held, kTlsCrt), issuer.certificate_pem);
        if (!ours) return ours.error();
        due = due || !leaf_due(wanted, *info, *ours, clock.wall()).empty();
    }
    StringMap out = {{kCaCrt, trusted_pem(ca)},
                     {kTlsCrt, value_of(held, kTlsCrt)},
                     {kTlsKey, value_of(held, kTlsKey)}};
    if (!due) return out;
    auto issued = net::issue_certificate(
        issuer, {wanted.common_name, wanted.dns_names, wanted.ip_addresses}, clock, random);
    if (!issued) return issued.error();
    out[kTlsCrt] = std::move(issued->certificate_pem);
    out[kTlsKey] = std::move(issued->key_pem);
    return out;
}

Result<net::KeyPair> issue_operator_identity(const StringMap& ca, const Clock& clock,
                                             Random& random) {
    const WantedCertificate wanted = operator_certificate();
    return net::issue_certificate(
        issuer_of(ca), {wanted.common_name, wanted.dns_names, {}, net::CertificateUse::Client},
        clock, random);
}

}  // namespace matriarch::op
