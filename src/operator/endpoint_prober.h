// What is known of databases that run elsewhere, and the way to have them asked.
//
// An interface, so that what decides on it needs neither libpq nor a network. Values but for
// EndpointProber, whose calls are safe from any thread and do not block.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/ids.h"
#include "postgres/remote_status.h"

namespace matriarch::op {

struct ProbeTarget {
    InstanceName name;
    std::string host;
    int port = 5432;
    std::string user, password, database, ssl_mode;
    std::string ca_pem;  // empty: none
    friend bool operator==(const ProbeTarget&, const ProbeTarget&) = default;
};

struct ProbeResult {
    bool asked = false;  // one attempt has ended, well or not
    bool reachable = false;
    std::string reason, trouble;  // of one that is not: UpperCamel, and for people
    std::string address;          // that its name resolved to last
    SystemIdentifier system;
    postgres::RemoteStatus status;  // as last heard
    std::chrono::milliseconds lag{0};
    std::chrono::microseconds took{0};
    TimePoint heard{};
};

class EndpointProber {
  public:
    using Results = std::map<InstanceName, ProbeResult>;

    virtual ~EndpointProber() = default;
    // These endpoints of a cluster and no others from now on. One that changed begins anew.
    virtual void watch(const ClusterKey& cluster, const std::vector<ProbeTarget>& targets) = 0;
    virtual void forget(const ClusterKey& cluster) = 0;
    virtual Results results(const ClusterKey& cluster) const = 0;
};

}  // namespace matriarch::op
