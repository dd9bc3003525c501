// What one pass of the reconciler works with. For its own .cc files.
#pragma once

#include <memory>
#include <optional>

#include "decide/observation.h"
#include "decide/plan.h"
#include "operator/reconciler.h"

namespace matriarch::op {

struct Reconciler::Look {
    std::shared_ptr<const Cluster> cluster;
    Caches& caches;
    ClusterMemory& memory;
    decide::Observation seen;
    decide::Plan plan;
    bool again = false;  // something was written: look at once
};

}  // namespace matriarch::op
