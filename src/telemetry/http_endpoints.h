// Mounts /metrics, /healthz and /readyz on a router.
//
// The operator serves them on a plain port of their own, the agent beside its orders. The registry
// and the checks must outlive the server. Handlers answer at once, on the io thread.
#pragma once

#include "net/router.h"
#include "telemetry/health.h"
#include "telemetry/metrics.h"

namespace matriarch::telemetry {

void mount_metrics(net::Router& router, const Registry& registry);
// At "/" + checks.name() and below.
void mount_health(net::Router& router, const HealthChecks& checks);

}  // namespace matriarch::telemetry
