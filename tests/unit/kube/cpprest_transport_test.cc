#include "kube/cpprest_transport.h"

#include <gtest/gtest.h>

#include <fstream>
#include <latch>

#include "kube/loopback_server.h"

namespace matriarch::kube {
namespace {

using testing::Connection;
using testing::LoopbackServer;

// The token changes when the server said 401.
class RotatingCredentials final : public CredentialSource {
  public:
    explicit RotatingCredentials(std::string server) : server_(std::move(server)) {}
    Result<Credentials> current() override {
        return Credentials{.server = server_, .token = "token" + std::to_string(invalidated)};
    }
    void invalidate() override { ++invalidated; }
    std::atomic<int> invalidated{0};

  private:
    std::string server_;
};

class TransportTest : public ::testing::Test {
  protected:
    void serve(LoopbackServer::Handler handler, CpprestOptions options = {}) {
        server_ = std::make_unique<LoopbackServer>(std::move(handler));
        credentials_ = std::make_unique<RotatingCredentials>(server_->url());
        transport_ = std::make_unique<CpprestTransport>(*credentials_, clock_, options);
    }
    Deadline within(Duration wait = seconds(10)) { return Deadline::after(clock_, wait); }
    Result<Response> send(Request request = {.target = "/x"}, Duration wait = seconds(10)) {
        return transport_->send(request, within(wait), {});
    }

