// JSON of InstanceConfig, for orders and for the agent's stored state. Not for public headers.
#pragma once

#include "model/config.h"
#include "model/json.h"

namespace matriarch::json {

Json write_config(const InstanceConfig& config);
InstanceConfig read_config(const Json& object);
// Values that are no strings are taken by their text (PostgreSQL parameters: 100, true).
StringMap read_string_map(const Json& object);

}  // namespace matriarch::json
