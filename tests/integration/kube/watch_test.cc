// List and watch against a real API server and its faults.
#include <thread>

#include "api_fixture.h"
#include "kube/cache.h"
#include "kube/objects.h"
#include "tcp_proxy.h"

namespace matriarch::kube {
namespace {

using testing::json;
using testing::TcpProxy;
using testing::version_of;

// A cache of the namespace's config maps with the label app=x, kept by a thread.
class Mirror {
  public:
    Mirror(Transport& transport, const Clock& clock, Random& random, const std::string& ns,
           WatchTuning tuning = {})
        : client_(transport, clock),
          waiter_(clock),
          watcher_(client_, clock, random, waiter_,
                   {.resource = kConfigMaps, .ns = ns, .label_selector = "app=x", .page_size = 3},
                   cache, tuning,
                   [this](const Error& error) {
                       std::scoped_lock lock(mutex_);
                       errors_.push_back(error);
                   }),
          thread_([this](std::stop_token stop) { watcher_.run(stop); }) {}

    bool has(const std::string& name, const std::string& value) const {
        for (const auto& map : cache.all()) {
            if (map->name != name) continue;
            const auto found = map->data.find("k");
            return found != map->data.end() && found->second == value;
        }
        return false;
    }
    WatchHealth health() const { return watcher_.health(); }
    std::vector<ErrorKind> errors() const {
        std::scoped_lock lock(mutex_);
        std::vector<ErrorKind> kinds;
        for (const Error& error : errors_) kinds.push_back(error.kind);
        return kinds;
    }
    bool saw(ErrorKind kind) const {
        const std::vector<ErrorKind> all = errors();
        return std::find(all.begin(), all.end(), kind) != all.end();
    }

    Cache<ConfigMap> cache{decode_config_map};

