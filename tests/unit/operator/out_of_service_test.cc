#include "operator/out_of_service.h"

#include <gtest/gtest.h>

#include "kube/fakes.h"

namespace matriarch::op {
namespace {

using kube::testing::json;

class OutOfService : public ::testing::Test {
  protected:
    OutOfService() {
        memory_.record.emplace();
        memory_.record->holder_node = "node-2";
    }
    void look(bool silent = true) { look_at_masters_node(client_, memory_, silent, clock_.now()); }
    static json node(const std::string& taint) {
        return {{"metadata", {{"name", "node-2"}, {"uid", "u"}, {"resourceVersion", "1"}}},
                {"spec", {{"taints", {{{"key", taint}, {"effect", "NoExecute"}}}}}}};
    }

    kube::testing::FakeClock clock_;
    kube::testing::ScriptedTransport transport_;
    kube::Client client_{transport_, clock_};
    ClusterMemory memory_;
};

TEST_F(OutOfService, GivenAMasterThatAnswers_WhenLooked_ThenNobodyIsAsked) {
    memory_.node_out_of_service = true;
    look(false);
    EXPECT_FALSE(memory_.node_out_of_service);
    EXPECT_TRUE(transport_.requests.empty());
}

TEST_F(OutOfService, GivenASilentMaster_WhenItsNodeIsTainted_ThenThatIsTheWord) {
    transport_.answer(200, node("node.kubernetes.io/unreachable"));
    look();
    EXPECT_FALSE(memory_.node_out_of_service);
    look();
    EXPECT_EQ(transport_.requests.size(), 1u) << "paced";
    clock_.advance(seconds(3));
    transport_.answer(200, node("node.kubernetes.io/out-of-service"));
    look();
    EXPECT_TRUE(memory_.node_out_of_service);
}

TEST_F(OutOfService, GivenANodeThatIsGone_WhenAsked_ThenThatProvesNothing) {
    transport_.answer(404, kube::testing::status_json(404, "NotFound"));
    look();
    EXPECT_FALSE(memory_.node_out_of_service);
}

TEST_F(OutOfService, GivenNoRightToReadNodes_WhenAsked_ThenItIsNotAskedAgainSoon) {
    transport_.answer(403, kube::testing::status_json(403, "Forbidden"));
    look();
    clock_.advance(seconds(10));
    look();
    EXPECT_EQ(transport_.requests.size(), 1u);
    EXPECT_FALSE(memory_.node_out_of_service);
}

}  // namespace
}  // namespace matriarch::op
