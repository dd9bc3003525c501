#include "operator/kill_points.h"

#ifdef MATRIARCH_KILL_POINTS
#include <unistd.h>

#include <cstdlib>
#endif

namespace matriarch::op {
namespace {

struct Namer {
    const std::optional<AuthorityRecord>& record;
    const std::optional<Routes>& published;

    std::string operator()(const decide::WriteRecord& step) const {
        const bool moves =
            !record || record->phase != step.record.phase || record->epoch != step.record.epoch;
        return moves ? "record-" + std::string(to_string(step.record.phase)) : "";
    }
    std::string operator()(const decide::SendOrder& step) const {
        return "order-" + std::string(to_string(step.order.kind));
    }
    std::string operator()(const decide::PublishRoutes& step) const {
        const bool moves = !published || published->epoch != step.routes.epoch ||
                           published->master.has_value() != step.routes.master.has_value();
        if (!moves) return "";
        return step.routes.master ? "routes-master" : "routes-none";
    }
    template <class Other>
    std::string operator()(const Other&) const {
        return "";
    }
};

}  // namespace

std::string kill_point_of(const decide::Action& action,
                          const std::optional<AuthorityRecord>& record,
                          const std::optional<Routes>& published) {
    return std::visit(Namer{record, published}, action);
}

#ifdef MATRIARCH_KILL_POINTS
constexpr int kDied = 137;  // as a shell tells of SIGKILL

void reach(std::string_view point) {
    const char* folder = std::getenv("MATRIARCH_KILL_POINTS");
    if (folder == nullptr || point.empty()) return;
    const std::string file = std::string(folder) + "/" + std::string(point);
    // Not SIGKILL to itself: the kernel keeps that from PID 1, which the operator is in its
    // container. As suddenly: every thread ends, and nothing is written or released.
    if (unlink(file.c_str()) == 0) _exit(kDied);
}
#else
void reach(std::string_view) {}
#endif

void reach_before(std::string_view step) {
    if (!step.empty()) reach("before-" + std::string(step));
}

void reach_after(std::string_view step) {
    if (!step.empty()) reach("after-" + std::string(step));
}

}  // namespace matriarch::op
