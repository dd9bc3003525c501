// Lists in messages for people.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/ids.h"

namespace matriarch::decide {

std::string join(const std::vector<std::string>& parts, std::string_view between = "; ");
// "orders-2, orders-3"
std::string join(const std::vector<InstanceName>& names);

}  // namespace matriarch::decide
