// Names and arithmetic of PostgreSQL's write-ahead log: segment and history files, timelines.
//
// Pure functions over PostgreSQL's own formats (xlog_internal.h, timeline.c), which have not
// changed from 14 to 18. The agent checks file names that come from the network with these and
// compares histories before it lets a former master follow. Nothing here fails but by an empty
// optional.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ids.h"
#include "model/report.h"

namespace matriarch::postgres {

struct SegmentName {
    Timeline timeline;
    std::uint64_t number = 0;  // of the segment: LSN / segment size
    friend bool operator==(const SegmentName&, const SegmentName&) = default;
};

// 000000010000000000000003 and back, for segments of `segment_size` bytes.
std::string segment_file(Timeline timeline, std::uint64_t number, std::uint64_t segment_size);
std::string segment_file(Timeline timeline, Lsn inside, std::uint64_t segment_size);
std::optional<SegmentName> parse_segment_file(std::string_view name, std::uint64_t segment_size);

// 00000002.history and back.
std::string history_file(Timeline timeline);
std::optional<Timeline> parse_history_file(std::string_view name);

// Exactly the name of a segment or of a history file: nothing else leaves this machine.
bool is_wal_file_name(std::string_view name);

// The text of a history file: the ancestors, oldest first, and where each was left. Nothing if it
// is malformed or not in rising order.
std::optional<std::vector<HistoryEntry>> parse_history(std::string_view text);

// A point in the WAL together with the way there.
struct Position {
    Timeline timeline;
    std::vector<HistoryEntry> history;  // ancestors of `timeline`
    Lsn at;                             // end of the valid WAL
};

// Where `own` and `other` part: the last point that both have, seen from their histories alone
// (other.at bounds it when it is on the same timeline). Nothing if they share no timeline.
struct Fork {
    Timeline timeline;  // the last common one
    Lsn at;             // WAL of `own` beyond this point is not in `other`'s history
};
std::optional<Fork> find_fork(const Position& own, const Position& other);

}  // namespace matriarch::postgres
