#include "net/http_codec.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/version.hpp>
#include <ctime>

namespace matriarch::net {

namespace {

namespace http = boost::beast::http;
using boost::system::error_code;

// A body that gathers in a string and never reserves what a Content-Length promises: Beast's
// string_body would allocate a gigabyte for a segment that we pass on piece by piece.
struct GatheredBody {
    using value_type = std::string;
    class reader {
      public:
        template <bool isRequest, class Fields>
        explicit reader(http::header<isRequest, Fields>&, value_type& body) : body_(body) {}
        void init(const boost::optional<std::uint64_t>&, error_code& ec) { ec = {}; }
        template <class Buffers>
        std::size_t put(const Buffers& buffers, error_code& ec) {
            ec = {};
            std::size_t total = 0;
            for (auto it = boost::asio::buffer_sequence_begin(buffers);
                 it != boost::asio::buffer_sequence_end(buffers); ++it) {
                const boost::asio::const_buffer piece = *it;
                body_.append(static_cast<const char*>(piece.data()), piece.size());
                total += piece.size();
            }
            return total;
        }
        void finish(error_code& ec) { ec = {}; }

      private:
        value_type& body_;
    };
};

template <bool isRequest>
class BeastReader final : public MessageReader {
  public:
    explicit BeastReader(const ReadLimits& limits) : body_limit_(limits.body_bytes) {
        parser_.eager(true);
        parser_.header_limit(static_cast<std::uint32_t>(limits.header_bytes));
        // The body's limit is checked here: Beast 1.74 finds every Content-Length larger than
        // boost::none, and goes on after a response beyond the limit whose body came with its head
        // (basic_parser.ipp: finish_header() has advanced the state, put() drops the error).
        parser_.body_limit(UINT64_MAX);
    }

    void no_body() { parser_.skip(true); }

    // The parser wants a head, and each chunk's head, in one piece, so what it did not take waits
    // in pending_.
    Result<std::size_t> feed(const char* data, std::size_t size) override {
        if (size > 0) touched_ = true;
        const std::size_t kept = pending_.size();
        const bool direct = kept == 0;
        if (!direct) pending_.append(data, size);
        const char* input = direct ? data : pending_.data();
        const std::size_t available = direct ? size : pending_.size();
        std::size_t used = 0;
        while (used < available && !parser_.is_done()) {
            error_code ec;
            const std::size_t took =
                parser_.put(boost::asio::const_buffer(input + used, available - used), ec);
            used += took;
            if (ec && ec != http::error::need_more) return fail(ec);
            if (beyond_limit()) return fail(http::error::body_limit);
            if (took == 0) break;
        }
        if (parser_.is_done()) {
            pending_.clear();
            return used - kept;
        }
        if (direct)
            pending_.assign(data + used, size - used);
        else
            pending_.erase(0, used);
        return size;
    }

    bool feed_eof() override {
        error_code ec;
        if (!parser_.got_some()) return false;
        parser_.put_eof(ec);
        return !ec && parser_.is_done();
    }

    bool head_done() const override { return parser_.is_header_done(); }
    bool done() const override { return parser_.is_done(); }
    bool keep_alive() const override { return parser_.keep_alive(); }
    Fault fault() const override { return fault_; }
    bool untouched() const override { return !touched_; }

    bool expects_continue() const override {
        return boost::beast::iequals(parser_.get()[http::field::expect], "100-continue");
    }

    std::optional<std::uint64_t> content_length() const override {
        const auto length = parser_.content_length();
        return length ? std::optional<std::uint64_t>(*length) : std::nullopt;
    }

    std::string take_body() override { return std::exchange(parser_.get().body(), {}); }

    HttpRequest take_request() override {
        HttpRequest out;
        if constexpr (isRequest) {
            out.method = std::string(parser_.get().method_string());
            out.target = std::string(parser_.get().target());
        }
        out.headers = headers();
        out.body = take_body();
        split_target(out);
        return out;
    }

