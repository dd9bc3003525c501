#include "decide/orders.h"

#include <algorithm>

#include "decide/mandate.h"

namespace matriarch::decide {

using std::chrono::duration_cast;

Order order_for(const Facts& f, const InstanceView& to, OrderKind kind, const std::string& goal) {
    Order o;
    const Epoch epoch = f.record ? f.record->epoch : Epoch(0);
    o.id = OrderId(std::string(to_string(kind)) + "/" + std::to_string(epoch.value) + "/" + goal);
    o.kind = kind;
    o.term = f.seen.term;
    o.epoch = epoch;
    if (f.record) {
        o.epoch_id = f.record->epoch_id;
        o.system_identifier = f.record->system_identifier;
    }
    o.incarnation = to.report->incarnation;
    o.clock_reading = to.report->clock_reading;
    // Counted from the agent's own reading, which is older than this moment by the report's age.
    const Duration age = f.now - to.reported_at;
    const Duration left = std::min(f.policy.order_valid, f.seen.leadership_until - f.now);
    o.valid_for = duration_cast<milliseconds>(age + std::max(left, Duration::zero()));
    return o;
}

Order lead(const Facts& f) {
    Order o = order_for(f, *f.master, OrderKind::Lead, f.master->name.value);
    empower(f, o);
    return o;
}

Order follow(const Facts& f, const InstanceView& slave, const InstanceView& upstream) {
    Order o = order_for(f, slave, OrderKind::Follow, upstream.name.value);
    o.upstream = Upstream{upstream.name, upstream.host, upstream.address, 5432};
    o.opening = {f.record->timeline, f.record->timeline_opened_by};
    o.sync = f.record->sync;
    return o;
}

Order fence(const Facts& f, const InstanceView& master, bool clean) {
    Order o = order_for(f, master, OrderKind::Fence, clean ? "clean" : "kill");
    o.clean = clean;
    return o;
}

Order halt(const Facts& f, const InstanceView& slave) {
    const bool withhold = f.record->phase == Phase::Closing;
    Order o = order_for(f, slave, OrderKind::Halt, withhold ? "promises" : "receiver");
    o.withhold = withhold;
    return o;
}

bool heard(const InstanceView& instance, const Order& order) {
    return instance.report && instance.report->order.id == order.id &&
           instance.report->order.state != OrderState::None;
}

bool done(const InstanceView& instance, const Order& order) {
    return heard(instance, order) && instance.report->order.state == OrderState::Done;
}

bool failed(const InstanceView& instance, const Order& order) {
    return heard(instance, order) && instance.report->order.state == OrderState::Failed;
}

void give(const Facts& f, Plan& plan, const InstanceView& to, Order order, std::string reason) {
    if (!f.fresh(to) || heard(to, order)) return;
    const auto& sent = order.kind == OrderKind::Configure ? to.configured : to.sent;
    const bool just_sent = sent && sent->id == order.id && sent->incarnation == order.incarnation &&
                           f.now - sent->at < f.policy.order_again;
    if (just_sent) return;
    plan.steps.push_back({SendOrder{to.name, std::move(order)}, std::move(reason)});
}

}  // namespace matriarch::decide
