// Health checks under /healthz and /readyz, with the paths, parameters and texts that Kubernetes'
// own components use (?verbose, ?exclude=name, /healthz/<name>).
//
// Liveness asks only whether this process works: never whether the API answers, since a partition
// would otherwise restart every replica. A standby is ready, else a rollout of two replicas stalls.
// Checks are added before the server starts; they run on the asking thread, at the same time as
// each other, and must not block. Their reasons are withheld from the answer (anyone may ask) and
// logged.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "net/http.h"

namespace matriarch::telemetry {

using HealthCheck = std::function<Status()>;

class HealthChecks {
  public:
    // `name` as in the path: "healthz" or "readyz".
    explicit HealthChecks(std::string name);

    void add(std::string check, HealthCheck probe);

    const std::string& name() const { return name_; }
    // For GET /<name> and /<name>/<check>. Without any check there is "ping", which always passes.
    net::HttpResponse answer(const net::HttpRequest& request) const;
    // All checks pass.
    bool healthy() const;

  private:
    std::string name_;
    std::vector<std::pair<std::string, HealthCheck>> checks_;
};

}  // namespace matriarch::telemetry
