// The end of the valid WAL in a data directory that no process uses.
//
// pg_control says where the last checkpoint was, not where the WAL ends, so a crashed server's real
// end has to be read from the records themselves: each one's length, backward link and CRC, as
// PostgreSQL's own reader checks them (xlogreader.c). It is what a fence confirms, what a rescue
// fetches up to and what decides whether a former master may follow. Reads only; a missing file or
// a record that does not check is the end, not an error. Blocking: not for the main thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/ids.h"
#include "model/report.h"

namespace matriarch::postgres {

struct WalEnd {
    Lsn end;            // of the last valid record, aligned as PostgreSQL would write the next one
    Timeline timeline;  // of the file that the last record is in
    std::uint64_t records = 0;
};

struct WalScan {
    std::string pg_wal;  // the directory
    std::uint64_t segment_size = 16u << 20;
    Timeline timeline;                  // the newest to read, falling back to its ancestors
    std::vector<HistoryEntry> history;  // of `timeline`
    Lsn from;  // any point known to be valid; the scan begins at the first record of its page
};

// NotFound if the segment of `from` is not there, Invalid if no valid record begins at or after it.
Result<WalEnd> find_wal_end(const WalScan& scan);

// The size of the segments in `pg_wal`: that of any of its files; 0 if it has none.
std::uint64_t segment_size_of(const std::string& pg_wal);

// CRC-32C (Castagnoli), as in PostgreSQL's records.
std::uint32_t crc32c(std::uint32_t seed, const void* data, std::size_t size);

}  // namespace matriarch::postgres
