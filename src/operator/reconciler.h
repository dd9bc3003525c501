// Reconciler: one look at one cluster: observe -> decide -> apply the plan -> tell.
//
// The imperative shell around decide. Level-based: nothing of an event but the cluster's key is
// used. Orders are sent side by side and their answers bring the cluster back; everything else is
// written here, in the plan's order, each step safe to be done twice. A Conflict ends the look: the
// next one sees more. reconcile() may run for different clusters at the same time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "decide/decide.h"
#include "kube/client.h"
#include "kube/events.h"
#include "kube/leader_election.h"
#include "operator/agent_channel.h"
#include "operator/caches.h"
#include "operator/cluster_metrics.h"
#include "operator/endpoint_prober.h"
#include "operator/memory.h"
#include "operator/object_keeper.h"
#include "operator/record_store.h"
#include "operator/route_writer.h"
#include "operator/story.h"

namespace matriarch::op {

class Reconciler {
  public:
    struct World {
        kube::Client& client;
        std::vector<std::unique_ptr<Caches>>& caches;  // one per watched namespace
        AgentChannel& agents;
        AgentWire& wire;
        kube::EventRecorder& events;
        ClusterMetrics& metrics;
        const Clock& clock;
        Random& random;
        std::function<kube::Leadership()> leadership;
        // The election must pass this term: records know it.
        std::function<void(Term term)> raise_term;
        // Asks for another look: now, when an order was answered.
        std::function<void(const ClusterKey& cluster)> look_again;
        EndpointProber* prober = nullptr;  // of databases that run elsewhere; null: there are none
    };

    Reconciler(World world, AgentImage agent, std::string cluster_domain);

    // How long until the next look, at the latest. An error: try again with backoff.
    Result<Duration> reconcile(const ClusterKey& key);

  private:
    struct Look;  // what one pass works with

    Caches* caches_of(const ClusterKey& key);
    ClusterMemory& memory_of(const ClusterKey& key);
    void forget(const ClusterKey& key);
    Result<Duration> look(Look& look);
    Result<Duration> look_external(Look& look);  // reconciler_external.cc
    Status keep_objects(Look& look, const std::set<InstanceName>& instances);
    Status know_agents(Look& look);
    bool master_is_silent(const ClusterKey& key, const ClusterMemory& memory) const;
    static void blame_objects(Look& look);
    static decide::Finding spec_finding(const Cluster& cluster, const ClusterMemory& memory);

    // The plan's steps in their order; false: one met a Conflict, which voids the rest.
    Result<bool> apply_all(Look& look);
    // One step of the plan.
    Status apply(Look& look, const decide::Step& step);
    Status do_step(Look& look, const decide::CreateInstance& step, const std::string& reason);
    Status do_step(Look& look, const decide::RemoveInstance& step, const std::string& reason);
    Status do_step(Look& look, const decide::ReplacePod& step, const std::string& reason);
    Status do_step(Look& look, const decide::WriteRecord& step, const std::string& reason);
    Status do_step(Look& look, const decide::SendOrder& step, const std::string& reason);
    Status do_step(Look& look, const decide::PublishRoutes& step, const std::string& reason);

    Status check_record_live(Look& look);
    Status label_pods(Look& look);
    Status write_status(Look& look);

    World world_;
    ObjectKeeper keeper_;
    RecordStore records_;
    RouteWriter routes_;
    Story story_;
    const decide::Policy policy_;
    std::mutex mutex_;
    std::map<ClusterKey, std::unique_ptr<ClusterMemory>> memories_;  // guarded by mutex_
};

}  // namespace matriarch::op
