// Headers, queries and routes: the parts without a socket.
#include "net/http.h"

#include "net_test_support.h"

namespace matriarch::net::test {
namespace {

TEST(HeadersTest, GivenAnyCase_WhenLookedUp_ThenFound) {
    Headers headers;
    headers.add("X-Term", "4");
    EXPECT_EQ("4", headers.get("x-term"));
    headers.set("x-tErm", "5");
    EXPECT_EQ(1u, headers.size());
    EXPECT_EQ("5", headers.get("X-TERM"));
    EXPECT_EQ(nullptr, headers.find("X-Ter"));
}

TEST(Query, GivenEncodedPairs_WhenAsked_ThenDecodedInOrder) {
    HttpRequest request;
    request.target = "/healthz?verbose&exclude=a%20b&exclude=c+d&x=%zz&=y";
    split_target(request);
    EXPECT_EQ("/healthz", request.path);
    EXPECT_EQ("", request.query_value("verbose"));
    EXPECT_EQ((std::vector<std::string>{"a b", "c d"}), request.query_values("exclude"));
    EXPECT_EQ("%zz", request.query_value("x"));
    EXPECT_FALSE(request.query_value("missing"));
}

TEST(RouterTest, GivenRoutes_WhenServed_ThenTheBestMatchAnswers) {
    MovableClock clock;
    const auto named = [](const char* name) {
        return [name](HttpRequest, Responder responder) {
            responder.answer(text_response(200, name));
        };
    };
    Router router;
    router.on("GET", "/health", named("exact"));
    router.on_prefix("GET", "/healthz", named("prefix"));
    router.on_prefix("GET", "/healthz/deep", named("deeper"));
    router.on("POST", "/order", named("order"));
    ServerOptions options;
    const auto server = serve(options, router.handler(), clock);
    HttpClient client({}, clock);
    const PeerAddress peer{"127.0.0.1", server->bound_port(), ""};
    const auto ask = [&](HttpRequest request) {
        return *client.request_and_wait(peer, 0, std::move(request),
                                        Deadline::after(clock, kPatience));
    };
    EXPECT_EQ("exact", ask(get("/health?x=1")).body);
    EXPECT_EQ("prefix", ask(get("/healthz")).body);
    EXPECT_EQ("prefix", ask(get("/healthz/ping")).body);
    EXPECT_EQ("deeper", ask(get("/healthz/deep/er")).body);
    EXPECT_EQ(404, ask(get("/healthzz")).status);
    EXPECT_EQ(405, ask(get("/order")).status);
    EXPECT_EQ("POST", ask(get("/order")).headers.get("Allow"));
    auto head = get("/health");
    head.method = "HEAD";
    EXPECT_EQ(200, ask(head).status);
    EXPECT_EQ("", ask(head).body);
    EXPECT_EQ(1u, client.stats().connects);
}

}  // namespace
}  // namespace matriarch::net::test
