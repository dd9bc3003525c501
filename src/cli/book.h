// Book: the ids that the database acknowledged, in memory and, if wanted, in a file.
//
// The file has one id a line, written at each acknowledgement, so that it survives the writer's
// death; it is not synced, since nobody switches the writer's machine off. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace matriarch::cli {

using RowId = std::int64_t;

// Each writer has a range of its own, so that several share one table.
struct IdRange {
    int writer = 1;
    static constexpr RowId kSize = 1'000'000'000;
    RowId first() const { return writer * kSize + 1; }
    RowId last() const { return (writer + 1) * kSize; }
};

class Book {
  public:
    ~Book();
    Book() = default;
    Book(const Book&) = delete;
    Book& operator=(const Book&) = delete;

    // Ids already in the file are kept: a writer that is started again goes on.
    Status keep_in(const std::string& path);
    // Unavailable if the file can't be written (a full disk): the book would lie from then on.
    Status acknowledge(RowId id);
    const std::vector<RowId>& acknowledged() const { return ids_; }

  private:
    std::vector<RowId> ids_;
    int fd_ = -1;
};

// Invalid names the line that is no id.
Result<std::vector<RowId>> read_book(const std::string& path);

// What the table holds against what the book says.
struct Verdict {
    std::size_t acknowledged = 0, present = 0;
    std::vector<RowId> lost;         // acknowledged, not there
    std::size_t unacknowledged = 0;  // there, though no acknowledgement arrived: no fault
    std::size_t duplicates = 0;      // an id that is there twice: a broken index
    bool good() const { return lost.empty() && duplicates == 0; }
};
Verdict compare(std::vector<RowId> acknowledged, std::vector<RowId> present);

}  // namespace matriarch::cli
