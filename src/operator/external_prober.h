// ExternalProber: asks databases that run elsewhere what they are, again and again.
//
// A thread for each endpoint, since resolving a name blocks, with a connection that stays open and
// is asked every 150 ms; every other wait has a deadline. A name is resolved anew for each
// connection: a provider's failover may be nothing but another address. What is known is kept with
// its time; silence is kept as silence. watch(), forget() and results() are safe from any thread.
// Passwords go nowhere but to libpq.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "operator/endpoint_prober.h"

namespace matriarch::op {

class ExternalProber final : public EndpointProber {
  public:
    // Something happened there; or only figures moved.
    using OnNews = std::function<void(const ClusterKey& cluster, bool urgent)>;

    ExternalProber(const Clock& clock, OnNews on_news);
    // Waits for what is being asked.
    ~ExternalProber() override;
    ExternalProber(const ExternalProber&) = delete;
    ExternalProber& operator=(const ExternalProber&) = delete;

    void watch(const ClusterKey& cluster, const std::vector<ProbeTarget>& targets) override;
    void forget(const ClusterKey& cluster) override;
    Results results(const ClusterKey& cluster) const override;

  private:
    class Probe;
    using Probes = std::map<InstanceName, std::unique_ptr<Probe>>;

    void retire(std::unique_ptr<Probe> probe);  // requires the mutex
    Lsn newest_wal(const ClusterKey& cluster) const;

    const Clock& clock_;
    const OnNews on_news_;
    mutable std::mutex mutex_;
    std::map<ClusterKey, Probes> probes_;        // guarded by mutex_, as the next
    std::list<std::unique_ptr<Probe>> retired_;  // told to stop; joined when they have
};

}  // namespace matriarch::op
