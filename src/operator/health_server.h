// HealthServer: the health API on a port, by HTTPS, with threads of its own.
//
// The HTTP server's thread must not block, and access is asked of Kubernetes, so a few workers
// answer, from a bounded queue: what finds it full is told to come again. A slow client, a dead API
// server or an endpoint that does not answer hold up nothing else of the operator.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "net/server.h"
#include "operator/health_api.h"
#include "telemetry/metrics.h"

namespace matriarch::op {

class HealthServer {
  public:
    // `address` is [IP]:PORT.
    static Result<std::unique_ptr<HealthServer>> start(const std::string& address,
                                                       std::shared_ptr<net::TlsIdentitySource> tls,
                                                       HealthApi& api,
                                                       telemetry::Registry& registry,
                                                       const Clock& clock);
    // Waits for the answers that are being made.
    ~HealthServer();
    HealthServer(const HealthServer&) = delete;
    HealthServer& operator=(const HealthServer&) = delete;

    std::uint16_t bound_port() const { return server_->bound_port(); }

  private:
    HealthServer(HealthApi& api, telemetry::Registry& registry) : api_(api), registry_(registry) {}

    struct Job {
        HealthApi::Page page;
        net::HttpRequest request;
        net::Responder responder;
    };
    void take(Job job);
    void work();
    void finish(Job& job, net::HttpResponse response);

    HealthApi& api_;
    telemetry::Registry& registry_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Job> jobs_;  // guarded by mutex_, as the next
    bool stop_ = false;
    std::vector<std::thread> workers_;
    std::unique_ptr<net::HttpServer> server_;
};

}  // namespace matriarch::op
