// Bare sockets on loopback, for peers that misbehave in ways that our own never would.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>

namespace matriarch::net::test {

class RawSocket {
  public:
    explicit RawSocket(int fd) : fd_(fd) {}
    RawSocket(RawSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    RawSocket(const RawSocket&) = delete;
    RawSocket& operator=(const RawSocket&) = delete;
    ~RawSocket() { close(); }

    static RawSocket connect_to(std::uint16_t port) {
        RawSocket out(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(0, connect(out.fd_, reinterpret_cast<sockaddr*>(&to), sizeof to));
        return out;
    }
    void send(const std::string& text) {
        EXPECT_EQ(static_cast<ssize_t>(text.size()),
                  ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL));
    }
    // Until `text` has come, or the end; everything that came.
    std::string read_until(const std::string& text) {
        std::string out;
        char piece[4096];
        while (out.find(text) == out.npos) {
            pollfd wait{fd_, POLLIN, 0};
            if (poll(&wait, 1, 20000) <= 0) break;
            const ssize_t got = recv(fd_, piece, sizeof piece, 0);
            if (got <= 0) break;
            out.append(piece, static_cast<std::size_t>(got));
        }
        return out;
    }
    std::string read_all() { return read_until(std::string(1, '\0') + "never"); }
    void end_writing() { shutdown(fd_, SHUT_WR); }
    void close() {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }
    int fd() const { return fd_; }

  private:
    int fd_;
};

class RawListener {
  public:
    // As many connections as `backlog`, and one more, wait to be accepted; further SYNs are
    // dropped.
    explicit RawListener(int backlog = 8) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(0, bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at));
        EXPECT_EQ(0, listen(fd_, backlog));
        socklen_t size = sizeof at;
        getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size);
        port_ = ntohs(at.sin_port);
    }
    ~RawListener() { close(); }
    RawListener(const RawListener&) = delete;
    RawListener& operator=(const RawListener&) = delete;
    std::uint16_t port() const { return port_; }
    RawSocket accept() { return RawSocket(::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC)); }
    void close() {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }

  private:
    int fd_;
    std::uint16_t port_ = 0;
};

}  // namespace matriarch::net::test
