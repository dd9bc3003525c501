#include "kube/line_splitter.h"

#include <gtest/gtest.h>

#include <vector>

#include "kube/fakes.h"

namespace matriarch::kube {
namespace {

std::vector<std::string> split(const std::vector<std::string>& chunks) {
    LineSplitter splitter;
    std::vector<std::string> lines;
    for (const std::string& chunk : chunks) {
        splitter.feed(chunk, [&](std::string_view line) {
            lines.emplace_back(line);
            return true;
        });
    }
    return lines;
}

using Lines = std::vector<std::string>;

TEST(LineSplitter, GivenSeveralLinesInOneChunk_WhenFed_ThenEachIsDelivered) {
    EXPECT_EQ(split({"a\nbb\nccc\n"}), (Lines{"a", "bb", "ccc"}));
}

TEST(LineSplitter, GivenCarriageReturnsAndEmptyLines_WhenFed_ThenTheyAreDropped) {
    EXPECT_EQ(split({"a\r\n\r\n\nb\r", "\n"}), (Lines{"a", "b"}));
}

TEST(LineSplitter, GivenAnEndInsideOfALine_WhenFed_ThenTheRestIsNotDelivered) {
    EXPECT_EQ(split({"a\nhalf"}), (Lines{"a"}));
}

TEST(LineSplitter, GivenTheReceiverHasEnough_WhenFed_ThenNothingMoreIsDelivered) {
    LineSplitter splitter;
    int seen = 0;
    EXPECT_FALSE(splitter.feed("a\nb\n", [&](std::string_view) { return ++seen < 1; }));
    EXPECT_EQ(seen, 1);
}

TEST(LineSplitter, GivenALineOfTwoMegabytes_WhenItIsOver_ThenItsMemoryIsGivenBack) {
    LineSplitter splitter;
    std::size_t longest = 0;
    const auto take = [&](std::string_view line) {
        longest = std::max(longest, line.size());
        return true;
    };
    for (int i = 0; i < 32; ++i) splitter.feed(std::string(65536, 'x'), take);
    splitter.feed("\n", take);
    EXPECT_EQ(longest, 32U * 65536);
    EXPECT_EQ(splitter.pending(), 0U);
}

TEST(LineSplitter, GivenAnyCutsOfAText_WhenFed_ThenTheLinesAreTheSame) {
    testing::SeededRandom random(7);
    const std::string text = "{\"ä\":\"ö€\"}\n\nx\n" + std::string(300, 'y') + "\nlast\n";
    const Lines whole = split({text});
    Lines bytes;
    for (const char c : text) bytes.emplace_back(1, c);
    EXPECT_EQ(split(bytes), whole);
    for (int round = 0; round < 200; ++round) {
        Lines chunks;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t size = 1 + random.below(20);
            chunks.push_back(text.substr(at, size));
            at += size;
        }
        ASSERT_EQ(split(chunks), whole) << "round " << round;
    }
}

}  // namespace
}  // namespace matriarch::kube
