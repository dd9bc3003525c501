#include "operator/caches.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "operator/names.h"

namespace matriarch::op {
namespace {

using Json = nlohmann::json;

class CachesTest : public ::testing::Test {
  protected:
    static Json object(const std::string& name) {
        return {{"metadata",
                 {{"name", name},
                  {"namespace", "shop"},
                  {"uid", "u-" + name},
                  {"resourceVersion", "7"},
                  {"labels", cluster_labels("orders", "routing")},
                  {"annotations",
                   {{std::string(kContentHashAnnotation), "abc"}, {"somebody.else/note", "long"}}},
                  {"finalizers", {"kubernetes.io/pvc-protection"}}}}};
    }

    std::vector<std::string> told_;
    Caches caches_{"", [this](const ClusterKey& key) { told_.push_back(key.str()); },
                   [](const Error&) {}};
    const ClusterKey orders_{"shop", "orders"};
};

TEST_F(CachesTest, GivenAnObject_WhenCached_ThenOnlyLabelsAndAnnotationsThatAreReadAreKept) {
    caches_.services.changed("shop/orders-master", "7", object("orders-master"));
    const auto held = Caches::of(caches_.services, orders_);
    ASSERT_EQ(held.size(), 1U);
    EXPECT_EQ(held[0]->label(std::string(kManagedByLabel)), kManagedBy);
    EXPECT_EQ(held[0]->label("app.kubernetes.io/component"), "routing");
    EXPECT_EQ(held[0]->label("app.kubernetes.io/instance"), "");
    EXPECT_EQ(held[0]->annotations, (StringMap{{std::string(kContentHashAnnotation), "abc"}}));
    EXPECT_TRUE(held[0]->finalizers.empty());
    EXPECT_EQ(told_, (std::vector<std::string>{"shop/orders"}));
}

TEST_F(CachesTest, GivenPublishedRoutes_WhenCached_ThenTheKeysOfApplicationsAreNotKept) {
    Json map = object(routing_config_map("orders"));
    map["data"] = {{"routes.json", "{}"}, {"DB_MASTER_HOST", "h"}, {"haproxy.cfg", "long"}};
    caches_.config_maps.changed("shop/orders-routing", "7", map);
    EXPECT_EQ(caches_.config_maps.get("shop/orders-routing")->data,
              (StringMap{{"routes.json", "{}"}}));
}

TEST_F(CachesTest, GivenTheWordsOfPoolers_WhenCached_ThenAllAreKept) {
    Json map = object(pooler_words("orders"));
    map["data"] = {{"orders-pooler-1", "held"}, {"orders-pooler-2", ""}};
    caches_.config_maps.changed("shop/" + pooler_words("orders"), "7", map);
    EXPECT_EQ(caches_.config_maps.get("shop/" + pooler_words("orders"))->data.size(), 2U);
}

}  // namespace
}  // namespace matriarch::op
