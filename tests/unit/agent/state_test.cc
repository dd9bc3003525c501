#include "agent/state_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files.h"
#include "agent/install.h"

namespace matriarch::agent {
namespace {

State example() {
    State s;
    s.term = Term(4);
    s.epoch = Epoch(9);
    s.epoch_id = EpochId("nine");
    s.fenced = Epoch(8);
    s.fenced_by = PodUid("pod");
    s.candidates = {2,
                    {{InstanceName("a-1"), PodUid("p1"), Membership::Full},
                     {InstanceName("a-2"), PodUid("p2"), Membership::Joining}}};
    s.ttl = std::chrono::seconds(3);
    s.sync = SyncRule{1, {InstanceName("a-2")}};
    s.rejoined = {RejoinedBy::Rewind, Epoch(4), Bytes(8192)};
    s.config = InstanceConfig{};
    s.config->parameters = {{"work_mem", "8MB"}};
    s.goal = Order{};
    s.goal->kind = OrderKind::Follow;
    s.goal->upstream = Upstream{InstanceName("a-1"), "a-1", "10.0.0.1", 5432};
    s.initialized_for = EpochId("one");
    s.opening = {Timeline(3), EpochId("eight")};
    s.promotes = EpochId("nine");
    return s;
}

class StateFile : public ::testing::Test {
  protected:
    StateFile() {
        folder = ::testing::TempDir() + "matriarch-state-XXXXXX";
        EXPECT_NE(mkdtemp(folder.data()), nullptr);
        volume = folder + "/state.json", beside = folder + "/beside.json";
    }
    ~StateFile() override { EXPECT_TRUE(remove_tree(folder)); }
    std::string folder, volume, beside;
};

TEST_F(StateFile, GivenAState_WhenSavedAndLoaded_ThenItIsTheSame) {
    FileStateStore store(volume, beside);
    EXPECT_EQ(*store.load(), State{}) << "nothing was ever saved";
    ASSERT_TRUE(store.save(example()));
    EXPECT_EQ(*store.load(), example());
}

TEST_F(StateFile, GivenATornFile_WhenLoaded_ThenItIsNeverTakenForNothing) {
    const std::string whole = encode_state({example(), 7});
    for (std::size_t size = 0; size < whole.size(); size += 7)
        EXPECT_FALSE(decode_state(whole.substr(0, size))) << size << " bytes";
    for (std::size_t at = 0; at < whole.size(); at += 5) {
        std::string flipped = whole;
        flipped[at] = static_cast<char>(flipped[at] ^ 4);
        const auto read = decode_state(flipped);
        EXPECT_TRUE(!read || read->state == example()) << "byte " << at;
    }
    FileStateStore store(volume, beside);
    ASSERT_TRUE(write_file(volume, whole.substr(0, 100), Durable::No));
    EXPECT_EQ(store.load().error().kind, ErrorKind::Invalid);
}

// A named pipe that nobody reads stands for a volume that takes no write.
TEST_F(StateFile, GivenAStalledVolume_WhenAFenceIsStored_ThenItIsKeptBesideItAndCounts) {
    const std::string stalls = volume + ".new";
    FileStateStore store(volume, beside);
    State state = example();
    state.fenced = Epoch(8);
    ASSERT_TRUE(store.save(state));
    ASSERT_EQ(mkfifo(stalls.c_str(), 0600), 0);
    state.fenced = Epoch(9);
    EXPECT_TRUE(store.save_fence(state));
    EXPECT_EQ(FileStateStore(volume, beside).load()->fenced, Epoch(9));
    EXPECT_EQ(FileStateStore(volume, beside + "-of-another-pod").load()->fenced, Epoch(8));

    const int reader = open(stalls.c_str(), O_RDONLY | O_NONBLOCK);  // it goes on
    ASSERT_GE(reader, 0);
    state.fenced = Epoch(10);
    EXPECT_TRUE(store.save(state)) << "a pipe can't be synced: the stalled write itself failed";
    EXPECT_EQ(FileStateStore(volume, beside).load()->fenced, Epoch(10)) << "the newer one counts";
    close(reader);
}

TEST_F(StateFile, GivenATornCopyBesideTheVolume_WhenLoaded_ThenItIsNeverTakenForNothing) {
    FileStateStore store(volume, beside);
    ASSERT_TRUE(store.save(example()));
    ASSERT_TRUE(write_file(beside, "half", Durable::No));
    EXPECT_EQ(store.load().error().kind, ErrorKind::Invalid);
}

TEST_F(StateFile, GivenACrashBeforeTheRename_WhenLoaded_ThenTheOldStateHolds) {
    FileStateStore store(volume, beside);
    ASSERT_TRUE(store.save(example()));
    ASSERT_TRUE(write_file(volume + ".new.new", "half", Durable::No));
    ASSERT_TRUE(move_path(volume + ".new.new", volume + ".new"));
    EXPECT_EQ(*store.load(), example());
}

TEST_F(StateFile, GivenATree_WhenRemoved_ThenLinksAreNotFollowed) {
    ASSERT_TRUE(make_directory(folder + "/a/b/c", 0700));
    ASSERT_TRUE(write_file(folder + "/kept", "x", Durable::No));
    ASSERT_EQ(symlink((folder + "/kept").c_str(), (folder + "/a/b/link").c_str()), 0);
    ASSERT_TRUE(remove_tree(folder + "/a"));
    EXPECT_FALSE(exists(folder + "/a"));
    EXPECT_TRUE(exists(folder + "/kept"));
    EXPECT_TRUE(remove_tree(folder + "/a")) << "nothing there is a success";
}

TEST(Passwd, GivenAUid_WhenLookedUp_ThenItsNameIsFound) {
    const std::string passwd = "root:x:0:0:r:/:/x\npostgres:x:999:999::/:/x\n";
    EXPECT_EQ(user_name(passwd, 999), "postgres");
    EXPECT_EQ(user_name(passwd, 99), "");
    EXPECT_EQ(user_name("garbage\n:\n", 0), "");
}

}  // namespace
}  // namespace matriarch::agent
