// What the linker puts between production's own functions (-Wl,--wrap, see CMakeLists.txt): every
// plan of decide is seen, and every step of a change of master at which an operator may die. An
// agent's memory is not the simulator's.
#pragma once

#include <functional>
#include <string_view>

#include "decide/plan.h"

namespace matriarch::sim {

void watch_decide(std::function<void(const decide::Plan&)> on_plan);
// "before-…" and "after-…" the steps of operator/kill_points.h.
void watch_steps(std::function<void(std::string_view step)> on_step);

}  // namespace matriarch::sim
