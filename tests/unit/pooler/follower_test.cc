#include "pooler/follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace matriarch::pooler {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class TestClock final : public Clock {
  public:
    TimePoint now() const override { return now_; }
    WallTime wall() const override { return {}; }
    void pass(Duration d) { now_ += d; }

  private:
    TimePoint now_{std::chrono::hours(1)};
};

// Keeps what it was told, as PgBouncer would.
class FakeConsole final : public Console {
  public:
    Status reload() override {
        ++reloads;
        return answer();
    }
    Status pause(const std::string& database) override {
        done.push_back("PAUSE " + database);
        if (std::find(paused_now.begin(), paused_now.end(), database) != paused_now.end())
            return make_error(ErrorKind::Invalid, "already paused");
        paused_now.push_back(database);
        return answer();
    }
    Status resume(const std::string& database) override {
        done.push_back("RESUME " + database);
        if (std::erase(paused_now, database) == 0)
            return make_error(ErrorKind::Invalid, "not paused");
        return answer();
    }
    Result<std::vector<std::string>> paused() override {
        if (away) return make_error(ErrorKind::Unavailable, "away");
        return paused_now;
    }
    Result<Pools> pools() override { return in_use; }
    Status add_totals(Pools&) override { return {}; }
    Result<ServerPools> servers(int) override { return ServerPools(); }
    Status shut_down() override { return answer(); }

    Status answer() const {
        return away ? Status(make_error(ErrorKind::Unavailable, "away")) : Status();
    }

    bool away = false;
    int reloads = 0;
    std::vector<std::string> done, paused_now;
    Pools in_use;
};

const std::string kSettings = "[pgbouncer]\npool_mode = transaction\n";

Routes routes(std::uint64_t epoch, std::uint64_t sequence, int master = 1) {
    Routes out;
    out.epoch = Epoch(epoch);
    out.sequence = sequence;
    out.master = MasterRoute{};
    out.master->instance = instance_name("orders", master);
    out.master->address = "10.0.0." + std::to_string(master);
    SlaveRoute slave;
    slave.position = 1;
    slave.address = "10.0.0.9";
    slave.state = RouteState::Ready;
    slave.weight = 100;
    out.slaves = {slave};
    return out;
}

struct FollowerTest : testing::Test {
    TestClock clock;
    FakeConsole console;
    std::string ini;
    std::vector<std::string> words;
    int held = 0;
    Place place = [] {
        Place p;
        p.database = "app";
        return p;
    }();
    Follower follower{place,
                      console,
                      {[this](const std::string& text) {
                           ini = text;
                           return Status();
                       },
                       [this](const std::string& word) { words.push_back(word); }, [](Duration) {},
                       [this](Duration) { ++held; }},
                      clock};

    void follow(const Routes& r) {
        EXPECT_TRUE(follower.see(r, kSettings));
        follower.step();
    }
};

TEST_F(FollowerTest, GivenRoutes_WhenSeen_ThenPgBouncerLeadsThere) {
    follow(routes(1, 1));
    EXPECT_THAT(ini, HasSubstr("app = host=10.0.0.1 port=5432 dbname=app\n"));
    EXPECT_THAT(ini, HasSubstr("app_master = host=10.0.0.1 port=5432 dbname=app\n"));
    EXPECT_THAT(ini, HasSubstr("app_replica = host=10.0.0.9 port=5432 dbname=app\n"));
    EXPECT_EQ(console.reloads, 1);
    EXPECT_THAT(console.done, IsEmpty());
    follower.step();
    EXPECT_EQ(console.reloads, 1) << "nothing changed";
}

TEST_F(FollowerTest, GivenAWeightOfTheMaster_WhenSeen_ThenItTakesSoManyReads) {
    Routes r = routes(1, 1);
    r.reads.master_weight = 50;
    follow(r);
    EXPECT_THAT(ini, HasSubstr("app_replica = host=10.0.0.9,10.0.0.1,10.0.0.9 port=5432 "));
    r.slaves[0].state = RouteState::Down;
    r.reads.fallback_to_master = false;
    ++r.sequence;
    follow(r);
    EXPECT_THAT(ini, HasSubstr("app_replica = host=10.0.0.1 port=5432 "));
}

