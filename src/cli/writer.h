// Writer: a row every few milliseconds, and a book of what was acknowledged.
//
// It is the judge of every failover: what it counts as acknowledged must be in the table ever
// after, and its longest silence is the outage. An id is sent once only; what became of a row whose
// answer was lost is `unknown`, and it is never sent again. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/book.h"
#include "cli/dialer.h"
#include "cli/journal.h"
#include "cli/outages.h"

namespace matriarch::cli {

struct WriterRules {
    Duration every = milliseconds(10);
    Duration patience = milliseconds(1000);      // for the answer to one write
    Duration run_for = Duration::max();          // from the first acknowledgement
    Duration give_up = std::chrono::minutes(5);  // without any acknowledgement from the start
    Duration progress = Duration::max();         // between two lines of progress
    IdRange ids;
};

class Writer {
  public:
    Writer(WriterRules rules, Dialer& dialer, Book& book, Journal& journal, const Clock& clock,
           StopSignal& stop);

    // Until a stop is requested or the time is over. An error only if it never could write.
    Status run();
    nlohmann::json summary() const;

  private:
    Status prepare(Connection& session);
    void write_until_broken(Connection& session);
    void failed(const std::string& code, const std::string& why);
    void acknowledged(const Connection& session, const Answer& answer, RowId id);
    void report_progress();
    bool over() const;

    WriterRules rules_;
    Dialer& dialer_;
    Book& book_;
    Journal& journal_;
    const Clock& clock_;
    StopSignal& stop_;

    Outages outages_;
    RowId next_ = 0;  // 0: not known yet
    TimePoint next_write_{}, next_progress_{}, began_{}, end_ = TimePoint::max();
    std::uint64_t acknowledged_ = 0, unknown_ = 0, refused_ = 0;
    std::map<std::string, std::uint64_t> errors_;  // by SQLSTATE or by words
};

}  // namespace matriarch::cli
