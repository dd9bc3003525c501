// Small files as text, for credentials. Internal to kube.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace matriarch::kube {

// At most 16 MiB. Unavailable, with the path and the system's reason.
Result<std::string> read_file(const std::string& path);

// Without white space at both ends.
std::string trim(std::string_view text);

}  // namespace matriarch::kube
