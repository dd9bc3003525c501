#include "wal.h"

#include <algorithm>

namespace matriarch::sim {
namespace {

constexpr std::uint64_t kFirstLsn = 0x3000000;
constexpr std::uint64_t kSmallRecord = 64;

}  // namespace

std::size_t DataDirectory::count_until(Lsn at) const {
    const auto found = std::upper_bound(wal.begin(), wal.end(), at,
                                        [](Lsn l, const WalRecord& r) { return l < r.end; });
    return static_cast<std::size_t>(found - wal.begin());
}

void DataDirectory::append(std::uint64_t bytes, std::uint64_t row, std::uint64_t opening) {
    if (wal.empty())
        wal.push_back({Lsn(kFirstLsn + bytes), Timeline(1), opening, row});
    else
        wal.push_back({Lsn(end().value + bytes), timeline(), wal.back().opening, row});
}

void DataDirectory::receive(const WalRecord& record, const std::vector<HistoryEntry>& upstream) {
    if (record.timeline != timeline()) {
        history.clear();
        for (const auto& entry : upstream)
            if (entry.timeline < record.timeline) history.push_back(entry);
        history_files.insert(record.timeline);
    }
    wal.push_back(record);
}

Timeline DataDirectory::open_timeline(std::uint64_t opening) {
    Timeline next(timeline().value + 1);
    if (!history_files.empty()) next = std::max(next, Timeline(history_files.rbegin()->value + 1));
    history.push_back({timeline(), end()});
    history_files.insert(next);
    wal.push_back({Lsn(end().value + kSmallRecord), next, opening, 0});
    return next;
}

void DataDirectory::lose_unsynced() {
    cut(synced);
}

void DataDirectory::cut(std::size_t count) {
    if (count >= wal.size()) return;
    wal.resize(count);
    synced = std::min(synced, count);
    std::erase_if(history, [&](const HistoryEntry& e) { return e.timeline >= timeline(); });
}

std::string why_no_stream(const DataDirectory& own, const DataDirectory& upstream) {
    if (own.system_identifier != upstream.system_identifier) return "another system identifier";
    if (own.timeline() > upstream.timeline()) return "the upstream's timeline is older";
    if (own.timeline() == upstream.timeline())
        return own.end() > upstream.end() ? "ahead of the upstream" : "";
    for (const auto& entry : upstream.history) {
        if (entry.timeline != own.timeline()) continue;
        return own.end() > entry.end ? "past the upstream's switch point" : "";
    }
    return "its timeline is not in the upstream's history";
}

}  // namespace matriarch::sim
