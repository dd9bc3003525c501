#include "kube/leader_election.h"

#include <gtest/gtest.h>

#include "kube/fakes.h"

namespace matriarch::kube {
namespace {

using testing::json;
using Do = ElectionMachine::Do;

ElectionOptions options(const std::string& identity) {
    return {.lease = {"db", "matriarch"}, .identity = identity};
}

// A Lease as an API server keeps it: compare-and-swap on the version.
class Store {
  public:
    Result<Lease> create(Lease lease) {
        if (lease_) return make_error(ErrorKind::AlreadyExists, "create");
        lease.resource_version = std::to_string(++version_);
        lease_ = lease;
        return lease;
    }
    Result<Lease> update(Lease lease) {
        if (!lease_) return make_error(ErrorKind::NotFound, "update");
        if (lease_->resource_version != lease.resource_version) {
            return make_error(ErrorKind::Conflict, "update");
        }
        lease.resource_version = std::to_string(++version_);
        lease_ = lease;
        return lease;
    }
    Result<Lease> write(const ElectionMachine::Action& action) {
        return action.what == Do::Create ? create(action.write) : update(action.write);
    }
    std::optional<Lease> lease_;
    int version_ = 10;
};

class ElectionMachineTest : public ::testing::Test {
  protected:
    // One answered step of a machine. False: it waits.
    bool turn(ElectionMachine& machine) {
        const auto action = machine.next(clock_.now(), clock_.wall());
        if (action.what == Do::Wait) return false;
        if (action.what == Do::Read) {
            read(machine);
            return true;
        }
        const TimePoint sent = clock_.now();
        const Result<Lease> answer = store_.write(action);
        if (answer) {
            machine.written(*answer, sent);
        } else {
            machine.write_failed(answer.error(), action.write, sent, clock_.now());
        }
        return true;
    }
    void read(ElectionMachine& machine) {
        if (store_.lease_) {
            machine.read(*store_.lease_, clock_.now());
        } else {
            machine.absent("", clock_.now());
        }
    }
    void settle(ElectionMachine& machine) {
        for (int i = 0; i < 10 && turn(machine); ++i) {
        }
    }
    bool leads(const ElectionMachine& machine) { return machine.leadership(clock_.now()).leading; }