    SystemClock clock_;
    std::unique_ptr<LoopbackServer> server_;
    std::unique_ptr<RotatingCredentials> credentials_;
    std::unique_ptr<CpprestTransport> transport_;
};

TEST_F(TransportTest, GivenARequest_WhenSent_ThenTheServerSeesAllOfItAndWeItsAnswer) {
    std::string seen;
    serve([&](Connection& connection) {
        while (true) {
            const std::string request = connection.read_request();
            if (request.empty()) return;
            seen = request;
            connection.respond(429, R"({"kind":"Status"})", "Retry-After: 3\r\n");
        }
    });
    const auto answer = send({.method = "PATCH",
                              .target = "/api/v1/pods/a%2Fb?fieldManager=m&force=true",
                              .content_type = "application/apply-patch+yaml",
                              .body = R"({"ä":1})"});
    ASSERT_TRUE(answer.ok()) << answer.error().message();
    EXPECT_EQ(answer->status, 429);
    EXPECT_EQ(answer->body, R"({"kind":"Status"})");
    EXPECT_EQ(answer->retry_after, seconds(3));
    EXPECT_TRUE(seen.starts_with("PATCH /api/v1/pods/a%2Fb?fieldManager=m&force=true HTTP/1.1"));
    EXPECT_NE(seen.find("Authorization:Bearer token0"), std::string::npos) << seen;
    EXPECT_NE(seen.find("Content-Type:application/apply-patch+yaml"), std::string::npos);
    EXPECT_NE(seen.find("{\"ä\":1}"), std::string::npos);
}

TEST_F(TransportTest, GivenSeveralRequests_WhenSentOneByOne_ThenTheyShareAConnection) {
    serve([](Connection& connection) {
        while (!connection.read_request().empty()) connection.respond(200, "{}");
    });
    constexpr int kRequests = 20;
    for (int i = 0; i < kRequests; ++i) ASSERT_TRUE(send().ok());
    // The library gives a connection back to its pool a moment after the answer is complete, so a
    // quick next request may open another one: on a busy machine more than once, but not each time.
    const int pooled = server_->connections();
    EXPECT_LT(pooled, kRequests / 2);
    ASSERT_TRUE(send({.target = "/x", .lane = Lane::Lease}).ok());
    EXPECT_EQ(server_->connections(), pooled + 1);  // leadership has its own
}

TEST_F(TransportTest, Given401_WhenSent_ThenTheCredentialsAreReadAgainAndItIsRepeatedOnce) {
    std::atomic<int> requests{0};
    serve([&](Connection& connection) {
        for (std::string r = connection.read_request(); !r.empty(); r = connection.read_request()) {
            ++requests;
            const bool good = r.find("Bearer token1") != std::string::npos;
            connection.respond(good ? 200 : 401, "{}");
        }
    });
    const auto answer = send({.method = "POST", .target = "/x", .body = "{}"});
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(requests, 2);
    EXPECT_EQ(credentials_->invalidated, 1);
}

TEST_F(TransportTest, GivenA401ThatStays_WhenSent_ThenItIsTheAnswerAfterTwoAttempts) {
    std::atomic<int> requests{0};
    serve([&](Connection& connection) {
        while (!connection.read_request().empty()) {
            ++requests;
            connection.respond(401, "{}");
        }
    });
    EXPECT_EQ(send()->status, 401);
    EXPECT_EQ(requests, 2);
}

TEST_F(TransportTest, GivenNobodyListens_WhenSent_ThenItNeverLeft) {
    serve([](Connection&) {});
    server_->stop();
    EXPECT_EQ(send({.method = "POST", .target = "/x", .body = "{}"}).error().kind,
              ErrorKind::Unavailable);
}

TEST_F(TransportTest, GivenAnUnknownHost_WhenSent_ThenItNeverLeft) {
    RotatingCredentials credentials("http://no-such-host.invalid:1");
    CpprestTransport transport(credentials, clock_);
    EXPECT_EQ(transport.send({.target = "/x"}, within(), {}).error().kind, ErrorKind::Unavailable);
}

TEST_F(TransportTest, GivenAnIpv6Literal_WhenSent_ThenTheErrorSaysWhatToDo) {
    RotatingCredentials credentials("https://[::1]:6443");
    CpprestTransport transport(credentials, clock_);
    const auto answer = transport.send({.target = "/x"}, within(), {});
    EXPECT_EQ(answer.error().kind, ErrorKind::Invalid);
    EXPECT_NE(answer.error().message().find("use a name"), std::string::npos);
}

TEST_F(TransportTest, GivenTheAnswerIsLost_WhenItWasSent_ThenTheOutcomeIsUnknown) {
    serve([](Connection& connection) { connection.read_request(); });
    EXPECT_EQ(send({.method = "POST", .target = "/x", .body = "{}"}).error().kind,
              ErrorKind::OutcomeUnknown);
}

// The library's own re-sending: the first copy was read, perhaps executed; the second is refused.
TEST_F(TransportTest, GivenAReusedConnectionThatDies_WhenTheServerIsGone_ThenTheOutcomeIsUnknown) {
    std::latch second_seen(1);
    serve([&](Connection& connection) {
        connection.read_request();
        connection.respond(200, "{}");
        connection.read_request();
        second_seen.count_down();
        // Keep the connection until nobody listens any more.
        connection.wait_for_close();
    });
    std::jthread killer([&] {
        second_seen.wait();
        server_->stop();
    });
    // The library gives a connection back to its pool a moment after the answer is complete, so a
    // request may open another one; sooner or later one is used again.
    auto answer = send();
    while (answer.ok()) answer = send({.method = "POST", .target = "/x", .body = "{}"});
    EXPECT_EQ(answer.error().kind, ErrorKind::OutcomeUnknown);
}

TEST_F(TransportTest, GivenNoAnswer_WhenTheDeadlinePasses_ThenTimeoutThenAndNotLater) {
    serve([](Connection& connection) {
        connection.read_request();
        connection.wait_for_close();
    });
    const TimePoint start = clock_.now();
    EXPECT_EQ(send({.target = "/x"}, milliseconds(200)).error().kind, ErrorKind::Timeout);
    EXPECT_GE(clock_.now() - start, milliseconds(200));
    EXPECT_LT(clock_.now() - start, seconds(3));
}

TEST_F(TransportTest, GivenAnAnswerThatDrips_WhenTheDeadlinePasses_ThenTimeout) {
    serve([](Connection& connection) {
        connection.read_request();
        connection.begin_chunks();
        while (connection.chunk("x")) std::this_thread::yield();
    });
    EXPECT_EQ(send({.target = "/x"}, milliseconds(300)).error().kind, ErrorKind::Timeout);
}

TEST_F(TransportTest, GivenAStop_WhenWaiting_ThenCancelledAtOnce) {
    std::latch seen(1);
    serve([&](Connection& connection) {
        connection.read_request();
        seen.count_down();
        connection.wait_for_close();
    });
    std::stop_source stop;
    std::jthread stopper([&] {
        seen.wait();
        stop.request_stop();
    });
    EXPECT_EQ(transport_->send({.target = "/x"}, within(), stop.get_token()).error().kind,
              ErrorKind::Cancelled);
}

TEST_F(TransportTest, GivenAnAnswerBeyondTheBound_WhenReceived_ThenInvalid) {
    serve(
        [](Connection& connection) {
            connection.read_request();
            connection.respond(200, std::string(5000, 'x'));
            connection.wait_for_close();
        },
        {.max_body = 4096});
    EXPECT_EQ(send().error().kind, ErrorKind::Invalid);
}

TEST_F(TransportTest, GivenARedirect_WhenReceived_ThenItIsNotFollowed) {
    serve([](Connection& connection) {
        while (!connection.read_request().empty()) {
            connection.respond(302, "", "Location: http://127.0.0.1:1/steal\r\n");
        }
    });
    EXPECT_EQ(send()->status, 302);
}

TEST_F(TransportTest, GivenMoreCallersThanSlots_WhenOneHangs_ThenOthersWaitTheirDeadlineOnly) {
    std::latch hanging(1);
    serve(
        [&](Connection& connection) {
            const std::string request = connection.read_request();
            if (request.find("/hang") == std::string::npos) {
                connection.respond(200, "{}");
            } else {
                hanging.count_down();
            }
            connection.wait_for_close();
        },
        {.max_concurrent = 1});
    std::stop_source stop;
    std::jthread first([&] {
        const auto ignored =
            transport_->send({.target = "/hang"}, within(seconds(30)), stop.get_token());
    });
    hanging.wait();
    EXPECT_EQ(send({.target = "/x"}, milliseconds(100)).error().kind, ErrorKind::Unavailable);
    EXPECT_EQ(send({.target = "/x", .lane = Lane::Lease})->status, 200);
    stop.request_stop();
    first.join();
    EXPECT_EQ(send()->status, 200);
}

// ---- streams

class StreamTest : public TransportTest {
  protected:
    Result<Response> stream(const Transport::OnChunk& on_chunk, Duration idle = seconds(10),
                            std::stop_token stop = {}) {
        return transport_->stream({.target = "/watch"}, on_chunk, idle, stop);
    }
};

TEST_F(StreamTest, GivenChunks_WhenStreamed_ThenTheyArriveInOrderInTheCallersThread) {
    serve([](Connection& connection) {
        connection.read_request();
        connection.begin_chunks();
        for (int i = 0; i < 100; ++i) connection.chunk("line " + std::to_string(i) + "\n");
        connection.end_chunks();
    });
    std::string text;
    const auto caller = std::this_thread::get_id();
    const auto end = stream([&](std::string_view chunk) {
        EXPECT_EQ(std::this_thread::get_id(), caller);
        text += chunk;
        return true;
    });
    ASSERT_TRUE(end.ok()) << end.error().message();
    EXPECT_EQ(end->status, 200);
    EXPECT_TRUE(text.ends_with("line 98\nline 99\n"));
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 100);
}

TEST_F(StreamTest, GivenAnErrorStatus_WhenStreamed_ThenItsBodyIsTheAnswer) {
    serve([](Connection& connection) {
        connection.read_request();
        connection.respond(410, R"({"kind":"Status","code":410})");
    });
    const auto end = stream([](std::string_view) { return true; });
    EXPECT_EQ(end->status, 410);
    EXPECT_EQ(end->body, R"({"kind":"Status","code":410})");
}

TEST_F(StreamTest, GivenAReceiverThatHasEnough_WhenItSaysSo_ThenTheStreamEndsAndCloses) {
    std::latch closed(1);
    serve([&](Connection& connection) {
        connection.read_request();
        connection.begin_chunks();
        connection.chunk("a");
        connection.wait_for_close();
        closed.count_down();
    });
    EXPECT_EQ(stream([](std::string_view) { return false; })->status, 200);
    closed.wait();
}

TEST_F(StreamTest, GivenASilentPeer_WhenIdleForTooLong_ThenTimeout) {
    serve([](Connection& connection) {
        connection.read_request();
        connection.begin_chunks();
        connection.chunk("a");
        connection.wait_for_close();
    });
    int chunks = 0;
    const auto end = stream([&](std::string_view) { return ++chunks > 0; }, milliseconds(300));
    EXPECT_EQ(end.error().kind, ErrorKind::Timeout);
    EXPECT_EQ(chunks, 1);
}

TEST_F(StreamTest, GivenAPeerThatNeverAnswers_WhenOpening_ThenItIsNotWaitedForAsLongAsForEvents) {
    serve(
        [](Connection& connection) {
            connection.read_request();
            connection.wait_for_close();
        },
        {.headers_within = milliseconds(100)});
    const TimePoint start = clock_.now();
    const auto end = stream([](std::string_view) { return true; }, seconds(60));
    EXPECT_EQ(end.error().kind, ErrorKind::Timeout);
    EXPECT_LT(clock_.now() - start, seconds(30));
}

TEST_F(StreamTest, GivenHeaders_WhenNoEventComes_ThenItIsWaitedForUntilIdleForTooLong) {
    serve(
        [](Connection& connection) {
            connection.read_request();
            connection.begin_chunks();
            connection.wait_for_close();
        },
        {.headers_within = seconds(1)});
    const TimePoint start = clock_.now();
    const auto end = stream([](std::string_view) { return true; }, milliseconds(1500));
    EXPECT_EQ(end.error().kind, ErrorKind::Timeout);
    EXPECT_GE(clock_.now() - start, milliseconds(1500));
}

TEST_F(StreamTest, GivenABrokenConnection_WhenInTheMiddle_ThenWhatCameIsDeliveredAndThenTheError) {
    serve([](Connection& connection) {
        connection.read_request();
        connection.begin_chunks();
        connection.chunk("half a li");
    });
    std::string text;
    const auto end = stream([&](std::string_view chunk) {
        text += chunk;
        return true;
    });
    EXPECT_EQ(text, "half a li");
    EXPECT_EQ(end.error().kind, ErrorKind::OutcomeUnknown);
}

TEST_F(StreamTest, GivenAStop_WhenStreaming_ThenCancelledAtOnce) {
    serve([](Connection& connection) {
        connection.read_request();
        connection.begin_chunks();
        connection.chunk("a");
        connection.wait_for_close();
    });
    std::stop_source stop;
    std::jthread stopper;
    const auto end = stream(
        [&](std::string_view) {
            stopper = std::jthread([&] { stop.request_stop(); });
            return true;
        },
        seconds(30), stop.get_token());
    EXPECT_EQ(end.error().kind, ErrorKind::Cancelled);
}

TEST_F(StreamTest, GivenASlowReceiver_WhenTheServerFloods_ThenItIsHeldBack) {
    std::atomic<std::size_t> written{0};
    serve(
        [&](Connection& connection) {
            connection.read_request();
            connection.begin_chunks();
            const std::string data(65536, 'x');
            while (written < (std::size_t{256} << 20) && connection.chunk(data)) {
                written += data.size();
            }
        },
        {.stream_buffer = 128 * 1024});
    std::size_t read = 0;
    std::size_t largest = 0;
    const auto end = stream([&](std::string_view chunk) {
        if (read == 0) {
            // Long enough for the server to fill every buffer between us.
            std::size_t before = 1;
            while (before != written) {
                before = written;
                std::this_thread::sleep_for(milliseconds(50));
            }
            EXPECT_LT(written, std::size_t{64} << 20);
        }
        read += chunk.size();
        largest = std::max(largest, chunk.size());
        return read < (std::size_t{64} << 20);
    });
    EXPECT_TRUE(end.ok());
    EXPECT_LT(largest, std::size_t{512} << 10);
}

}  // namespace
}  // namespace matriarch::kube
