#include "operator/status.h"

#include <gtest/gtest.h>

#include "object_fixtures.h"
#include "operator/history.h"

namespace matriarch::op {
namespace {

ClusterStatus running() {
    ClusterStatus out;
    out.observed_generation = 3;
    out.phase = "Running";
    out.master = "orders-1";
    out.epoch = 4;
    out.timeline = 4;
    out.system_identifier = "7300000000000000001";
    out.ready_instances = out.instances = 2;
    out.slaves = 1;
    out.selector = selector_text("orders");
    out.members = {
        {"orders-1", "master", "", "serving", true, {}, {}, 4, "orders-1-0", "n1", ""},
        {"orders-2", "slave", "slave1", "streaming", true, 0, 0, 4, "orders-2-0", "n2", ""}};
    out.routing_epoch = 4;
    out.routing_sequence = 7;
    out.request = {"r1", "Done", ""};
    ChangeOfMaster change;
    change.time = "2026-01-01T00:00:00Z";
    change.epoch = 4;
    change.from = "orders-2";
    change.to = "orders-1";
    change.loss = "none";
    change.loss_bytes = 0;
    change.steps = {{"fence", 12}, {"promote", 100}};
    out.history = {change};
    kube::set_condition(out.conditions, {"Ready", kube::ConditionStatus::True, "Serving", "", 3},
                        WallTime{});
    return out;
}

TEST(ClusterStatus, GivenAStatus_WhenEncodedAndDecoded_ThenItIsTheSame) {
    EXPECT_EQ(decode_status(encode_status(running())), running());
    EXPECT_EQ(decode_status(Json::object()), ClusterStatus{});
    EXPECT_EQ(decode_status(Json("nonsense")), ClusterStatus{});
}

TEST(ClusterStatus, GivenOnlySmallLagChanged_WhenCompared_ThenNothingIsWritten) {
    ClusterStatus wanted = running();
    wanted.members[1].lag_ms = 300;
    wanted.members[1].lag_bytes = 5000;
    EXPECT_FALSE(worth_writing(running(), wanted));
    wanted.members[1].lag_ms = 5000;
    EXPECT_TRUE(worth_writing(running(), wanted));
    EXPECT_EQ(coarse(wanted).members[1].lag_ms, 4000);
    ClusterStatus drifted = wanted;
    drifted.members[1].lag_ms = 9000;
    EXPECT_FALSE(worth_writing(wanted, drifted));
}

TEST(ClusterStatus, GivenAnotherMaster_WhenCompared_ThenItIsWritten) {
    ClusterStatus wanted = running();
    wanted.master = "orders-2";
    EXPECT_TRUE(worth_writing(running(), wanted));
}

TEST(ClusterStatus, GivenATextThatIsTooLong_WhenEncoded_ThenItIsCutBetweenCharacters) {
    ClusterStatus status;
    for (int i = 0; i < 600; ++i) status.message += "é…";
    const std::string text = encode_status(status)["message"];
    EXPECT_LE(text.size(), 1024u);
    EXPECT_NO_THROW(Json(text).dump());
    EXPECT_FALSE(worth_writing(decode_status(encode_status(status)), status));
}

TEST(History, GivenManyChanges_WhenRecorded_ThenTheNewestTenStayAndAnEpochHasOneEntry) {
    std::vector<ChangeOfMaster> history;
    for (int epoch = 1; epoch <= 12; ++epoch) {
        ChangeOfMaster change;
        change.epoch = epoch;
        record_change(history, change);
    }
    ASSERT_EQ(history.size(), kMaxHistory);
    EXPECT_EQ(history.front().epoch, 12);
    ChangeOfMaster exact;
    exact.epoch = 11;
    exact.loss = "8192 bytes";
    record_change(history, exact);
    EXPECT_EQ(history.size(), kMaxHistory);
    EXPECT_EQ(history[1].loss, "8192 bytes");
}

}  // namespace
}  // namespace matriarch::op
