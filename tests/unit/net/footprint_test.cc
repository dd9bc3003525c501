// What idle TLS connections cost: the operator holds two to every agent, an agent must stay small.
#include <fstream>

#include "net_test_support.h"

namespace matriarch::net::test {
namespace {

std::size_t resident_kib() {
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
    return 0;
}

TEST(Footprint, GivenThreeHundredIdleTlsConnections_WhenMeasured_ThenBothEndsStaySmall) {
    constexpr int kConnections = 300;
    MovableClock clock;
    Authority authority(clock);
    const auto start = resident_kib();
    ServerOptions options;
    options.tls = authority.source("server", {"server"});
    const auto server = serve(options, echo(), clock);
    ClientOptions client_options;
    client_options.tls = authority.source("client");
    HttpClient client(client_options, clock);
    const PeerAddress peer{"127.0.0.1", server->bound_port(), "server"};
    ASSERT_TRUE(client.request_and_wait(peer, -1, get("/"), Deadline::after(clock, kPatience)));
    const auto one = resident_kib();
    std::atomic<int> answered = 0;
    for (int i = 0; i < kConnections; ++i)
        client.request(peer, i, get("/"), Deadline::after(clock, kPatience),
                       [&](Result<HttpResponse> r) { answered += r.ok(); });
    ASSERT_TRUE(eventually([&] { return answered == kConnections; }));
    const auto all = resident_kib();
    const auto each = static_cast<double>(all - one) / kConnections;
    printf(
        "RSS: %zu KiB before, %zu KiB with server, client and one connection, %zu KiB with %d "
        "idle TLS connections: %.1f KiB each, both ends together\n",
        start, one, all, kConnections, each);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LT(each, 80);
#endif
}

}  // namespace
}  // namespace matriarch::net::test
