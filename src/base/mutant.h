// Mutants: named one-line faults, by which the simulation proves that it can fail.
//
// `if (mutant("name"))` is constant false, and gone, but in a build with MATRIARCH_MUTANTS, where
// tests/simulation switches on one at a time. Such a build makes no other program.
#pragma once

#include <string>
#include <string_view>

namespace matriarch {

#ifdef MATRIARCH_MUTANTS
inline constexpr bool kMutantsBuilt = true;
inline std::string active_mutant;  // NOLINT: written before anything runs
inline bool mutant(std::string_view name) {
    return active_mutant == name;
}
inline void switch_on_mutant(std::string_view name) {
    active_mutant = name;
}
#else
inline constexpr bool kMutantsBuilt = false;
constexpr bool mutant(std::string_view) {
    return false;
}
inline void switch_on_mutant(std::string_view) {}
#endif

}  // namespace matriarch
