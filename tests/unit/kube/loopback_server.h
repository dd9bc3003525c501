// A small HTTP server on 127.0.0.1 for tests of the real transport: one thread a connection, and
// the test decides what each request gets, byte by byte.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace matriarch::kube::testing {

class Connection {
  public:
    explicit Connection(int socket) : socket_(socket) {}
    ~Connection() { close(); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // The next request with its body; empty at the end of the connection.
    std::string read_request() {
        for (;;) {
            const std::size_t head = buffer_.find("\r\n\r\n");
            if (head != std::string::npos) {
                std::size_t size = head + 4;
                if (const std::size_t at = buffer_.find("Content-Length:");
                    at != std::string::npos && at < head) {
                    size += static_cast<std::size_t>(std::stoul(buffer_.substr(at + 15)));
                }
                if (buffer_.size() >= size) {
                    std::string request = buffer_.substr(0, size);
                    buffer_.erase(0, size);
                    return request;
                }
            }
            char bytes[65536];
            const ssize_t got = ::recv(socket_, bytes, sizeof bytes, 0);
            if (got <= 0) return {};
            buffer_.append(bytes, static_cast<std::size_t>(got));
        }
    }
    // False once the peer has gone.
    bool write(std::string_view data) {
        while (!data.empty()) {
            const ssize_t sent = ::send(socket_, data.data(), data.size(), MSG_NOSIGNAL);
            if (sent <= 0) return false;
            data.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }
    void respond(int status, const std::string& body, const std::string& headers = "") {
        write("HTTP/1.1 " + std::to_string(status) + " X\r\n" + headers +
              "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    }
    void begin_chunks() { write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"); }
    bool chunk(std::string_view data) {
        char size[24];
        std::snprintf(size, sizeof size, "%zx\r\n", data.size());
        return write(size) && write(data) && write("\r\n");
    }
    void end_chunks() { write("0\r\n\r\n"); }
    // Blocks until the peer closes.
    void wait_for_close() {
        char byte;
        while (::recv(socket_, &byte, 1, 0) > 0) {
        }
    }
    void close() {
        if (socket_ >= 0) ::close(socket_);
        socket_ = -1;
    }
    int socket() const { return socket_; }

  private:
    int socket_;
    std::string buffer_;
};

class LoopbackServer {
  public:
    using Handler = std::function<void(Connection&)>;

    explicit LoopbackServer(Handler handler) : handler_(std::move(handler)) {
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        (void)::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address);
        socklen_t size = sizeof address;
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
        ::listen(listener_, 64);
        acceptor_ = std::thread([this] { accept(); });
    }
    ~LoopbackServer() { stop(); }

    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
    int connections() const { return connections_; }
    // Refuses connections from now on, and cuts those that exist.
    void stop() {
        if (stopping_.exchange(true)) return;
        acceptor_.join();
        ::close(listener_);
        {
            std::scoped_lock lock(mutex_);
            for (const auto& connection : open_) ::shutdown(connection->socket(), SHUT_RDWR);
        }
        for (std::thread& thread : threads_) thread.join();
    }

  private:
    void accept() {
        while (!stopping_) {
            pollfd waiting{listener_, POLLIN, 0};
            if (::poll(&waiting, 1, 20) <= 0) continue;
            const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (socket < 0) continue;
            ++connections_;
            auto connection = std::make_shared<Connection>(socket);
            std::scoped_lock lock(mutex_);
            open_.push_back(connection);
            threads_.emplace_back([this, connection] {
                handler_(*connection);
                ::shutdown(connection->socket(), SHUT_RDWR);
            });
        }
    }

    const Handler handler_;
    int listener_ = -1;
    int port_ = 0;
    std::atomic<bool> stopping_{false};
    std::atomic<int> connections_{0};
    std::thread acceptor_;
    std::mutex mutex_;
    std::vector<std::shared_ptr<Connection>> open_;  // guarded by mutex_
    std::vector<std::thread> threads_;
};

}  // namespace matriarch::kube::testing
