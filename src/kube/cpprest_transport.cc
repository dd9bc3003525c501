#include "kube/cpprest_transport.h"

// Only this file includes cpprestsdk: it takes 12 s to compile, and its types must not spread.
#include <cpprest/astreambuf.h>
#include <cpprest/http_client.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pplx/threadpool.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <mutex>

#include "base/memory.h"
#include "kube/timed_wait.h"
#include "kube/tls_material.h"

namespace matriarch::kube {
namespace {

namespace http = web::http;
using boost::asio::ip::tcp;
using HttpClient = http::client::http_client;
using HttpConfig = http::client::http_client_config;

// Our own timers are exact; the library's is per I/O and only a net below them.
constexpr auto kLibrarySlack = std::chrono::seconds(30);

// What one HTTP exchange has brought so far; filled by the library's threads, read by the caller's.
struct Exchange {
    std::mutex mutex;
    std::condition_variable_any changed;
    int status = 0;  // guarded by mutex, like all below; 0: no headers yet
    std::optional<milliseconds> retry_after;
    std::string body;  // what the reader has not taken yet
    std::size_t limit = 0;
    bool overflow_waits = false;  // beyond the limit: hold the server back, or else give up
    bool overflown = false;
    bool done = false;
    bool closed = false;  // the reader has gone: drop what comes
    std::string failure;  // if done, why it broke off
    std::optional<pplx::task_completion_event<std::size_t>> held_back;
    std::size_t held_size = 0;
    // Any byte of the request has been written. The library re-sends a request by itself when a
    // pooled connection turns out to be dead, so a refused connection alone does not prove that
    // nothing was executed.
    std::atomic<bool> left{false};

    // Lets the library read on. Call without the lock.
    void release() {
        std::optional<pplx::task_completion_event<std::size_t>> event;
        std::size_t size = 0;
        {
            std::scoped_lock lock(mutex);
            event.swap(held_back);
            size = held_size;
        }
        if (event) event->set(size);
    }
};

// The body goes straight into Exchange::body. The library's own memory streams have no bound and
// take five times the memory; reading lines from them is 20 times slower.
class Sink final : public concurrency::streams::details::streambuf_state_manager<std::uint8_t> {
  public:
    explicit Sink(std::shared_ptr<Exchange> exchange)
        : streambuf_state_manager(std::ios_base::out), exchange_(std::move(exchange)) {}

    bool can_seek() const override { return false; }
    bool has_size() const override { return false; }
    std::size_t buffer_size(std::ios_base::openmode) const override { return 0; }
    void set_buffer_size(std::size_t, std::ios_base::openmode) override {}
    std::size_t in_avail() const override { return 0; }
    pos_type getpos(std::ios_base::openmode) const override { return pos_type(off_type(-1)); }
    pos_type seekpos(pos_type, std::ios_base::openmode) override { return pos_type(off_type(-1)); }
    pos_type seekoff(off_type, std::ios_base::seekdir, std::ios_base::openmode) override {
        return pos_type(off_type(-1));
    }
    bool acquire(std::uint8_t*&, std::size_t&) override { return false; }
    void release(std::uint8_t*, std::size_t) override {}

