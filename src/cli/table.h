// The table of the writer, matriarch_writes: made, asked for its ids.
//
// Each row says which timeline and which server stored it, so that two masters at one time show.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "cli/book.h"
#include "cli/connection.h"

namespace matriarch::cli {

// Inserts $1; answers with the timeline that stored it.
extern const char* const kInsertRow;

// Harmless if the table is there. Another writer may be making it at the same time.
Answer make_table(Connection& session, const Clock& clock, Duration patience);

// The ids of a range, each as often as it is stored: by reading the rows, not the index.
Result<std::vector<RowId>> stored_ids(Connection& session, const Clock& clock, IdRange range,
                                      Duration patience);

// The highest stored id of the range, or the one before its first.
Result<RowId> highest_id(Connection& session, const Clock& clock, IdRange range, Duration patience);

}  // namespace matriarch::cli
