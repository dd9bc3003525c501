#include "tcp_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace matriarch::kube::testing {
namespace {

sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
}

bool send_all(int socket, const char* data, std::size_t size) {
    while (size > 0) {
        const ssize_t sent = ::send(socket, data, size, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        data += sent;
        size -= static_cast<std::size_t>(sent);
    }
    return true;
}

}  // namespace

struct TcpProxy::Pair {
    int client = -1;
    int server = -1;
    std::atomic<int> turns{0};  // of the client: 1 is its hello, 2 ends the handshake
    std::atomic<bool> server_spoke{false};

    ~Pair() {
        ::close(client);
        ::close(server);
    }
    void shut() const {
        ::shutdown(client, SHUT_RDWR);
        ::shutdown(server, SHUT_RDWR);
    }
};

TcpProxy::TcpProxy(const std::string& target)
    : target_port_(std::stoi(target.substr(target.rfind(':') + 1))) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(0);
    (void)::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    ::listen(listener_, 64);
    acceptor_ = std::thread([this] { accept(); });
}

TcpProxy::~TcpProxy() {
    stopping_ = true;
    acceptor_.join();
    ::close(listener_);
    cut();
    for (std::thread& thread : threads_) thread.join();
}

void TcpProxy::cut() {
    std::scoped_lock lock(mutex_);
    for (const auto& pair : pairs_) pair->shut();
    pairs_.clear();
}

void TcpProxy::accept() {
    while (!stopping_) {
        pollfd waiting{listener_, POLLIN, 0};
        if (::poll(&waiting, 1, 20) <= 0) continue;
        auto pair = std::make_shared<Pair>();
        pair->client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        pair->server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const sockaddr_in address = loopback(target_port_);
        if (pair->client < 0 || ::connect(pair->server, reinterpret_cast<const sockaddr*>(&address),
                                          sizeof address) != 0) {
            continue;
        }
        ++connections_;
        std::scoped_lock lock(mutex_);
        pairs_.push_back(pair);
        threads_.emplace_back([this, pair] { forward(pair, true); });
        threads_.emplace_back([this, pair] { forward(pair, false); });
    }
}

void TcpProxy::forward(const std::shared_ptr<Pair>& pair, bool to_server) {
    const int from = to_server ? pair->client : pair->server;
    const int to = to_server ? pair->server : pair->client;
    char buffer[16384];
    for (;;) {
        const ssize_t got = ::recv(from, buffer, sizeof buffer, 0);
        if (got <= 0) break;
        if (black_hole_) continue;
        if (to_server) {
            if (pair->turns == 0 || pair->server_spoke.exchange(false)) ++pair->turns;
        } else {
            pair->server_spoke = true;
            if (swallow_ && pair->turns >= 2) continue;
        }
        if (!send_all(to, buffer, static_cast<std::size_t>(got))) break;
    }
    pair->shut();
}

}  // namespace matriarch::kube::testing
