#include "net/channel.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace matriarch::net {

namespace {

StepResult failed(int error) {
    return {Step::Failed, 0, strerror(error), false};
}

}  // namespace

Channel::Channel(IoLoop& loop, int fd) : socket_(loop, fd) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // What is lost is sent again every 0.2 s, six times, before the wait doubles: a grant must get
    // through a link that loses every third packet within a mandate (tcp(7) does not name it; Linux
    // Documentation/networking/tcp-thin.rst does).
    setsockopt(fd, IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, &on, sizeof on);
}

StepResult Channel::handshake() {
    return ssl_ ? tls_handshake(ssl_.get()) : StepResult{};
}

StepResult Channel::read(char* out, std::size_t size) {
    if (ssl_) return tls_read(ssl_.get(), out, size);
    for (;;) {
        const ssize_t got = recv(fd(), out, size, 0);
        if (got > 0) return {Step::Done, static_cast<std::size_t>(got), {}, false};
        if (got == 0) return {Step::Eof, 0, "closed by the peer", false};
        if (errno == EAGAIN) return {Step::WantRead, 0, {}, false};
        if (errno != EINTR) return failed(errno);
    }
}

StepResult Channel::write(const char* data, std::size_t size) {
    if (ssl_) return tls_write(ssl_.get(), data, size);
    for (;;) {
        const ssize_t put = send(fd(), data, size, MSG_NOSIGNAL);
        if (put >= 0) return {Step::Done, static_cast<std::size_t>(put), {}, false};
        if (errno == EAGAIN) return {Step::WantWrite, 0, {}, false};
        if (errno != EINTR) return failed(errno);
    }
}

void Channel::wait(Step want, std::function<void()> call) {
    if (closed()) return;
    if (want == Step::WantWrite)
        socket_.wait_writable(std::move(call));
    else
        socket_.wait_readable(std::move(call));
}

void Channel::shutdown_write() {
    if (closed()) return;
    if (ssl_) tls_shutdown(ssl_.get());
    ::shutdown(fd(), SHUT_WR);
}

void Channel::close(bool clean) {
    if (closed()) return;
    if (clean && ssl_) tls_shutdown(ssl_.get());
    ssl_.reset();
    socket_.close();
}

char* scratch_buffer() {
    thread_local const auto buffer = std::make_unique<char[]>(kScratchBytes);
    return buffer.get();
}

}  // namespace matriarch::net
