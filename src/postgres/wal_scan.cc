#include "postgres/wal_scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "postgres/wal.h"

namespace matriarch::postgres {
namespace {

// xlog_internal.h and xlogrecord.h, the same from 14 to 18.
constexpr std::uint64_t kPage = 8192;
constexpr std::uint64_t kShortHeader = 24, kLongHeader = 40, kRecordHeader = 24;
constexpr std::uint16_t kFirstIsContinuation = 0x0001, kLongPage = 0x0002,
                        kFirstIsOverwritten = 0x0008;
constexpr std::uint8_t kXlogManager = 0, kSwitch = 0x40, kInfoMask = 0xF0;
// A record's length is bounded by 1 GB (XLogRecordMaxSize); anything above is garbage.
constexpr std::uint32_t kMaxRecord = 1020u << 20;

template <class T>
T load(const unsigned char* at) {
    T out;
    memcpy(&out, at, sizeof out);
    return out;
}

std::uint64_t align8(std::uint64_t value) {
    return (value + 7) & ~std::uint64_t{7};
}

constexpr std::array<std::uint32_t, 256> make_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t c = i;
        for (int bit = 0; bit < 8; ++bit) c = (c & 1) ? (c >> 1) ^ 0x82F63B78u : c >> 1;
        table[i] = c;
    }
    return table;
}

struct PageHeader {
    std::uint16_t magic, info;
    std::uint32_t timeline;
    std::uint64_t address;
    std::uint32_t remaining;
    std::uint64_t size() const { return (info & kLongPage) ? kLongHeader : kShortHeader; }
};

// Reads pages of the newest timeline that has a file for them.
class Pages {
  public:
    explicit Pages(const WalScan& scan) : scan_(scan) {}
    ~Pages() { close_file(); }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;

    // The page at `address` with a plausible header, or null.
    const unsigned char* page(std::uint64_t address) {
        if (address == loaded_) return buffer_.data();
        loaded_ = UINT64_MAX;
        const auto segment = address / scan_.segment_size;
        if (segment != segment_ && !open_segment(segment)) return nullptr;
        const auto offset = static_cast<off_t>(address % scan_.segment_size);
        if (pread(fd_, buffer_.data(), kPage, offset) != static_cast<ssize_t>(kPage))
            return nullptr;
        const auto h = header();
        // The address tells recycled segments' old pages from new ones.
        if (h.magic == 0 || h.address != address) return nullptr;
        if (magic_ == 0) magic_ = h.magic;
        if (h.magic != magic_ || h.timeline > scan_.timeline.value) return nullptr;
        const bool first = address % scan_.segment_size == 0;
        if (first != ((h.info & kLongPage) != 0)) return nullptr;
        loaded_ = address;
        return buffer_.data();
    }

    PageHeader header() const {
        const auto* p = buffer_.data();
        return {load<std::uint16_t>(p), load<std::uint16_t>(p + 2), load<std::uint32_t>(p + 4),
                load<std::uint64_t>(p + 8), load<std::uint32_t>(p + 16)};
    }
    Timeline timeline() const { return timeline_; }

  private:
    bool open_segment(std::uint64_t segment) {
        close_file();
        std::vector<Timeline> candidates{scan_.timeline};
        for (auto it = scan_.history.rbegin(); it != scan_.history.rend(); ++it)
            candidates.push_back(it->timeline);
        for (const Timeline timeline : candidates) {
            // A child timeline begins inside the segment where its parent was left, not before.
            const auto parent = std::find_if(
                scan_.history.rbegin(), scan_.history.rend(),
                [&](const HistoryEntry& e) { return e.timeline.value < timeline.value; });
            if (parent != scan_.history.rend() && segment < parent->end.value / scan_.segment_size)
                continue;
            const auto path =
                scan_.pg_wal + "/" + segment_file(timeline, segment, scan_.segment_size);
            fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
            if (fd_ < 0) continue;
            segment_ = segment;
            timeline_ = timeline;
            return true;
        }
        return false;
    }
    void close_file() {
        if (fd_ >= 0) close(fd_);
        fd_ = -1;
        segment_ = UINT64_MAX;
    }

    const WalScan& scan_;
    int fd_ = -1;
    std::uint64_t segment_ = UINT64_MAX, loaded_ = UINT64_MAX;
    Timeline timeline_;
    std::uint16_t magic_ = 0;
    std::array<unsigned char, kPage> buffer_{};
};

// Reads `size` bytes of record data from `at` over page boundaries. Returns where they end.
class RecordReader {
  public:
    explicit RecordReader(Pages& pages) : pages_(pages) {}

    // What a record at `at` begins with: after a page's header if `at` is at its start.
    std::optional<std::uint64_t> skip_header(std::uint64_t at) {
        if (at % kPage != 0) return at;
        if (pages_.page(at) == nullptr) return {};
        const auto h = pages_.header();
        if (h.info & kFirstIsContinuation) return {};
        return at + h.size();
    }