    testing::FakeClock clock_;
    testing::ZeroRandom random_;
    Store store_;
    ElectionMachine a_{options("a"), random_};
    ElectionMachine b_{options("b"), random_};
};

TEST_F(ElectionMachineTest, GivenNoLease_WhenCampaigning_ThenItIsCreatedAndTermIsOne) {
    settle(a_);
    ASSERT_TRUE(leads(a_));
    const Leadership leadership = a_.leadership(clock_.now());
    EXPECT_EQ(leadership.term, 1U);
    EXPECT_EQ(leadership.valid_until, clock_.now() + seconds(5));
    EXPECT_EQ(store_.lease_->duration_seconds, 6);
}

TEST_F(ElectionMachineTest, GivenALeader_WhenItRenews_ThenAcquireTimeAndTermStay) {
    settle(a_);
    const Lease first = *store_.lease_;
    clock_.advance(seconds(1));
    settle(a_);
    EXPECT_EQ(store_.lease_->acquire_time, first.acquire_time);
    EXPECT_NE(store_.lease_->renew_time, first.renew_time);
    EXPECT_EQ(a_.leadership(clock_.now()).term, 1U);
}

TEST_F(ElectionMachineTest,
       GivenAnAnswerThatTakesLong_WhenItCame_ThenValidityCountsFromTheSending) {
    const auto read = a_.next(clock_.now(), clock_.wall());
    ASSERT_EQ(read.what, Do::Read);
    a_.absent("", clock_.now());
    const auto action = a_.next(clock_.now(), clock_.wall());
    const TimePoint sent = clock_.now();
    clock_.advance(seconds(2));
    a_.written(*store_.write(action), sent);
    EXPECT_EQ(a_.leadership(clock_.now()).valid_until, sent + seconds(5));
    clock_.advance(seconds(3));
    EXPECT_FALSE(leads(a_));
}

TEST_F(ElectionMachineTest, GivenACrashedHolder_WhenItsLeaseIsOver_ThenTheStandbyLeadsAHigherTerm) {
    settle(a_);
    settle(b_);  // reads, sees a
    const auto wait = b_.next(clock_.now(), clock_.wall());
    ASSERT_EQ(wait.what, Do::Wait);
    EXPECT_EQ(wait.wait_until, clock_.now() + seconds(6));
    clock_.set(wait.wait_until);
    EXPECT_FALSE(leads(a_));
    settle(b_);
    EXPECT_TRUE(leads(b_));
    EXPECT_EQ(b_.leadership(clock_.now()).term, 2U);
}

TEST_F(ElectionMachineTest, GivenARenewalSeenLate_WhenTheStandbyCounts_ThenItOnlyWaitsLonger) {
    settle(a_);
    settle(b_);
    clock_.advance(seconds(1));
    settle(a_);
    const Lease renewed = *store_.lease_;
    clock_.advance(seconds(4));  // the watch event was under way for so long
    b_.observed(renewed, clock_.now());
    EXPECT_EQ(b_.next(clock_.now(), clock_.wall()).wait_until, clock_.now() + seconds(6));
}

TEST_F(ElectionMachineTest, GivenARelease_WhenTheStandbySeesIt_ThenItLeadsAtOnce) {
    settle(a_);
    settle(b_);
    const auto lease = a_.release(clock_.wall());
    ASSERT_TRUE(lease);
    const auto released = store_.update(*lease);
    ASSERT_TRUE(released.ok());
    a_.released();
    EXPECT_FALSE(leads(a_));
    b_.observed(*released, clock_.now());
    settle(b_);
    EXPECT_TRUE(leads(b_));
    EXPECT_EQ(b_.leadership(clock_.now()).term, 2U);
}

TEST_F(ElectionMachineTest, GivenALostAnswer_WhenReadBackShowsOurStamp_ThenItCountsFromTheSending) {
    settle(a_);
    clock_.advance(seconds(1));
    const auto action = a_.next(clock_.now(), clock_.wall());
    ASSERT_EQ(action.what, Do::Update);
    const TimePoint sent = clock_.now();
    ASSERT_TRUE(store_.write(action).ok());  // executed, but the answer is lost
    clock_.advance(milliseconds(700));
    a_.write_failed(make_error(ErrorKind::OutcomeUnknown, "lost"), action.write, sent,
                    clock_.now());
    ASSERT_EQ(a_.next(clock_.now(), clock_.wall()).what, Do::Read);
    read(a_);
    EXPECT_EQ(a_.leadership(clock_.now()).valid_until, sent + seconds(5));
}

TEST_F(ElectionMachineTest, GivenARequestSentTwice_WhenTheSecondConflicts_ThenItIsStillASuccess) {
    settle(a_);
    clock_.advance(seconds(1));
    const auto action = a_.next(clock_.now(), clock_.wall());
    const TimePoint sent = clock_.now();
    ASSERT_TRUE(store_.write(action).ok());
    const auto second = store_.write(action);
    ASSERT_EQ(second.error().kind, ErrorKind::Conflict);
    a_.write_failed(second.error(), action.write, sent, clock_.now());
    settle(a_);
    EXPECT_EQ(a_.leadership(clock_.now()).valid_until, sent + seconds(5));
}

TEST_F(ElectionMachineTest, GivenALostWriteThatWasNotExecuted_WhenReadBack_ThenItIsNoSuccess) {
    settle(a_);
    const TimePoint first = a_.leadership(clock_.now()).valid_until;
    clock_.advance(seconds(1));
    const auto action = a_.next(clock_.now(), clock_.wall());
    a_.write_failed(make_error(ErrorKind::OutcomeUnknown, "lost"), action.write, clock_.now(),
                    clock_.now());
    read(a_);
    EXPECT_EQ(a_.leadership(clock_.now()).valid_until, first);
    EXPECT_EQ(a_.next(clock_.now(), clock_.wall()).what, Do::Update);  // tries again
}

TEST_F(ElectionMachineTest, GivenAServerThatIsAway_WhenRenewalsFail_ThenLeadershipEndsInTime) {
    settle(a_);
    const TimePoint end = clock_.now() + seconds(5);
    int tries = 0;
    for (int i = 0; i < 100 && clock_.now() < end; ++i) {
        const auto action = a_.next(clock_.now(), clock_.wall());
        if (action.what == Do::Wait) {
            clock_.set(action.wait_until);
            continue;
        }
        ++tries;
        a_.write_failed(make_error(ErrorKind::Unavailable, "refused"), action.write, clock_.now(),
                        clock_.now());
    }
    EXPECT_EQ(clock_.now(), end);
    EXPECT_FALSE(leads(a_));
    EXPECT_GE(tries, 7);
}

TEST_F(ElectionMachineTest, GivenAnotherHolderInTheWatch_WhenSeen_ThenLeadershipEndsAtOnce) {
    settle(a_);
    Lease other = *store_.lease_;
    other.holder = "b";
    other.resource_version = "99";
    a_.observed(other, clock_.now());
    EXPECT_FALSE(leads(a_));
}

TEST_F(ElectionMachineTest, GivenAnOldWatchEvent_WhenItArrivesAfterOurOwnWrite_ThenItIsIgnored) {
    settle(a_);
    Lease old = *store_.lease_;
    old.holder = "b";
    old.resource_version = "3";
    a_.observed(old, clock_.now());
    EXPECT_TRUE(leads(a_));
    a_.absent("4", clock_.now());
    EXPECT_TRUE(leads(a_));
}

// Versions fall with it. Once the older Lease was taken for an old event, and the write was tried
// again and again, without a pause and without end.
TEST_F(ElectionMachineTest, GivenALeaseFromABackup_WhenTheRenewalConflicts_ThenWhatIsThereCounts) {
    settle(a_);
    const Lease backup = *store_.lease_;
    for (int i = 0; i < 5; ++i) {
        clock_.advance(seconds(1));
        settle(a_);
    }
    store_.lease_ = backup;
    clock_.advance(seconds(1));
    settle(a_);
    EXPECT_TRUE(leads(a_));
    EXPECT_NE(store_.lease_->renew_time, backup.renew_time) << "it was renewed";
    EXPECT_EQ(a_.leadership(clock_.now()).term, 1U);

    store_.lease_ = backup;
    store_.lease_->holder = "b";
    clock_.advance(seconds(1));
    settle(a_);
    EXPECT_FALSE(leads(a_)) << "another one holds it";
}

TEST_F(ElectionMachineTest, GivenWritesThatConflictAgainAndAgain_WhenTried_ThenItPauses) {
    settle(a_);
    clock_.advance(seconds(1));
    int tries = 0;
    for (int i = 0; i < 100; ++i) {
        const auto action = a_.next(clock_.now(), clock_.wall());
        if (action.what == Do::Wait) break;
        ++tries;
        if (action.what == Do::Read)
            a_.read(*store_.lease_, clock_.now());
        else
            a_.write_failed(make_error(ErrorKind::Conflict, "update"), action.write, clock_.now(),
                            clock_.now());
    }
    EXPECT_LE(tries, 4);
}

TEST_F(ElectionMachineTest, GivenADeletedLease_WhenRecreated_ThenTheTermDoesNotFall) {
    settle(a_);
    settle(b_);
    store_.lease_.reset();
    b_.absent("50", clock_.now());
    // Its holder may not know yet: the standby waits as if it were alive.
    const auto wait = b_.next(clock_.now(), clock_.wall());
    ASSERT_EQ(wait.what, Do::Wait);
    EXPECT_EQ(wait.wait_until, clock_.now() + seconds(6));
    clock_.set(wait.wait_until);
    settle(b_);
    ASSERT_TRUE(leads(b_));
    EXPECT_EQ(b_.leadership(clock_.now()).term, 2U);
}

TEST_F(ElectionMachineTest, GivenAHigherTermElsewhere_WhenRaised_ThenTheNextRenewalHasIt) {
    settle(a_);
    a_.raise_term(42);
    EXPECT_EQ(a_.leadership(clock_.now()).term, 1U);
    clock_.advance(seconds(1));
    settle(a_);
    EXPECT_EQ(a_.leadership(clock_.now()).term, 42U);
}

TEST(ElectionOptions, GivenAValidityThatLeavesNoMargin_WhenChecked_ThenItIsInvalid) {
    ElectionOptions tight = options("a");
    EXPECT_TRUE(tight.check().ok());
    tight.lease_duration = seconds(5);
    EXPECT_EQ(tight.check().error().kind, ErrorKind::Invalid);
}

// Three candidates whose requests, answers and watch events take any time, get lost or are
// duplicated, whose processes pause, and whose clocks run up to 4 % apart: never two leaders at
// once, and terms only rise.
class Simulation {
  public:
    explicit Simulation(std::uint64_t seed) : random_(seed) {
        for (std::size_t i = 0; i < 3; ++i) {
            nodes_.push_back(
                {ElectionMachine(options(std::string(1, static_cast<char>('a' + i))), random_),
                 0.96 + 0.02 * static_cast<double>(i) * 2});
        }
    }

