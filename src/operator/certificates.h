// Which certificates a cluster needs, when they are due, and the Secrets that hold them.
//
// The CA's Secret holds ca.crt (what is trusted: one certificate, or several while the CA changes),
// issuer.crt and ca.key (what issues), and next.crt, next.key for the day between the announcement
// of a new CA and its first use. Leaves are renewed at two thirds of their life: the kubelet
// updates the mounted Secret and the agent reads it again, so nothing restarts. Decisions are pure;
// making keys is OpenSSL's. A Secret that is damaged is Invalid: making a new CA by itself could
// cut off agents that still work. Any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "model/ids.h"
#include "model/spec.h"
#include "net/pki.h"

namespace matriarch::op {

inline constexpr std::string_view kDefaultClusterDomain = "cluster.local";

// How long a new CA is only trusted before it issues. Kubelets bring a Secret to its pods within
// two minutes; a node may be away for hours.
inline constexpr Duration kAnnouncement = std::chrono::hours(24);

// The CA.
enum class CaStep {
    Keep,
    Create,    // there is none
    Announce,  // a new one is made and trusted, the old one issues
    Switch,    // the new one issues, the old one stays trusted until it ends
};
// From the issuing CA and the announced one.
CaStep ca_step(const std::optional<net::CertificateInfo>& issuer,
               const std::optional<net::CertificateInfo>& next, WallTime now);

// What the CA's Secret should hold, given what it holds (empty if there is none): the same if
// nothing is due.
Result<StringMap> ensure_ca(const ClusterKey& cluster, const StringMap& held, const Clock& clock,
                            Random& random);
// From the data of the CA's Secret.
std::string trusted_pem(const StringMap& ca);
net::KeyPair issuer_of(const StringMap& ca);

// Leaves.
struct WantedCertificate {
    std::string common_name;
    std::vector<std::string> dns_names, ip_addresses;
};
// The instance's own names and those of all Services, since clients verify the name that they dial.
WantedCertificate instance_certificate(const ClusterKey& cluster, const InstanceName& instance,
                                       int slaves, std::string_view domain = kDefaultClusterDomain);
// A Service's own names, for what serves behind it (poolers, the operator's health API).
WantedCertificate service_certificate(const ClusterKey& service,
                                      std::string_view domain = kDefaultClusterDomain);
// The operator's side of the agent's order port.
WantedCertificate operator_certificate();

// Why a certificate must be issued anew; empty if it need not. Names that it has too many are no
// reason.
std::string leaf_due(const WantedCertificate& wanted, const net::CertificateInfo& held,
                     bool signed_by_issuer, WallTime now);

// What the Secret <instance>-tls should hold: tls.crt, tls.key, ca.crt.
Result<StringMap> ensure_leaf(const StringMap& ca, const WantedCertificate& wanted,
                              const StringMap& held, const Clock& clock, Random& random);

// For the operator's memory; issued anew at two thirds of its life (CertificateInfo::renew_due).
Result<net::KeyPair> issue_operator_identity(const StringMap& ca, const Clock& clock,
                                             Random& random);

}  // namespace matriarch::op
