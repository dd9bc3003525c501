// The mutants: one-line faults of the protocol that the simulation must find.
//
// Each is a `mutant("name")` in the production code, which is constant false but in a build with
// MATRIARCH_MUTANTS (base/mutant.h).
#pragma once

#include <optional>
#include <string_view>

#include "faults.h"

namespace matriarch::sim {

struct Mutant {
    std::string_view name;
    std::optional<Profile> profile;  // where it is found soonest; absent: the seed's own
};

inline constexpr Mutant kMutants[] = {
    {"skip_expiry_wait", Profile::Network},
    {"short_expiry", Profile::Network},
    {"expiry_without_renewals", Profile::Network},
    {"mandate_from_arrival", {}},
    {"mandate_never_ends", Profile::Network},
    {"promote_the_silent", Profile::Network},
    {"rescue_never", Profile::PostgresOnly},
    {"loss_is_none", Profile::Network},
    {"publish_before_verify", {}},
    {"follow_what_diverged", {}},
};

}  // namespace matriarch::sim
