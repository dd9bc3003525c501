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
    // What would find it is missing still.
    bool open = false;
};

inline constexpr Mutant kMutants[] = {
    // Waiting for the old master's end.
    {"skip_expiry_wait", Profile::Network},
    {"short_expiry", Profile::Network},
    {"expiry_without_renewals", Profile::Network},
    {"promote_the_silent", Profile::Network},
    {"receivers_stay", Profile::Network},
    {"any_pod_confirms", {}},
    {"fence_told_too_early", {}},
    {"end_not_waited_for", Profile::PostgresOnly},
    {"anybody_after_expiry", Profile::Network},
    // The mandate.
    {"mandate_from_arrival", Profile::Network},
    {"mandate_never_ends", Profile::Network},
    {"lead_without_mandate", Profile::Network},
    {"grant_beyond_leadership", Profile::Operator},
    {"another_holder_ignored", Profile::Restore},
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
    {"fence_ignored", Profile::Orders},
    {"another_incarnations_order", Profile::Orders},
    {"lower_term_obeyed", Profile::Orders},
    {"lower_epoch_obeyed", Profile::Orders},
    // The record.
    {"record_without_cas", Profile::Orders},
    {"same_epoch_again", {}},
    // Who leads, and with what.
    {"older_timelines_lead", Profile::Network},
    {"rescue_never", Profile::PostgresOnly},
    {"loss_is_none", Profile::Network},
    {"publish_before_verify", {}},
    {"follow_what_diverged", {}},
    // Synchronous replication.
    {"commits_wait_for_nobody", {}},
    {"quorum_not_asked", Profile::Network},
    {"former_set_dropped_early", Profile::Spec},
};

}  // namespace matriarch::sim
