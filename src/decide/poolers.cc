#include "decide/poolers.h"

#include <algorithm>

namespace matriarch::decide {
namespace {

// A transaction that takes longer is cut short by the change, as it would be without a pooler: the
// others' clients wait for it meanwhile.
constexpr Duration kPatience = milliseconds(700);

}  // namespace

bool writers_wait(const Facts& f, Plan& plan, const std::string& what) {
    const auto& poolers = f.seen.poolers;
    if (std::none_of(poolers.begin(), poolers.end(), [](const auto& p) { return p.ready; }))
        return true;
    plan.pause = "epoch " + std::to_string(f.record->epoch.value) + ", " + what;
    const bool asked = f.seen.published && f.seen.published->pause == plan.pause;
    if (!asked) return false;
    const bool all = std::all_of(poolers.begin(), poolers.end(), [&](const auto& pooler) {
        return !pooler.ready || pooler.holds == plan.pause;
    });
    const Duration since = f.now - f.seen.published_at;
    if (all || since >= kPatience) return true;
    plan.recheck = std::min(plan.recheck, kPatience - since);
    return false;
}

}  // namespace matriarch::decide
