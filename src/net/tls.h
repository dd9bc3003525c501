// Who we are in TLS: a certificate chain, its key, and the CA that we trust.
//
// A server and a client ask an identity source before each new connection, so a renewed certificate
// is used without a restart; connections that exist go on with what they began. TLS 1.2 and 1.3
// only. Times of validity are compared with the Clock of the server or client, never with the
// machine's. Everything here is safe from any thread. Keys are never logged, nor part of an Error.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace matriarch::net {

// Parsed once and shared by all connections that use it. Immutable.
class TlsIdentity {
  public:
    // PEM texts. The chain begins with our own certificate. Without chain and key: a client that
    // shows no certificate. `ca_pem` may hold several CAs (a rollover). Invalid says which part is
    // wrong, also when key and certificate do not belong together.
    static Result<std::shared_ptr<const TlsIdentity>> parse(const std::string& chain_pem,
                                                            const std::string& key_pem,
                                                            const std::string& ca_pem);
    ~TlsIdentity();
    TlsIdentity(const TlsIdentity&) = delete;
    TlsIdentity& operator=(const TlsIdentity&) = delete;

    // When our own certificate ends; WallTime::max() without one.
    WallTime not_after() const;

    struct Impl;
    const Impl& impl() const { return *impl_; }  // for src/net only

  private:
    explicit TlsIdentity(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

class TlsIdentitySource {
  public:
    virtual ~TlsIdentitySource() = default;
    // The identity for a new connection. An Error only while there has never been a good one.
    virtual Result<std::shared_ptr<const TlsIdentity>> current() = 0;
};

// An identity held in memory and replaced by whoever renews it (the operator, tests).
class MemoryIdentity final : public TlsIdentitySource {
  public:
    explicit MemoryIdentity(std::shared_ptr<const TlsIdentity> identity);
    ~MemoryIdentity() override;
    Result<std::shared_ptr<const TlsIdentity>> current() override;
    void replace(std::shared_ptr<const TlsIdentity> identity);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// An identity read from files, as a mounted Secret shows them. They are looked at when a connection
// begins, at most once a second, and read again when modification time, size, inode or the link
// target (the kubelet's ..data link) changed. If the new ones are unusable, half written for
// instance, the former stay in use, and the next look tries again.
class FileIdentity final : public TlsIdentitySource {
  public:
    struct Paths {
        std::string chain;  // empty: a client that shows no certificate
        std::string key;
        std::string ca;
        // tls.crt, tls.key and ca.crt in `directory`: the keys of a kubernetes.io/tls Secret.
        static Paths in(const std::string& directory);
    };
    FileIdentity(Paths paths, const Clock& clock);
    ~FileIdentity() override;
    Result<std::shared_ptr<const TlsIdentity>> current() override;

    // For metrics (certwatcher_read_certificate_total and …_errors_total) and the log.
    struct Reads {
        std::uint64_t good = 0;
        std::uint64_t failed = 0;
        std::string last_error;
    };
    Reads reads() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// What a peer proved to be.
struct PeerCertificate {
    std::string common_name;
    std::vector<std::string> dns_names;
};

}  // namespace matriarch::net