TEST_F(FollowerTest, GivenHowServersAreVerified_WhenSeen_ThenByNameOnlyThoseWhoseNameCounts) {
    Routes r = routes(1, 1);
    r.master->host = "db-a.example";
    r.slaves[0].host = "db-b.example";
    follow(r);
    EXPECT_THAT(ini, HasSubstr("server_tls_sslmode = verify-ca\n")) << "unless it is said";
    EXPECT_THAT(ini, HasSubstr("server_tls_ca_file = /etc/matriarch/pooler/server-ca.crt\n"));
    ++r.sequence;
    EXPECT_TRUE(follower.see(r, std::string(kSettings) + "server_tls_sslmode = verify-full\n"));
    follower.step();
    EXPECT_THAT(ini, HasSubstr("app = host=db-a.example port=5432 "));
    EXPECT_THAT(ini, HasSubstr("app_replica = host=db-b.example port=5432 "));
}

TEST(SettingIn, GivenASection_WhenAskedForASetting_ThenItIsThatOneOrNone) {
    const std::string section = "[pgbouncer]\npool_size_x = 1\ndefault_pool_size = 25\n";
    EXPECT_EQ(setting_in(section, "default_pool_size"), "25");
    EXPECT_EQ(setting_in(section, "pool_size"), std::nullopt);
    EXPECT_EQ(setting_in("", "x"), std::nullopt);
}

TEST_F(FollowerTest, GivenAnOlderAnswer_WhenSeen_ThenItIsNotFollowed_INV4) {
    follow(routes(2, 5, 2));
    EXPECT_FALSE(follower.see(routes(2, 4, 1), kSettings));
    EXPECT_FALSE(follower.see(routes(1, 9, 1), kSettings));
    follower.step();
    EXPECT_THAT(ini, HasSubstr("app = host=10.0.0.2 "));
}

TEST_F(FollowerTest, GivenAMasterThatTakesNoClients_WhenAnotherOneServes_ThenWritersWaitForThat) {
    follow(routes(1, 1));
    follower.see_master(true);
    follower.step();
    EXPECT_THAT(console.done, IsEmpty());
    follower.see_master(false);
    follower.step();
    EXPECT_THAT(console.done, ElementsAre("PAUSE app", "PAUSE app_master"));
    EXPECT_THAT(words, IsEmpty()) << "nobody asked";
    console.done.clear();
    follow(routes(2, 1, 2));
    EXPECT_THAT(ini, HasSubstr("app = host=10.0.0.2 "));
    EXPECT_THAT(console.done, ElementsAre("RESUME app", "RESUME app_master"));
}

TEST_F(FollowerTest, GivenAMasterThatTakesNoClients_WhenItIsBackOrForLong_ThenWritersGo) {
    follow(routes(1, 1));
    follower.see_master(false);
    follower.step();
    follower.see_master(true);
    follower.step();
    EXPECT_THAT(console.paused_now, IsEmpty()) << "it restarted";
    follower.see_master(false);
    follower.step();
    clock.pass(seconds(14));
    follower.see_master(false);
    follower.step();
    EXPECT_EQ(console.paused_now.size(), 2u);
    clock.pass(seconds(2));
    follower.step();
    EXPECT_THAT(console.paused_now, IsEmpty()) << "clients are to hear of it";
    follow(routes(1, 2));
    EXPECT_THAT(console.paused_now, IsEmpty()) << "the same master in other routes is no news";
}

