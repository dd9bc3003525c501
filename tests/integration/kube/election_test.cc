// Leader election and events against a real API server: two candidates with connections of their
// own, one of which may lose its network.
#include <array>
#include <thread>

#include "api_fixture.h"
#include "kube/events.h"
#include "kube/leader_election.h"
#include "tcp_proxy.h"

namespace matriarch::kube {
namespace {

using testing::json;
using testing::TcpProxy;

class Candidate {
  public:
    Candidate(Transport& transport, const Clock& clock, Random& random, ObjectKey lease)
        : client_(transport, clock),
          run_waiter_(clock),
          watch_waiter_(clock),
          election(client_, clock, random, run_waiter_,
                   {.lease = std::move(lease), .identity = make_identity(random)}) {
        watch_ = std::jthread([this](std::stop_token s) { election.watch(s, watch_waiter_); });
        run_ = std::jthread([this](std::stop_token s) { election.run(s); });
    }
    // Releases the Lease.
    void stop() {
        run_ = {};
        watch_ = {};
    }
    bool leads() const { return election.leadership().leading; }

  private:
    Client client_;
    ThreadWaiter run_waiter_, watch_waiter_;

  public:
    LeaderElection election;

  private:
    std::jthread watch_, run_;
};

class Election : public testing::ApiTest {
  protected:
    void SetUp() override {
        ApiTest::SetUp();
        if (HasFatalFailure()) return;
        proxy_ = std::make_unique<TcpProxy>(credentials_.server);
        through_ = transport([this](Credentials& c) { c.server = proxy_->url(); });
        direct_ = transport();
    }
    void TearDown() override {
        first_.reset();
        second_.reset();
        through_.reset();
        direct_.reset();
        proxy_.reset();
        ApiTest::TearDown();
    }
    // The first leads through the proxy, the second stands by.
    void start() {
        first_ = std::make_unique<Candidate>(*through_, clock_, random_, key("leader"));
        ASSERT_TRUE(eventually([&] { return first_->leads(); }));
        second_ = std::make_unique<Candidate>(*direct_, clock_, random_, key("leader"));
        ASSERT_TRUE(eventually([&] { return !second_->election.leadership().holder.empty(); }));
    }
    // Until the second leads; checks all the while that they never do both.
    Duration until_second_leads(Duration within) {
        const TimePoint start = clock_.now();
        bool both = false;
        EXPECT_TRUE(eventually(
            [&] {
                // In this order: the later reading of the first must not excuse the second.
                const bool second = second_->leads();
                both = both || (second && first_->leads());
                return second;
            },
            within));
        EXPECT_FALSE(both);
        return clock_.now() - start;
    }

    std::unique_ptr<TcpProxy> proxy_;
    std::unique_ptr<CpprestTransport> through_, direct_;
    std::unique_ptr<Candidate> first_, second_;
};

TEST_F(Election, GivenACleanStop_WhenTheLeaseIsReleased_ThenTheStandbyLeadsAtOnce) {
    start();
    const std::uint64_t term = first_->election.leadership().term;
    const TimePoint stop = clock_.now();
    first_->stop();
    const Duration took = until_second_leads(seconds(10));
    std::printf("released, taken over after %lld ms\n",
                static_cast<long long>(to_ms(clock_.now() - stop)));
    EXPECT_LT(took, seconds(1));
    EXPECT_EQ(second_->election.leadership().term, term + 1);
}

TEST_F(Election, GivenALeaderWithoutNetwork_WhenItsLeaseIsOver_ThenTheStandbyLeadsAndNeverBoth) {
    start();
    proxy_->black_hole(true);
    const Duration took = until_second_leads(seconds(20));
    std::printf("network lost, taken over after %lld ms\n", static_cast<long long>(to_ms(took)));
    EXPECT_GT(took, seconds(4));
    EXPECT_LT(took, seconds(9));
    // The old one comes back as a standby.
    proxy_->black_hole(false);
    proxy_->cut();
    EXPECT_TRUE(eventually([&] {
        return first_->election.leadership().holder == second_->election.leadership().holder;
    }));
    EXPECT_FALSE(first_->leads());
}

TEST_F(Election, GivenARenewalWhoseAnswerIsLost_WhenReadBack_ThenTheLeaderStays) {
    start();
    const std::uint64_t term = first_->election.leadership().term;
    for (int round = 0; round < 3; ++round) {
        const TimePoint valid = first_->election.leadership().valid_until;
        proxy_->swallow_answers(true);
        // Two renewals' time: at least one of them reaches the server and is not answered.
        const Deadline later = Deadline::after(clock_, milliseconds(1500));
        EXPECT_TRUE(eventually([&] { return later.passed(clock_); }));
        proxy_->swallow_answers(false);
        proxy_->cut();
        ASSERT_TRUE(eventually([&] { return first_->election.leadership().valid_until > valid; }));
        ASSERT_TRUE(first_->leads());
    }
    EXPECT_EQ(first_->election.leadership().term, term);
    EXPECT_FALSE(second_->leads());
}

TEST_F(Election, GivenAServerThatRestarts_WhenItIsBack_ThenExactlyOneLeads) {
    start();
    lab("apiserver kill");
    lab("apiserver start");
    std::array<int, 3> seen{};
    EXPECT_TRUE(eventually(
        [&] {
            const bool second = second_->leads();
            const bool first = first_->leads();
            seen[static_cast<std::size_t>(first) + static_cast<std::size_t>(second)]++;
            return (first || second) && client_->get_path("/version").ok();
        },
        seconds(60)));
    EXPECT_EQ(seen[2], 0);
}

TEST_F(Election, GivenAHigherTermElsewhere_WhenRaised_ThenTheLeaseHasIt) {
    start();
    first_->election.raise_term(40);
    EXPECT_TRUE(eventually([&] { return first_->election.leadership().term == 40; }));
    EXPECT_EQ((*client_->get(kLeases, key("leader")))["spec"]["leaseTransitions"], 39);
}

class Events : public testing::ApiTest {};

TEST_F(Events, GivenRepeatedEvents_WhenRecorded_ThenTheServerHasOneWithItsSeries) {
    ThreadWaiter waiter(clock_);
    EventRecorder recorder(*client_, clock_, random_, waiter, {.instance = "operator-0"});
    std::jthread thread([&](std::stop_token stop) { recorder.run(stop); });
    const Event event{.regarding = {"v1", "ConfigMap", ns_, "orders", "some-uid"},
                      .type = EventType::Warning,
                      .reason = "FailedOver",
                      .action = "Failover",
                      .note = "the master is orders-2"};
    std::vector<json> found;
    const auto look = [&] {
        found.clear();
        (void)client_->list(kEvents, {.ns = ns_}, [&](const json& e) { found.push_back(e); });
        return found.size();
    };
    ASSERT_TRUE(recorder.record(event));
    ASSERT_TRUE(eventually([&] { return look() == 1; }));
    EXPECT_EQ(found[0]["note"], "the master is orders-2");
    ASSERT_TRUE(recorder.record(event));
    EXPECT_TRUE(eventually(
        [&] { return look() == 1 && found[0].value("/series/count"_json_pointer, 0) == 2; }));
    EXPECT_EQ(recorder.stats().dropped, 0U);
}

}  // namespace
}  // namespace matriarch::kube
