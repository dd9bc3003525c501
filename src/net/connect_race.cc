#include "net/connect_race.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace matriarch::net {

namespace {

// As established connections send again what was lost (channel.cc). Linux sends a SYN again only
// after a second: TCP_TIMEOUT_INIT (include/net/tcp.h), which no socket option changes:
// TCP_RTO_MAX_MS takes no less than that second, and TCP_RTO_MIN_US is for connections with a
// measured round trip. In the 1.5 s that the ways of a mandate have, two SYNs at 30 % loss each way
// both fail in one of four cases, eight in one of two hundred.
constexpr Duration kNextAttempt = milliseconds(200);
// So many fill the kernel's second. From then on it repeats each one's SYN, still 0.2 s apart.
constexpr std::size_t kMostAttempts = 5;

int begin_connect(const SocketAddress& to, int& fd) {
    fd = socket(to.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    if (connect(fd, reinterpret_cast<const sockaddr*>(&to.storage), to.size) == 0) return 0;
    if (errno == EINPROGRESS) return 0;
    const int error = errno;
    close(fd);
    return error;
}

}  // namespace

ConnectRace::ConnectRace(IoLoop& loop, const SocketAddress& to, Done done)
    : loop_(loop), to_(to), done_(std::move(done)), next_attempt_(loop) {}

int ConnectRace::start() {
    return attempt();
}

int ConnectRace::attempt() {
    int fd = -1;
    if (const int error = begin_connect(to_, fd); error != 0) return error;
    const auto& channel = attempts_.emplace_back(std::make_unique<Channel>(loop_, fd));
    channel->wait(Step::WantWrite, [this, raw = channel.get()] { answered(*raw); });
    // One that can't begin, for want of a descriptor perhaps, takes nothing from those before it.
    if (attempts_.size() < kMostAttempts)
        next_attempt_.start(kNextAttempt, [this] {
            if (!any_answered()) (void)attempt();
        });
    return 0;
}

// On a loop that is late the timer may come before the news of an answer: the network is not slow
// then, we are, and more connections would be more work.
bool ConnectRace::any_answered() const {
    return std::any_of(attempts_.begin(), attempts_.end(), [](const auto& attempt) {
        pollfd look{attempt->fd(), POLLOUT, 0};
        return poll(&look, 1, 0) == 1;
    });
}

void ConnectRace::answered(const Channel& attempt) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(attempt.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
    const auto first = std::find_if(attempts_.begin(), attempts_.end(),
                                    [&](const auto& a) { return a.get() == &attempt; });
    auto channel = error == 0 ? std::move(*first) : nullptr;
    next_attempt_.cancel();
    attempts_.clear();
    // Moved out: it may destroy us.
    const auto done = std::move(done_);
    done(std::move(channel), error);
}

}  // namespace matriarch::net
