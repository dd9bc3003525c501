#include "operator/memory.h"

#include <gtest/gtest.h>

namespace matriarch::op {
namespace {

const TimePoint kNow{std::chrono::hours(1)};

AuthorityRecord serving() {
    AuthorityRecord r;
    r.holder = InstanceName("orders-1");
    r.holder_pod = PodUid("uid-1");
    r.epoch = Epoch(4);
    return r;
}

decide::InstanceView view(const std::string& name) {
    decide::InstanceView i;
    i.name = InstanceName(name);
    i.report = Report{};
    i.reachable = true;
    i.reported_at = kNow;
    return i;
}

TEST(ClusterMemory, GivenStreams_WhenNoted_ThenOnlySlavesWhoseAgentsAnswerCountAsStreaming) {
    ClusterMemory memory;
    memory.record = serving();
    decide::Observation seen;
    seen.instances = {view("orders-1"), view("orders-2"), view("orders-3"), view("orders-4")};
    for (const char* name : {"orders-2", "orders-3"})
        seen.instances[0].report->streams.push_back({name, "streaming", "", {}, {}, {}});
    seen.instances[0].report->streams.push_back({"orders-4", "catchup", "", {}, {}, {}});
    seen.instances[2].reachable = false;
    memory.note_epoch(seen, kNow);
    memory.note_streams(seen);
    EXPECT_EQ(seen.serving_since, kNow);
    EXPECT_EQ(seen.instances[1].streamed_at, kNow);
    EXPECT_FALSE(seen.instances[2].streamed_at);
    EXPECT_FALSE(seen.instances[3].streamed_at);

    seen.instances[0].report->streams.clear();
    memory.note_epoch(seen, kNow + seconds(5));
    memory.note_streams(seen);
    EXPECT_EQ(seen.instances[1].streamed_at, kNow) << "the last time";
    EXPECT_EQ(seen.serving_since, kNow);
}

TEST(ClusterMemory, GivenAnotherEpoch_WhenItServes_ThenPatienceBeginsAnew) {
    ClusterMemory memory;
    memory.record = serving();
    decide::Observation seen;
    memory.note_epoch(seen, kNow);
    memory.record->epoch = Epoch(5);
    memory.record->phase = Phase::Promoting;
    memory.note_epoch(seen, kNow + seconds(1));
    EXPECT_EQ(seen.serving_since, kNow);
    memory.record->phase = Phase::Serving;
    memory.note_epoch(seen, kNow + seconds(2));
    EXPECT_EQ(seen.serving_since, kNow + seconds(2));
}

TEST(ClusterMemory, GivenAShorterMandate_WhenTheHolderKnowsIt_ThenThatMomentIsKept) {
    ClusterMemory memory;
    memory.record = serving();
    memory.record->former_ttl = seconds(10);
    Report master;
    master.pod = PodUid("uid-1");
    master.ttl = seconds(10);
    memory.note_ttl(master, kNow);
    EXPECT_FALSE(memory.mandate.ttl_lowered);
    master.ttl = seconds(3);
    memory.note_ttl(master, kNow + seconds(1));
    memory.note_ttl(master, kNow + seconds(2));
    EXPECT_EQ(memory.mandate.ttl_lowered, kNow + seconds(1));
    master.pod = PodUid("another");
    memory.note_ttl(master, kNow + seconds(3));
    EXPECT_FALSE(memory.mandate.ttl_lowered);
}

TEST(ClusterMemory, GivenASlaveThatIsFit_WhenItFailsOnce_ThenItsTimeBeginsAnew) {
    ClusterMemory memory;
    const InstanceName one("orders-2"), two("orders-3");
    memory.note_term(Term(1), kNow);
    memory.note_fit({one, two}, kNow);
    memory.note_fit({one}, kNow + seconds(1));
    memory.note_fit({one, two}, kNow + seconds(2));
    EXPECT_EQ(memory.fit_since.at(one), kNow);
    EXPECT_EQ(memory.fit_since.at(two), kNow + seconds(2));
    memory.note_term(Term(3), kNow + seconds(3));
    EXPECT_TRUE(memory.fit_since.empty()) << "nobody looked while another led";
}

}  // namespace
}  // namespace matriarch::op