  protected:
    pplx::task<std::size_t> _putn(const std::uint8_t* data, std::size_t size) override {
        std::optional<pplx::task_completion_event<std::size_t>> hold;
        {
            std::scoped_lock lock(exchange_->mutex);
            if (!exchange_->closed && !exchange_->overflown) {
                exchange_->body.append(reinterpret_cast<const char*>(data), size);
                if (exchange_->body.size() > exchange_->limit) {
                    if (exchange_->overflow_waits) {
                        hold.emplace();
                        exchange_->held_back = hold;
                        exchange_->held_size = size;
                    } else {
                        exchange_->overflown = true;
                        exchange_->body.clear();
                    }
                }
            }
        }
        exchange_->changed.notify_all();
        // A task that completes later holds the server back through TCP; no thread of the small
        // pool may block here (cpprestsdk #111).
        if (hold) return pplx::create_task(*hold);
        return pplx::task_from_result(size);
    }
    pplx::task<int_type> _putc(std::uint8_t byte) override {
        return _putn(&byte, 1).then([byte](std::size_t) { return static_cast<int_type>(byte); });
    }
    pplx::task<bool> _sync() override { return pplx::task_from_result(true); }
    std::uint8_t* _alloc(std::size_t) override { return nullptr; }
    void _commit(std::size_t) override {}
    pplx::task<int_type> _bumpc() override { return eof(); }
    int_type _sbumpc() override { return traits::eof(); }
    pplx::task<int_type> _getc() override { return eof(); }
    int_type _sgetc() override { return traits::eof(); }
    pplx::task<int_type> _nextc() override { return eof(); }
    pplx::task<int_type> _ungetc() override { return eof(); }
    pplx::task<std::size_t> _getn(std::uint8_t*, std::size_t) override {
        return pplx::task_from_result(std::size_t{0});
    }
    std::size_t _scopy(std::uint8_t*, std::size_t) override { return 0; }

  private:
    static pplx::task<int_type> eof() { return pplx::task_from_result<int_type>(traits::eof()); }
    const std::shared_ptr<Exchange> exchange_;
};

// A peer that vanishes without a word is noticed after 30 s, not after the kernel's quarter hour.
void guard_socket(int socket) {
    const auto set = [&](int level, int option, int value) {
        setsockopt(socket, level, option, &value, sizeof value);
    };
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 15);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
    set(IPPROTO_TCP, TCP_KEEPCNT, 3);
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, 30000);
    set(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1);  // as net/channel.cc
}

// The hook runs before the library opens the socket (cpprestsdk #1660), so we open it, and must
// know for which family.
void prepare_socket(tcp::socket& socket, int family) {
    if (!socket.is_open() && family != AF_UNSPEC) {
        boost::system::error_code ignored;
        socket.open(family == AF_INET6 ? tcp::v6() : tcp::v4(), ignored);
    }
    if (socket.is_open()) guard_socket(socket.native_handle());
}

int family_of(const std::string& host, const std::string& port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return AF_UNSPEC;
    const int family = found->ai_family;
    freeaddrinfo(found);
    return family;
}

// Failures before anything was sent (http_client_asio.cpp: handle_resolve, handle_connect,
// handle_handshake).
bool is_connect_failure(std::string_view failure) {
    return failure.find("Error resolving address") != std::string_view::npos ||
           failure.find("Failed to resolve address") != std::string_view::npos ||
           failure.find("Failed to connect to any resolved endpoint") != std::string_view::npos ||
           failure.find("Error in SSL handshake") != std::string_view::npos;
}

std::optional<milliseconds> parse_retry_after(const http::http_headers& headers) {
    const auto found = headers.find("Retry-After");
    if (found == headers.end()) return std::nullopt;
    int secs = 0;
    const std::string& text = found->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), secs);
    if (error != std::errc() || end != text.data() + text.size() || secs < 0) return std::nullopt;
    return std::chrono::seconds(secs);
}

// The clients made from one state of the credentials.
struct Clients {
    Credentials credentials;
    web::uri base;
    HttpConfig config;
    HttpClient requests;
    HttpClient leases;

    Clients(Credentials who, web::uri uri, const HttpConfig& with)
        : credentials(std::move(who)),
          base(std::move(uri)),
          config(with),
          requests(base, with),
          leases(base, with) {}
};

// The library's one pool. OpenSSL before it: exit undoes things in the reverse order, and while the
// threads end OpenSSL must still be there to free what it keeps for each of them.
void start_threads(int count) {
    OPENSSL_init_ssl(0, nullptr);
    try {
        crossplat::threadpool::initialize_with_threads(static_cast<std::size_t>(count));
    } catch (const std::exception&) {
        // Somebody used the library before; its pool is only larger than needed.
    }
}

}  // namespace

class CpprestTransport::Impl {
  public:
    Impl(CredentialSource& credentials, const Clock& clock, CpprestOptions options)
        : source_(credentials), clock_(clock), options_(std::move(options)) {
        static std::once_flag once;
        std::call_once(once, [&] { start_threads(std::max(2, options_.threads)); });
    }

