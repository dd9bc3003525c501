// Transport: how bytes reach the API server, as an interface of two blocking calls.
//
// Everything else of kube works only on it, so the real HTTP client (cpprest_transport.h), scripted
// fakes of tests and the simulator's API server are interchangeable. Thread-safe. Authentication is
// the transport's own matter: a 401 is answered once by reading the credentials anew and asking
// again before the caller sees it. Failures, as ErrorKind:
//   Unavailable     the request never left (no address, refused, TLS handshake)
//   OutcomeUnknown  it left, or may have left, and the connection broke before the answer
//   Timeout         the deadline passed; a write may have been executed
//   Cancelled       the stop token; a write may have been executed
//   Invalid         the answer is larger than the bound, or the request can't be expressed
// A status code, whatever it says, is not a failure here: see status.h. Note that the real client
// may silently send a request twice (INV-9).
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace matriarch::kube {

// The API server itself gives up after at most 34 s.
constexpr Duration kAnswerWithin = std::chrono::seconds(15);

// Which connections carry a request: a pool that is busy or broken must not cost leadership.
enum class Lane { Requests, Lease };

struct Request {
    std::string method = "GET";
    std::string target = {};        // path and query, percent-encoded: "/api/v1/pods?limit=500"
    std::string content_type = {};  // of the body, empty without one
    std::string body = {};
    Lane lane = Lane::Requests;
};

struct Response {
    int status = 0;
    std::string body = {};
    std::optional<milliseconds> retry_after = {};  // from the header
};

// An answer whose body is JSON, its receiver's own; null: it has none, or is something else.
struct JsonResponse : Response {
    std::shared_ptr<nlohmann::json> json = {};
};

struct WatchEvent {
    std::string_view type;
    const nlohmann::json* object = nullptr;  // null: unreadable
};

class Transport {
  public:
    using OnEvent = std::function<bool(const WatchEvent&)>;
    // A piece of the body of a 200 answer, of any size, cut anywhere. False ends the stream.
    using OnChunk = std::function<bool(std::string_view)>;

    virtual ~Transport() = default;

    virtual Result<Response> send(const Request& request, Deadline deadline,
                                  std::stop_token stop) = 0;

    // A watch: returns when the server ended the body (status 200, empty body), when on_chunk said
    // false (likewise), with the whole answer when the status is not 200, or with an error; Timeout
    // means that nothing came for `idle`, or no headers within what a request has, so the peer may
    // be gone without a word. on_chunk runs in the caller's thread; while it runs, the server is
    // held back. Each call has its own connection.
    virtual Result<Response> stream(const Request& request, const OnChunk& on_chunk, Duration idle,
                                    std::stop_token stop) = 0;

    // The same two, of JSON: here it becomes text and text becomes it. A transport that leads
    // nowhere else (the simulator's) hands it on as it is.
    virtual Result<JsonResponse> send_json(Request request,
                                           std::shared_ptr<const nlohmann::json> body,
                                           Deadline deadline, std::stop_token stop);
    virtual Result<Response> stream_events(const Request& request, const OnEvent& on_event,
                                           Duration idle, std::stop_token stop);
};

}  // namespace matriarch::kube
