// JSON of a grant, which polls and orders carry. Private to model's .cc files.
#pragma once

#include "model/json.h"
#include "model/mandate.h"

namespace matriarch::json {

Json write_grant(const Grant& grant);
std::optional<Grant> read_grant(const Json& value);  // nothing if it is no object

}  // namespace matriarch::json
