// CpprestTransport: the real Transport, over cpprestsdk 2.10.18.
//
// No type of that library leaves cpprest_transport.cc (PIMPL): it is archived upstream, so it must
// stay replaceable. Thread-safe. It is HTTP/1.1; each watch has its own connection, leases and
// other requests have a pool each. Create it in main's scope and destroy it there: static
// destruction of cpprest clients crashes (cpprestsdk #1482, #1109). The destructor expects that no
// call is left.
#pragma once

#include <cstddef>
#include <memory>

#include "base/clock.h"
#include "kube/credentials.h"
#include "kube/transport.h"

namespace matriarch::kube {

struct CpprestOptions {
    // Process-wide, the first transport decides. The library's default of 40 wastes 600 MB of
    // address space; below 2 its own continuations may deadlock (cpprestsdk #111, #1569).
    int threads = 4;
    // Requests of Lane::Requests in flight; more wait, within their deadline.
    int max_concurrent = 16;
    std::size_t max_body = std::size_t{64} << 20;        // answer of one send()
    std::size_t max_error_body = std::size_t{64} << 10;  // answer of a failed watch
    std::size_t stream_buffer = std::size_t{1} << 20;    // unread bytes of a watch
    // The headers of a watch: they come at once, whether there are events or not.
    Duration headers_within = kAnswerWithin;
    std::string user_agent = "matriarch";
};

// For main, before any thread: keeps the library from reading the system's 140 certificate
// authorities for each connection, only to have them replaced by the cluster's one (0.9 MB and 10
// ms each), and bounds malloc's arenas. It works by SSL_CERT_FILE, which children inherit.
void prepare_process();

class CpprestTransport final : public Transport {
  public:
    CpprestTransport(CredentialSource& credentials, const Clock& clock,
                     CpprestOptions options = {});
    ~CpprestTransport() override;

    Result<Response> send(const Request& request, Deadline deadline, std::stop_token stop) override;
    Result<Response> stream(const Request& request, const OnChunk& on_chunk, Duration idle,
                            std::stop_token stop) override;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace matriarch::kube