TEST_F(FollowerTest, GivenNoMaster_WhenItIsKnownAgain_ThenWritersWaitForIt) {
    follow(routes(1, 1));
    Routes none = routes(1, 2);
    none.master.reset();
    follow(none);
    EXPECT_THAT(console.paused_now, ElementsAre("app", "app_master"));
    EXPECT_THAT(words, IsEmpty()) << "nobody asked";
    follow(routes(2, 1, 2));
    EXPECT_THAT(console.paused_now, IsEmpty());
    EXPECT_THAT(ini, HasSubstr("app = host=10.0.0.2 "));
    EXPECT_EQ(held, 1);
}

struct Paused : FollowerTest {
    Routes pausing = routes(1, 2);
    void SetUp() override {
        follow(routes(1, 1));
        pausing.pause = "epoch 1, request r1";
    }
};

TEST_F(Paused, GivenAPlannedChange_WhenTransactionsAreOver_ThenTheOperatorIsTold) {
    console.in_use["app_master"].servers_active = 3;
    follow(pausing);
    EXPECT_THAT(console.paused_now, ElementsAre("app", "app_master"));
    EXPECT_THAT(words, IsEmpty()) << "three are in a transaction";
    console.in_use["app_master"].servers_active = 0;
    follower.step();
    EXPECT_THAT(words, ElementsAre("epoch 1, request r1"));
}

TEST_F(Paused, GivenReadersInATransaction_WhenWritersWait_ThenNobodyMindsThem) {
    console.in_use["app_replica"].servers_active = 3;
    follow(pausing);
    EXPECT_THAT(words, ElementsAre("epoch 1, request r1"));
}

TEST_F(Paused, GivenTheNewMaster_WhenItIsPublished_ThenItIsLedToBeforeWritersGo) {
    follow(pausing);
    console.done.clear();
    follow(routes(2, 1, 2));
    EXPECT_THAT(words, ElementsAre("epoch 1, request r1", ""));
    EXPECT_THAT(console.done, ElementsAre("RESUME app", "RESUME app_master"));
    EXPECT_THAT(ini, HasSubstr("app = host=10.0.0.2 "));
}

TEST_F(Paused, GivenAnOperatorThatIsGone_WhenThePauseLasts_ThenTheWordIsTakenBackAndWritersGo) {
    follow(pausing);
    clock.pass(seconds(16));
    follower.step();
    EXPECT_THAT(words, ElementsAre("epoch 1, request r1", ""));
    EXPECT_THAT(console.paused_now, IsEmpty());
}

TEST_F(Paused, GivenPgBouncerThatDoesNotAnswer_WhenItDoes_ThenWhatIsMissingIsDone) {
    console.away = true;
    EXPECT_TRUE(follower.see(pausing, kSettings));
    EXPECT_LT(follower.step() - clock.now(), seconds(1)) << "it is due again soon";
    EXPECT_THAT(words, IsEmpty());
    console.away = false;
    follower.step();
    EXPECT_THAT(words, ElementsAre("epoch 1, request r1"));
}

TEST_F(FollowerTest, GivenWeights_WhenWritten_ThenAHeavySlaveStandsThereMoreOften) {
    Routes r = routes(1, 1);
    r.slaves.push_back(r.slaves[0]);
    r.slaves[1].address = "10.0.0.8";
    r.slaves[1].weight = 50;
    follow(r);
    EXPECT_THAT(ini, HasSubstr("app_replica = host=10.0.0.9,10.0.0.8,10.0.0.9 "));
}

TEST_F(FollowerTest, GivenNoSlaveFit_WhenTheMasterMayServeReads_ThenItDoesAndElseNobody) {
    Routes r = routes(1, 1);
    r.slaves[0].state = RouteState::Lagging;
    follow(r);
    EXPECT_THAT(ini, HasSubstr("app_replica = host=10.0.0.1 port=5432"));
    r.reads.fallback_to_master = false;
    r.sequence = 2;
    follow(r);
    EXPECT_THAT(ini, HasSubstr("app_replica = host=127.0.0.1 port=1 ")) << "refused at once";
}

}  // namespace
}  // namespace matriarch::pooler
