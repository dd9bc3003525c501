// JSON of the parts that the authority record shares with orders. Private to model's .cc files.
#pragma once

#include "model/json.h"
#include "model/record.h"

namespace matriarch::json {

Json write_candidates(const CandidateSet& set);
CandidateSet read_candidates(const Json& object);
Json write_sync(const SyncRule& rule);
std::optional<SyncRule> read_sync(const Json& value);  // nothing unless it is an object
Json write_names(const std::vector<InstanceName>& names);
std::vector<InstanceName> read_names(const Json& list);

}  // namespace matriarch::json
