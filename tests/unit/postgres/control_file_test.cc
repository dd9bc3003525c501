// pg_control as PostgreSQL writes it: the first bytes of files made by 15 and 17.
#include "postgres/control_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

namespace matriarch::postgres {
namespace {

namespace fs = std::filesystem;

class ControlFileTest : public ::testing::Test {
  protected:
    ControlFileTest() {
        std::string folder = (fs::temp_directory_path() / "matriarch-control-XXXXXX").string();
        if (mkdtemp(folder.data()) == nullptr) std::abort();
        data_ = folder;
        fs::create_directory(data_ / "global");
    }
    ~ControlFileTest() override { fs::remove_all(data_); }

    template <class T>
    void put(std::size_t at, T value) {
        memcpy(raw_ + at, &value, sizeof value);
    }

    // A server that runs on timeline 3, after a checkpoint.
    Result<ControlFile> read(std::uint32_t version, std::size_t size = sizeof raw_) {
        put<std::uint64_t>(0, 7710681869961777179);
        put<std::uint32_t>(8, version);
        put<std::uint32_t>(16, 6);
        put<std::uint64_t>(32, 0x17497c0);
        put<std::uint64_t>(40, 0x1749700);
        put<std::uint32_t>(48, 3);
        put<std::uint64_t>(136, 0x1750000);
        put<std::uint32_t>(144, 2);
        std::ofstream(data_ / "global" / "pg_control", std::ios::binary)
            .write(raw_, static_cast<std::streamsize>(size));
        return read_control_file(data_.string());
    }

    fs::path data_;
    char raw_[8192] = {};
};

TEST_F(ControlFileTest, GivenEveryKnownVersion_WhenRead_ThenItsFieldsAreThere) {
    for (const std::uint32_t version : {1300u, 1700u, 1800u}) {
        const auto control = read(version);
        ASSERT_TRUE(control) << control.error().message();
        EXPECT_EQ(control->system_identifier, SystemIdentifier("7710681869961777179"));
        EXPECT_FALSE(control->clean_shutdown);
        EXPECT_EQ(control->checkpoint, Lsn(0x17497c0));
        EXPECT_EQ(control->redo, Lsn(0x1749700));
        EXPECT_EQ(control->checkpoint_timeline, Timeline(3));
        EXPECT_EQ(control->min_recovery, Lsn(0x1750000));
        EXPECT_EQ(control->min_recovery_timeline, Timeline(2));
    }
}

TEST_F(ControlFileTest, GivenAnUnknownVersion_WhenRead_ThenNothingIsGuessed) {
    const auto control = read(1900);
    ASSERT_FALSE(control);
    EXPECT_EQ(control.error().kind, ErrorKind::Invalid);
    EXPECT_NE(control.error().message().find("1900"), std::string::npos);
}

TEST_F(ControlFileTest, GivenAFileCutShort_WhenRead_ThenItIsInvalid) {
    const auto control = read(1300, 100);
    ASSERT_FALSE(control);
    EXPECT_EQ(control.error().kind, ErrorKind::Invalid);
}

TEST_F(ControlFileTest, GivenNoFile_WhenRead_ThenItIsNotFound) {
    const auto control = read_control_file(data_.string());
    ASSERT_FALSE(control);
    EXPECT_EQ(control.error().kind, ErrorKind::NotFound);
}

}  // namespace
}  // namespace matriarch::postgres
