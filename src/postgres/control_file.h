// What pg_control says about a data directory, read directly.
//
// Reading the file costs microseconds, pg_controldata a process; the fields used here have kept
// their places from PostgreSQL 13 to 18 (control versions 1300 up to 16, 1700 and 1800: a change of
// the layout changes the number). An unknown version is Invalid, never guessed at.
#pragma once

#include <string>

#include "base/error.h"
#include "model/ids.h"

namespace matriarch::postgres {

struct ControlFile {
    SystemIdentifier system_identifier;
    bool clean_shutdown = false;    // shut down, as master or in recovery
    bool ever_in_recovery = false;  // shut down in recovery, or in archive recovery
    Lsn checkpoint, redo;
    Timeline checkpoint_timeline;
    Lsn min_recovery;  // a slave may not stop before this point
    Timeline min_recovery_timeline;
};

Result<ControlFile> read_control_file(const std::string& data_directory);

}  // namespace matriarch::postgres
