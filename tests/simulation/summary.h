// Summary: the figures of many runs, for people.
#pragma once

#include "runner.h"

namespace matriarch::sim {

// Seeds, speed, what was injected, which rules of decide decided, and what broke.
void print(const Total& total, unsigned jobs);
void print_line(const Total& total, unsigned jobs);
void print_broken(const Total& total);

}  // namespace matriarch::sim
