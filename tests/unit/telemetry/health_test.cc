// Health pages: what Kubernetes and a person with curl see.
#include "telemetry/health.h"

#include <gtest/gtest.h>

#include "net/client.h"
#include "telemetry/http_endpoints.h"
#include "telemetry/log.h"

namespace matriarch::telemetry {
namespace {

class Health : public ::testing::Test {
  protected:
    Health() {
        log::Options quiet;
        quiet.level = log::Level::Off;
        log::configure(std::move(quiet));
        checks_.add("ping", [] { return Status(); });
        checks_.add("caches", [this]() -> Status {
            if (synced_) return {};
            return make_error(ErrorKind::Unavailable, "secret detail");
        });
    }
    ~Health() override { log::configure({}); }

    net::HttpResponse ask(const std::string& target) const {
        net::HttpRequest request;
        request.target = target;
        net::split_target(request);
        return checks_.answer(request);
    }

    bool synced_ = true;
    HealthChecks checks_{"readyz"};
};

TEST_F(Health, GivenPassingChecks_WhenAsked_ThenOk) {
    EXPECT_EQ(200, ask("/readyz").status);
    EXPECT_EQ("ok", ask("/readyz").body);
    EXPECT_EQ("[+]ping ok\n[+]caches ok\nreadyz check passed\n", ask("/readyz?verbose").body);
    EXPECT_TRUE(checks_.healthy());
}

TEST_F(Health, GivenAFailingCheck_WhenAsked_Then500WithoutItsReason) {
    synced_ = false;
    EXPECT_EQ(500, ask("/readyz").status);
    EXPECT_EQ("[+]ping ok\n[-]caches failed: reason withheld\nreadyz check failed\n",
              ask("/readyz").body);
    EXPECT_FALSE(checks_.healthy());
}

TEST_F(Health, GivenAnExclusion_WhenAsked_ThenThatCheckDoesNotCount) {
    synced_ = false;
    EXPECT_EQ(200, ask("/readyz?exclude=caches").status);
    EXPECT_EQ("[+]ping ok\n[+]caches excluded: ok\nreadyz check passed\n",
              ask("/readyz?verbose&exclude=caches").body);
    EXPECT_NE(
        std::string::npos,
        ask("/readyz?verbose&exclude=caches&exclude=other").body.find("no matches for \"other\""));
}

TEST_F(Health, GivenOneCheck_WhenAskedByName_ThenOnlyThatOneCounts) {
    synced_ = false;
    EXPECT_EQ(200, ask("/readyz/ping").status);
    EXPECT_EQ(500, ask("/readyz/caches").status);
    EXPECT_EQ(std::string::npos, ask("/readyz/caches").body.find("secret"));
    EXPECT_EQ(404, ask("/readyz/none").status);
}

TEST(HealthPing, GivenNoChecks_WhenAsked_ThenPingPasses) {
    const HealthChecks checks("healthz");
    net::HttpRequest request;
    request.target = "/healthz?verbose";
    net::split_target(request);
    EXPECT_EQ("[+]ping ok\nhealthz check passed\n", checks.answer(request).body);
}

TEST(Endpoints, GivenAServer_WhenMounted_ThenMetricsAndHealthAreServed) {
    SystemClock clock;
    Registry registry;
    registry.counter("x_total", "X").increment();
    const HealthChecks live("healthz");
    const HealthChecks ready("readyz");
    net::Router router;
    mount_metrics(router, registry);
    mount_health(router, live);
    mount_health(router, ready);
    net::ServerOptions options;
    options.bind_address = "127.0.0.1";
    auto server = net::HttpServer::start(options, router.handler(), clock);
    ASSERT_TRUE(server);
    net::HttpClient client({}, clock);
    const auto ask = [&](const std::string& target) {
        net::HttpRequest request;
        request.target = target;
        return *client.request_and_wait({"127.0.0.1", (*server)->bound_port(), ""}, 0, request,
                                        Deadline::after(clock, seconds(20)));
    };
    const auto metrics = ask("/metrics");
    EXPECT_EQ("text/plain; version=0.0.4; charset=utf-8", metrics.content_type);
    EXPECT_NE(std::string::npos, metrics.body.find("\nx_total 1\n"));
    EXPECT_EQ("ok", ask("/healthz").body);
    EXPECT_EQ("ok", ask("/readyz/ping").body);
    EXPECT_EQ(404, ask("/readyz/x").status);
}

}  // namespace
}  // namespace matriarch::telemetry
