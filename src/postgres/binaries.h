// Where PostgreSQL's programs are, in whatever image the agent was put into.
//
// Looks at the folders that the official, Debian, RPM and Alpine packages use, the newest version
// first, or at the version that a data directory needs. Reads the file system only.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace matriarch::postgres {

struct Binaries {
    std::string dir;
    int major = 0;  // 15; 0 if unknown
    std::string program(const std::string& name) const { return dir + "/" + name; }
};

// `given` (may be empty) wins. NotFound names every folder that was looked at.
Result<Binaries> find_binaries(const std::string& given, const std::string& path_variable);

// "postgres (PostgreSQL) 15.10 (Debian …)" -> 15; 0 if it is nothing such.
int parse_version_line(const std::string& line);

}  // namespace matriarch::postgres
