// WAL made by hand, byte by byte: the scan must stop exactly where the valid records end.
#include "postgres/wal_scan.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "postgres/wal.h"

namespace matriarch::postgres {
namespace {

constexpr std::uint64_t kSegment = 1u << 20, kPage = 8192;

// Writes records one after the other as PostgreSQL does, over page boundaries.
class Wal {
  public:
    Wal() {
        folder = ::testing::TempDir() + "matriarch-wal-XXXXXX";
        EXPECT_NE(mkdtemp(folder.data()), nullptr);
        pages_.resize(2 * kSegment);
    }
    ~Wal() {
        for (std::uint32_t n : {1u, 2u}) unlink(path(n).c_str());
        rmdir(folder.c_str());
    }
    std::string path(std::uint32_t n) const {
        return folder + "/" + segment_file(Timeline(1), n, kSegment);
    }
    // Gives where the record began.
    std::uint64_t add(std::uint32_t size, std::uint8_t info = 0, std::uint8_t manager = 10) {
        if (at_ % kPage == 0) at_ += header(at_, 0, 0);
        const std::uint64_t start = at_;
        std::vector<unsigned char> record(size, 0x5A);
        put(record, 0, size);
        put(record, 4, std::uint32_t{700});
        put(record, 8, last_);
        record[16] = info;
        record[17] = manager;
        record[18] = record[19] = 0;
        auto crc = crc32c(0xFFFFFFFFu, record.data() + 24, size - 24);
        crc = crc32c(crc, record.data(), 20) ^ 0xFFFFFFFFu;
        put(record, 20, crc);
        std::size_t done = 0;
        while (done < size) {
            if (at_ % kPage == 0) at_ += header(at_, 1, static_cast<std::uint32_t>(size - done));
            const auto take = std::min<std::uint64_t>(kPage - at_ % kPage, size - done);
            memcpy(byte(at_), record.data() + done, take);
            done += take;
            at_ += take;
        }
        at_ = (at_ + 7) & ~std::uint64_t{7};
        last_ = start;
        return start;
    }
    void skip_segment() { at_ = (at_ + kSegment - 1) / kSegment * kSegment; }
    unsigned char* byte(std::uint64_t lsn) { return pages_.data() + (lsn - kSegment); }
    void write() {
        for (std::uint32_t n : {1u, 2u}) {
            std::ofstream out(path(n), std::ios::binary);
            out.write(reinterpret_cast<const char*>(pages_.data()) + (n - 1) * kSegment, kSegment);
        }
    }
    WalScan scan(std::uint64_t from) const {
        return {folder, kSegment, Timeline(1), {}, Lsn(from)};
    }
    std::uint64_t end() const { return at_; }
    std::string folder;

  private:
    template <class T>
    static void put(std::vector<unsigned char>& into, std::size_t at, T value) {
        memcpy(into.data() + at, &value, sizeof value);
    }
    std::uint64_t header(std::uint64_t at, std::uint16_t info, std::uint32_t remaining) {
        const bool first = at % kSegment == 0;
        const std::uint16_t magic = 0xD110,
                            flags = static_cast<std::uint16_t>(info | (first ? 2 : 0));
        const std::uint32_t timeline = 1;
        memcpy(byte(at), &magic, 2);
        memcpy(byte(at) + 2, &flags, 2);
        memcpy(byte(at) + 4, &timeline, 4);
        memcpy(byte(at) + 8, &at, 8);
        memcpy(byte(at) + 16, &remaining, 4);
        return first ? 40 : 24;
    }
    std::vector<unsigned char> pages_;
    std::uint64_t at_ = kSegment, last_ = 0;
};

TEST(Crc32c, GivenTheCheckValue_WhenComputed_ThenItIsCastagnolis) {
    EXPECT_EQ(crc32c(0xFFFFFFFFu, "123456789", 9) ^ 0xFFFFFFFFu, 0xE3069283u);
}

TEST(WalEnd, GivenRecordsOverManyPages_WhenScanned_ThenTheEndIsBehindTheLast) {
    Wal wal;
    for (std::uint32_t size : {30u, 100u, 20000u, 8168u, 24u, 31u, 60000u}) wal.add(size);
    wal.write();
    const auto end = find_wal_end(wal.scan(kSegment));
    ASSERT_TRUE(end) << end.error().message();
    EXPECT_EQ(end->end, Lsn(wal.end()));
    EXPECT_EQ(end->records, 7u);
    // From the middle of the long record: the first that begins after it.
    const auto later = find_wal_end(wal.scan(kSegment + 2 * kPage + 100));
    ASSERT_TRUE(later);
    EXPECT_EQ(later->end, Lsn(wal.end()));
}

TEST(WalEnd, GivenATornRecord_WhenScanned_ThenTheEndIsBeforeIt) {
    Wal wal;
    wal.add(500);
    const auto torn = wal.add(30000);
    wal.add(100);
    *wal.byte(torn + 20000) ^= 1;
    wal.write();
    EXPECT_EQ(find_wal_end(wal.scan(kSegment))->end, Lsn(torn));
}

TEST(WalEnd, GivenASegmentSwitch_WhenScanned_ThenItGoesOnInTheNextSegment) {
    Wal wal;
    wal.add(500);
    wal.add(24, 0x40, 0);
    wal.skip_segment();
    wal.add(700);
    wal.write();
    EXPECT_EQ(find_wal_end(wal.scan(kSegment))->end, Lsn(wal.end()));
}

TEST(WalEnd, GivenNothingValid_WhenScanned_ThenItSaysSo) {
    Wal wal;
    wal.write();
    EXPECT_EQ(find_wal_end(wal.scan(kSegment)).error().kind, ErrorKind::NotFound);
    EXPECT_EQ(find_wal_end(wal.scan(9 * kSegment)).error().kind, ErrorKind::NotFound);
    EXPECT_EQ(segment_size_of(wal.folder), kSegment);
}

}  // namespace
}  // namespace matriarch::postgres
