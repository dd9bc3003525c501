// Service: the agent's two ports.
//
// Order port, mutual TLS: POST /v1/poll (long poll: a Report at once when the sequence rose, else
// at the end of the wait), POST /v1/order, both for the operator alone; GET
// /v1/wal/<file>[?from=&length=] and POST /v1/promise for the instances of the cluster. Health
// port, plain: /health, /healthz, /readyz, /metrics; they read a snapshot and never wait for the
// main loop. Handlers run on io threads and hand everything that touches the agent to the main
// loop, so an order never queues behind a poll. start() fails when a port is taken.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "agent/agent.h"
#include "agent/loop.h"
#include "net/server.h"

namespace matriarch::agent {

struct ServiceOptions {
    std::string bind_address;  // empty: every address
    std::uint16_t order_port = kAgentPort, health_port = kAgentHealthPort;
    std::shared_ptr<net::TlsIdentitySource> tls;
    std::string cluster;
    std::string pg_wal;
};

class Service {
  public:
    Service(ServiceOptions options, Agent& agent, Loop& loop, const Clock& clock);
    ~Service();
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    Status start();
    // The main loop calls this when the report's sequence rose, and at least each second.
    void changed();
    void stop();

    std::uint16_t order_port() const;
    std::uint16_t health_port() const;

  private:
    struct Waiting {
        net::Responder responder;
        Poll poll;
    };
    // What health and metrics pages show.
    struct Snapshot {
        Report report;
        bool ready = false;
        std::string reason;
    };

    void handle_order_port(net::HttpRequest request, net::Responder responder);
    void promise(const net::HttpRequest& request, net::Responder responder);
    void poll(Poll poll, net::Responder responder);
    bool answer_if_due(Waiting& waiting, bool at_end);
    void send_wal(const net::HttpRequest& request, net::Responder responder) const;
    net::HttpResponse health(const net::HttpRequest& request) const;
    void take_snapshot();

    ServiceOptions options_;
    Agent& agent_;
    Loop& loop_;
    const Clock& clock_;
    std::list<Waiting> waiting_;
    mutable std::mutex mutex_;
    Snapshot snapshot_;  // guarded by mutex_
    std::unique_ptr<net::HttpServer> orders_, health_;
};

// role, serving and why not, of a report: for /health and /readyz.
struct Health {
    std::string role;  // master, slave, or none
    bool good = false;
    std::string reason;
};
Health judge_health(const Report& report);
std::string metrics_text(const Report& report, const std::string& cluster);

}  // namespace matriarch::agent
