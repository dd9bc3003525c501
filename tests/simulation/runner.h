// Runner: many seeds in several processes, and what came of them. A run that crashes takes its
// process with it and counts as broken.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "simulation.h"

namespace matriarch::sim {

struct Request {
    std::function<Options(std::uint64_t n)> seed;  // the n-th, from 0
    std::uint64_t seeds = 0;
    unsigned jobs = 1;
    std::string_view mutant;  // switched on; seeds that break without it as well don't count
    std::optional<std::chrono::steady_clock::time_point> until;  // none begins after that
};

struct Broken {
    Options options;
    std::string rule, what;
};

struct Total {
    std::uint64_t seeds = 0;
    Duration simulated{};
    std::uint64_t traces = 0;  // of all seeds together, in whatever order they ran
    double seconds = 0;        // that it took
    std::map<std::string, std::uint64_t> counts;
    std::map<std::uint64_t, Broken> broken;  // by its place in the request
    std::map<std::uint64_t, Options> stuck;  // that only a person can end
};

Total run_all(const Request& request);

}  // namespace matriarch::sim
