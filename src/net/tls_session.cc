#include "net/tls_session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <cerrno>
#include <cstring>

#include "net/openssl_util.h"
#include "net/tls_identity_impl.h"

namespace matriarch::net {

namespace {

// OpenSSL's own socket BIO writes with write(2) and so raises SIGPIPE. We may neither ignore that
// signal for the process (PostgreSQL, our child, would inherit it) nor die of it.
int bio_write(BIO* bio, const char* data, int size) {
    BIO_clear_retry_flags(bio);
    const ssize_t put = send(static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))),
                             data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
    if (put < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
    return static_cast<int>(put);
}

int bio_read(BIO* bio, char* out, int size) {
    BIO_clear_retry_flags(bio);
    const ssize_t got = recv(static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))),
                             out, static_cast<std::size_t>(size), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
    if (got == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return static_cast<int>(got);
}

long bio_ctrl(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    return 0;
}

BIO_METHOD* socket_method() {
    static BIO_METHOD* const method = [] {
        BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
        BIO_meth_set_write(made, bio_write);
        BIO_meth_set_read(made, bio_read);
        BIO_meth_set_ctrl(made, bio_ctrl);
        return made;
    }();
    return method;
}

int accept_index() {
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
}

SSL_CTX* make_context(const SSL_METHOD* method) {
    SSL_CTX* context = SSL_CTX_new(method);
    if (context == nullptr) return nullptr;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
    // No tickets, no cache: each connection lives long, and a session kept for resumption would
    // hold a second copy of the peer's certificate. It would also outlive a renewed CA.
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context,
                        SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_num_tickets(context, 0);
    return context;
}

// Never freed: connections of static objects may end after us.
SSL_CTX* client_context() {
    static SSL_CTX* const context = make_context(TLS_client_method());
    return context;
}

SSL_CTX* server_context() {
    static SSL_CTX* const context = make_context(TLS_server_method());
    return context;
}

PeerCertificate describe(X509* certificate) {
    return {common_name_of(certificate), subject_names_of(certificate).dns};
}

// Asks the server's owner about a client's certificate that the CA vouches for, still inside the
// handshake, so that a refused client gets a TLS alert.
int verify_client(int preverified, X509_STORE_CTX* store) {
    if (preverified != 1 || X509_STORE_CTX_get_error_depth(store) != 0) return preverified;
    auto* ssl =
        static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    const auto* accept = static_cast<const AcceptClient*>(SSL_get_ex_data(ssl, accept_index()));
    if (accept == nullptr || !*accept) return 1;
    if ((*accept)(describe(X509_STORE_CTX_get_current_cert(store)))) return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

Result<SslPtr> make_session(SSL_CTX* context, const TlsIdentity& identity, const Clock& clock,
                            int fd) {
    ERR_clear_error();
    if (context == nullptr) return openssl_error(ErrorKind::Bug, "no TLS context");
    SslPtr ssl(SSL_new(context));
    if (!ssl) return openssl_error(ErrorKind::Bug, "no TLS session");
    const auto& own = identity.impl();
    if (own.certificate) {
        if (SSL_use_certificate(ssl.get(), own.certificate.get()) != 1 ||
            SSL_use_PrivateKey(ssl.get(), own.key.get()) != 1)
            return openssl_error(ErrorKind::Invalid, "our certificate can't be used");
        for (const auto& intermediate : own.chain)
            if (SSL_add1_chain_cert(ssl.get(), intermediate.get()) != 1)
                return openssl_error(ErrorKind::Invalid, "our certificate chain can't be used");
    }
    if (SSL_set1_verify_cert_store(ssl.get(), own.trusted.get()) != 1)
        return openssl_error(ErrorKind::Bug, "the CA can't be used");
    X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl.get()),
                               std::chrono::system_clock::to_time_t(clock.wall()));
    BIO* bio = BIO_new(socket_method());
    if (bio == nullptr) return openssl_error(ErrorKind::Bug, "no BIO");
    BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl.get(), bio, bio);
    return ssl;
}

// Alerts by which a peer says that it does not accept our certificate, or has no common ground with
// us: it ended the handshake, so it has not acted on anything we sent after it (RFC 8446, 6.2).
bool is_refusal(int reason) {
    switch (reason) {
        case SSL_R_CERTIFICATE_VERIFY_FAILED:
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
            return true;
        default:
            return false;
    }
}

