// LeaseServer: as much of the Kubernetes API as an agent needs: one Lease, read and replaced by
// compare-and-swap over TLS with a bearer token. Threads: the server's; put() from any.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "fixture.h"
#include "model/record.h"
#include "net/server.h"

namespace matriarch::testing {

class LeaseServer {
  public:
    explicit LeaseServer(Lab& lab);
    ~LeaseServer();

    void put(const AuthorityRecord& record);
    // The next replacement finds that somebody was faster.
    void conflict_once() { conflict_ = true; }
    int renewals() const { return renewals_; }
    std::vector<std::string> agent_flags() const;

  private:
    net::HttpResponse answer(const net::HttpRequest& request);

    const std::string folder_;
    std::mutex mutex_;
    std::string lease_;  // guarded by mutex_, like version_
    int version_ = 0;
    std::atomic<int> renewals_{0};
    std::atomic<bool> conflict_{false};
    std::unique_ptr<net::HttpServer> server_;
};

}  // namespace matriarch::testing
