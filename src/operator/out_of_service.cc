#include "operator/out_of_service.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kube/objects.h"

namespace matriarch::op {
namespace {

constexpr Duration kPace = seconds(2);
constexpr Duration kForbiddenPace = seconds(60);
constexpr Duration kPatience = seconds(1);

}  // namespace

void look_at_masters_node(kube::Client& client, ClusterMemory& memory, bool silent, TimePoint now) {
    if (!silent || !memory.record || memory.record->holder_node.empty()) {
        memory.node_out_of_service = false;
        return;
    }
    if (now < memory.node_asked) return;
    memory.node_asked = now + kPace;
    const auto object =
        client.get(kube::kNodes, {"", memory.record->holder_node}, {.timeout = kPatience});
    if (!object && object.error().kind == ErrorKind::Forbidden)
        memory.node_asked = now + kForbiddenPace;
    const auto node = object ? kube::decode_node(*object) : Result<kube::Node>(object.error());
    // A node that is gone is no proof: its machine may still run.
    memory.node_out_of_service =
        node && std::any_of(node->taints.begin(), node->taints.end(),
                            [](const kube::Taint& taint) { return taint.key == kOutOfService; });
}

}  // namespace matriarch::op
