// The linker puts this between the operator and decide (-Wl,--wrap), so that every plan is seen:
// which rules of decide a run has reached is part of its figures.
#pragma once

#include <functional>

#include "decide/plan.h"

namespace matriarch::sim {

void watch_decide(std::function<void(const decide::Plan&)> on_plan);

}  // namespace matriarch::sim
