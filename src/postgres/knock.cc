#include "postgres/knock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>

namespace matriarch::postgres {
namespace {

// Length 8 and NEGOTIATE_GSS_CODE 80877104, both big-endian (libpq/pqcomm.h).
constexpr unsigned char kRequest[] = {0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x30};

// One knock: connecting, then waiting for the byte.
class Knock {
  public:
    Knock(const sockaddr* address, socklen_t size, const Clock& clock)
        : clock_(clock), began_(clock.now()) {
        fd_ = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd_ < 0)
            fail("no socket", errno);
        else if (connect(fd_, address, size) == 0)
            ask();
        else if (errno == EAGAIN)  // a unix socket with a full backlog: a frozen postmaster
            end(make_error(ErrorKind::Timeout, "the server does not accept connections"));
        else if (errno != EINPROGRESS)
            fail("the server does not accept connections", errno);
    }
    ~Knock() {
        if (fd_ >= 0) close(fd_);
    }
    Knock(const Knock&) = delete;
    Knock& operator=(const Knock&) = delete;

    bool ended() const { return result_.has_value(); }
    pollfd awaited() const { return {fd_, static_cast<short>(asked_ ? POLLIN : POLLOUT), 0}; }
    // What was awaited is there.
    void go_on() {
        if (asked_) return hear();
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) return fail("the server does not accept connections", error);
        ask();
    }
    Result<Duration> result() const {
        return result_.value_or(make_error(
            ErrorKind::Timeout, asked_ ? "the server accepts no connection" : "no answer in time"));
    }

  private:
    void end(Result<Duration> result) { result_ = std::move(result); }
    void fail(const char* what, int error) {
        end(make_error(ErrorKind::Unavailable, what, strerror(error)));
    }
    void ask() {
        asked_ = true;
        if (send(fd_, kRequest, sizeof kRequest, MSG_NOSIGNAL) != sizeof kRequest)
            fail("the server hung up", errno);
    }
    void hear() {
        char answer = 0;
        const auto got = recv(fd_, &answer, 1, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (got != 1) return end(make_error(ErrorKind::Unavailable, "the server hung up"));
        // N or G; E is an error message, of a server older than GSSENC: it lives as well.
        if (answer != 'N' && answer != 'G' && answer != 'E')
            return end(make_error(ErrorKind::Unavailable, "no PostgreSQL answers there"));
        end(clock_.now() - began_);
    }

    const Clock& clock_;
    const TimePoint began_;
    int fd_ = -1;
    bool asked_ = false;
    std::optional<Result<Duration>> result_;
};

void run(std::vector<std::unique_ptr<Knock>>& knocks, Deadline deadline, const Clock& clock) {
    while (true) {
        std::vector<pollfd> waits;
        std::vector<Knock*> waiting;
        for (const auto& knock : knocks) {
            if (!knock || knock->ended()) continue;
            waits.push_back(knock->awaited());
            waiting.push_back(knock.get());
        }
        const auto left = deadline.remaining(clock);
        if (waiting.empty() || left == Duration::zero()) return;
        const auto ms = std::min<std::int64_t>(to_ms(left) + 1, 60000);
        if (poll(waits.data(), waits.size(), static_cast<int>(ms)) <= 0) continue;
        for (std::size_t i = 0; i < waits.size(); ++i)
            if (waits[i].revents != 0) waiting[i]->go_on();
    }
}

std::unique_ptr<Knock> begin(const TcpAddress& server, const Clock& clock) {
    addrinfo hints{}, *found = nullptr;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(server.ip.c_str(), std::to_string(server.port).c_str(), &hints, &found) != 0)
        return nullptr;
    auto knock = std::make_unique<Knock>(found->ai_addr, found->ai_addrlen, clock);
    freeaddrinfo(found);
    return knock;
}

}  // namespace

Status knock(const std::string& socket_path, Deadline deadline, const Clock& clock) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_path.size() >= sizeof address.sun_path)
        return make_error(ErrorKind::Invalid, "the socket's path is too long");
    memcpy(address.sun_path, socket_path.c_str(), socket_path.size());
    std::vector<std::unique_ptr<Knock>> one;
    one.push_back(std::make_unique<Knock>(reinterpret_cast<const sockaddr*>(&address),
                                          static_cast<socklen_t>(sizeof address), clock));
    run(one, deadline, clock);
    const auto answer = one.front()->result();
    return answer ? Status() : answer.error();
}

std::vector<Result<Duration>> knock_all(const std::vector<TcpAddress>& servers, Deadline deadline,
                                        const Clock& clock) {
    std::vector<std::unique_ptr<Knock>> knocks;
    for (const auto& server : servers) knocks.push_back(begin(server, clock));
    run(knocks, deadline, clock);
    std::vector<Result<Duration>> out;
    for (const auto& knock : knocks)
        out.push_back(knock ? knock->result()
                            : make_error(ErrorKind::Invalid, "the endpoint has no address"));
    return out;
}

}  // namespace matriarch::postgres
