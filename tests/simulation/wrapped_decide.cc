#include "wrapped_decide.h"

#include "decide/decide.h"

// decide::decide, as the linker knows it.
#define DECIDE_SYMBOL                                                                      \
    "_ZN9matriarch6decide6decideERKNS0_11ObservationERKNS0_6PolicyENSt6chrono10time_point" \
    "INS_8BootTimeENS7_8durationIlSt5ratioILl1ELl1000000000EEEEEE"

namespace matriarch::sim {
namespace {

std::function<void(const decide::Plan&)> watcher;

}  // namespace

decide::Plan real_decide(const decide::Observation&, const decide::Policy&,
                         TimePoint) asm("__real_" DECIDE_SYMBOL);
decide::Plan wrapped_decide(const decide::Observation&, const decide::Policy&,
                            TimePoint) asm("__wrap_" DECIDE_SYMBOL);

decide::Plan wrapped_decide(const decide::Observation& seen, const decide::Policy& policy,
                            TimePoint now) {
    decide::Plan plan = real_decide(seen, policy, now);
    if (watcher) watcher(plan);
    return plan;
}

void watch_decide(std::function<void(const decide::Plan&)> on_plan) {
    watcher = std::move(on_plan);
}

}  // namespace matriarch::sim
