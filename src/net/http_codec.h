// HTTP/1.1 on the wire: turns bytes into messages and back. Internal to src/net.
//
// Parsing is Boost.Beast's (only http_codec.cc includes it); writing a head is a dozen lines of our
// own. A reader exists only while a message is being read, so idle connections hold none.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "net/http.h"

namespace matriarch::net {

struct ReadLimits {
    std::size_t header_bytes = 16 * 1024;
    std::optional<std::uint64_t> body_bytes;  // none: unlimited, for bodies taken piece by piece
};

class MessageReader {
  public:
    enum class Fault { None, Malformed, HeaderTooLarge, BodyTooLarge };

    static std::unique_ptr<MessageReader> for_request(const ReadLimits& limits);
    // `to_head`: the answer to a HEAD request has a length but no body.
    static std::unique_ptr<MessageReader> for_response(const ReadLimits& limits, bool to_head);
    virtual ~MessageReader() = default;

    // Takes bytes and answers how many belong to this message; fewer only if it is complete. An
    // error is Invalid; fault() says what is wrong.
    virtual Result<std::size_t> feed(const char* data, std::size_t size) = 0;
    // The connection ended. True if that completes the message.
    virtual bool feed_eof() = 0;

    virtual bool head_done() const = 0;
    virtual bool done() const = 0;
    virtual bool keep_alive() const = 0;
    virtual Fault fault() const = 0;
    // Nothing of the message has arrived.
    virtual bool untouched() const = 0;
    virtual bool expects_continue() const = 0;
    virtual std::optional<std::uint64_t> content_length() const = 0;

    // The part of the body that arrived since the last call.
    virtual std::string take_body() = 0;
    // Once head_done(); the body is what take_body() did not take.
    virtual HttpRequest take_request() = 0;
    virtual HttpResponse take_response() = 0;
};

// Names and values are stripped of control characters, so no text of ours can smuggle in a header.
std::string format_request(const HttpRequest& request, const std::string& host);
// `length` is the body's, sent or (HEAD) not.
std::string format_response_head(const HttpResponse& response, std::uint64_t length,
                                 bool keep_alive, WallTime now);

}  // namespace matriarch::net
