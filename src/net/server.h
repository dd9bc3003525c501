// HttpServer: HTTP/1.1 with keep-alive, plain or over (mutual) TLS, on few threads and little
// memory.
//
// The agent's orders and polls, and both processes' metrics and health pages, come in here. A
// handler runs on an io thread and must not block; it answers at once or later, from any thread,
// through its Responder. A connection has at most one request in work. Bad requests, too large
// bodies and slow peers are refused without reaching the handler. start() fails if the address is
// taken; after that only single connections fail.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "net/body.h"
#include "net/http.h"
#include "net/tls.h"

namespace matriarch::net {

// The way to answer one request. Copies share the one answer; the first call counts, from any
// thread, also after the server stopped. When the last copy goes without an answer, the peer
// receives 500.
class Responder {
  public:
    struct State;
    explicit Responder(std::shared_ptr<State> state);

    // False if answered before or if the peer is gone.
    bool answer(HttpResponse response);
    // Sends response's head (its body is ignored) and then the source, with backpressure. When the
    // source fails midway, the connection is cut, so that the peer sees a short body.
    bool stream(HttpResponse response, std::unique_ptr<BodySource> source);

    // The peer went away, or the server stops: nobody waits any more.
    bool cancelled() const;
    // `call` runs once, on the io thread, when that happens before an answer; at once, on this
    // thread, if it has. It must not block. Only one can be set.
    void on_cancel(std::function<void()> call);

  private:
    std::shared_ptr<State> state_;
};

using Handler = std::function<void(HttpRequest, Responder)>;

enum class ClientCertificate { NotAsked, Optional, Required };

struct ServerOptions {
    std::string bind_address;  // empty: every address, IPv6 and IPv4; otherwise an IP address
    std::uint16_t port = 0;    // 0: any, see bound_port()
    std::shared_ptr<TlsIdentitySource> tls;                              // null: plain HTTP
    ClientCertificate client_certificate = ClientCertificate::Required;  // with tls only
    // Called for a certificate that the CA vouches for; false refuses it. Empty: all are welcome.
    std::function<bool(const PeerCertificate&)> accept_client;
    int threads = 1;
    std::size_t max_connections = 1024;
    std::size_t max_header_bytes = 16 * 1024;
    std::size_t max_body_bytes = 1024 * 1024;  // 413 beyond
    Duration idle_timeout = seconds(90);       // between requests; longer than any client's
    Duration request_timeout = seconds(10);  // TLS handshake; from first to last byte of a request
    Duration write_timeout = seconds(30);    // without any progress while we send
};

class HttpServer {
  public:
    // Listens and serves from here on. The clock must outlive the server. Unavailable if the
    // address is in use or not ours, Invalid if it is no address.
    static Result<std::unique_ptr<HttpServer>> start(ServerOptions options, Handler handler,
                                                     const Clock& clock);
    // stop().
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    std::uint16_t bound_port() const;
    std::size_t connections() const;
    // Closes all connections, cancels all unanswered requests, joins the threads. Not from a
    // handler. A second call does nothing.
    void stop();

  private:
    struct Impl;
    explicit HttpServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace matriarch::net