  private:
    Client client_;
    ThreadWaiter waiter_;
    mutable std::mutex mutex_;
    std::vector<Error> errors_;
    Watcher watcher_;
    std::jthread thread_;
};

class Watch : public testing::ApiTest {
  protected:
    json labelled(const std::string& name, const std::string& value) const {
        return config_map(name, {{"k", value}}, {{"app", "x"}});
    }
    void put(const std::string& name, const std::string& value) {
        const auto answer = client_->apply(kConfigMaps, labelled(name, value));
        ASSERT_TRUE(answer.ok()) << answer.error().message();
    }
    // The server is up again and writes succeed.
    void put_when_up(const std::string& name, const std::string& value) {
        ASSERT_TRUE(eventually(
            [&] { return client_->apply(kConfigMaps, labelled(name, value)).ok(); }, seconds(60)));
    }
};

TEST_F(Watch, GivenAMirror_WhenObjectsComeChangeAndLeave_ThenItFollows) {
    for (int i = 0; i < 8; ++i) put("old" + std::to_string(i), "1");  // three pages
    Mirror mirror(*transport_, clock_, random_, ns_);
    ASSERT_TRUE(eventually([&] { return mirror.cache.synced(); }));
    EXPECT_EQ(mirror.cache.size(), 8U);
    put("new", "1");
    EXPECT_TRUE(eventually([&] { return mirror.has("new", "1"); }));
    put("new", "2");
    EXPECT_TRUE(eventually([&] { return mirror.has("new", "2"); }));
    ASSERT_TRUE(client_->remove(kConfigMaps, key("old0")).ok());
    EXPECT_TRUE(eventually([&] { return mirror.cache.size() == 8; }));
    // Leaving the selector looks like a deletion.
    ASSERT_TRUE(client_->apply(kConfigMaps, config_map("new", {{"k", "3"}}, {{"app", "y"}})).ok());
    EXPECT_TRUE(eventually([&] { return mirror.cache.size() == 7; }));
    EXPECT_TRUE(exists("new"));
    EXPECT_EQ(mirror.health().lists, 1U);
}

TEST_F(Watch, GivenOurOwnWrite_WhenTheCacheHasSeenItsVersion_ThenItShowsIt) {
    Mirror mirror(*transport_, clock_, random_, ns_);
    const std::string version = version_of(*client_->apply(kConfigMaps, labelled("a", "1")));
    ASSERT_TRUE(eventually([&] { return mirror.cache.has_seen(version); }));
    EXPECT_TRUE(mirror.has("a", "1"));
}

TEST_F(Watch, GivenAVersionThatIsNoLongerKept_WhenWatched_ThenTheServerSays410) {
    Client client(*transport_, clock_);
    std::string text;
    const auto end = transport_->stream(
        {.target = resource_path(kConfigMaps, ns_) + "?watch=1&resourceVersion=1"},
        [&](std::string_view chunk) {
            text += chunk;
            return true;
        },
        seconds(10), {});
    ASSERT_TRUE(end.ok()) << end.error().message();
    EXPECT_NE((text + end->body).find("410"), std::string::npos) << text << end->body;
}

TEST_F(Watch, GivenAKilledServer_WhenItIsStartedAgain_ThenTheMirrorCatchesUp) {
    put("a", "1");
    Mirror mirror(*transport_, clock_, random_, ns_);
    ASSERT_TRUE(eventually([&] { return mirror.has("a", "1"); }));
    // Other kinds move etcd on, so that the restarted server's history begins after our version.
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(
            client_
                ->create(kSecrets,
                         {{"metadata", {{"name", "s" + std::to_string(i)}, {"namespace", ns_}}}})
                .ok());
    }
    lab("apiserver kill");
    lab("apiserver start");
    put_when_up("a", "2");
    ASSERT_TRUE(client_->remove(kConfigMaps, key("a")).ok());
    put("b", "1");
    EXPECT_TRUE(eventually([&] { return mirror.has("b", "1") && !mirror.cache.get(ns_ + "/a"); },
                           seconds(60)));
    EXPECT_TRUE(mirror.saw(ErrorKind::Unavailable));
}

TEST_F(Watch, GivenABrokenConnection_WhenEventsWereMissed_ThenTheWatchIsResumedWithoutAList) {
    TcpProxy proxy(credentials_.server);
    const auto through = transport([&](Credentials& c) { c.server = proxy.url(); });
    put("a", "1");
    Mirror mirror(*through, clock_, random_, ns_);
    ASSERT_TRUE(eventually([&] { return mirror.has("a", "1") && mirror.health().watches == 1; }));
    put("seen", "1");
    ASSERT_TRUE(eventually([&] { return mirror.has("seen", "1"); }));
    for (int round = 0; round < 3; ++round) {
        const std::string value = std::to_string(round);
        proxy.swallow_answers(true);
        put("missed", value);
        proxy.swallow_answers(false);
        proxy.cut();
        ASSERT_TRUE(eventually([&] { return mirror.has("missed", value); }, seconds(60)));
    }
    EXPECT_EQ(mirror.health().lists, 1U);
    EXPECT_GE(mirror.health().watches, 4U);
}

TEST_F(Watch, GivenAnExpiredVersion_WhenTheWatchIsResumed_ThenEverythingIsReadAnew) {
    TcpProxy proxy(credentials_.server);
    const auto through = transport([&](Credentials& c) { c.server = proxy.url(); });
    put("a", "1");
    Mirror mirror(*through, clock_, random_, ns_);
    ASSERT_TRUE(eventually([&] { return mirror.has("a", "1") && mirror.health().watches == 1; }));
    // The mirror hears nothing while the world and the server's memory move on.
    proxy.black_hole(true);
    ASSERT_TRUE(client_->remove(kConfigMaps, key("a")).ok());
    put("b", "1");
    lab("apiserver restart");
    put_when_up("c", "1");
    proxy.black_hole(false);
    proxy.cut();
    EXPECT_TRUE(
        eventually([&] { return mirror.has("b", "1") && mirror.has("c", "1"); }, seconds(60)));
    EXPECT_EQ(mirror.cache.get(ns_ + "/a"), nullptr);
    EXPECT_TRUE(mirror.saw(ErrorKind::Gone));
    EXPECT_EQ(mirror.health().lists, 2U);
}

TEST_F(Watch, GivenAPausedServer_WhenItIsSilentForTooLong_ThenItIsNoticedAndHeals) {
    Mirror mirror(*transport_, clock_, random_, ns_, {.idle = seconds(2)});
    ASSERT_TRUE(eventually([&] { return mirror.health().watches >= 1; }));
    put("a", "1");
    ASSERT_TRUE(eventually([&] { return mirror.has("a", "1"); }));
    lab("apiserver pause");
    const TimePoint paused = clock_.now();
    EXPECT_TRUE(eventually([&] { return mirror.saw(ErrorKind::Timeout); }, seconds(10)));
    EXPECT_LT(clock_.now() - paused, seconds(6));
    lab("apiserver resume");
    put_when_up("a", "2");
    EXPECT_TRUE(eventually([&] { return mirror.has("a", "2"); }, seconds(60)));
}

TEST_F(Watch, GivenABusyWatch_WhenStopped_ThenItEndsAtOnce) {
    auto mirror = std::make_unique<Mirror>(*transport_, clock_, random_, ns_);
    ASSERT_TRUE(eventually([&] { return mirror->health().watches >= 1; }));
    const TimePoint start = clock_.now();
    mirror.reset();
    EXPECT_LT(clock_.now() - start, seconds(20));  // the idle time is 90 s; machines may be busy
}

}  // namespace
}  // namespace matriarch::kube
