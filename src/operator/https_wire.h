// HttpsWire: AgentWire over mutual TLS, with an identity per cluster.
//
// The identity is a client certificate that the operator issues to itself from the cluster's CA, in
// memory, and renews in time. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "model/spec.h"
#include "net/client.h"
#include "net/tls.h"
#include "operator/agent_channel.h"

namespace matriarch::op {

class HttpsWire final : public AgentWire {
  public:
    HttpsWire(const Clock& clock, Random& random);

    Status set_authority(const ClusterKey& cluster, const StringMap& ca) override;
    void drop_authority(const ClusterKey& cluster) override;
    void poll(const AgentAddress& to, Lane lane, const Poll& poll, Duration timeout,
              OnReport callback) override;
    void order(const AgentAddress& to, const Order& order, Duration timeout,
               OnOrderAnswer callback) override;
    void forget(const AgentAddress& to) override;

    // Every call that is under way ends with Cancelled.
    void stop();

  private:
    struct Authority {
        std::string made_from;  // the CA's data, as a hash
        WallTime renew_at{};
        std::shared_ptr<net::MemoryIdentity> identity;
    };

    using OnBody = std::function<void(Result<std::string> body)>;

    net::PeerAddress peer(const AgentAddress& to) const;
    // The body of a 200 answer.
    void post(const AgentAddress& to, Lane lane, std::string_view path, std::string body,
              Duration timeout, OnBody callback);

    const Clock& clock_;
    Random& random_;
    mutable std::mutex mutex_;
    std::map<ClusterKey, Authority> authorities_;  // guarded by mutex_
    net::HttpClient client_;
};

}  // namespace matriarch::op
