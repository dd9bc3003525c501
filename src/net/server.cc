#include "net/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <unordered_set>
#include <vector>

#include "net/server_connection.h"

namespace matriarch::net {

namespace {

constexpr int kBacklog = 512;
// accept() fails while the process has no descriptor left; more often than this it need not try.
constexpr Duration kAcceptPause = milliseconds(100);

struct ListenAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;
    bool dual_stack = false;
};

ListenAddress ipv6_address(const in6_addr& ip, std::uint16_t port, bool dual_stack) {
    ListenAddress out;
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_addr = ip;
    v6->sin6_port = htons(port);
    out.size = sizeof *v6;
    out.dual_stack = dual_stack;
    return out;
}

ListenAddress ipv4_address(const in_addr& ip, std::uint16_t port) {
    ListenAddress out;
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
    v4->sin_family = AF_INET;
    v4->sin_addr = ip;
    v4->sin_port = htons(port);
    out.size = sizeof *v4;
    return out;
}

Result<int> listen_on(const ListenAddress& address, const std::string& name) {
    const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return make_error(ErrorKind::Unavailable, "no socket", strerror(errno));
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address.storage.ss_family == AF_INET6) {
        const int only = address.dual_stack ? 0 : 1;
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    }
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0 ||
        listen(fd, kBacklog) != 0) {
        const int error = errno;
        close(fd);
        return make_error(ErrorKind::Unavailable, "can't listen on " + name, strerror(error));
    }
    return fd;
}

Result<int> open_listener(const std::string& bind_address, std::uint16_t port) {
    const std::string name = (bind_address.empty() ? "any address" : bind_address) +
                             std::string(", port ") + std::to_string(port);
    if (bind_address.empty()) {
        const auto both = listen_on(ipv6_address(in6addr_any, port, true), name);
        // A kernel without IPv6, or with it switched off.
        return both ? both : listen_on(ipv4_address(in_addr{INADDR_ANY}, port), name);
    }
    in6_addr v6{};
    in_addr v4{};
    if (inet_pton(AF_INET6, bind_address.c_str(), &v6) == 1)
        return listen_on(ipv6_address(v6, port, false), name);
    if (inet_pton(AF_INET, bind_address.c_str(), &v4) == 1)
        return listen_on(ipv4_address(v4, port), name);
    return make_error(ErrorKind::Invalid, "no IP address to listen on: " + bind_address);
}

std::uint16_t port_of(int fd) {
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size);
    return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                             : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
}

}  // namespace

struct HttpServer::Impl {
    // A loop and its connections, which only its thread touches while it runs.
    struct Lane {
        std::shared_ptr<IoLoop> loop = std::make_shared<IoLoop>();
        std::vector<std::weak_ptr<Connection>> connections;

        void add(const std::shared_ptr<Connection>& connection) {
            // Sweeping whenever the list doubled keeps it proportional to what is alive.
            if (connections.size() >= sweep_at) {
                std::erase_if(connections, [](const auto& weak) { return weak.expired(); });
                sweep_at = std::max<std::size_t>(64, connections.size() * 2);
            }
            connections.push_back(connection);
        }
        std::size_t sweep_at = 64;
    };

    std::shared_ptr<ServerShared> shared;
    std::vector<std::unique_ptr<Lane>> lanes;
    std::unique_ptr<IoSocket> listener;
    std::unique_ptr<IoTimer> pause;
    std::uint16_t port = 0;
    std::size_t next_lane = 0;
    bool stopped = false;

    void wait_for_peers() {
        listener->wait_readable([this] { accept_peers(); });
    }

    void accept_peers() {
        for (;;) {
            const int fd = accept4(listener->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd >= 0) {
                take(fd);
            } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                return pause->start(kAcceptPause, [this] { accept_peers(); });
            } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
                return wait_for_peers();
            }
            // Any other error concerns a peer that left before we looked (accept(2)).
        }
    }

    void take(int fd) {
        if (shared->connections >= shared->options.max_connections) {
            close(fd);
            return;
        }
        Lane& lane = *lanes[next_lane++ % lanes.size()];
        auto connection = std::make_shared<Connection>(shared, lane.loop, fd);
        lane.loop->post([&lane, connection] {
            lane.add(connection);
            connection->begin();
        });
    }

    void stop() {
        if (std::exchange(stopped, true)) return;
        // The worker first: it posts to the loops. Then the threads; after that the rest is ours.
        shared->worker.stop();
        for (const auto& lane : lanes) lane->loop->stop();
        // They belong to the first loop.
        listener.reset();
        pause.reset();
        for (const auto& lane : lanes)
            for (const auto& weak : lane->connections)
                if (const auto connection = weak.lock()) connection->close(true);
        lanes.clear();
    }
};

Result<std::unique_ptr<HttpServer>> HttpServer::start(ServerOptions options, Handler handler,
                                                      const Clock& clock) {
    const auto fd = open_listener(options.bind_address, options.port);
    if (!fd) return fd.error();
    auto impl = std::make_unique<Impl>();
    const int threads = std::max(1, options.threads);
    impl->shared.reset(new ServerShared{std::move(options), std::move(handler), clock, {}, {}});
    for (int i = 0; i < threads; ++i) impl->lanes.push_back(std::make_unique<Impl::Lane>());
    IoLoop& first = *impl->lanes.front()->loop;
    impl->listener = std::make_unique<IoSocket>(first, *fd);
    impl->pause = std::make_unique<IoTimer>(first);
    impl->port = port_of(*fd);
    first.post([raw = impl.get()] { raw->wait_for_peers(); });
    for (const auto& lane : impl->lanes) lane->loop->start();
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() {
    stop();
}

std::uint16_t HttpServer::bound_port() const {
    return impl_->port;
}

std::size_t HttpServer::connections() const {
    return impl_->shared->connections;
}

void HttpServer::stop() {
    impl_->stop();
}

}  // namespace matriarch::net