    void run() {
        for (int tick = 0; tick < 6000; ++tick) {  // 60 s
            now_ += milliseconds(10);
            for (std::size_t i = 0; i < queue_.size();) {
                if (queue_[i].at > now_) {
                    ++i;
                    continue;
                }
                const auto act = std::move(queue_[i].act);
                queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(i));
                act();
            }
            for (std::size_t n = 0; n < nodes_.size(); ++n) step(n);
            check();
        }
    }
    int changes = 0;

  private:
    struct Node {
        ElectionMachine machine;
        double rate;  // of its clock
        bool busy = false;
        std::uint64_t request = 0;
        TimePoint paused_until{};
    };
    struct Later {
        TimePoint at;
        std::function<void()> act;
    };

    TimePoint local(const Node& node) const {
        return TimePoint(Duration(static_cast<Duration::rep>(
            static_cast<double>(now_.time_since_epoch().count()) * node.rate)));
    }
    WallTime wall() const {
        return WallTime(std::chrono::duration_cast<WallTime::duration>(now_.time_since_epoch()));
    }
    void later(std::function<void()> act) {
        const auto bound = random_.below(20) == 0 ? 3000U : 60U;
        queue_.push_back({now_ + milliseconds(random_.below(bound)), std::move(act)});
    }
    // The watch of each node, late.
    void publish() {
        for (Node& node : nodes_) {
            if (random_.below(8) == 0) continue;  // this watch is broken just now
            const std::optional<Lease> lease = store_.lease_;
            const std::string version = std::to_string(store_.version_);
            later([this, &node, lease, version] {
                if (now_ < node.paused_until) return;
                if (lease) {
                    node.machine.observed(*lease, local(node));
                } else {
                    node.machine.absent(version, local(node));
                }
            });
        }
    }
    void step(std::size_t n) {
        Node& node = nodes_[n];
        if (now_ < node.paused_until) return;
        if (random_.below(2000) == 0) {
            node.paused_until = now_ + milliseconds(random_.below(9000));
            return;
        }
        if (node.busy) return;
        const auto action = node.machine.next(local(node), wall());
        if (action.what == Do::Wait) return;
        node.busy = true;
        const std::uint64_t id = ++node.request;
        const TimePoint sent = local(node);
        const auto answer = [this, &node, id](std::function<void()> act) {
            later([this, &node, id, act] {
                if (node.request != id || !node.busy) return;  // given up already
                if (now_ < node.paused_until) {                // it is read after the pause
                    queue_.push_back({node.paused_until, [&node, id, act] {
                                          if (node.request != id || !node.busy) return;
                                          node.busy = false;
                                          act();
                                      }});
                    return;
                }
                node.busy = false;
                act();
            });
        };
        // The caller's own timeout.
        queue_.push_back({now_ + seconds(2), [this, &node, id, action, sent] {
                              if (node.request != id || !node.busy) return;
                              node.busy = false;
                              const Error lost = make_error(ErrorKind::OutcomeUnknown, "timeout");
                              if (action.what == Do::Read) {
                                  node.machine.read_failed(local(node));
                              } else {
                                  node.machine.write_failed(lost, action.write, sent, local(node));
                              }
                          }});
        if (random_.below(30) == 0) return;  // the request is lost
        if (action.what == Do::Read) {
            later([this, &node, answer] {
                const std::optional<Lease> lease = store_.lease_;
                answer([this, &node, lease] {
                    if (lease) {
                        node.machine.read(*lease, local(node));
                    } else {
                        node.machine.absent("", local(node));
                    }
                });
            });
            return;
        }
        const int copies = random_.below(10) == 0 ? 2 : 1;
        for (int copy = 0; copy < copies; ++copy) {
            later([this, &node, answer, action, sent] {
                const Result<Lease> result = store_.write(action);
                if (result) publish();
                if (random_.below(20) == 0) return;  // the answer is lost
                answer([this, &node, action, sent, result] {
                    if (result) {
                        node.machine.written(*result, sent);
                    } else {
                        node.machine.write_failed(result.error(), action.write, sent, local(node));
                    }
                });
            });
        }
    }
    void check() {
        int leaders = 0;
        for (std::size_t n = 0; n < nodes_.size(); ++n) {
            const Leadership leadership = nodes_[n].machine.leadership(local(nodes_[n]));
            if (!leadership.leading) continue;
            ++leaders;
            ASSERT_GE(leadership.term, last_term_) << "terms never fall";
            if (last_leader_ != n) {
                ASSERT_TRUE(last_leader_ == 99 || leadership.term > last_term_);
                last_leader_ = n;
                ++changes;
            }
            last_term_ = leadership.term;
        }
        ASSERT_LE(leaders, 1) << "two leaders at once";
    }

