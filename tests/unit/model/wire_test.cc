// What is sent is what is received: orders, reports, polls, routes, the authority record.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/order.h"
#include "model/report.h"
#include "model/routes.h"

namespace matriarch {
namespace {

AuthorityRecord full_record() {
    AuthorityRecord r;
    r.version = ResourceVersion("42");
    r.holder = InstanceName("orders-2");
    r.holder_pod = PodUid("uid-2");
    r.epoch = Epoch(7);
    r.epoch_id = EpochId("abc");
    r.ttl = std::chrono::seconds(5);
    r.term = Term(3);
    r.phase = Phase::Promoting;
    r.former = InstanceName("orders-1");
    r.former_pod = PodUid("uid-1");
    r.proof = ProofKind::Expiry;
    r.candidates = {3,
                    {{InstanceName("orders-1"), PodUid("uid-1"), Membership::Full},
                     {InstanceName("orders-3"), PodUid("uid-3"), Membership::Joining}}};
    r.holder_node = "node-2";
    r.former_ttl = std::chrono::seconds(9);
    r.must_reach = Lsn(1234);
    r.loss_accepted = true;
    r.sync = SyncRule{1, {InstanceName("orders-3")}, SyncMethod::Any, 9};
    r.former_sync = {{2, {InstanceName("orders-2"), InstanceName("orders-3")}}, SyncRule{}};
    r.timeline = Timeline(4);
    r.timeline_opened_by = EpochId("zyx");
    r.verified = true;
    r.reserved = Timeline(5);
    r.system_identifier = SystemIdentifier("7300000000000000001");
    r.positions = {InstanceName("orders-1"), InstanceName("orders-3")};
    r.handled_request = "r-1";
    return r;
}

TEST(Record, GivenAnyRecord_WhenWrittenToALease_ThenItReadsBackEqual) {
    const auto record = full_record();
    nlohmann::json lease;
    record_to_lease(record, lease);
    EXPECT_EQ(lease["spec"]["holderIdentity"], "orders-2/uid-2");
    EXPECT_EQ(lease["spec"]["leaseTransitions"], 7);
    EXPECT_EQ(lease["spec"]["leaseDurationSeconds"], 5);
    const auto back = record_from_lease(lease);
    ASSERT_TRUE(back.ok()) << back.error().message();
    EXPECT_EQ(*back, record);
}

TEST(SyncRule, GivenARule_WhenWrittenForPostgresql_ThenNamesAreQuotedAndNobodyIsNothing) {
    SyncRule rule{1, {InstanceName("a-1"), InstanceName("a-2")}, SyncMethod::Any, 7};
    EXPECT_EQ(synchronous_standby_names(rule), R"(ANY 1 ("a-1", "a-2"))");
    rule.method = SyncMethod::First;
    rule.wait_for = 2;
    EXPECT_EQ(synchronous_standby_names(rule), R"(FIRST 2 ("a-1", "a-2"))");
    EXPECT_EQ(synchronous_standby_names({}), "");
}

TEST(Record, GivenALeaseOfSomebodyElse_WhenRead_ThenItIsNoRecord) {
    const auto back = record_from_lease({{"spec", {{"holderIdentity", "x"}}}});
    ASSERT_FALSE(back.ok());
    EXPECT_EQ(back.error().kind, ErrorKind::Invalid);
}

TEST(Order, GivenEveryField_WhenSent_ThenItArrivesEqual) {
    Order o;
    o.id = OrderId("promote/7/orders-2");
    o.kind = OrderKind::Promote;
    o.term = Term(3);
    o.epoch = Epoch(7);
    o.epoch_id = EpochId("abc");
    o.incarnation = Incarnation("i-1");
    o.clock_reading = std::chrono::milliseconds(123456);
    o.valid_for = std::chrono::milliseconds(3000);
    o.upstream = Upstream{InstanceName("orders-1"), "host", "10.0.0.1", 5432};
    o.config = InstanceConfig{};
    o.config->parameters = {{"work_mem", "8MB"}};
    o.config->roles = {{"app", "SCRAM-SHA-256$x", true, false}};
    o.config->slots = {"orders_2"};
    o.proof = Proof{ProofKind::Expiry, InstanceName("orders-1"), PodUid("uid-1"), Epoch(6),
                    Incarnation("i-0")};
    o.rescue =
        Rescue{InstanceName("orders-1"), "host", "10.0.0.1", 8443, Timeline(4), Lsn(99), Lsn(98)};
    o.system_identifier = SystemIdentifier("73");
    o.clean = true;
    o.heir = InstanceName("orders-2");
    o.reserved = Timeline(5);
    o.candidates = full_record().candidates;
    o.sync = full_record().sync;
    o.withhold = true;
    o.ttl = std::chrono::seconds(30);
    o.grant = Grant{Epoch(7), EpochId("abc"), std::chrono::milliseconds(5),
                    std::chrono::milliseconds(3000), full_record().candidates};
    const auto back = order_from_json(to_json(o));
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(*back, o);
}

TEST(Mandate, GivenARequestForAPromiseAndItsAnswer_WhenSent_ThenTheyArriveEqual) {
    const PromiseRequest request{InstanceName("orders-1"),
                                 PodUid("uid-1"),
                                 Epoch(7),
                                 EpochId("abc"),
                                 std::chrono::milliseconds(3000),
                                 9};
    const auto asked = promise_request_from_json(to_json(request));
    ASSERT_TRUE(asked.ok());
    EXPECT_EQ(*asked, request);
    const PromiseAnswer answer{true, "why not", PodUid("uid-2"), Epoch(8), 9};
    const auto answered = promise_answer_from_json(to_json(answer));
    ASSERT_TRUE(answered.ok());
    EXPECT_EQ(*answered, answer);
    EXPECT_FALSE(promise_answer_from_json("[]").ok());
}

TEST(Mandate, GivenAnyTtl_WhenOthersWait_ThenTheyWaitATenthAnd100MsLonger) {
    EXPECT_EQ(expiry_wait(std::chrono::seconds(3)), std::chrono::milliseconds(3400));
}

TEST(Order, GivenAKindOfANewerOperator_WhenRead_ThenItIsRefusedNotMistaken) {
    EXPECT_FALSE(order_from_json(R"({"kind":"dance"})").ok());
    EXPECT_FALSE(order_from_json("[1]").ok());
    EXPECT_FALSE(order_from_json("{").ok());
}

TEST(Report, GivenEveryField_WhenSent_ThenItArrivesEqual) {
    Report r;
    r.sequence = 9;
    r.agent_version = "1";
    r.instance = InstanceName("orders-3");
    r.pod = PodUid("uid-3");
    r.incarnation = Incarnation("i-3");
    r.clock_reading = std::chrono::milliseconds(77);
    r.term = Term(2);
    r.epoch = Epoch(6);
    r.epoch_id = EpochId("e");
    r.fenced = Epoch(5);
    r.fence_confirmed = true;
    r.fenced_by = PodUid("uid-x");
    r.mandate = MandateSource::Promises;
    r.mandate_left = std::chrono::milliseconds(1234);
    r.ttl = std::chrono::seconds(3);
    r.candidates_version = 3;
    r.promised = std::chrono::milliseconds(3400);
    r.withheld = Epoch(6);
    r.stream_age = std::chrono::milliseconds(12);
    r.frozen = std::chrono::milliseconds(13);
    r.disk_stalled = std::chrono::milliseconds(14);
    r.volume_full = std::chrono::milliseconds(15);
    r.state = PostgresState::Dead;
    r.system_identifier = SystemIdentifier("73");
    r.timeline = Timeline(4);
    r.history = {{Timeline(1), Lsn(5)}, {Timeline(2), Lsn(9)}};
    r.clean_shutdown = true;
    r.standby = true;
    r.end_of_wal = Lsn(1);
    r.volume_size = Bytes(1000);
    r.volume_free = Bytes(100);
    r.wal_size = Bytes(500);
    r.rejoined = {RejoinedBy::Rewind, Epoch(6), Bytes(8192)};
    r.in_recovery = Known::Yes;
    r.writable = Known::No;
    r.written = Lsn(2);
    r.flushed = Lsn(3);
    r.received = Lsn(4);
    r.replayed = Lsn(5);
    r.receiving = true;
    r.transactions = 12345;
    r.answered_in = std::chrono::microseconds(1234);
    r.upstream = InstanceName("orders-1");
    r.lag = std::chrono::milliseconds(12);
    r.conflict = std::chrono::milliseconds(15);
    r.streams = {{"orders-1", "streaming", "async", Lsn(1), Lsn(2), Lsn(3)}};
    r.slots = {{"orders_1", true, "reserved", Lsn(1)}};
    r.sync = full_record().sync;
    r.sync_since = Lsn(6);
    r.server_version_num = 150020;
    r.order = {OrderId("o"), OrderKind::Fence, OrderState::Working, "kills"};
    r.config_hash = "h";
    r.restart_pending = true;
    r.parameter_troubles = {{"work_mem", "no"}};
    r.trouble = "t";
    r.memory = Bytes(9000000);
    const auto back = report_from_json(to_json(r));
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(*back, r);
}

TEST(Report, GivenAnOlderAgentsReport_WhenMembersAreMissing_ThenUnknownStaysUnknown) {
    const auto back = report_from_json(R"({"state":"running","inRecovery":17})");
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(back->in_recovery, Known::Unknown);
    EXPECT_EQ(back->state, PostgresState::Running);
}

TEST(Report, GivenReceiveBehindReplay_WhenAskedForItsPosition_ThenTheGreaterCounts) {
    Report r;
    r.received = Lsn(10);
    r.replayed = Lsn(20);
    EXPECT_EQ(r.position(), Lsn(20));
}

TEST(Poll, GivenAPoll_WhenSent_ThenItArrivesEqual) {
    const Poll p{Term(3),
                 "leader",
                 8,
                 Incarnation("i"),
                 std::chrono::milliseconds(500),
                 Grant{Epoch(7), EpochId("abc"), std::chrono::milliseconds(5),
                       std::chrono::milliseconds(3000), full_record().candidates}};
    const auto back = poll_from_json(to_json(p));
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(*back, p);
}

TEST(RoutesJson, GivenRoutes_WhenPublished_ThenTheyReadBackEqual) {
    Routes r;
    r.epoch = Epoch(3);
    r.sequence = 4;
    r.timeline = Timeline(2);
    r.master = MasterRoute{InstanceName("orders-1"), PodUid("u"), "h", "10.0.0.1", 5432};
    SlaveRoute s;
    s.position = 1;
    s.instance = InstanceName("orders-2");
    s.state = RouteState::Lagging;
    s.lag = std::chrono::milliseconds(2000);
    s.lag_bytes = Bytes(1 << 20);
    s.weight = 50;
    SlaveRoute silent;
    silent.position = 2;
    silent.instance = InstanceName("orders-3");
    r.slaves = {s, silent};
    r.reads = {Strategy::Random, std::chrono::milliseconds(5000), false};
    const auto back = routes_from_json(to_json(r));
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(*back, r);
}

}  // namespace
}  // namespace matriarch
