// A listener whose queue is full answers no SYN, like a network that loses it.
#include <fstream>
#include <set>

#include "net_test_support.h"
#include "raw_peer.h"

namespace matriarch::net::test {
namespace {

// The local ports of the sockets that wait for an answer to their SYN to 127.0.0.1:`port`.
std::set<std::string> unanswered(std::uint16_t port) {
    constexpr std::string_view kSynSent = "02";  // TCP_SYN_SENT in include/net/tcp_states.h
    char remote[16];
    snprintf(remote, sizeof remote, "0100007F:%04X", port);
    std::set<std::string> out;
    std::ifstream table("/proc/net/tcp");
    std::string line;
    while (std::getline(table, line)) {
        std::istringstream words(line);
        std::string number, from, to, state;
        words >> number >> from >> to >> state;
        if (to == remote && state == kSynSent) out.insert(from);
    }
    return out;
}

class AConnect : public ::testing::Test {
  protected:
    // Room for one connection, which is taken until accepted.
    RawListener listener_{0};
    RawSocket in_the_way_ = RawSocket::connect_to(listener_.port());
    MovableClock clock_;
    Promised<Result<HttpResponse>> result_;
    HttpClient client_{{}, clock_};

    RequestHandle ask() {
        return client_.request({"127.0.0.1", listener_.port(), ""}, 0, get("/"),
                               Deadline::after(clock_, kPatience),
                               [this](Result<HttpResponse> r) { result_.set(std::move(r)); });
    }
    bool attempts(std::size_t count) {
        return eventually([&] { return unanswered(listener_.port()).size() == count; });
    }
};

TEST_F(AConnect, GivenNoAnswer_WhenTimePasses_ThenFiveAttemptsAreUnderWayAndCountAsOneConnection) {
    ask();
    ASSERT_TRUE(attempts(5));
    EXPECT_EQ(1u, client_.stats().connects);
    EXPECT_EQ(1u, client_.stats().connections);
}

TEST_F(AConnect, GivenUnansweredAttempts_WhenOneGetsThrough_ThenItServesAndTheOthersAreClosed) {
    ask();
    ASSERT_TRUE(attempts(5));
    listener_.accept();
    // Two may get through at once; the loser ends without a byte.
    for (std::string got; got.empty() && !result_.ready();) {
        auto accepted = listener_.accept();
        got = accepted.read_until("\r\n\r\n");
        if (!got.empty()) accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    }
    const auto answer = result_.get();
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ("hi", answer->body);
    EXPECT_TRUE(attempts(0));
    EXPECT_EQ(1u, client_.stats().connects);
}

TEST_F(AConnect, GivenAnUnansweredAttempt_WhenALaterOneIsRefused_ThenTheRequestFailsAtOnce) {
    ask();
    ASSERT_TRUE(attempts(1));
    listener_.close();
    const auto answer = result_.get();
    ASSERT_FALSE(answer);
    EXPECT_EQ(Failure::Refused, failure_of(answer.error())) << answer.error().message();
    EXPECT_TRUE(attempts(0));
    EXPECT_EQ(0u, client_.stats().connections);
}

TEST_F(AConnect, GivenUnansweredAttempts_WhenTheRequestIsCancelled_ThenAllAreClosed) {
    auto handle = ask();
    ASSERT_TRUE(attempts(2));
    handle.cancel();
    EXPECT_EQ(ErrorKind::Cancelled, result_.get().error().kind);
    EXPECT_TRUE(attempts(0));
    EXPECT_EQ(0u, client_.stats().connections);
}

}  // namespace
}  // namespace matriarch::net::test
