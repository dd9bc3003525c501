// Scene: an observation of cluster "orders" that tests change in one or two lines.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "decide/decide.h"

namespace matriarch::decide {

inline const TimePoint kNow{std::chrono::hours(1)};

struct Scene {
    Observation seen;
    Policy policy;

    // A cluster of a master orders-1 and two slaves, all well, routes published.
    static Scene healthy() {
        Scene s = empty();
        AuthorityRecord r;
        r.version = ResourceVersion("10");
        r.holder = InstanceName("orders-1");
        r.holder_pod = PodUid("uid-1");
        r.epoch = Epoch(4);
        r.epoch_id = EpochId("four");
        r.term = Term(1);
        r.timeline = Timeline(3);
        r.timeline_opened_by = r.epoch_id;
        r.verified = true;
        r.system_identifier = SystemIdentifier("777");
        r.positions = {InstanceName("orders-2"), InstanceName("orders-3")};
        r.candidates = {2,
                        {{InstanceName("orders-2"), PodUid("uid-2"), Membership::Full},
                         {InstanceName("orders-3"), PodUid("uid-3"), Membership::Full}}};
        s.seen.record = r;
        s.seen.mandate.term_written = kNow - std::chrono::hours(1);
        for (int n = 1; n <= 3; ++n) s.add(n);
        s.serve(1);
        s.report(1).candidates_version = 2;
        s.stream(2);
        s.stream(3);
        s.publish();
        return s;
    }

    // No record, no instances.
    static Scene empty() {
        Scene s;
        s.seen.cluster = {"shop", "orders"};
        s.seen.complete = true;
        s.seen.spec.slaves = 2;
        s.seen.term = Term(1);
        s.seen.leadership_until = kNow + seconds(5);
        s.seen.fresh_id = EpochId("fresh");
        return s;
    }

    InstanceView& add(int n) {
        InstanceView i;
        i.name = instance_name("orders", n);
        i.exists = true;
        i.has_volume = true;
        i.pod = PodUid("uid-" + std::to_string(n));
        i.host = i.name.value + "-0.orders-instances.shop.svc";
        i.address = "10.0.0." + std::to_string(n);
        i.reachable = true;
        i.reported_at = kNow;
        Report r;
        r.instance = i.name;
        r.pod = i.pod;
        r.incarnation = Incarnation("inc-" + std::to_string(n));
        i.report = r;
        seen.instances.push_back(i);
        return seen.instances.back();
    }

    InstanceView& at(int n) {
        const auto name = instance_name("orders", n);
        return *std::find_if(seen.instances.begin(), seen.instances.end(),
                             [&](const auto& i) { return i.name == name; });
    }
    Report& report(int n) { return *at(n).report; }

    // Runs with data of the record's cluster.
    Report& run(int n) {
        Report& r = report(n);
        r.state = PostgresState::Running;
        r.system_identifier = SystemIdentifier("777");
        r.timeline = seen.record ? seen.record->timeline : Timeline(1);
        if (seen.record) r.timeline_opened_by = seen.record->timeline_opened_by;
        if (seen.record) {
            r.epoch = seen.record->epoch;
            r.epoch_id = seen.record->epoch_id;
        }
        r.config_hash = at(n).config.hash();
        return r;
    }
    void serve(int n) {
        Report& r = run(n);
        r.in_recovery = Known::No;
        r.writable = Known::Yes;
        r.written = r.flushed = Lsn(1000);
        r.sync = seen.record->sync;
        r.sync_since = Lsn(900);
        for (int other = 1; other <= 3; ++other)
            if (other != n)
                r.slots.push_back(
                    {slot_name(instance_name("orders", other)), true, "reserved", Lsn(900)});
    }
    void stream(int n) {
        Report& r = run(n);
        r.in_recovery = Known::Yes;
        r.writable = Known::No;
        r.received = r.replayed = Lsn(1000);
        r.receiving = true;
        r.upstream = seen.record->holder;
        r.sync = seen.record->sync;
        const auto master =
            std::find_if(seen.instances.begin(), seen.instances.end(),
                         [&](const auto& i) { return i.name == seen.record->holder; });
        master->report->streams.push_back(
            {at(n).name.value, "streaming", "", Lsn(1000), Lsn(1000), Lsn(1000)});
        obeyed(n, "follow/" + std::to_string(seen.record->epoch.value) + "/" +
                      seen.record->holder.value);
    }
    // The agent did the order of this id.
    void obeyed(int n, const std::string& id, OrderState state = OrderState::Done) {
        report(n).order.id = OrderId(id);
        report(n).order.state = state;
    }
    void postmaster_died(int n) {
        Report& r = report(n);
        r.state = PostgresState::Dead;
        r.in_recovery = r.writable = Known::Unknown;
        for (auto& other : seen.instances)
            if (other.report && other.name != r.instance) other.report->receiving = false;
    }
    void fenced(int n) {
        Report& r = report(n);
        r.state = PostgresState::Stopped;
        r.in_recovery = r.writable = Known::Unknown;
        r.fenced = seen.record->epoch;
        r.fence_confirmed = true;
        r.fenced_by = r.pod;
        r.end_of_wal = Lsn(1000);
    }
    void halted(int n) {
        obeyed(n, "halt/" + std::to_string(seen.record->epoch.value) + "/receiver");
        report(n).receiving = false;
    }
    // The lost master gets no mandate any more, for long: the slaves stand still and promise none.
    void close() {
        seen.record->phase = Phase::Closing;
        seen.mandate.replaced = kNow - std::chrono::minutes(1);
        for (const int n : {2, 3}) {
            obeyed(n, "halt/4/promises");
            report(n).receiving = false;
            report(n).withheld = Epoch(4);
        }
    }
    // What decide would publish is published.
    void publish() {
        for (const auto& step : plan().steps)
            if (const auto* p = std::get_if<PublishRoutes>(&step.action))
                seen.published = p->routes;
    }

    Plan plan() const { return decide(seen, policy, kNow); }
};

// The only action of type T in a plan; fails the test if there is none or another.
template <class T>
const T* only(const Plan& plan) {
    const T* found = nullptr;
    for (const auto& step : plan.steps) {
        if (const auto* action = std::get_if<T>(&step.action)) {
            EXPECT_EQ(found, nullptr) << "more than one";
            found = action;
        }
    }
    return found;
}

inline const Order* order_to(const Plan& plan, int n) {
    for (const auto& step : plan.steps)
        if (const auto* sent = std::get_if<SendOrder>(&step.action))
            if (sent->to == instance_name("orders", n)) return &sent->order;
    return nullptr;
}

inline const Finding* finding(const Plan& plan, std::string_view type) {
    for (const auto& f : plan.findings)
        if (f.type == type) return &f;
    return nullptr;
}

inline std::size_t orders_in(const Plan& plan) {
    return static_cast<std::size_t>(std::count_if(
        plan.steps.begin(), plan.steps.end(),
        [](const auto& step) { return std::holds_alternative<SendOrder>(step.action); }));
}

}  // namespace matriarch::decide
