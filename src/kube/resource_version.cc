#include "kube/resource_version.h"

#include <algorithm>

namespace matriarch::kube {
namespace {

// apimachinery util/resourceversion: digits, no leading zero, so not "0".
bool is_comparable(std::string_view version) {
    return !version.empty() && version.front() != '0' &&
           std::all_of(version.begin(), version.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::partial_ordering compare_resource_versions(std::string_view a, std::string_view b) {
    if (!is_comparable(a) || !is_comparable(b)) return std::partial_ordering::unordered;
    if (a.size() != b.size()) return a.size() <=> b.size();
    return a <=> b;
}

}  // namespace matriarch::kube
