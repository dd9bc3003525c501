// Tool: one run of initdb, pg_basebackup, pg_rewind or `postgres -C`, waited for by a job's thread.
//
// Collects what the program says on stderr (the last lines of it, for people), hands progress on
// while it runs, and ends it when the job is cancelled. Blocking; never on the main thread.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "agent/supervisor.h"
#include "base/clock.h"
#include "base/error.h"

namespace matriarch::agent {

struct ToolRun {
    SpawnSpec spec;                                      // `err` and `out` are set here
    std::function<void(std::string_view line)> on_line;  // may be empty
};

struct ToolEnd {
    bool good = false;  // exit code 0
    std::string how;    // "exit code 1"
    std::string said;   // the end of stderr
};

// Cancelled when `stop` became true before the end.
Result<ToolEnd> run_tool(Supervisor& supervisor, ToolRun run, const std::atomic<bool>& stop);

// The last line that says something, without the program's name, for an Error's cause.
std::string last_words(const ToolEnd& end);

}  // namespace matriarch::agent
