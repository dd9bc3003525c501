#include "cli/book.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace matriarch::cli {
namespace {

class BookFile : public testing::Test {
  protected:
    BookFile() {
        std::string pattern = (std::filesystem::temp_directory_path() / "book-XXXXXX").string();
        folder_ = mkdtemp(pattern.data());
        path_ = (folder_ / "book").string();
    }
    ~BookFile() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path folder_;
    std::string path_;
};

using Ids = std::vector<RowId>;

TEST_F(BookFile, GivenAcknowledgedIds_WhenTheFileIsRead_ThenTheyAreThere) {
    Book book;
    ASSERT_TRUE(book.keep_in(path_).ok());
    ASSERT_TRUE(book.acknowledge(7).ok());
    ASSERT_TRUE(book.acknowledge(8).ok());
    EXPECT_EQ(*read_book(path_), (Ids{7, 8}));
}

TEST_F(BookFile, GivenAnEarlierRun_WhenTheBookIsOpenedAgain_ThenItGoesOn) {
    std::ofstream(path_) << "1\n2\n";
    Book book;
    ASSERT_TRUE(book.keep_in(path_).ok());
    ASSERT_TRUE(book.acknowledge(3).ok());
    EXPECT_EQ(book.acknowledged(), (Ids{1, 2, 3}));
    EXPECT_EQ(*read_book(path_), (Ids{1, 2, 3}));
}

TEST_F(BookFile, GivenALastLineThatWasCut_WhenRead_ThenItIsNoId) {
    std::ofstream(path_) << "1\n2\n12";
    EXPECT_EQ(*read_book(path_), (Ids{1, 2}));
}

TEST_F(BookFile, GivenALineThatIsNoId_WhenRead_ThenTheBookIsInvalid) {
    std::ofstream(path_) << "1\ntwo\n";
    EXPECT_EQ(read_book(path_).error().kind, ErrorKind::Invalid);
}

TEST_F(BookFile, GivenNoFile_WhenRead_ThenTheErrorNamesIt) {
    EXPECT_NE(read_book(path_).error().what.find(path_), std::string::npos);
}

TEST(Verdict, GivenEveryAcknowledgedRow_WhenCompared_ThenNothingIsLost) {
    const Verdict verdict = compare({1, 2, 4}, {4, 3, 2, 1});
    EXPECT_TRUE(verdict.good());
    EXPECT_EQ(verdict.acknowledged, 3u);
    EXPECT_EQ(verdict.present, 4u);
    EXPECT_EQ(verdict.unacknowledged, 1u);
}

TEST(Verdict, GivenAMissingRow_WhenCompared_ThenItIsLost) {
    const Verdict verdict = compare({1, 2, 3}, {1, 3, 5});
    EXPECT_FALSE(verdict.good());
    EXPECT_EQ(verdict.lost, (Ids{2}));
    EXPECT_EQ(verdict.unacknowledged, 1u);
}

TEST(Verdict, GivenARowStoredTwice_WhenCompared_ThenItIsADuplicate) {
    const Verdict verdict = compare({1, 2}, {1, 2, 2});
    EXPECT_FALSE(verdict.good());
    EXPECT_EQ(verdict.duplicates, 1u);
}

TEST(IdRange, GivenTwoWriters_WhenTheyCount_ThenTheirRangesDoNotMeet) {
    EXPECT_EQ(IdRange{1}.last() + 1, IdRange{2}.first());
}

}  // namespace
}  // namespace matriarch::cli
