// Comparing resourceVersions, as Kubernetes allows it since 1.35 (KEP-5504).
//
// Only versions of one group and resource are comparable, and only if both are plain decimal
// numbers (of any length, so they are compared as text); anything else has no order. Pure.
#pragma once

#include <compare>
#include <string_view>

namespace matriarch::kube {

std::partial_ordering compare_resource_versions(std::string_view a, std::string_view b);

// True if `a` is surely as new as `b`.
inline bool at_least_as_new(std::string_view a, std::string_view b) {
    return compare_resource_versions(a, b) >= 0;
}

}  // namespace matriarch::kube
