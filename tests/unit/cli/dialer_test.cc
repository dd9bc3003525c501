#include "cli/dialer.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>

namespace matriarch::cli {
namespace {

// A socket on 127.0.0.1 whose backlog takes calls that nobody ever answers: a frozen server.
class SilentServer {
  public:
    SilentServer() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
        address_.sin_family = AF_INET;
        address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        (void)bind(fd_, reinterpret_cast<sockaddr*>(&address_), sizeof address_);
        socklen_t size = sizeof address_;
        getsockname(fd_, reinterpret_cast<sockaddr*>(&address_), &size);
    }
    ~SilentServer() { close(fd_); }
    SilentServer(const SilentServer&) = delete;
    SilentServer& operator=(const SilentServer&) = delete;

    void answer_the_phone_and_say_nothing() { listen(fd_, 16); }
    Host host() const { return {"frozen", "127.0.0.1", std::to_string(ntohs(address_.sin_port))}; }

  private:
    int fd_;
    sockaddr_in address_{};
};

Target to(std::vector<Host> hosts) {
    return {std::move(hosts), {{"user", "app"}}};
}

class DialerTest : public testing::Test {
  protected:
    SystemClock clock_;
    StopSignal stop_;
};

TEST_F(DialerTest, GivenASilentHost_WhenCalled_ThenEachCallEndsAtItsOwnDeadline) {
    SilentServer silent;
    silent.answer_the_phone_and_say_nothing();
    DialRules rules;
    rules.patience = milliseconds(100);
    Dialer dialer(to({silent.host()}), rules, clock_, stop_);
    std::vector<std::string> failures;
    const TimePoint began = clock_.now();
    const auto session =
        dialer.dial(Deadline::after(clock_, milliseconds(350)),
                    [&](const Host&, const std::string& why) { failures.push_back(why); });
    EXPECT_EQ(session.error().kind, ErrorKind::Timeout);
    // libpq itself would have waited 2 s for the first one.
    EXPECT_LT(to_ms(clock_.now() - began), 1500);
    ASSERT_GE(failures.size(), 2u);
    EXPECT_EQ(failures.front(), "did not answer in time");
}

TEST_F(DialerTest, GivenASilentHostFirst_WhenAnotherRefuses_ThenThatIsHeardAtOnce) {
    SilentServer silent, closed;
    silent.answer_the_phone_and_say_nothing();
    Dialer dialer(to({silent.host(), closed.host()}), {}, clock_, stop_);
    int refused = 0, timed_out = 0;
    const auto session = dialer.dial(Deadline::after(clock_, milliseconds(200)),
                                     [&](const Host& host, const std::string&) {
                                         ++(host == closed.host() ? refused : timed_out);
                                     });
    EXPECT_FALSE(session.ok());
    EXPECT_GE(refused, 2);
    EXPECT_EQ(timed_out, 0);
}

TEST_F(DialerTest, GivenAStopRequest_WhenCalling_ThenTheCallIsCancelled) {
    SilentServer silent;
    silent.answer_the_phone_and_say_nothing();
    Dialer dialer(to({silent.host()}), {}, clock_, stop_);
    // To the whole process: the signal is blocked in all threads, and read from the descriptor.
    kill(getpid(), SIGTERM);
    EXPECT_EQ(dialer.dial(Deadline::never(), {}).error().kind, ErrorKind::Cancelled);
}

}  // namespace
}  // namespace matriarch::cli