StepResult outcome(ssl_st* ssl, int code) {
    const int saved_errno = errno;
    const int error = SSL_get_error(ssl, code);
    if (error == SSL_ERROR_WANT_READ) return {Step::WantRead, 0, {}, false};
    if (error == SSL_ERROR_WANT_WRITE) return {Step::WantWrite, 0, {}, false};
    if (error == SSL_ERROR_ZERO_RETURN) return {Step::Eof, 0, "closed by the peer", false};
    const auto packed = ERR_peek_error();
    const int reason = ERR_GET_REASON(packed);
    if (error == SSL_ERROR_SSL && reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        ERR_clear_error();
        return {Step::Eof, 0, "closed by the peer", false};
    }
    StepResult result{Step::Failed, 0, {}, false};
    if (error == SSL_ERROR_SYSCALL && packed == 0) {
        result.error = saved_errno == 0 ? "closed by the peer" : strerror(saved_errno);
    } else {
        result.certificate_refused = is_refusal(reason);
        result.error = openssl_errors();
        const long verified = SSL_get_verify_result(ssl);
        if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK)
            result.error += std::string(": ") + X509_verify_cert_error_string(verified);
    }
    ERR_clear_error();
    return result;
}

int clamp(std::size_t size) {
    return static_cast<int>(std::min<std::size_t>(size, 1 << 30));
}

}  // namespace

void SslDeleter::operator()(ssl_st* ssl) const {
    SSL_free(ssl);
}

Result<SslPtr> make_client_session(const TlsIdentity& identity, const std::string& server_name,
                                   const std::string& ip, const Clock& clock, int fd) {
    auto made = make_session(client_context(), identity, clock, fd);
    if (!made) return made.error();
    SSL* ssl = made->get();
    X509_VERIFY_PARAM* param = SSL_get0_param(ssl);
    // Only the SAN counts: RFC 6125 ended the CN's time as a host name.
    X509_VERIFY_PARAM_set_hostflags(
        param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    const bool named = server_name.empty()
                           ? X509_VERIFY_PARAM_set1_ip_asc(param, ip.c_str()) == 1
                           : X509_VERIFY_PARAM_set1_host(param, server_name.c_str(), 0) == 1;
    if (!named)
        return make_error(ErrorKind::Invalid, "no name to check the peer by: " + server_name + ip);
    if (!server_name.empty()) SSL_set_tlsext_host_name(ssl, server_name.c_str());
    SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
    SSL_set_connect_state(ssl);
    return made;
}

Result<SslPtr> make_server_session(const TlsIdentity& identity, ClientCertificate policy,
                                   const AcceptClient& accept, const Clock& clock, int fd) {
    auto made = make_session(server_context(), identity, clock, fd);
    if (!made) return made.error();
    SSL* ssl = made->get();
    int mode = SSL_VERIFY_NONE;
    if (policy != ClientCertificate::NotAsked) mode = SSL_VERIFY_PEER;
    if (policy == ClientCertificate::Required) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_set_ex_data(ssl, accept_index(), const_cast<AcceptClient*>(&accept));
    SSL_set_verify(ssl, mode, verify_client);
    SSL_set_accept_state(ssl);
    return made;
}

PeerCertificate peer_certificate(const SslPtr& ssl) {
    X509* certificate = ssl ? SSL_get0_peer_certificate(ssl.get()) : nullptr;
    if (certificate == nullptr || SSL_get_verify_result(ssl.get()) != X509_V_OK) return {};
    return describe(certificate);
}

StepResult tls_handshake(ssl_st* ssl) {
    ERR_clear_error();
    errno = 0;
    const int code = SSL_do_handshake(ssl);
    return code == 1 ? StepResult{} : outcome(ssl, code);
}

StepResult tls_read(ssl_st* ssl, char* out, std::size_t size) {
    ERR_clear_error();
    errno = 0;
    const int got = SSL_read(ssl, out, clamp(size));
    if (got > 0) return {Step::Done, static_cast<std::size_t>(got), {}, false};
    return outcome(ssl, got);
}

StepResult tls_write(ssl_st* ssl, const char* data, std::size_t size) {
    if (size == 0) return {};
    ERR_clear_error();
    errno = 0;
    const int put = SSL_write(ssl, data, clamp(size));
    if (put > 0) return {Step::Done, static_cast<std::size_t>(put), {}, false};
    return outcome(ssl, put);
}

void tls_shutdown(ssl_st* ssl) {
    // After a fatal error or before the handshake's end it is an error to call; harmless, cleared.
    ERR_clear_error();
    if (SSL_is_init_finished(ssl) == 1) SSL_shutdown(ssl);
    ERR_clear_error();
}

}  // namespace matriarch::net
