// Knocking at servers on loopback: one that answers, one that is silent, one that is none, nobody.
#include "postgres/knock.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

namespace matriarch::postgres {
namespace {

// Listens; answers each connection's request with `answer`, or with nothing.
class Listener {
  public:
    explicit Listener(std::string answer) : answer_(std::move(answer)) {
        fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
        EXPECT_EQ(listen(fd_, 8), 0);
        getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
        if (!answer_.empty()) thread_ = std::thread([this] { serve(); });
    }
    ~Listener() {
        shutdown(fd_, SHUT_RDWR);
        if (thread_.joinable()) thread_.join();
        close(fd_);
    }
    TcpAddress address() const { return {"127.0.0.1", port_}; }

  private:
    void serve() {
        for (int peer = accept(fd_, nullptr, nullptr); peer >= 0;
             peer = accept(fd_, nullptr, nullptr)) {
            char request[8];
            if (recv(peer, request, sizeof request, MSG_WAITALL) == 8)
                (void)send(peer, answer_.data(), answer_.size(), MSG_NOSIGNAL);
            close(peer);
        }
    }
    const std::string answer_;
    int fd_ = -1;
    std::uint16_t port_ = 0;
    std::thread thread_;
};

TEST(KnockTest, GivenServersOfAllKinds_WhenKnockedAtTogether_ThenEachHasItsOwnAnswer) {
    SystemClock clock;
    const Listener well("N"), silent(""), other("HTTP/1.1 400");
    TcpAddress nobody;
    {
        const Listener gone("N");
        nobody = gone.address();
    }
    const TimePoint began = clock.now();
    const auto answers = knock_all({well.address(),
                                    silent.address(),
                                    other.address(),
                                    nobody,
                                    {"", 5432},
                                    {"localhost", 5432}},
                                   Deadline::after(clock, milliseconds(300)), clock);
    EXPECT_LT(clock.now() - began, seconds(10));
    ASSERT_EQ(answers.size(), 6u);
    ASSERT_TRUE(answers[0].ok()) << answers[0].error().message();
    EXPECT_GT(*answers[0], Duration::zero());
    EXPECT_EQ(answers[1].error().kind, ErrorKind::Timeout);
    EXPECT_EQ(answers[2].error().kind, ErrorKind::Unavailable);
    EXPECT_EQ(answers[3].error().kind, ErrorKind::Unavailable);
    EXPECT_EQ(answers[4].error().kind, ErrorKind::Invalid) << "no address";
    EXPECT_EQ(answers[5].error().kind, ErrorKind::Invalid) << "a name is never resolved";
}

TEST(KnockTest, GivenNobody_WhenKnocked_ThenItIsOverAtOnce) {
    SystemClock clock;
    EXPECT_TRUE(knock_all({}, Deadline::never(), clock).empty());
}

}  // namespace
}  // namespace matriarch::postgres
