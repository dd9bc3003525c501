// HealthApi: who gets which page of the health API: limits, access, the cluster, then the answer.
//
// Every page is about one cluster, `?cluster=namespace/name`; without it, about the only one that
// there is. Whoever asks shows a bearer token (health_access.h); without one nothing is told,
// unless `anonymous` allows the two pages that load balancers ask. Work for unknown tokens is
// limited per address, everything else per user. No answer tells more than the caller may know: who
// may not see a cluster does not learn whether it exists. Blocks while Kubernetes is asked; any
// thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "net/http.h"
#include "operator/health_access.h"
#include "operator/health_view.h"
#include "operator/rate_limit.h"

namespace matriarch::op {

class HealthApi {
  public:
    struct World {
        Reviews& reviews;
        std::function<std::vector<ClusterKey>()> clusters;
        std::function<std::optional<HealthFacts>(const ClusterKey& cluster)> facts;
        // Of the cluster's poolers, as HealthFacts::pools has them.
        std::function<std::map<std::string, PoolFigures>(const ClusterKey& cluster,
                                                         const std::optional<Routes>& routes)>
            pools;
        // How long each endpoint took to answer, with a deadline.
        std::function<std::vector<Result<Duration>>(const std::vector<TestedEndpoint>&)> test;
        const Clock& clock;
    };
    enum class Page { DatabaseHealth, OverallHealth, PoolMetrics, ReplicaLag, TestConnection };
    struct PagePath {
        Page page;
        const char* method;
        const char* path;
    };
    static const std::vector<PagePath>& pages();

    HealthApi(World world, RateLimit rate, bool anonymous);

    net::HttpResponse answer(Page page, const net::HttpRequest& request);

  private:
    // Nobody: an anonymous caller who may see this page.
    Result<std::optional<Identity>> caller(Page page, const net::HttpRequest& request);
    Status pay(const std::string& caller, double cost);
    Result<ClusterKey> chosen(const net::HttpRequest& request) const;
    Result<std::string> body(Page page, const net::HttpRequest& request);

    const World world_;
    const bool anonymous_;
    HealthAccess access_;
    RateLimiter limiter_;
};

}  // namespace matriarch::op
