// Simulation: one seed from an empty API to the verdict: a cluster is founded, serves writers under
// faults, and must come to rest with every promise kept.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "faults.h"
#include "world.h"

namespace matriarch::sim {

// Counted where a run ends in what, by design, only a person can end.
inline constexpr const char* kNeedsPerson = "ended in need of a person";

struct Options {
    std::uint64_t seed = 1;
    std::optional<Profile> profile;               // absent: the seed says
    std::optional<std::set<std::uint64_t>> only;  // numbers of the faults that happen; absent: all
    bool story = false;
    int minutes = 0;  // that the world is old at the last fault's end; 0: the seed says
};

struct Outcome {
    std::uint64_t seed = 0, trace = 0;
    std::optional<Violation> violation;
    TimePoint ended;
    std::map<std::string, std::uint64_t> counts;
    std::uint64_t faults = 0;  // the number of the last one
};

Outcome simulate(const Options& options);

}  // namespace matriarch::sim
