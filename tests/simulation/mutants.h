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
    // Another safeguard makes up for it, or no fault strikes in the moment that matters: what is
    // missing to find it is to be added.
    bool open = false;
};

inline constexpr Mutant kMutants[] = {
    // Waiting for the old master's end.
    {"skip_expiry_wait", Profile::Network},
    {"short_expiry", Profile::Network},
    {"expiry_without_renewals", Profile::Network},
    {"promote_the_silent", Profile::Network},
    {"receivers_stay", Profile::Network},
    {"any_pod_confirms", {}, true},
    {"fence_told_too_early", {}, true},
    {"end_not_waited_for", {}, true},
    {"anybody_after_expiry", Profile::Network, true},
    // The mandate.
    {"mandate_from_arrival", Profile::Network},
    {"mandate_never_ends", Profile::Network, true},
    {"lead_without_mandate", Profile::Network, true},
    {"grant_beyond_leadership", Profile::Operator, true},
    {"another_holder_ignored", Profile::Network, true},
    {"closing_ignored", Profile::Network, true},
    // Promises.
    {"one_promise_is_enough", Profile::Network, true},
    {"promises_count_while_closed", Profile::Network, true},
    {"promises_while_withheld", Profile::Network, true},
    {"promise_as_long_as_mandate", Profile::Network, true},
    {"promise_forgotten", Profile::Network, true},
    {"promise_not_kept", Profile::Network, true},
    {"full_without_the_masters_word", Profile::Network, true},
    // What is remembered, and what is refused.
    {"fence_forgotten", {}, true},
    {"epoch_forgotten", {}, true},
    {"fence_ignored", {}, true},
    {"another_incarnations_order", Profile::Operator, true},
    {"lower_term_obeyed", Profile::Operator, true},
    {"lower_epoch_obeyed", Profile::Operator, true},
    // The record.
    {"record_without_cas", Profile::Operator, true},
    {"same_epoch_again", {}},
    // Who leads, and with what.
    {"older_timelines_lead", {}, true},
    {"rescue_never", Profile::PostgresOnly},
    {"loss_is_none", Profile::Network, true},
    {"publish_before_verify", {}},
    {"follow_what_diverged", {}},
    // Synchronous replication.
    {"commits_wait_for_nobody", {}, true},
    {"quorum_not_asked", {}, true},
    {"former_set_dropped_early", Profile::Spec, true},
};

}  // namespace matriarch::sim
