#include "net/client.h"

#include <future>
#include <map>
#include <mutex>

#include "net/client_lane.h"

namespace matriarch::net {

namespace {

constexpr std::string_view kFailureNames[] = {"failed",          "refused",    "unreachable",
                                              "connect timeout", "tls",        "lost",
                                              "answer timeout",  "bad answer", "cancelled"};

}  // namespace

std::string_view to_string(Failure failure) {
    return kFailureNames[static_cast<std::size_t>(failure)];
}

Failure failure_of(const Error& error) {
    const auto word = std::string_view(error.cause).substr(0, error.cause.find(':'));
    for (std::size_t i = 0; i < std::size(kFailureNames); ++i)
        if (word == kFailureNames[i]) return static_cast<Failure>(i);
    return Failure::Other;
}

struct HttpClient::Impl {
    using Key = std::pair<PeerAddress, int>;

    Impl(ClientOptions options, const Clock& clock)
        : shared(new ClientShared{std::move(options), clock, {}, {}, {}, {}, {}, 0, {}}) {}

    const std::shared_ptr<ClientShared> shared;
    // On the loop's thread only.
    std::map<Key, std::shared_ptr<Lane>> lanes;

    // Requests are posted under it, so none can come after stop()'s task.
    std::mutex mutex;
    bool stopped = false;

    RequestHandle submit(const PeerAddress& peer, int lane, Lane::Exchange exchange) {
        exchange->shared = shared;
        bool posted = false;
        {
            const std::lock_guard lock(mutex);
            posted = !stopped;
            if (posted)
                shared->loop.post(
                    [this, key = Key(peer, lane), exchange] { find_or_make(key)->add(exchange); });
        }
        if (!posted)
            exchange->fail(net_error(ErrorKind::Cancelled, Failure::Cancelled, peer.ip,
                                     "the client has stopped"));
        return RequestHandle(std::move(exchange));
    }

    // Copied out of the map: the lane may leave it while it works.
    std::shared_ptr<Lane> find_or_make(const Key& key) {
        auto& lane = lanes[key];
        if (!lane)
            lane = std::make_shared<Lane>(shared, key.first, [this, key](const Lane* empty) {
                const auto it = lanes.find(key);
                if (it != lanes.end() && it->second.get() == empty) lanes.erase(it);
            });
        return lane;
    }

    void close_lanes(const std::optional<PeerAddress>& only, const std::string& why) {
        std::vector<std::shared_ptr<Lane>> closing;
        for (const auto& [key, lane] : lanes)
            if (!only || key.first == *only) closing.push_back(lane);
        for (const auto& lane : closing) lane->close_all(why);
    }
};

RequestHandle::RequestHandle(std::shared_ptr<State> state) : state_(std::move(state)) {}

void RequestHandle::cancel() {
    const auto client = state_ ? state_->shared.lock() : nullptr;
    if (!client) return;
    client->loop.post([state = state_] {
        if (const auto lane = state->lane.lock()) lane->cancel(state, "cancelled by its sender");
    });
}

HttpClient::HttpClient(ClientOptions options, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), clock)) {
    impl_->shared->loop.start();
}

HttpClient::~HttpClient() {
    stop();
}

RequestHandle HttpClient::request(const PeerAddress& peer, int lane, HttpRequest request,
                                  Deadline deadline, Callback callback) {
    auto exchange = std::make_shared<RequestHandle::State>();
    exchange->request = std::move(request);
    exchange->deadline = deadline;
    exchange->callback = std::move(callback);
    return impl_->submit(peer, lane, std::move(exchange));
}

RequestHandle HttpClient::download(const PeerAddress& peer, int lane, HttpRequest request,
                                   DownloadTarget target, Deadline deadline,
                                   DownloadCallback callback) {
    auto exchange = std::make_shared<RequestHandle::State>();
    exchange->request = std::move(request);
    exchange->deadline = deadline;
    exchange->sink = std::make_shared<FileSink>(std::move(target.path));
    exchange->expected_length = target.expected_length;
    exchange->download_callback = std::move(callback);
    return impl_->submit(peer, lane, std::move(exchange));
}

Result<HttpResponse> HttpClient::request_and_wait(const PeerAddress& peer, int lane,
                                                  HttpRequest message, Deadline deadline) {
    std::promise<Result<HttpResponse>> answer;
    request(peer, lane, std::move(message), deadline,
            [&](Result<HttpResponse> result) { answer.set_value(std::move(result)); });
    return answer.get_future().get();
}

Result<Downloaded> HttpClient::download_and_wait(const PeerAddress& peer, int lane,
                                                 HttpRequest request, DownloadTarget target,
                                                 Deadline deadline) {
    std::promise<Result<Downloaded>> answer;
    download(peer, lane, std::move(request), std::move(target), deadline,
             [&](Result<Downloaded> result) { answer.set_value(std::move(result)); });
    return answer.get_future().get();
}

void HttpClient::forget(const PeerAddress& peer) {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->stopped) return;
    impl_->shared->loop.post(
        [impl = impl_.get(), peer] { impl->close_lanes(peer, "the peer is no longer wanted"); });
}

HttpClient::Stats HttpClient::stats() const {
    return {impl_->shared->connections, impl_->shared->connects, impl_->shared->handshakes};
}

void HttpClient::stop() {
    std::promise<void> closed;
    {
        const std::lock_guard lock(impl_->mutex);
        if (std::exchange(impl_->stopped, true)) return;
        impl_->shared->loop.post([&] {
            impl_->close_lanes(std::nullopt, "the client has stopped");
            impl_->lanes.clear();
            closed.set_value();
        });
    }
    closed.get_future().get();
    impl_->shared->loop.stop();
    impl_->shared->worker.stop();
}

}  // namespace matriarch::net