    HttpResponse take_response() override {
        HttpResponse out;
        if constexpr (!isRequest) out.status = static_cast<int>(parser_.get().result_int());
        out.headers = headers();
        out.content_type = out.headers.get("Content-Type");
        out.body = take_body();
        return out;
    }

  private:
    Headers headers() const {
        Headers out;
        for (const auto& field : parser_.get())
            out.add({field.name_string().data(), field.name_string().size()},
                    {field.value().data(), field.value().size()});
        return out;
    }

    bool beyond_limit() const {
        if (!body_limit_ || !parser_.is_header_done() || parser_.skip()) return false;
        return content_length().value_or(0) > *body_limit_ ||
               parser_.get().body().size() > *body_limit_;
    }

    Error fail(const error_code& ec) {
        fault_ = ec == http::error::body_limit     ? Fault::BodyTooLarge
                 : ec == http::error::header_limit ? Fault::HeaderTooLarge
                                                   : Fault::Malformed;
        return make_error(ErrorKind::Invalid, "no acceptable HTTP message", ec.message());
    }

    struct Parser : http::parser<isRequest, GatheredBody> {
        using http::parser<isRequest, GatheredBody>::parser;
    };
    const std::optional<std::uint64_t> body_limit_;
    Parser parser_;
    std::string pending_;
    Fault fault_ = Fault::None;
    bool touched_ = false;
};

void append_clean(std::string& out, std::string_view text) {
    for (const char c : text)
        if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) out += c;
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
    append_clean(out, name);
    out += ": ";
    append_clean(out, value);
    out += "\r\n";
}

// RFC 9110 5.6.7, without strftime, whose names depend on the locale.
std::string http_date(WallTime time) {
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const time_t at = std::chrono::system_clock::to_time_t(time);
    tm utc{};
    gmtime_r(&at, &utc);
    char out[64];
    snprintf(out, sizeof out, "%s, %02d %s %d %02d:%02d:%02d GMT", kDays[utc.tm_wday], utc.tm_mday,
             kMonths[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
    return out;
}

}  // namespace

std::unique_ptr<MessageReader> MessageReader::for_request(const ReadLimits& limits) {
    return std::make_unique<BeastReader<true>>(limits);
}

std::unique_ptr<MessageReader> MessageReader::for_response(const ReadLimits& limits, bool to_head) {
    auto reader = std::make_unique<BeastReader<false>>(limits);
    if (to_head) reader->no_body();
    return reader;
}

std::string format_request(const HttpRequest& request, const std::string& host) {
    std::string out;
    out.reserve(256 + request.body.size());
    append_clean(out, request.method);
    out += ' ';
    // A space would end the target and begin the version.
    for (const char c : request.target)
        if (static_cast<unsigned char>(c) > 0x20 && c != 0x7f) out += c;
    out += " HTTP/1.1\r\n";
    append_header(out, "Host", host);
    for (const auto& [name, value] : request.headers) append_header(out, name, value);
    if (!request.body.empty() || (request.method != "GET" && request.method != "HEAD"))
        append_header(out, "Content-Length", std::to_string(request.body.size()));
    out += "\r\n";
    out += request.body;
    return out;
}

std::string format_response_head(const HttpResponse& response, std::uint64_t length,
                                 bool keep_alive, WallTime now) {
    std::string out = "HTTP/1.1 " + std::to_string(response.status) + ' ';
    out += reason_phrase(response.status);
    out += "\r\n";
    append_header(out, "Date", http_date(now));
    if (!response.content_type.empty()) append_header(out, "Content-Type", response.content_type);
    for (const auto& [name, value] : response.headers) append_header(out, name, value);
    if (response.status != 204 && response.status != 304)
        append_header(out, "Content-Length", std::to_string(length));
    if (!keep_alive) append_header(out, "Connection", "close");
    out += "\r\n";
    return out;
}

}  // namespace matriarch::net
