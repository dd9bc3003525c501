#include "operator/health_server.h"

#include <exception>

#include "net/router.h"
#include "operator/listen.h"
#include "telemetry/log.h"

namespace matriarch::op {
namespace {

constexpr int kWorkers = 4;
constexpr std::size_t kMaxWaiting = 64;

}  // namespace

Result<std::unique_ptr<HealthServer>> HealthServer::start(
    const std::string& address, std::shared_ptr<net::TlsIdentitySource> tls, HealthApi& api,
    telemetry::Registry& registry, const Clock& clock) {
    std::unique_ptr<HealthServer> out(new HealthServer(api, registry));
    net::Router router;
    for (const auto& page : HealthApi::pages())
        router.on(page.method, page.path,
                  [self = out.get(), page](net::HttpRequest request, net::Responder responder) {
                      self->take({page.page, std::move(request), std::move(responder)});
                  });
    net::ServerOptions options = listen_on(address);
    options.tls = std::move(tls);
    options.client_certificate = net::ClientCertificate::NotAsked;
    options.max_connections = 256;
    options.max_body_bytes = 4096;  // nobody needs to send any
    options.idle_timeout = seconds(30);
    auto server = net::HttpServer::start(std::move(options), router.handler(), clock);
    if (!server) return server.error();
    out->server_ = std::move(*server);
    for (int i = 0; i < kWorkers; ++i)
        out->workers_.emplace_back([self = out.get()] { self->work(); });
    return out;
}

HealthServer::~HealthServer() {
    if (server_) server_->stop();
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_all();
    for (auto& worker : workers_) worker.join();
}

void HealthServer::take(Job job) {
    {
        const std::lock_guard lock(mutex_);
        if (jobs_.size() < kMaxWaiting) {
            jobs_.push_back(std::move(job));
            changed_.notify_one();
            return;
        }
    }
    auto busy = net::json_response(503, "{\"error\":\"too many requests are waiting\"}\n");
    busy.headers.set("Retry-After", "1");
    finish(job, std::move(busy));
}

void HealthServer::work() {
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
        if (stop_) return;
        Job job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        if (!job.responder.cancelled()) {
            try {
                finish(job, api_.answer(job.page, job.request));
            } catch (const std::exception& e) {
                telemetry::log::error("health API threw", {{"why", e.what()}});
                finish(job, net::json_response(500, "{\"error\":\"internal error\"}\n"));
            }
        }
        lock.lock();
    }
}

void HealthServer::finish(Job& job, net::HttpResponse response) {
    registry_
        .counter("matriarch_health_requests_total", "Requests to the health API, by HTTP status.",
                 {{"code", std::to_string(response.status)}})
        .increment();
    job.responder.answer(std::move(response));
}

}  // namespace matriarch::op
