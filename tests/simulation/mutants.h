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
    // Waiting for the old master's end.
    {"skip_expiry_wait", Profile::Network},
    {"short_expiry", Profile::Network},
    {"expiry_without_renewals", Profile::Network},
    {"promote_the_silent", Profile::Network},
    {"any_pod_confirms", {}},
    {"fence_told_too_early", {}},
    {"end_not_waited_for", {}},
    {"anybody_after_expiry", Profile::Network},
    // The mandate.
    {"mandate_from_arrival", {}},
    {"mandate_never_ends", Profile::Network},
    {"lead_without_mandate", Profile::Network},
    {"grant_beyond_leadership", Profile::Operator},
    {"another_holder_ignored", Profile::Network},
    {"closing_ignored", Profile::Network},
    // Promises.
    {"one_promise_is_enough", Profile::Network},
    {"promises_count_while_closed", Profile::Network},
    {"promises_while_withheld", Profile::Network},
    {"promise_as_long_as_mandate", Profile::Network},
    {"promise_forgotten", Profile::Network},
    {"promise_not_kept", Profile::Network},
    {"full_without_the_masters_word", Profile::Network},
    // What is remembered, and what is refused.
    {"fence_forgotten", {}},
    {"epoch_forgotten", {}},
    {"fence_ignored", {}},
    {"another_incarnations_order", Profile::Operator},
    {"lower_term_obeyed", Profile::Operator},
    {"lower_epoch_obeyed", Profile::Operator},
    // The record.
    {"record_without_cas", Profile::Operator},
    {"same_epoch_again", {}},
    // Who leads, and with what.
    {"older_timelines_lead", {}},
    {"receivers_stay", Profile::Network},
    {"rescue_never", Profile::PostgresOnly},
    {"loss_is_none", Profile::Network},
    {"publish_before_verify", {}},
    {"follow_what_diverged", {}},
    // Synchronous replication.
    {"commits_wait_for_nobody", {}},
    {"quorum_not_asked", {}},
    {"former_set_dropped_early", Profile::Spec},
};

}  // namespace matriarch::sim
