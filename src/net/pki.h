// Certificates: a CA per cluster, and the short-lived certificates that it issues.
//
// The operator is its own small CA, since not every cluster has cert-manager. EC P-256 keys,
// SHA-256 signatures. Validity starts five minutes before the clock's wall time, for machines whose
// clocks run behind. Pure functions of their arguments, the clock and the randomness (of keys
// OpenSSL's own); safe from any thread. They fail with Invalid for input that is no PEM, no IP
// address….
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"

namespace matriarch::net {

inline constexpr Duration kClockSkewAllowance = std::chrono::minutes(5);
inline constexpr Duration kCaLifetime = std::chrono::hours(24 * 365 * 10);
inline constexpr Duration kCertificateLifetime = std::chrono::hours(24 * 90);

struct KeyPair {
    std::string certificate_pem;
    std::string key_pem;  // PKCS #8; a secret
};

enum class CertificateUse { Server, Client, Both };

struct CertificateSpec {
    std::string common_name;  // at most 64 bytes (RFC 5280 ub-common-name)
    std::vector<std::string> dns_names;
    std::vector<std::string> ip_addresses;
    CertificateUse use = CertificateUse::Both;
    Duration lifetime = kCertificateLifetime;
};

Result<KeyPair> create_ca(const std::string& common_name, Duration lifetime, const Clock& clock,
                          Random& random);

// The certificate never outlives its CA.
Result<KeyPair> issue_certificate(const KeyPair& ca, const CertificateSpec& spec,
                                  const Clock& clock, Random& random);

struct CertificateInfo {
    std::string common_name;
    std::vector<std::string> dns_names;
    std::vector<std::string> ip_addresses;
    WallTime not_before;
    WallTime not_after;
    std::string serial;  // hex
    bool is_ca = false;

    // At two thirds of its life, so that a failing renewal has a third of it to be noticed.
    bool renew_due(WallTime now) const;
    bool expired(WallTime now) const { return now > not_after; }
};

// The first certificate of a PEM text, and all of them.
Result<CertificateInfo> parse_certificate(const std::string& pem);
Result<std::vector<CertificateInfo>> parse_certificates(const std::string& pem);

// True if `certificate` was signed by one of the CAs in `ca_pem` (validity is not looked at).
Result<bool> signed_by(const std::string& certificate_pem, const std::string& ca_pem);

// CA rollover: the new CA first, then those of `former` that are still valid and not the same. All
// peers must trust the bundle before the new CA issues anything; the old one leaves the bundle when
// nothing that it signed is in use.
Result<std::string> ca_bundle(const std::string& new_ca_pem, const std::string& former_bundle_pem,
                              WallTime now);

}  // namespace matriarch::net
