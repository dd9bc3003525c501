// HttpClient: requests to thousands of peers over persistent (mutual TLS) connections, on one
// thread.
//
// The operator keeps one poll outstanding at every agent. Each (peer, lane) has a connection of its
// own, made on the first request and again after a failure, so an order never queues behind a poll.
// Requests of one lane go one after the other. Nothing is ever sent twice: Unavailable means that
// the peer surely did not act, OutcomeUnknown that it may have. Callbacks run on the io thread,
// exactly once each, never inside request(); they must not block. All methods are safe from any
// thread.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "net/http.h"
#include "net/tls.h"

namespace matriarch::net {

struct PeerAddress {
    std::string ip;  // v4 or v6; names are not resolved
    std::uint16_t port = 0;
    std::string server_name;  // must be in the certificate's SAN; empty: the ip must be
    // The identity for this peer, since each cluster has its own CA; null: that of the options.
    std::shared_ptr<TlsIdentitySource> tls = nullptr;

    friend auto operator<=>(const PeerAddress&, const PeerAddress&) = default;
    friend bool operator==(const PeerAddress&, const PeerAddress&) = default;
};

// Why an exchange failed, finer than ErrorKind. See failure_of().
enum class Failure {
    Other,
    Refused,         // Unavailable: the address answers, nobody listens: the process is gone
    Unreachable,     // Unavailable: no route, host or network down
    ConnectTimeout,  // Unavailable: not connected (or not sent) by the deadline
    Tls,             // Unavailable: one side did not accept the other's certificate
    Lost,            // OutcomeUnknown: sent, then the connection ended without a whole answer
    AnswerTimeout,   // OutcomeUnknown (Timeout for GET and HEAD): sent, no answer by the deadline
    BadAnswer,       // OutcomeUnknown: the answer is no HTTP, or too large
    Cancelled,       // Cancelled: by the handle or by stop(); the peer may have acted
};
// Reads it from the error of this client's callbacks; Other for any other error.
Failure failure_of(const Error& error);
std::string_view to_string(Failure failure);

// Cancels one request. Copies are equal; letting it go cancels nothing.
class RequestHandle {
  public:
    struct State;
    RequestHandle() = default;
    explicit RequestHandle(std::shared_ptr<State> state);
    // The callback will come with Cancelled, unless it is already on its way. A request in flight
    // closes its connection.
    void cancel();

  private:
    std::shared_ptr<State> state_;
};

struct ClientOptions {
    std::shared_ptr<TlsIdentitySource> tls;  // null and none in the peer: plain HTTP
    Duration connect_timeout = seconds(5);   // TCP and TLS, within the request's deadline
    // Connections being opened at once; the others wait their turn. Without a limit a new leader
    // that connects to 3,000 agents begins all handshakes before it ends the first, and all time
    // out.
    int max_connecting = 64;
    Duration idle_timeout = seconds(60);  // shorter than the server's, so it rarely closes first
    std::size_t max_body_bytes = 4 * 1024 * 1024;  // of an answer held in memory
    std::size_t max_queue = 64;  // waiting requests of one lane; Unavailable beyond
};

// Where download() puts a body.
struct DownloadTarget {
    // Appears complete and synced to disk, or not at all; after a failure at the very end
    // (deadline, cancel) it may still appear, complete.
    std::string path;
    std::optional<std::uint64_t> expected_length;  // an answer of another length is Invalid
};

struct Downloaded {
    std::uint64_t bytes = 0;
    Headers headers;
};

class HttpClient {
  public:
    using Callback = std::function<void(Result<HttpResponse>)>;
    using DownloadCallback = std::function<void(Result<Downloaded>)>;

    // The clock must outlive the client.
    HttpClient(ClientOptions options, const Clock& clock);
    // stop().
    ~HttpClient();
    HttpClient(const HttpClient&) = delete;
    HttpClient& operator=(const HttpClient&) = delete;

    // Any HTTP status is a success here.
    RequestHandle request(const PeerAddress& peer, int lane, HttpRequest request, Deadline deadline,
                          Callback callback);

    // The same, waiting; for tools and tests. Not from a callback.
    Result<HttpResponse> request_and_wait(const PeerAddress& peer, int lane, HttpRequest request,
                                          Deadline deadline);

    // A body of any length into a file, never in memory: written beside it, synced, renamed, and
    // the directory synced, on a thread of its own. A status other than 2xx is an Error: NotFound
    // (404), Forbidden (403), Unavailable (5xx), Invalid.
    RequestHandle download(const PeerAddress& peer, int lane, HttpRequest request,
                           DownloadTarget target, Deadline deadline, DownloadCallback callback);
    Result<Downloaded> download_and_wait(const PeerAddress& peer, int lane, HttpRequest request,
                                         DownloadTarget target, Deadline deadline);

    // Closes all connections to a peer that left; its requests end with Cancelled.
    void forget(const PeerAddress& peer);

    struct Stats {
        std::size_t connections = 0;   // open or being opened
        std::uint64_t connects = 0;    // begun since the start; sockets that race count as one
        std::uint64_t handshakes = 0;  // of them completed
    };
    Stats stats() const;

    // Every unanswered request ends with Cancelled; joins the threads. Not from a callback. Later
    // requests end with Cancelled.
    void stop();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace matriarch::net
