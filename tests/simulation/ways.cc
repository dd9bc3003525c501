// The agent's ways over the simulated network, and its warden.
#include <algorithm>

#include "agent/record_way.h"
#include "container.h"

namespace matriarch::sim {
namespace {

constexpr const char* kLease = "/apis/coordination.k8s.io/v1/namespaces/shop/leases/orders";
constexpr Duration kWardenLead = milliseconds(100);  // as in agent/warden.cc

}  // namespace

// --- the record -------------------------------------------------------------------------------

struct NetworkWays::Try {
    agent::Claim claim;
    TimePoint sent;
    bool over = false;
    Postgres::Deliver deliver;
    void end(agent::RecordWord word, milliseconds ttl, std::string why) {
        if (!std::exchange(over, true))
            deliver(agent::RecordAnswered{claim, sent, word, ttl, std::move(why)});
    }
};

void NetworkWays::renew_record(const agent::Claim& claim, TimePoint sent, Deadline deadline) {
    auto t = std::make_shared<Try>(Try{claim, sent, false, deliver_});
    process_->at(clock().to_world(deadline.at),
                 [t] { t->end(agent::RecordWord::Nothing, {}, "no answer in time"); });
    read(t);
}

void NetworkWays::ask_api(const kube::Request& request, OnResponse on_response) {
    World& world = place_.world;
    place_.net.send(place_.host, api_.host, [this, &world, request, on_response] {
        if (api_.weather.down) return;
        const auto response = api_.server.handle(request);
        if (world.chance(api_.weather.lost_answers)) return;
        place_.net.send(api_.host, place_.host, [this, response, on_response] {
            process_->post([response, on_response] { on_response(response); });
        });
    });
}

void NetworkWays::read(const std::shared_ptr<Try>& t) {
    ask_api({.target = kLease}, [this, t](const kube::Response& got) {
        if (t->over || got.status != 200) return;
        auto judged = agent::judge_record(got.body, t->claim, clock().wall());
        if (judged.word != agent::RecordWord::Renewed)
            return t->end(judged.word, {}, std::move(judged.why));
        kube::Request put{.method = "PUT", .target = kLease, .content_type = "application/json"};
        put.body = std::move(judged.renewed_body);
        ask_api(put, [this, t, ttl = judged.ttl](const kube::Response& stored) {
            if (t->over) return;
            if (stored.status == 200) return t->end(agent::RecordWord::Renewed, ttl, {});
            if (stored.status == 409) return read(t);
        });
    });
}

// --- promises ---------------------------------------------------------------------------------

void NetworkWays::ask_promises(const PromiseRequest& request, const std::vector<Member>& members,
                               Deadline deadline) {
    ledger_.asks(request);
    for (const auto& member : members) ask(request, member, deadline);
}

void NetworkWays::ask(const PromiseRequest& request, const Member& member, Deadline deadline) {
    auto over = std::make_shared<bool>(false);
    const auto end = [this, over, member](PromiseAnswer answer) {
        if (!std::exchange(*over, true))
            deliver_(agent::PromiseAnswered{member, std::move(answer)});
    };
    process_->at(clock().to_world(deadline.at), [end, round = request.round] {
        PromiseAnswer none;
        none.round = round;
        none.reason = "no answer in time";
        end(std::move(none));
    });
    Container* peer = peers_.container_of(member.instance);
    if (peer == nullptr) return;
    const HostId there = peer->place().host;
    place_.net.send(place_.host, there, [this, peer, there, end, request] {
        peer->promise(request, place_.name.value, [this, there, end](const PromiseAnswer& answer) {
            place_.net.send(there, place_.host, [this, end, answer] {
                process_->post([end, answer] { end(answer); });
            });
        });
    });
}

// --- the warden -------------------------------------------------------------------------------

SimulatedWarden::SimulatedWarden(World& world, const HostClock& clock, Postgres& postgres,
                                 const Ledger& ledger)
    : world_(world),
      clock_(clock),
      postgres_(postgres),
      ledger_(ledger),
      process_(std::make_shared<Process>(world)) {}

void SimulatedWarden::dead_by(TimePoint deadline) {
    ledger_.guards(deadline, postgres_.writable());
    deadline_ = deadline;
    if (deadline_ != TimePoint::max()) arm();
}

void SimulatedWarden::arm() {
    const TimePoint at = std::max(deadline_ - kWardenLead, clock_.now());
    if (armed_ && *armed_ <= at) return;
    armed_ = at;
    process_->at(clock_.to_world(at), [this] { look(); });
}

void SimulatedWarden::look() {
    armed_.reset();
    if (deadline_ == TimePoint::max() || !postgres_.server()) return;
    if (clock_.now() < deadline_ - kWardenLead) return arm();
    world_.tell("warden", "kills " + postgres_.place().name.value);
    if (deadline_ != TimePoint() && agent_was_awake_()) ledger_.was_too_late();
    process_->after(world_.between(std::chrono::microseconds(200), milliseconds(20)),
                    [this] { postgres_.die("signal 9, by the warden"); });
}

}  // namespace matriarch::sim
