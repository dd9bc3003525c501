// Kill points: the moments at which a test ends the operator as SIGKILL would, each once.
//
// A file with the point's name in the folder that the environment variable MATRIARCH_KILL_POINTS
// names arms it. Whoever reaches it removes the file first, so that the next operator lives; what
// can't be removed kills nobody. Built in only with the CMake option of the same name: in a
// released image the functions are empty, and no setting can make it die. Safe from any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "decide/plan.h"

namespace matriarch::op {

inline constexpr std::string_view kDetected = "detected";  // the master can't serve

// The name of a step of a change of master: record-promoting, order-fence, routes-master, …;
// empty for what is none. `record` and `published` are those that the step replaces.
std::string kill_point_of(const decide::Action& action,
                          const std::optional<AuthorityRecord>& record,
                          const std::optional<Routes>& published);

void reach(std::string_view point);
// Right before and right after the step of that name; an order's "after" is its acceptance.
void reach_before(std::string_view step);
void reach_after(std::string_view step);

}  // namespace matriarch::op