    Result<Response> send(const Request& request, Deadline deadline, std::stop_token stop);
    Result<Response> stream(const Request& request, const OnChunk& on_chunk, Duration idle,
                            std::stop_token stop);

  private:
    // A running exchange; its end, however it comes, closes the connection if it is still busy.
    class Running;

    Result<std::shared_ptr<Clients>> clients();
    Result<Response> send_once(Clients& clients, const Request& request, Deadline deadline,
                               std::stop_token stop);
    Result<Response> stream_once(Clients& clients, const Request& request, const OnChunk& on_chunk,
                                 Duration idle, std::stop_token stop);
    http::http_request build(const Clients& clients, const Request& request,
                             const std::shared_ptr<Exchange>& exchange) const;
    template <class Attempt>
    Result<Response> with_fresh_credentials(Attempt attempt);

    CredentialSource& source_;
    const Clock& clock_;
    const CpprestOptions options_;
    std::mutex mutex_;
    std::shared_ptr<Clients> clients_;  // guarded by mutex_
    std::mutex slots_mutex_;
    std::condition_variable_any slot_free_;
    int busy_ = 0;  // guarded by slots_mutex_
};

class CpprestTransport::Impl::Running {
  public:
    Running(HttpClient& client, const http::http_request& request,
            std::shared_ptr<Exchange> exchange)
        : exchange_(std::move(exchange)) {
        client.request(request, cancel_.get_token())
            .then([state = exchange_](const http::http_response& response) {
                {
                    std::scoped_lock lock(state->mutex);
                    state->status = response.status_code();
                    state->retry_after = parse_retry_after(response.headers());
                }
                state->changed.notify_all();
                return response.content_ready();
            })
            .then([state = exchange_](const pplx::task<http::http_response>& end) {
                std::string failure;
                try {
                    end.get();
                } catch (const std::exception& error) {
                    failure = error.what();
                    if (failure.empty()) failure = "connection failed";
                } catch (...) {
                    failure = "connection failed";
                }
                {
                    std::scoped_lock lock(state->mutex);
                    state->done = true;
                    state->failure = std::move(failure);
                }
                state->changed.notify_all();
            });
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() {
        {
            std::scoped_lock lock(exchange_->mutex);
            exchange_->closed = true;
            if (exchange_->done) return;
        }
        cancel_.cancel();
        exchange_->release();
        // Usually below 1 ms. A name resolution can't be cancelled: then it ends later, alone; it
        // owns what it needs.
        std::unique_lock lock(exchange_->mutex);
        exchange_->changed.wait_for(lock, milliseconds(200), [&] { return exchange_->done; });
    }

  private:
    const std::shared_ptr<Exchange> exchange_;
    pplx::cancellation_token_source cancel_;
};

Result<std::shared_ptr<Clients>> CpprestTransport::Impl::clients() {
    Result<Credentials> now = source_.current();
    if (!now) return now.error();
    std::scoped_lock lock(mutex_);
    if (clients_ && clients_->credentials == *now) return clients_;

    Result<std::shared_ptr<const TlsMaterial>> material = TlsMaterial::parse(*now);
    if (!material) return material.error();
    try {
        web::uri base(now->server);
        const std::string host = base.host();
        if (host.starts_with('[')) {
            return make_error(ErrorKind::Invalid,
                              "server " + now->server + ": an IPv6 address; use a name instead");
        }
        const int port = base.port() > 0 ? base.port() : base.scheme() == "http" ? 80 : 443;
        const int family = family_of(host, std::to_string(port));
        const bool tls = base.scheme() == "https";
        HttpConfig config;
        config.set_validate_certificates(!now->insecure_skip_tls_verify);
        config.set_max_redirects(0);  // a redirect would carry our token elsewhere
        config.set_timeout(std::chrono::seconds(90) + kLibrarySlack);
        config.set_ssl_context_callback(
            [tls_material = std::move(*material)](boost::asio::ssl::context& context) {
                if (!tls_material->apply(context.native_handle())) {
                    throw std::runtime_error("Error in SSL handshake: certificates refused");
                }
            });
        config.set_nativehandle_options([tls, family](http::client::native_handle handle) {
            if (tls) {
                auto* stream = static_cast<boost::asio::ssl::stream<tcp::socket&>*>(handle);
                prepare_socket(stream->next_layer(), family);
            } else {
                prepare_socket(*static_cast<tcp::socket*>(handle), family);
            }
        });
        // Requests under way keep the old clients alive until they end.
        clients_ = std::make_shared<Clients>(std::move(*now), std::move(base), config);
        return clients_;
    } catch (const std::exception& error) {
        return make_error(ErrorKind::Invalid, "server " + now->server, error.what());
    }
}

http::http_request CpprestTransport::Impl::build(const Clients& clients, const Request& request,
                                                 const std::shared_ptr<Exchange>& exchange) const {
    const Credentials& who = clients.credentials;
    http::http_request out(request.method);
    out.set_request_uri(web::uri(request.target));
    out.headers().add("Accept", "application/json");
    out.headers().add("User-Agent", options_.user_agent);
    if (!who.token.empty()) out.headers().add("Authorization", "Bearer " + who.token);
    // The library takes SNI and the name to verify from here (calc_cn_host).
    if (!who.tls_server_name.empty()) out.headers().add("Host", who.tls_server_name);
    if (!request.body.empty()) out.set_body(request.body, request.content_type);
    out.set_progress_handler([exchange](http::message_direction::direction, utility::size64_t) {
        exchange->left = true;
    });
    const auto sink = std::make_shared<Sink>(exchange);
    out.set_response_stream(
        concurrency::streams::ostream(concurrency::streams::streambuf<std::uint8_t>(sink)));
    return out;
}

template <class Attempt>
Result<Response> CpprestTransport::Impl::with_fresh_credentials(Attempt attempt) {
    Result<std::shared_ptr<Clients>> first = clients();
    if (!first) return first.error();
    try {
        Result<Response> answer = attempt(**first);
        if (!answer || answer->status != 401) return answer;
        // A 401 was not executed, so even a write may be repeated; with other credentials only.
        source_.invalidate();
        Result<std::shared_ptr<Clients>> second = clients();
        if (!second || *second == *first) return answer;
        return attempt(**second);
    } catch (const std::exception& error) {
        return make_error(ErrorKind::Invalid, "request can't be made", error.what());
    }
}

Result<Response> CpprestTransport::Impl::send(const Request& request, Deadline deadline,
                                              std::stop_token stop) {
    const bool counted = request.lane == Lane::Requests;
    if (counted) {
        std::unique_lock lock(slots_mutex_);
        if (!timed_wait(slot_free_, lock, clock_, deadline, stop,
                        [&] { return busy_ < options_.max_concurrent; })) {
            return make_error(stop.stop_requested() ? ErrorKind::Cancelled : ErrorKind::Unavailable,
                              "too many requests at once; not sent");
        }
        ++busy_;
    }
    Result<Response> answer = with_fresh_credentials(
        [&](Clients& clients) { return send_once(clients, request, deadline, stop); });
    if (counted) {
        {
            std::scoped_lock lock(slots_mutex_);
            --busy_;
        }
        slot_free_.notify_one();
    }
    return answer;
}

Result<Response> CpprestTransport::Impl::send_once(Clients& clients, const Request& request,
                                                   Deadline deadline, std::stop_token stop) {
    const auto exchange = std::make_shared<Exchange>();
    exchange->limit = options_.max_body;
    HttpClient& client = request.lane == Lane::Lease ? clients.leases : clients.requests;
    const Running running(client, build(clients, request, exchange), exchange);

    std::unique_lock lock(exchange->mutex);
    const bool finished = timed_wait(exchange->changed, lock, clock_, deadline, stop,
                                     [&] { return exchange->done || exchange->overflown; });
    if (exchange->overflown) {
        return make_error(ErrorKind::Invalid, "the answer is larger than " +
                                                  std::to_string(options_.max_body) + " bytes");
    }
    if (!finished) {
        if (stop.stop_requested()) return make_error(ErrorKind::Cancelled, "stopped");
        return make_error(ErrorKind::Timeout, "no answer in time");
    }
    if (!exchange->failure.empty()) {
        const bool never_left = !exchange->left && is_connect_failure(exchange->failure);
        return make_error(never_left ? ErrorKind::Unavailable : ErrorKind::OutcomeUnknown,
                          clients.credentials.server, exchange->failure);
    }
    return Response{exchange->status, std::move(exchange->body), exchange->retry_after};
}

Result<Response> CpprestTransport::Impl::stream(const Request& request, const OnChunk& on_chunk,
                                                Duration idle, std::stop_token stop) {
    return with_fresh_credentials(
        [&](Clients& clients) { return stream_once(clients, request, on_chunk, idle, stop); });
}

Result<Response> CpprestTransport::Impl::stream_once(Clients& clients, const Request& request,
                                                     const OnChunk& on_chunk, Duration idle,
                                                     std::stop_token stop) {
    const auto exchange = std::make_shared<Exchange>();
    exchange->limit = options_.stream_buffer;
    exchange->overflow_waits = true;
    HttpConfig config = clients.config;
    config.set_timeout(std::chrono::ceil<std::chrono::seconds>(idle) + kLibrarySlack);
    HttpClient client(clients.base, config);
    const Running running(client, build(clients, request, exchange), exchange);

    {
        std::unique_lock lock(exchange->mutex);
        const Duration wait = std::min(idle, options_.headers_within);
        if (!timed_wait(exchange->changed, lock, clock_, Deadline::after(clock_, wait), stop,
                        [&] { return exchange->done || exchange->status != 0; })) {
            if (stop.stop_requested()) return make_error(ErrorKind::Cancelled, "stopped");
            return make_error(ErrorKind::Timeout, "no answer in time");
        }
    }
    Response response;
    std::string chunk;
    for (;;) {
        bool ended = false;
        {
            std::unique_lock lock(exchange->mutex);
            const auto ready = [&] { return exchange->done || !exchange->body.empty(); };
            if (!timed_wait(exchange->changed, lock, clock_, Deadline::after(clock_, idle), stop,
                            ready)) {
                if (stop.stop_requested()) return make_error(ErrorKind::Cancelled, "stopped");
                return make_error(ErrorKind::Timeout, "nothing heard from the server for " +
                                                          std::to_string(to_ms(idle)) + " ms");
            }
            response.status = exchange->status;
            response.retry_after = exchange->retry_after;
            chunk.clear();
            std::swap(chunk, exchange->body);
            ended = exchange->done;
            if (ended && chunk.empty() && !exchange->failure.empty()) {
                const bool never_left = !exchange->left && is_connect_failure(exchange->failure);
                return make_error(never_left ? ErrorKind::Unavailable : ErrorKind::OutcomeUnknown,
                                  clients.credentials.server, exchange->failure);
            }
        }
        exchange->release();
        if (response.status == 200) {
            if (!chunk.empty() && !on_chunk(chunk)) return response;
        } else if (response.body.size() < options_.max_error_body) {
            response.body.append(chunk, 0, options_.max_error_body - response.body.size());
        }
        if (ended && chunk.empty()) return response;
    }
}

void prepare_process() {
    setenv("SSL_CERT_FILE", "/dev/null", 1);
    limit_arenas(2);
}

CpprestTransport::CpprestTransport(CredentialSource& credentials, const Clock& clock,
                                   CpprestOptions options)
    : impl_(std::make_unique<Impl>(credentials, clock, std::move(options))) {}

CpprestTransport::~CpprestTransport() = default;

Result<Response> CpprestTransport::send(const Request& request, Deadline deadline,
                                        std::stop_token stop) {
    return impl_->send(request, deadline, stop);
}

Result<Response> CpprestTransport::stream(const Request& request, const OnChunk& on_chunk,
                                          Duration idle, std::stop_token stop) {
    return impl_->stream(request, on_chunk, idle, stop);
}

}  // namespace matriarch::kube
