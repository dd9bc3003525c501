// The server as a peer on a socket sees it: keep-alive, late answers, limits, bad peers.
#include "net/server.h"

#include "net_test_support.h"
#include "raw_peer.h"

namespace matriarch::net::test {
namespace {

class Server : public ::testing::Test {
  protected:
    MovableClock clock_;
    ServerOptions options_;
    std::unique_ptr<HttpServer> server_;

    RawSocket start(Handler handler) {
        server_ = serve(options_, std::move(handler), clock_);
        return connect();
    }
    RawSocket connect() { return RawSocket::connect_to(server_->bound_port()); }
};

constexpr auto kGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

TEST_F(Server, GivenOneConnection_WhenTwoRequestsArePipelined_ThenBothAreAnsweredInOrder) {
    auto peer = start(echo());
    peer.send(
        "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1GET /b HTTP/1.1\r\nHost: "
        "x\r\n\r\n");
    const auto all = peer.read_until("|GET|/b|");
    EXPECT_LT(all.find("|POST|/a|1"), all.find("|GET|/b|"));
    EXPECT_NE(all.npos, all.find("Date: "));
}

TEST_F(Server, GivenAPeer_WhenItAsks_ThenItsAddressIsKnown) {
    const Handler tell = [](HttpRequest request, Responder responder) {
        responder.answer(text_response(200, "from " + request.peer_address + "!"));
    };
    // On every address, where an IPv4 peer looks like an IPv6 one.
    server_ = *HttpServer::start(options_, tell, clock_);
    auto peer = connect();
    peer.send(kGet);
    EXPECT_NE(std::string::npos, peer.read_until("!").find("from 127.0.0.1!"));
}

TEST_F(Server, GivenAChunkedBody_WhenSentInPieces_ThenItArrivesWhole) {
    auto peer = start(echo());
    for (const char* piece : {"POST / HTTP/1.1\r\nHo", "st: x\r\nTransfer-Encoding: chunked\r\n",
                              "\r\n", "5\r\nhel", "lo\r\n1", "\r\n!\r\n0\r\n", "\r\n"})
        peer.send(piece);
    EXPECT_NE(std::string::npos, peer.read_until("hello!").find("|POST|/|hello!"));
}

TEST_F(Server, GivenConnectionClose_WhenAnswered_ThenItCloses) {
    auto peer = start(echo());
    peer.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_NE(std::string::npos, peer.read_all().find("Connection: close"));
}

TEST_F(Server, GivenAPeerThatEndsItsSide_WhenItsAnswerIsReady_ThenItStillGetsIt) {
    auto peer = start(echo());
    peer.send(kGet);
    peer.end_writing();
    EXPECT_NE(std::string::npos, peer.read_all().find("|GET|/|"));
}

TEST_F(Server, GivenALongPoll_WhenAnotherThreadAnswersLater_ThenItArrivesOnce) {
    Promised<Responder> waiting;
    auto peer = start([&](HttpRequest, Responder responder) { waiting.set(responder); });
    peer.send(kGet);
    auto responder = waiting.get();
    EXPECT_FALSE(responder.cancelled());
    EXPECT_TRUE(responder.answer(text_response(200, "event")));
    EXPECT_FALSE(responder.answer(text_response(200, "again")));
    EXPECT_NE(std::string::npos, peer.read_until("event").find("event"));
}

TEST_F(Server, GivenALongPoll_WhenThePeerLeaves_ThenItIsCancelled) {
    Promised<Responder> waiting;
    Promised<bool> cancelled;
    auto peer = start([&](HttpRequest, Responder responder) {
        responder.on_cancel([&] { cancelled.set(true); });
        waiting.set(responder);
    });
    peer.send(kGet);
    auto responder = waiting.get();
    peer.close();
    EXPECT_TRUE(cancelled.get());
    EXPECT_TRUE(responder.cancelled());
    EXPECT_FALSE(responder.answer(text_response(200, "nobody hears")));
    Promised<bool> at_once;
    responder.on_cancel([&] { at_once.set(true); });
    EXPECT_TRUE(at_once.ready());
    EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
}

TEST_F(Server, GivenAHandlerThatForgetsToAnswer_WhenAsked_Then500) {
    auto peer = start([](HttpRequest, Responder) {});
    peer.send(kGet);
    EXPECT_NE(std::string::npos, peer.read_until("no answer").find(" 500 "));
}

TEST_F(Server, GivenAHandlerThatThrows_WhenAsked_Then500AndTheServerLives) {
    auto peer = start([](HttpRequest, Responder) { throw std::runtime_error("secret"); });
    peer.send(kGet);
    const auto answer = peer.read_until("internal error");
    EXPECT_NE(std::string::npos, answer.find(" 500 "));
    EXPECT_EQ(std::string::npos, answer.find("secret"));
    peer.send(kGet);
    EXPECT_NE(std::string::npos, peer.read_until("internal error").find(" 500 "));
}

TEST_F(Server, GivenABodyBeyondTheLimit_WhenSent_Then413AndTheHandlerIsSpared) {
    options_.max_body_bytes = 10;
    int calls = 0;
    auto peer = start([&](HttpRequest, Responder responder) {
        ++calls;
        responder.answer({});
    });
    peer.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n12345678901");
    EXPECT_NE(std::string::npos, peer.read_all().find(" 413 "));
    auto chunked = connect();
    chunked.send(
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\n\r\nb\r\n12345678901\r\n0\r\n\r\n");
    EXPECT_NE(std::string::npos, chunked.read_all().find(" 413 "));
    EXPECT_EQ(0, calls);
}

TEST_F(Server, GivenHeadersBeyondTheLimit_WhenSent_Then431) {
    options_.max_header_bytes = 1000;
    auto peer = start(echo());
    peer.send("GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + std::string(2000, 'a') + "\r\n\r\n");
    EXPECT_NE(std::string::npos, peer.read_all().find(" 431 "));
}

TEST_F(Server, GivenNoHttp_WhenSent_Then400) {
    auto peer = start(echo());
    peer.send("\x16\x03\x01 this is no HTTP\r\n\r\n");
    EXPECT_NE(std::string::npos, peer.read_all().find(" 400 "));
}

TEST_F(Server, GivenAPeerThatNeverFinishesItsRequest_WhenTheTimeIsUp_ThenItIsDropped) {
    options_.request_timeout = milliseconds(50);
    auto peer = start(echo());
    peer.send("GET / HTTP/1.1\r\nHos");
    EXPECT_EQ("", peer.read_all());
    EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
}

TEST_F(Server, GivenAnIdlePeer_WhenTheTimeIsUp_ThenItIsDropped) {
    options_.idle_timeout = milliseconds(50);
    auto peer = start(echo());
    EXPECT_EQ("", peer.read_all());
}

TEST_F(Server, GivenAPeerThatDoesNotRead_WhenTheTimeIsUp_ThenItIsDropped) {
    options_.write_timeout = milliseconds(100);
    auto peer = start([](HttpRequest, Responder responder) {
        responder.answer(text_response(200, std::string(64 * 1024 * 1024, 'x')));
    });
    peer.send(kGet);
    EXPECT_TRUE(eventually([&] { return server_->connections() == 1; }));
    EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
}

TEST_F(Server, GivenAFullServer_WhenAnotherPeerComes_ThenOnlyThatOneIsTurnedAway) {
    options_.max_connections = 1;
    auto first = start(echo());
    first.send(kGet);
    first.read_until("|GET|/|");
    auto second = connect();
    EXPECT_EQ("", second.read_all());
    first.send(kGet);
    EXPECT_NE("", first.read_until("|GET|/|"));
}

TEST_F(Server, GivenUnansweredRequests_WhenTheServerStops_ThenTheyAreCancelledAndItJoins) {
    Promised<Responder> waiting;
    Promised<bool> cancelled;
    auto peer = start([&](HttpRequest, Responder responder) {
        responder.on_cancel([&] { cancelled.set(true); });
        waiting.set(responder);
    });
    peer.send(kGet);
    auto responder = waiting.get();
    server_->stop();
    EXPECT_TRUE(cancelled.ready());
    server_.reset();
    EXPECT_FALSE(responder.answer({})) << "after the server's end";
}

TEST_F(Server, GivenSeveralThreads_WhenManyPeersAsk_ThenAllAreAnswered) {
    options_.threads = 3;
    start(echo());
    std::vector<RawSocket> peers;
    for (int i = 0; i < 30; ++i) peers.push_back(connect());
    for (auto& peer : peers) peer.send(kGet);
    for (auto& peer : peers) EXPECT_NE("", peer.read_until("|GET|/|"));
}

TEST_F(Server, GivenAHeaderWithALineBreak_WhenAnswered_ThenItCannotAddAHeader) {
    auto peer = start([](HttpRequest, Responder responder) {
        HttpResponse response = text_response(200, "body");
        response.headers.set("X-A", "1\r\nX-Smuggled: 2");
        responder.answer(std::move(response));
    });
    peer.send(kGet);
    EXPECT_EQ(std::string::npos, peer.read_until("body").find("\r\nX-Smuggled"));
}

TEST(ServerStart, GivenAnyAddress_WhenStarted_ThenIpv4ReachesItAndIpv6WhereThereIsSome) {
    MovableClock clock;
    const auto server = std::move(HttpServer::start({}, echo(), clock)).value();
    HttpClient client({}, clock);
    const auto ask = [&](const char* ip) {
        return client.request_and_wait({ip, server->bound_port(), ""}, 0, get("/"),
                                       Deadline::after(clock, kPatience));
    };
    EXPECT_TRUE(ask("127.0.0.1"));
    const auto six = ask("::1");
    if (!six) {
        EXPECT_NE(Failure::Refused, failure_of(six.error())) << "IPv6 exists but is not served";
    }
}

TEST(ServerStart, GivenATakenPortOrNoAddress_WhenStarted_ThenAnError) {
    MovableClock clock;
    ServerOptions options;
    options.bind_address = "127.0.0.1";
    const auto first = serve(options, echo(), clock);
    options.port = first->bound_port();
    EXPECT_EQ(ErrorKind::Unavailable, HttpServer::start(options, echo(), clock).error().kind);
    options.bind_address = "localhost";
    EXPECT_EQ(ErrorKind::Invalid, HttpServer::start(options, echo(), clock).error().kind);
}

}  // namespace
}  // namespace matriarch::net::test