    testing::SeededRandom random_;
    TimePoint now_{std::chrono::seconds(1000)};
    Store store_;
    std::vector<Node> nodes_;
    std::vector<Later> queue_;
    std::size_t last_leader_ = 99;
    std::uint64_t last_term_ = 0;
};

TEST(ElectionProperty, GivenAnyDelaysLossesAndPauses_WhenCampaigning_ThenNeverTwoLeaders) {
    int changes = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Simulation simulation(seed);
        simulation.run();
        if (HasFatalFailure()) return;
        changes += simulation.changes;
    }
    EXPECT_GT(changes, 300);  // the faults really cost leaderships
}

// The runner, against a scripted server.
TEST(LeaderElection, GivenTheRunner_WhenItWinsAndIsStopped_ThenItRenewsTellsAndReleases) {
    std::stop_source stop;
    testing::FakeClock clock;
    testing::ZeroRandom random;
    testing::FakeWaiter waiter(clock, stop);
    testing::ScriptedTransport transport;
    Client client(transport, clock);
    const auto echo = [](const Request& request) {
        json lease = json::parse(request.body);
        lease["metadata"]["resourceVersion"] = "7";
        return Response{200, lease.dump()};
    };
    transport.answer(404, testing::status_json(404, "NotFound"));
    transport.on_send(echo);  // create
    transport.on_send(echo);  // renew
    transport.on_send([&](const Request& request) {
        stop.request_stop();
        return echo(request);
    });
    transport.on_send(echo);  // release
    std::vector<bool> told;
    LeaderElection election(client, clock, random, waiter, options("me"),
                            [&](const Leadership& l) { told.push_back(l.leading); });
    election.run(stop.get_token());
    EXPECT_TRUE(transport.used_up());
    EXPECT_EQ(told, (std::vector<bool>{true, false}));
    EXPECT_FALSE(election.leadership().leading);
    const json released = json::parse(transport.requests.back().body);
    EXPECT_FALSE(released["spec"].contains("holderIdentity"));
    EXPECT_EQ(released["spec"]["leaseDurationSeconds"], 1);
    for (const Request& request : transport.requests) EXPECT_EQ(request.lane, Lane::Lease);
}

}  // namespace
}  // namespace matriarch::kube
