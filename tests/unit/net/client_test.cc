// What the client says of every way in which an exchange can fail, and that orders overtake polls.
#include "net/client.h"

#include "net_test_support.h"
#include "raw_peer.h"

namespace matriarch::net::test {
namespace {

class Client : public ::testing::Test {
  protected:
    MovableClock clock_;
    ClientOptions options_;
    std::unique_ptr<HttpClient> client_;

    HttpClient& client() {
        if (!client_) client_ = std::make_unique<HttpClient>(options_, clock_);
        return *client_;
    }
    static PeerAddress peer(std::uint16_t port) { return {"127.0.0.1", port, ""}; }
    Deadline soon() const { return Deadline::after(clock_, kPatience); }
    Result<HttpResponse> ask(std::uint16_t port, HttpRequest request, Duration wait = kPatience) {
        return client().request_and_wait(peer(port), 0, std::move(request),
                                         Deadline::after(clock_, wait));
    }
    static void expect_failure(const Result<HttpResponse>& result, ErrorKind kind,
                               Failure failure) {
        ASSERT_FALSE(result);
        EXPECT_EQ(kind, result.error().kind) << result.error().message();
        EXPECT_EQ(failure, failure_of(result.error())) << result.error().message();
    }
};

TEST_F(Client, GivenNobodyListens_WhenAsked_ThenRefusedAndUnavailable) {
    RawListener gone;
    const auto port = gone.port();
    gone.close();
    expect_failure(ask(port, post("/", "x")), ErrorKind::Unavailable, Failure::Refused);
}

TEST_F(Client, GivenAPeerThatNeverAnswersTheHandshake_WhenTheTimeIsUp_ThenSurelyNotSent) {
    RawListener silent;
    Authority authority(clock_);
    options_.tls = authority.source("operator");
    options_.connect_timeout = milliseconds(50);
    expect_failure(ask(silent.port(), post("/", "x")), ErrorKind::Unavailable,
                   Failure::ConnectTimeout);
}

TEST_F(Client, GivenAPeerThatIsNoTls_WhenAsked_ThenUnavailable) {
    const auto server = serve({}, echo(), clock_);
    Authority authority(clock_);
    options_.tls = authority.source("operator");
    const auto result = ask(server->bound_port(), post("/", "x"));
    ASSERT_FALSE(result);
    EXPECT_EQ(ErrorKind::Unavailable, result.error().kind);
}

TEST_F(Client, GivenAPeerThatDiesBeforeAnswering_WhenOrdered_ThenTheOutcomeIsUnknown) {
    RawListener listener;
    Promised<Result<HttpResponse>> result;
    client().request(peer(listener.port()), 0, post("/order", "x"), soon(),
                     [&](Result<HttpResponse> r) { result.set(std::move(r)); });
    auto accepted = listener.accept();
    accepted.read_until("\r\n\r\nx");
    accepted.close();
    expect_failure(result.get(), ErrorKind::OutcomeUnknown, Failure::Lost);
}

TEST_F(Client, GivenAPeerThatDiesAmidItsAnswer_WhenOrdered_ThenTheOutcomeIsUnknown) {
    RawListener listener;
    Promised<Result<HttpResponse>> result;
    client().request(peer(listener.port()), 0, post("/order", "x"), soon(),
                     [&](Result<HttpResponse> r) { result.set(std::move(r)); });
    auto accepted = listener.accept();
    accepted.read_until("\r\n\r\nx");
    accepted.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    accepted.close();
    expect_failure(result.get(), ErrorKind::OutcomeUnknown, Failure::Lost);
}

TEST_F(Client, GivenAnAnswerThatIsNoHttp_WhenOrdered_ThenTheOutcomeIsUnknown) {
    RawListener listener;
    Promised<Result<HttpResponse>> result;
    client().request(peer(listener.port()), 0, post("/order", "x"), soon(),
                     [&](Result<HttpResponse> r) { result.set(std::move(r)); });
    auto accepted = listener.accept();
    accepted.read_until("\r\n\r\nx");
    accepted.send("nonsense\r\n\r\n");
    expect_failure(result.get(), ErrorKind::OutcomeUnknown, Failure::BadAnswer);
}

TEST_F(Client, GivenAnAnswerBeyondTheLimit_WhenAsked_ThenItIsRefused) {
    options_.max_body_bytes = 100;
    const auto server = serve(
        {}, [](HttpRequest, Responder r) { r.answer(text_response(200, std::string(101, 'x'))); },
        clock_);
    expect_failure(ask(server->bound_port(), get("/")), ErrorKind::OutcomeUnknown,
                   Failure::BadAnswer);
}

TEST_F(Client, GivenASilentServer_WhenTheDeadlinePasses_ThenReadsTimeOutAndOrdersAreUnknown) {
    std::vector<Responder> kept;
    const auto server = serve(
        {}, [&](HttpRequest, Responder r) { kept.push_back(std::move(r)); }, clock_);
    const auto port = server->bound_port();
    expect_failure(ask(port, get("/"), milliseconds(100)), ErrorKind::Timeout,
                   Failure::AnswerTimeout);
    expect_failure(ask(port, post("/", "x"), milliseconds(100)), ErrorKind::OutcomeUnknown,
                   Failure::AnswerTimeout);
    server->stop();
}

TEST_F(Client, GivenADeadlineThatPassed_WhenAsked_ThenNothingIsSent) {
    RawListener listener;
    expect_failure(ask(listener.port(), post("/", "x"), Duration(-1)), ErrorKind::Unavailable,
                   Failure::ConnectTimeout);
    EXPECT_EQ(0u, client().stats().connects);
}

TEST_F(Client, GivenNoAddress_WhenAsked_ThenInvalid) {
    const auto result = client().request_and_wait({"orders-1", 1, ""}, 0, get("/"), soon());
    EXPECT_EQ(ErrorKind::Invalid, result.error().kind);
}

TEST_F(Client, GivenAnOutstandingPoll_WhenAnOrderGoesOnAnotherLane_ThenItIsNotBlocked) {
    Promised<Responder> poll;
    const auto server = serve(
        {},
        [&](HttpRequest request, Responder responder) {
            if (request.path == "/poll") return poll.set(std::move(responder));
            responder.answer(text_response(200, "done"));
        },
        clock_);
    Promised<Result<HttpResponse>> polled;
    client().request(peer(server->bound_port()), 0, get("/poll"), soon(),
                     [&](Result<HttpResponse> r) { polled.set(std::move(r)); });
    auto responder = poll.get();
    const auto order =
        client().request_and_wait(peer(server->bound_port()), 1, post("/order", "x"), soon());
    ASSERT_TRUE(order);
    EXPECT_FALSE(polled.ready());
    responder.answer(text_response(200, "event"));
    EXPECT_EQ("event", polled.get()->body);
    EXPECT_EQ(2u, client().stats().connections);
}

TEST_F(Client, GivenOneLane_WhenManyRequestsAreQueued_ThenTheyGoInOrderOverOneConnection) {
    std::vector<std::string> seen;
    const auto server = serve(
        {},
        [&](HttpRequest request, Responder responder) {
            seen.push_back(request.body);
            responder.answer({});
        },
        clock_);
    std::atomic<int> answered = 0;
    for (int i = 0; i < 50; ++i)
        client().request(peer(server->bound_port()), 0, post("/", std::to_string(i)), soon(),
                         [&](Result<HttpResponse> r) { answered += r.ok(); });
    ASSERT_TRUE(eventually([&] { return answered == 50; }));
    server->stop();
    for (int i = 0; i < 50; ++i) EXPECT_EQ(std::to_string(i), seen[static_cast<std::size_t>(i)]);
    EXPECT_EQ(1u, client().stats().connects);
}

TEST_F(Client, GivenAFullQueue_WhenAnotherRequestComes_ThenItIsRefusedAtOnce) {
    options_.max_queue = 2;
    RawListener silent;
    std::atomic<int> refused = 0;
    for (int i = 0; i < 5; ++i)
        client().request(
            peer(silent.port()), 0, post("/", "x"), soon(),
            [&](Result<HttpResponse> r) { refused += r.error().kind == ErrorKind::Unavailable; });
    EXPECT_TRUE(eventually([&] { return refused == 3; }));
    client().stop();
}

TEST_F(Client, GivenAQueuedRequest_WhenItsDeadlinePasses_ThenItWasSurelyNotSent) {
    std::vector<Responder> kept;
    std::vector<std::string> seen;
    const auto server = serve(
        {},
        [&](HttpRequest request, Responder r) {
            seen.push_back(request.body);
            kept.push_back(std::move(r));
        },
        clock_);
    client().request(peer(server->bound_port()), 0, post("/", "first"), soon(), [](auto) {});
    const auto result = ask(server->bound_port(), post("/", "second"), milliseconds(50));
    expect_failure(result, ErrorKind::Unavailable, Failure::ConnectTimeout);
    client().stop();
    server->stop();
    EXPECT_EQ(std::vector<std::string>{"first"}, seen);
}

TEST_F(Client, GivenAServerThatRestarted_WhenAskedAgain_ThenItReconnects) {
    auto server = serve({}, echo(), clock_);
    const auto port = server->bound_port();
    EXPECT_TRUE(ask(port, get("/")));
    server.reset();
    EXPECT_TRUE(eventually([&] { return client().stats().connections == 0; }));
    expect_failure(ask(port, get("/")), ErrorKind::Unavailable, Failure::Refused);
    ServerOptions options;
    options.port = port;
    server = serve(options, echo(), clock_);
    EXPECT_TRUE(ask(port, get("/")));
}

TEST_F(Client, GivenAServerThatClosesEveryConnection_WhenOrdered_ThenEachRequestConnectsOnce) {
    RawListener listener;
    Promised<Result<HttpResponse>> result;
    client().request(peer(listener.port()), 0, post("/", "x"), soon(),
                     [&](Result<HttpResponse> r) { result.set(std::move(r)); });
    listener.accept().close();
    EXPECT_FALSE(result.get());
    EXPECT_EQ(1u, client().stats().connects);
}

TEST_F(Client, GivenAnOutstandingRequest_WhenItsHandleCancels_ThenTheCallbackSaysSoOnce) {
    Promised<bool> gone;
    Promised<Responder> waiting;
    const auto server = serve(
        {},
        [&](HttpRequest, Responder responder) {
            responder.on_cancel([&] { gone.set(true); });
            waiting.set(responder);
        },
        clock_);
    Promised<Result<HttpResponse>> result;
    auto handle = client().request(peer(server->bound_port()), 0, get("/poll"), soon(),
                                   [&](Result<HttpResponse> r) { result.set(std::move(r)); });
    waiting.get();
    handle.cancel();
    handle.cancel();
    expect_failure(result.get(), ErrorKind::Cancelled, Failure::Cancelled);
    EXPECT_TRUE(gone.get()) << "the server sees it";
    client().stop();
    EXPECT_EQ(1, result.times());
    handle.cancel();
    client_.reset();
    handle.cancel();
}

TEST_F(Client, GivenAQueuedRequest_WhenCancelled_ThenTheOneBeforeItGoesOn) {
    Promised<Responder> waiting;
    const auto server = serve(
        {}, [&](HttpRequest, Responder r) { waiting.set(std::move(r)); }, clock_);
    Promised<Result<HttpResponse>> first;
    Promised<Result<HttpResponse>> second;
    client().request(peer(server->bound_port()), 0, get("/1"), soon(),
                     [&](Result<HttpResponse> r) { first.set(std::move(r)); });
    auto handle = client().request(peer(server->bound_port()), 0, get("/2"), soon(),
                                   [&](Result<HttpResponse> r) { second.set(std::move(r)); });
    auto responder = waiting.get();
    handle.cancel();
    expect_failure(second.get(), ErrorKind::Cancelled, Failure::Cancelled);
    responder.answer({});
    EXPECT_TRUE(first.get());
}

TEST_F(Client, GivenAPeerThatLeft_WhenForgotten_ThenItsRequestsEndAndItsConnectionsClose) {
    Promised<Responder> waiting;
    const auto server = serve(
        {}, [&](HttpRequest, Responder r) { waiting.set(std::move(r)); }, clock_);
    Promised<Result<HttpResponse>> result;
    client().request(peer(server->bound_port()), 0, get("/"), soon(),
                     [&](Result<HttpResponse> r) { result.set(std::move(r)); });
    waiting.get();
    client().forget(peer(server->bound_port()));
    expect_failure(result.get(), ErrorKind::Cancelled, Failure::Cancelled);
    EXPECT_TRUE(eventually([&] { return client().stats().connections == 0; }));
}

TEST_F(Client, GivenOutstandingRequests_WhenTheClientStops_ThenEachCallbackComesOnce) {
    std::vector<Responder> kept;
    const auto server = serve(
        {}, [&](HttpRequest, Responder r) { kept.push_back(std::move(r)); }, clock_);
    std::atomic<int> cancelled = 0;
    for (int i = 0; i < 20; ++i)
        client().request(
            peer(server->bound_port()), i % 4, get("/"), soon(),
            [&](Result<HttpResponse> r) { cancelled += r.error().kind == ErrorKind::Cancelled; });
    client().stop();
    EXPECT_EQ(20, cancelled);
    expect_failure(ask(server->bound_port(), get("/")), ErrorKind::Cancelled, Failure::Cancelled);
    server->stop();
}

TEST_F(Client, GivenACallback_WhenItSendsTheNextRequest_ThenThatWorks) {
    const auto server = serve({}, echo(), clock_);
    const auto to = peer(server->bound_port());
    Promised<Result<HttpResponse>> last;
    std::function<void(int)> chain = [&](int left) {
        client().request(to, 0, get("/" + std::to_string(left)), soon(),
                         [&, left](Result<HttpResponse> r) {
                             if (left == 0) return last.set(std::move(r));
                             chain(left - 1);
                         });
    };
    chain(100);
    EXPECT_EQ("|GET|/0|", last.get()->body);
    EXPECT_EQ(1u, client().stats().connects);
}

TEST_F(Client, GivenAnIdleConnection_WhenTheTimeIsUp_ThenItCloses) {
    options_.idle_timeout = milliseconds(30);
    const auto server = serve({}, echo(), clock_);
    EXPECT_TRUE(ask(server->bound_port(), get("/")));
    EXPECT_TRUE(eventually([&] { return client().stats().connections == 0; }));
}

TEST_F(Client, GivenALargeBody_WhenSentAndEchoedOverTls_ThenItIsWhole) {
    Authority authority(clock_);
    ServerOptions options;
    options.tls = authority.source("server", {"server"});
    options.max_body_bytes = 16 * 1024 * 1024;
    const auto server = serve(
        options,
        [](HttpRequest request, Responder r) { r.answer(text_response(200, request.body)); },
        clock_);
    options_.tls = authority.source("client");
    options_.max_body_bytes = 16 * 1024 * 1024;
    std::string body(5 * 1024 * 1024 + 3, '\0');
    for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 >> 3);
    const auto answer = client().request_and_wait({"127.0.0.1", server->bound_port(), "server"}, 0,
                                                  post("/", body), soon());
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_TRUE(answer->body == body);
}

TEST_F(Client, GivenDeadPeersThatHoldTheSlots_WhenALivingOneIsAsked_ThenItIsReached) {
    Authority authority(clock_);
    options_.tls = authority.source("client");
    options_.max_connecting = 2;
    RawListener silent;  // accepts in the kernel, never answers the handshake
    std::atomic<int> failed = 0;
    for (int i = 0; i < 6; ++i)
        client().request({"127.0.0.1", silent.port(), "server"}, i, get("/"), soon(),
                         [&](Result<HttpResponse>) { ++failed; });
    ServerOptions options;
    options.tls = authority.source("server", {"server"});
    const auto server = serve(options, echo(), clock_);
    EXPECT_TRUE(client().request_and_wait({"127.0.0.1", server->bound_port(), "server"}, 0,
                                          get("/"), soon()));
    client().stop();
    EXPECT_EQ(6, failed);
}

TEST_F(Client, GivenRequestsThatWaitToConnect_WhenCancelledOrLate_ThenTheyEndAndSlotsStayWhole) {
    options_.max_connecting = 1;
    Authority authority(clock_);
    options_.tls = authority.source("client");
    options_.connect_timeout = milliseconds(100);
    RawListener silent;
    std::atomic<int> ended = 0;
    for (int i = 0; i < 9; ++i) {
        auto handle = client().request({"127.0.0.1", silent.port(), "server"}, i, get("/"),
                                       Deadline::after(clock_, milliseconds(20 * i)),
                                       [&](Result<HttpResponse>) { ++ended; });
        if (i % 3 == 2) handle.cancel();
    }
    EXPECT_TRUE(eventually([&] { return ended == 9; }));
    ServerOptions options;
    options.tls = authority.source("server", {"server"});
    const auto server = serve(options, echo(), clock_);
    for (int i = 0; i < 3; ++i) {
        const auto answer = client().request_and_wait({"127.0.0.1", server->bound_port(), "server"},
                                                      i, get("/"), soon());
        EXPECT_TRUE(answer) << answer.error().message();
    }
}

TEST_F(Client, GivenTwoHundredPeers_WhenAllAreAskedAtOnceOverTls_ThenAllAnswer) {
    constexpr int kPeers = 200;
    Authority authority(clock_);
    ServerOptions options;
    options.tls = authority.source("server", {"server"});
    const auto server = serve(options, echo(), clock_);
    options_.tls = authority.source("client");
    std::atomic<int> answered = 0;
    std::atomic<int> failed = 0;
    // Addresses of 127.0.0.0/8 all reach the server that listens on one of them only if it listens
    // on any; lanes give as many connections.
    for (int round = 0; round < 3; ++round) {
        answered = 0;
        for (int i = 0; i < kPeers; ++i)
            client().request({"127.0.0.1", server->bound_port(), "server"}, i, get("/"), soon(),
                             [&](Result<HttpResponse> r) { ++(r ? answered : failed); });
        ASSERT_TRUE(eventually([&] { return answered + failed == kPeers; }));
        EXPECT_EQ(0, failed);
    }
    EXPECT_EQ(200u, client().stats().connects);
}

}  // namespace
}  // namespace matriarch::net::test
