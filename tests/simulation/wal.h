// Wal and DataDirectory: what a volume holds of a PostgreSQL database, as far as it matters who may
// follow whom and which rows survive.
//
// A record is its end's LSN, its timeline, the opening of that timeline that wrote it, and at most
// one row. PostgreSQL knows LSNs and numbers of timelines only; `opening` is ours, to catch two
// histories under one number, which PostgreSQL can't tell apart.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/instance.h"
#include "model/ids.h"

namespace matriarch::sim {

struct WalRecord {
    Lsn end;
    Timeline timeline;
    std::uint64_t opening = 0;
    std::uint64_t row = 0;  // 0: none
    friend bool operator==(const WalRecord&, const WalRecord&) = default;
};

struct DataDirectory {
    agent::DataFacts::Kind kind = agent::DataFacts::Kind::None;
    std::string trouble;
    SystemIdentifier system_identifier;
    std::vector<WalRecord> wal;         // from the beginning; never removed
    std::size_t synced = 0;             // so many survive a power loss
    std::vector<HistoryEntry> history;  // ancestors of timeline()
    std::set<Timeline> history_files;   // numbers that are taken, reservations too
    Timeline checkpoint_timeline;       // what pg_control says
    bool clean_shutdown = false;
    bool standby_signal = false;
    std::set<std::string> slots;

    Lsn end() const { return wal.empty() ? Lsn() : wal.back().end; }
    Timeline timeline() const { return wal.empty() ? Timeline() : wal.back().timeline; }
    Lsn synced_end() const { return synced == 0 ? Lsn() : wal[synced - 1].end; }
    // How many records end at or before `at`.
    std::size_t count_until(Lsn at) const;

    // The first record makes timeline 1; later ones go on with the timeline that is open.
    void append(std::uint64_t bytes, std::uint64_t row, std::uint64_t opening = 0);
    // As a slave: one record of an upstream with this history.
    void receive(const WalRecord& record, const std::vector<HistoryEntry>& upstream);
    // Promotion: the next number that is not taken; gives it.
    Timeline open_timeline(std::uint64_t opening);
    void lose_unsynced();
    // What is behind the first `count` records is gone.
    void cut(std::size_t count);
};

// Why PostgreSQL, which judges by numbers, does not stream from `upstream` to `own`; empty: it
// does.
std::string why_no_stream(const DataDirectory& own, const DataDirectory& upstream);

}  // namespace matriarch::sim
