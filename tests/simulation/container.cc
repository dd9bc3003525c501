#include "container.h"

#include <algorithm>

namespace matriarch::sim {
namespace {

constexpr milliseconds kLongestPoll{10000};  // as in agent/service.cc
constexpr std::size_t kMostWaiting = 16;
constexpr Duration kLongAwake = seconds(1);
constexpr Duration kLeast = milliseconds(1);  // between two rounds of the loop

agent::Settings settings_of(const Place& place) {
    agent::Settings s;
    s.pod = place.pod;
    s.version = "simulated";
    s.layout.cluster = "orders";
    s.layout.instance = place.name;
    s.layout.restore_command = "restore";
    s.layout.os_user = "postgres";
    s.layout.major_version = 17;
    return s;
}

}  // namespace

Container::Container(Place place, ApiAccess api, Peers& peers, Contracts& contracts,
                     std::function<void()> on_exit)
    : place_(std::move(place)),
      clock_(*place_.net.host(place_.host).clock),
      on_exit_(std::move(on_exit)),
      random_(place_.world.random().next()),
      process_(std::make_shared<Process>(place_.world)),
      ledger_(place_, contracts),
      state_(place_.volume, place_.pod,
             [this](const agent::State& before, const agent::State& next) {
                 ledger_.saves(before, next, postgres_.server() != nullptr);
             }),
      postgres_(place_, process_, [this](agent::Event e) { deliver(std::move(e)); }),
      ways_(place_, api, peers, ledger_, process_,
            [this](agent::Event e) { deliver(std::move(e)); }),
      warden_(place_.world, clock_, postgres_, ledger_),
      agent_(std::make_unique<agent::Agent>(settings_of(place_), clock_, random_, state_, postgres_,
                                            ways_, warden_)),
      awake_since_(place_.world.now()) {
    agent_->on_change([this] { changed(); });
    warden_.expect_agent(
        [this] { return process_->runs() && place_.world.now() - awake_since_ > kLongAwake; });
}

void Container::begin() {
    process_->post([this] {
        ledger_.begins(*state_.load(), agent_->incarnation());
        agent_->begin();
        turned();
    });
}

void Container::terminate() {
    process_->post([this] {
        agent_->end();
        turned();
    });
}

void Container::vanish() {
    process_->kill();
    warden_.process()->kill();
    postgres_.vanish();
    waiting_.clear();
}

void Container::freeze() {
    frozen_ = true;
    process_->freeze();
    warden_.process()->freeze();
    if (postgres_.server()) postgres_.server()->freeze();
}

// Who of them is scheduled first is chance; PostgreSQL being first is the worst case.
void Container::thaw() {
    frozen_ = false;
    if (!alive()) return;
    if (!postgres_stopped_) postgres_.thaw();
    const auto later = [this](const std::shared_ptr<Process>& process) {
        place_.world.after(place_.world.between(Duration::zero(), milliseconds(5)),
                           [process] { process->thaw(); });
    };
    later(warden_.process());
    if (!agent_stopped_) later(process_);
    awake_since_ = place_.world.now();
}

void Container::freeze_agent() {
    agent_stopped_ = true;
    process_->freeze();
}

void Container::thaw_agent() {
    agent_stopped_ = false;
    awake_since_ = place_.world.now();
    if (!frozen_) process_->thaw();
}

void Container::freeze_postgres() {
    postgres_stopped_ = true;
    postgres_.freeze();
}

void Container::thaw_postgres() {
    postgres_stopped_ = false;
    if (!frozen_) postgres_.thaw();
}

// --- the loop ---------------------------------------------------------------------------------

void Container::deliver(agent::Event event) {
    process_->post([this, event = std::move(event)]() mutable {
        if (const auto* said = std::get_if<agent::RecordAnswered>(&event)) ledger_.hears(*said);
        if (const auto* said = std::get_if<agent::PromiseAnswered>(&event)) ledger_.hears(*said);
        agent_->on(std::move(event));
        turned();
    });
}

void Container::turned() {
    if (!alive()) return;
    if (agent_->ended()) {
        vanish();
        place_.world.after(Duration::zero(), on_exit_);
        return;
    }
    if (agent_->wake() == TimePoint::max()) return;
    const TimePoint wake = std::max(agent_->wake(), clock_.now() + kLeast);
    if (armed_ && *armed_ <= wake) return;
    armed_ = wake;
    process_->at(clock_.to_world(wake), [this, number = ++arming_] {
        if (number != arming_) return;
        armed_.reset();
        if (clock_.now() >= agent_->wake()) agent_->tick();
        turned();
    });
}

// --- the order port ---------------------------------------------------------------------------

bool Container::serve(const AgentRequest& request, AgentPorts::Answer answer) {
    if (!alive()) return false;
    process_->post([this, request, answer = std::move(answer)]() mutable {
        if (auto* asked = std::get_if<Poll>(&request))
            poll(std::move(*asked), std::move(answer));
        else
            order(std::get<Order>(request), answer);
        turned();
    });
    return true;
}

void Container::promise(const PromiseRequest& request, const std::string& caller,
                        std::function<void(const PromiseAnswer&)> answer) {
    process_->post([=, this] {
        const auto said = agent_->promise(request, caller);
        if (said.promised) ledger_.promises(request);
        answer(said);
        turned();
    });
}

void Container::order(const Order& order, const AgentPorts::Answer& answer) {
    const agent::State before = agent_->state();
    ledger_.hears(order);
    auto reply = agent_->handle(order);
    place_.world.count("orders");
    if (reply.accepted) ledger_.obeys(order, before);
    ledger_.reports(reply.report, postgres_.server() != nullptr);
    answer(AgentAnswer(std::move(reply)));
}

void Container::poll(Poll poll, AgentPorts::Answer answer) {
    ledger_.hears(poll);
    agent_->hear(poll);
    poll.wait = std::clamp(poll.wait, milliseconds(0), kLongestPoll);
    const TimePoint until = clock_.now() + poll.wait;
    Waiting waiting{std::move(answer), std::move(poll)};
    if (answer_if_due(waiting, false)) return;
    if (waiting_.size() >= kMostWaiting) waiting_.pop_front();
    waiting_.push_back(std::move(waiting));
    process_->at(clock_.to_world(until), [this] {
        waiting_.remove_if([this](Waiting& w) { return answer_if_due(w, true); });
    });
}

bool Container::answer_if_due(Waiting& w, bool at_end) {
    const bool news =
        agent_->sequence() > w.poll.seen || w.poll.incarnation != agent_->incarnation();
    if (!agent_->knows_volume()) {
        if (!at_end) return false;
        w.answer(make_error(ErrorKind::Unavailable, "the volume has not been looked at yet"));
        return true;
    }
    if (!news && !at_end) return false;
    w.answer(AgentAnswer(report()));
    return true;
}

Report Container::report() const {
    Report out = agent_->report();
    ledger_.reports(out, postgres_.server() != nullptr);
    return out;
}

void Container::changed() {
    waiting_.remove_if([this](Waiting& w) { return answer_if_due(w, false); });
}

}  // namespace matriarch::sim
