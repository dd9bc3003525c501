// One TLS connection's OpenSSL object, set up the way we want it. Internal to src/net.
//
// All connections share one SSL_CTX per direction; certificate, key and CA are set on the
// connection, since an operator serves a thousand clusters with a CA each, and a context for each
// would cost megabytes. The session reads and writes its socket directly (no BIO pair, no 34 KB of
// buffers as a stream on top of it would have) and frees its record buffers when idle:
// SSL_MODE_RELEASE_BUFFERS.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "net/server.h"
#include "net/tls.h"

struct ssl_st;  // OpenSSL's SSL

namespace matriarch::net {

struct SslDeleter {
    void operator()(ssl_st* ssl) const;
};
using SslPtr = std::unique_ptr<ssl_st, SslDeleter>;

// Checks that the peer's certificate names `server_name`, or the address `ip` if that is empty.
Result<SslPtr> make_client_session(const TlsIdentity& identity, const std::string& server_name,
                                   const std::string& ip, const Clock& clock, int fd);

using AcceptClient = std::function<bool(const PeerCertificate&)>;

// `accept` must outlive the session; it may be empty.
Result<SslPtr> make_server_session(const TlsIdentity& identity, ClientCertificate policy,
                                   const AcceptClient& accept, const Clock& clock, int fd);

// Of the verified peer; empty if it showed none.
PeerCertificate peer_certificate(const SslPtr& ssl);

// Non-blocking steps.
enum class Step { Done, WantRead, WantWrite, Eof, Failed };
struct StepResult {
    Step step = Step::Done;
    std::size_t bytes = 0;
    std::string error;                 // when Failed
    bool certificate_refused = false;  // the failure is a refusal of one side's certificate
};
StepResult tls_handshake(ssl_st* ssl);
StepResult tls_read(ssl_st* ssl, char* out, std::size_t size);
StepResult tls_write(ssl_st* ssl, const char* data, std::size_t size);
// Says goodbye if that is possible at once.
void tls_shutdown(ssl_st* ssl);

}  // namespace matriarch::net
