#include "wraps.h"

#include <string>

#include "base/memory.h"
#include "decide/decide.h"

// As the linker knows them.
#define DECIDE                                                                             \
    "_ZN9matriarch6decide6decideERKNS0_11ObservationERKNS0_6PolicyENSt6chrono10time_point" \
    "INS_8BootTimeENS7_8durationIlSt5ratioILl1ELl1000000000EEEEEE"
#define MEMORY "_ZN9matriarch15resident_memoryEv"
#define REACH "_ZN9matriarch2op5reachESt17basic_string_viewIcSt11char_traitsIcEE"
#define REACH_BEFORE "_ZN9matriarch2op12reach_beforeESt17basic_string_viewIcSt11char_traitsIcEE"
#define REACH_AFTER "_ZN9matriarch2op11reach_afterESt17basic_string_viewIcSt11char_traitsIcEE"

namespace matriarch::sim {
namespace {

std::function<void(const decide::Plan&)> plan_watcher;
std::function<void(std::string_view)> step_watcher;

void reached(const std::string& prefix, std::string_view step) {
    if (!step.empty() && step_watcher) step_watcher(prefix + std::string(step));
}

}  // namespace

decide::Plan real_decide(const decide::Observation&, const decide::Policy&,
                         TimePoint) asm("__real_" DECIDE);
decide::Plan wrapped_decide(const decide::Observation&, const decide::Policy&,
                            TimePoint) asm("__wrap_" DECIDE);
std::uint64_t wrapped_memory() asm("__wrap_" MEMORY);
void wrapped_reach(std::string_view) asm("__wrap_" REACH);
void wrapped_reach_before(std::string_view) asm("__wrap_" REACH_BEFORE);
void wrapped_reach_after(std::string_view) asm("__wrap_" REACH_AFTER);

decide::Plan wrapped_decide(const decide::Observation& seen, const decide::Policy& policy,
                            TimePoint now) {
    decide::Plan plan = real_decide(seen, policy, now);
    if (plan_watcher) plan_watcher(plan);
    return plan;
}

std::uint64_t wrapped_memory() {
    return 0;
}

void wrapped_reach(std::string_view point) {
    reached("", point);
}
void wrapped_reach_before(std::string_view step) {
    reached("before-", step);
}
void wrapped_reach_after(std::string_view step) {
    reached("after-", step);
}

void watch_decide(std::function<void(const decide::Plan&)> on_plan) {
    plan_watcher = std::move(on_plan);
}

void watch_steps(std::function<void(std::string_view step)> on_step) {
    step_watcher = std::move(on_step);
}

}  // namespace matriarch::sim
