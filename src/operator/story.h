// Story: what people are told about changes of master and of conditions: events and history.
//
// Tells of transitions only, never once per look. Keeps its place in ClusterMemory, so an operator
// that takes over in the middle tells the rest. One worker at a time per cluster.
#pragma once

#include <string>

#include "decide/observation.h"
#include "decide/plan.h"
#include "kube/events.h"
#include "operator/cluster.h"
#include "operator/memory.h"

namespace matriarch::op {

class Story {
  public:
    Story(kube::EventRecorder& events, const Clock& clock) : events_(events), clock_(clock) {}

    void master_failed(const Cluster& cluster, ClusterMemory& memory,
                       const decide::Observation& seen, const std::string& why);
    // A change of master that another operator began, so that it is told all the same; also one
    // that it ended and could not tell of any more.
    void resume(const Cluster& cluster, ClusterMemory& memory, const decide::Observation& seen);
    void record_written(const Cluster& cluster, ClusterMemory& memory,
                        const std::optional<AuthorityRecord>& before, const AuthorityRecord& after,
                        std::optional<Bytes> loss, const std::string& reason);
    // The finished change of master, if this publication ends one.
    std::optional<ChangeOfMaster> routes_published(const Cluster& cluster, ClusterMemory& memory,
                                                   const Routes& routes);
    // An old master is back: what was lost is exact from then on.
    void rejoined(const Cluster& cluster, ClusterMemory& memory, const decide::Observation& seen);
    // A named moment within a change of master, for its split of time.
    void step(ClusterMemory& memory, const std::string& name);
    void findings(const Cluster& cluster, ClusterMemory& memory,
                  const std::vector<decide::Finding>& findings);
    void tell(const Cluster& cluster, kube::EventType type, const std::string& reason,
              const std::string& action, const std::string& note);

  private:
    kube::EventRecorder& events_;
    const Clock& clock_;
};

}  // namespace matriarch::op