    // The record at `at` whole in record_, or nothing. `overwritten` is set when the next page says
    // that this record was never finished (a crash) and another begins there.
    std::optional<std::uint64_t> read(std::uint64_t at, std::optional<std::uint64_t>& overwritten) {
        record_.clear();
        std::uint32_t total = 0;
        while (true) {
            const auto* page = pages_.page(at - at % kPage);
            if (page == nullptr) return {};
            const auto offset = at % kPage;
            if (total == 0) {
                total = load<std::uint32_t>(page + offset);  // never splits: records are aligned
                if (total < kRecordHeader || total > kMaxRecord) return {};
            }
            const auto take = std::min<std::uint64_t>(kPage - offset, total - record_.size());
            record_.insert(record_.end(), page + offset, page + offset + take);
            at += take;
            if (record_.size() == total) return align8(at);
            // Goes on on the next page, whose header must say so.
            if (pages_.page(at) == nullptr) return {};
            const auto h = pages_.header();
            if (h.info & kFirstIsOverwritten) {
                overwritten = at + h.size();
                return {};
            }
            if (!(h.info & kFirstIsContinuation) || h.remaining != total - record_.size())
                return {};
            at += h.size();
        }
    }

    // The length, link and CRC of record_ are right.
    bool valid(std::uint64_t previous) const {
        const auto* r = record_.data();
        const auto link = load<std::uint64_t>(r + 8);
        if (previous != 0 && link != previous) return false;
        std::uint32_t crc = crc32c(0xFFFFFFFFu, r + kRecordHeader, record_.size() - kRecordHeader);
        crc = crc32c(crc, r, 20) ^ 0xFFFFFFFFu;
        return crc == load<std::uint32_t>(r + 20);
    }
    // After XLOG_SWITCH the rest of the segment is void.
    bool is_switch() const {
        return record_[17] == kXlogManager && (record_[16] & kInfoMask) == kSwitch;
    }

  private:
    Pages& pages_;
    std::vector<unsigned char> record_;
};

// The first record that begins on or after the page of `from`.
std::optional<std::uint64_t> first_record(Pages& pages, Lsn from) {
    std::uint64_t at = from.value - from.value % kPage;
    while (true) {
        if (pages.page(at) == nullptr) return {};
        const auto h = pages.header();
        if (!(h.info & kFirstIsContinuation)) return at + h.size();
        const std::uint64_t left = align8(h.remaining);
        if (h.size() + left < kPage) return at + h.size() + left;
        at += kPage;  // the continued record fills this page
    }
}

}  // namespace

std::uint32_t crc32c(std::uint32_t seed, const void* data, std::size_t size) {
    static constexpr auto kTable = make_table();
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < size; ++i) seed = kTable[(seed ^ bytes[i]) & 0xFF] ^ (seed >> 8);
    return seed;
}

Result<WalEnd> find_wal_end(const WalScan& scan) {
    if (scan.segment_size == 0 || !scan.from.known())
        return make_error(ErrorKind::Invalid, "a WAL scan needs a segment size and a start");
    Pages pages(scan);
    const auto first = first_record(pages, scan.from);
    if (!first) return make_error(ErrorKind::NotFound, "no WAL at " + scan.from.str());

    RecordReader reader(pages);
    WalEnd out;
    std::uint64_t at = *first, previous = 0;
    while (true) {
        const auto start = reader.skip_header(at);
        if (!start) break;
        std::optional<std::uint64_t> overwritten;
        auto end = reader.read(*start, overwritten);
        if (overwritten) {
            at = *overwritten;
            previous = 0;  // its link names the record before the unfinished one
            continue;
        }
        if (!end || !reader.valid(previous)) break;
        if (reader.is_switch())
            end = (*end + scan.segment_size - 1) / scan.segment_size * scan.segment_size;
        previous = *start;
        at = *end;
        out.end = Lsn(at);
        out.timeline = pages.timeline();
        ++out.records;
    }
    if (out.records == 0)
        return make_error(ErrorKind::Invalid, "no valid WAL record after " + scan.from.str());
    return out;
}

std::uint64_t segment_size_of(const std::string& pg_wal) {
    std::uint64_t size = 0;
    DIR* dir = opendir(pg_wal.c_str());
    if (dir == nullptr) return 0;
    while (const dirent* entry = readdir(dir)) {
        if (!is_wal_file_name(entry->d_name) || parse_history_file(entry->d_name)) continue;
        struct stat st {};
        if (stat((pg_wal + "/" + entry->d_name).c_str(), &st) != 0) continue;
        // A segment is as long as the setting from the moment that it has its name.
        size = std::max(size, static_cast<std::uint64_t>(st.st_size));
    }
    closedir(dir);
    const bool power_of_two = size != 0 && (size & (size - 1)) == 0;
    return power_of_two && size >= (1u << 20) && size <= (1u << 30) ? size : 0;
}

}  // namespace matriarch::postgres
