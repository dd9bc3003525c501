// `matriarch-agent install DIR`: puts the agent where a PostgreSQL container can run it.
//
// Into DIR/bin and DIR/lib go the program, the libraries that it has mapped at this moment and the
// loader, so that it runs in any image, whatever libc that has; into DIR/etc a passwd and a group
// file with root and `postgres` under the given ids, so that any uid has a name (initdb and peer
// authentication want one). Repeating it changes nothing.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace matriarch::agent {

Status install(const std::string& directory, int uid, int gid);

// How to run this very program again: its path, preceded by loader and library path if it runs so.
std::vector<std::string> own_command();

// The name of `uid` in a passwd file's text; empty if it has none.
std::string user_name(const std::string& passwd, unsigned uid);

}  // namespace matriarch::agent
