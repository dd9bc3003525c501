#include "postgres/wal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace matriarch::postgres {
namespace {

constexpr std::uint64_t kSize = 16u << 20;

TEST(WalNames, GivenASegment_WhenNamedAndParsed_ThenItIsTheSame) {
    EXPECT_EQ(segment_file(Timeline(1), Lsn(0x1000000), kSize), "000000010000000000000001");
    EXPECT_EQ(segment_file(Timeline(31), Lsn(0xAB00000000), kSize), "0000001F000000AB00000000");
    const auto parsed = parse_segment_file("0000001F000000AB000000FF", kSize);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->timeline, Timeline(31));
    EXPECT_EQ(parsed->number, 0xABull * 256 + 255);
    EXPECT_FALSE(parse_segment_file("0000001F000000AB00000100", kSize)) << "beyond 256 an id";
    EXPECT_EQ(segment_file(Timeline(2), 5, 1u << 30), "000000020000000100000001");
}

TEST(WalNames, GivenNamesFromTheNetwork_WhenChecked_ThenOnlyWalPasses) {
    for (const char* good : {"000000010000000000000001", "00000002.history"})
        EXPECT_TRUE(is_wal_file_name(good)) << good;
    for (const char* bad :
         {"", "../../../etc/passwd", "00000001000000000000000", "0000000100000000000000011",
          "00000001000000000000000g", "00000001000000000000000a", "00000002.history.new",
          "0000000Z.history", "archive_status", "000000010000000000000001.partial",
          "00000002/history", "%2e%2e%2f"})
        EXPECT_FALSE(is_wal_file_name(bad)) << bad;
}

TEST(History, GivenAFile_WhenParsed_ThenItsAncestorsAreThere) {
    const auto history = parse_history(
        "1\t0/5000098\tno recovery target specified\n\n# by hand\n2\t0/60000A0\tbefore 2026\n");
    ASSERT_TRUE(history);
    EXPECT_THAT(*history, ::testing::ElementsAre(HistoryEntry{Timeline(1), Lsn(0x5000098)},
                                                 HistoryEntry{Timeline(2), Lsn(0x60000A0)}));
    EXPECT_TRUE(parse_history("")->empty()) << "a reserved number has an empty file";
    for (const char* bad :
         {"x\t0/1\n", "1\tnowhere\n", "1\n", "2\t0/1\n1\t0/2\n", "1 0/1\n1 0/1\n"})
        EXPECT_FALSE(parse_history(bad)) << bad;
}

Position at(std::uint32_t timeline, std::uint64_t lsn, std::vector<HistoryEntry> history = {}) {
    return {Timeline(timeline), std::move(history), Lsn(lsn)};
}

TEST(Fork, GivenTwoHistories_WhenCompared_ThenTheyPartWhereTheyPart) {
    const HistoryEntry left_1_at_100{Timeline(1), Lsn(100)};
    // The old master stopped before the switch.
    auto fork = find_fork(at(1, 90), at(2, 200, {left_1_at_100}));
    ASSERT_TRUE(fork);
    EXPECT_EQ(fork->timeline, Timeline(1));
    EXPECT_EQ(fork->at, Lsn(90));
    // It went on after the switch.
    fork = find_fork(at(1, 130), at(2, 200, {left_1_at_100}));
    EXPECT_EQ(fork->at, Lsn(100));
    // Both on timeline 2.
    fork = find_fork(at(2, 150, {left_1_at_100}), at(2, 200, {left_1_at_100}));
    EXPECT_EQ(fork->timeline, Timeline(2));
    EXPECT_EQ(fork->at, Lsn(150));
    // The same number, opened at another point: the common part ends with timeline 1.
    fork = find_fork(at(2, 150, {{Timeline(1), Lsn(80)}}), at(2, 200, {left_1_at_100}));
    EXPECT_EQ(fork->timeline, Timeline(1));
    EXPECT_EQ(fork->at, Lsn(80));
    // A failed promotion of ours opened 2, theirs is 3.
    fork = find_fork(at(2, 150, {left_1_at_100}), at(3, 200, {{Timeline(1), Lsn(120)}}));
    EXPECT_EQ(fork->timeline, Timeline(1));
    EXPECT_EQ(fork->at, Lsn(100));
    EXPECT_FALSE(find_fork(at(7, 150), at(3, 200)));
}

}  // namespace
}  // namespace matriarch::postgres
