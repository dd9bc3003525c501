#include "kube/cache.h"

#include <gtest/gtest.h>

#include <thread>

#include "kube/fakes.h"
#include "kube/objects.h"

namespace matriarch::kube {
namespace {

using testing::json;

json pod(const std::string& name, int version, const std::string& node) {
    json object = testing::pod_json(name, version);
    object["spec"]["nodeName"] = node;
    return object;
}

Result<Pod> decode(const json& object) {
    if (object.value("/spec/nodeName"_json_pointer, "") == "bad") {
        return make_error(ErrorKind::Invalid, "bad node");
    }
    return decode_pod(object);
}

class CacheTest : public ::testing::Test {
  protected:
    CacheTest() {
        cache_.add_index("node", [](const Pod& p) { return std::vector{p.node}; });
        cache_.on_change([this](const auto& before, const auto& after) {
            // Outside of the lock: this would hang otherwise.
            size_seen_ = cache_.size();
            changes_.push_back((before ? before->name + before->resource_version : "-") + ">" +
                               (after ? after->name + after->resource_version : "-"));
        });
    }
    void fill() {
        cache_.list_begin();
        cache_.list_item("db/a", pod("a", 1, "n1"));
        cache_.list_item("db/b", pod("b", 2, "n1"));
        cache_.list_end("10");
        changes_.clear();
    }

    std::vector<std::string> undecodable_;
    Cache<Pod> cache_{
        decode, [this](const std::string& key, const Error&) { undecodable_.push_back(key); }};
    std::vector<std::string> changes_;
    std::size_t size_seen_ = 0;
};

using Changes = std::vector<std::string>;

TEST_F(CacheTest, GivenAListUnderWay_WhenRead_ThenNothingOfItShows) {
    fill();
    cache_.list_begin();
    cache_.list_item("db/c", pod("c", 3, "n2"));
    EXPECT_EQ(cache_.size(), 2U);
    EXPECT_EQ(cache_.get("db/c"), nullptr);
    EXPECT_EQ(cache_.resource_version(), "10");
}

TEST_F(CacheTest, GivenASecondList_WhenComplete_ThenItReplacesAndTellsEachDifference) {
    fill();
    cache_.list_begin();
    cache_.list_item("db/b", pod("b", 7, "n2"));
    cache_.list_item("db/c", pod("c", 8, "n1"));
    cache_.list_end("20");
    EXPECT_EQ(cache_.get("db/a"), nullptr);
    EXPECT_EQ(cache_.find("node", "n1").size(), 1U);
    EXPECT_EQ(cache_.find("node", "n1")[0]->name, "c");
    EXPECT_EQ(cache_.find("node", "n2")[0]->name, "b");
    std::sort(changes_.begin(), changes_.end());
    EXPECT_EQ(changes_, (Changes{"->c8", "a1>-", "b2>b7"}));
}

TEST_F(CacheTest, GivenTheFirstList_WhenDelivered_ThenTheCacheIsSynced) {
    bool synced_inside = true;
    cache_.on_change([&](const auto&, const auto&) { synced_inside = cache_.synced(); });
    EXPECT_FALSE(cache_.synced());
    fill();
    EXPECT_FALSE(synced_inside);
    EXPECT_TRUE(cache_.synced());
    EXPECT_EQ(size_seen_, 2U);
}

TEST_F(CacheTest, GivenAChangeOfTheIndexedValue_WhenApplied_ThenOldEntriesAreGone) {
    fill();
    cache_.changed("db/a", "11", pod("a", 11, "n2"));
    cache_.changed("db/b", "12", pod("b", 12, "n2"));
    EXPECT_TRUE(cache_.find("node", "n1").empty());
    EXPECT_EQ(cache_.find("node", "n2").size(), 2U);
    EXPECT_EQ(changes_, (Changes{"a1>a11", "b2>b12"}));
    cache_.removed("db/a", "13");
    EXPECT_EQ(cache_.find("node", "n2").size(), 1U);
    EXPECT_EQ(cache_.resource_version(), "13");
}

TEST_F(CacheTest, GivenRemovalOfTheUnknown_WhenApplied_ThenNobodyIsTold) {
    fill();
    cache_.removed("db/zzz", "11");
    EXPECT_TRUE(changes_.empty());
}

TEST_F(CacheTest, GivenAnObjectThatDoesNotDecode_WhenItCame_ThenTheLastGoodOneStays) {
    fill();
    cache_.changed("db/a", "11", pod("a", 11, "bad"));
    EXPECT_EQ(cache_.get("db/a")->resource_version, "1");
    EXPECT_EQ(undecodable_, (Changes{"db/a"}));
    EXPECT_EQ(cache_.resource_version(), "11");
    cache_.list_begin();
    cache_.list_item("db/a", pod("a", 11, "bad"));
    cache_.list_item("db/new", pod("new", 12, "bad"));
    cache_.list_end("20");
    EXPECT_EQ(cache_.get("db/a")->resource_version, "1");
    EXPECT_EQ(cache_.size(), 1U);
    EXPECT_EQ(cache_.find("node", "n1").size(), 1U);
}

TEST_F(CacheTest, GivenOurOwnWrite_WhenABookmarkPassesIt_ThenItHasBeenSeen) {
    fill();
    EXPECT_FALSE(cache_.has_seen("15"));
    cache_.bookmark("16");
    EXPECT_TRUE(cache_.has_seen("15"));
}

TEST_F(CacheTest, GivenASnapshot_WhenTheObjectChanges_ThenTheSnapshotDoesNot) {
    fill();
    const auto snapshot = cache_.get("db/a");
    cache_.changed("db/a", "11", pod("a", 11, "n9"));
    EXPECT_EQ(snapshot->node, "n1");
}

TEST_F(CacheTest, GivenReadersInOtherThreads_WhenTheWriterWrites_ThenTheySeeWholeStates) {
    fill();
    std::jthread reader([&](std::stop_token stop) {
        while (!stop.stop_requested()) {
            for (const auto& p : cache_.find("node", "n1")) ASSERT_EQ(p->node, "n1");
            ASSERT_EQ(cache_.all().size(), 2U);
        }
    });
    for (int i = 0; i < 2000; ++i) {
        cache_.changed("db/a", std::to_string(100 + i), pod("a", 100 + i, i % 2 ? "n1" : "n2"));
    }
}

}  // namespace
}  // namespace matriarch::kube
