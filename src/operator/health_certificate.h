// HealthCertificate: by what clients know the health API's server.
//
// Either files of somebody else's Secret, read again when they change, or a certificate of our own:
// a CA and a leaf in two Secrets beside the operator, <service>-ca and <service>-tls, made by
// whichever operator comes first, shared by all, and renewed as those of clusters are
// (certificates.h). keep() blocks until it is stopped and mends what it can; until there is a
// certificate, connections are refused. Clients trust ca.crt of <service>-tls.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "kube/client.h"
#include "model/ids.h"
#include "model/spec.h"
#include "net/tls.h"
#include "operator/options.h"

namespace matriarch::op {

class HealthCertificate {
  public:
    // `domain` is the cluster's DNS domain.
    HealthCertificate(const HealthApiOptions& options, std::string name_space, std::string domain,
                      kube::Client& client, const Clock& clock, Random& random);

    std::shared_ptr<net::TlsIdentitySource> source() const { return source_; }
    void keep(std::stop_token stop);

  private:
    // What the Secret of that name should hold, from what it holds: the same if nothing is due.
    template <class Due>
    Result<StringMap> secret(const std::string& name, Due due, const kube::Call& call);
    Status renew(const kube::Call& call);

    const ClusterKey service_;
    const std::string domain_;
    kube::Client& client_;
    const Clock& clock_;
    Random& random_;
    std::shared_ptr<net::MemoryIdentity> own_;  // null: files
    std::shared_ptr<net::TlsIdentitySource> source_;
    StringMap held_;
};

}  // namespace matriarch::op
