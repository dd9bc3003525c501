// OperatorProcess: one operator, wired as operator/controller.cc wires it: the production election,
// watchers, caches, work queue, agents' channel and reconciler. Each of its threads is a fiber.
//
// Replaced are the edges: Transport (the model of the API behind the simulated network), AgentWire
// (the agents' ports likewise), Waiter (fibers), clock and randomness. Left out: events for people,
// metrics, health ports.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "api_server.h"
#include "fiber.h"
#include "kube/leader_election.h"
#include "kube/work_queue.h"
#include "network.h"
#include "operator/agent_channel.h"
#include "operator/caches.h"
#include "operator/reconciler.h"
#include "process.h"

namespace matriarch::sim {

// Fibers of one process, and how they sleep.
class Threads {
  public:
    struct Sleep {
        Fiber* fiber = nullptr;
        bool over = false;
    };
    using SleepPtr = std::shared_ptr<Sleep>;

    Threads(World& world, const HostClock& clock, std::shared_ptr<Process> process)
        : world_(world), clock_(clock), process_(std::move(process)) {}

    void begin(std::function<void()> body);
    void kill_all();

    // In a fiber: first prepare(), then, when what it waits for is under way, sleep().
    SleepPtr prepare() const { return std::make_shared<Sleep>(Sleep{Fiber::current(), false}); }
    void sleep(const SleepPtr& sleep, TimePoint deadline);
    // From anywhere; never at once.
    void wake(const SleepPtr& sleep);

    World& world() const { return world_; }
    const HostClock& clock() const { return clock_; }
    const std::shared_ptr<Process>& process() const { return process_; }

  private:
    World& world_;
    const HostClock& clock_;
    const std::shared_ptr<Process> process_;
    std::vector<std::unique_ptr<Fiber>> fibers_;
};

class FiberWaiter final : public kube::Waiter {
  public:
    explicit FiberWaiter(Threads& threads) : threads_(threads) {}
    std::uint64_t ticket() override { return count_; }
    void wait(std::uint64_t ticket, Deadline deadline, std::stop_token stop) override;
    void notify() override;

  private:
    Threads& threads_;
    std::uint64_t count_ = 0;
    std::vector<Threads::SleepPtr> sleepers_;
};

// What of the API server a client meets.
struct ApiWeather {
    bool down = false;
    int lost_answers = 0;  // per cent
    int sent_twice = 0;    // per cent, as cpprestsdk does with a broken connection
    Duration watch_delay = milliseconds(20);
};

class ApiTransport final : public kube::Transport {
  public:
    ApiTransport(Threads& threads, Network& net, HostId here, HostId there, ApiServer& api,
                 const ApiWeather& weather)
        : threads_(threads), net_(net), here_(here), there_(there), api_(api), weather_(weather) {}

    // All that is asked here is asked in JSON: it is handed on as it is, but for some of it, which
    // becomes text and is read again.
    Result<kube::Response> send(const kube::Request& request, Deadline deadline,
                                std::stop_token stop) override;
    Result<kube::Response> stream(const kube::Request& request, const OnChunk& on_chunk,
                                  Duration idle, std::stop_token stop) override;
    Result<kube::JsonResponse> send_json(kube::Request request, std::shared_ptr<const Json> body,
                                         Deadline deadline, std::stop_token stop) override;
    Result<kube::Response> stream_events(const kube::Request& request, const OnEvent& on_event,
                                         Duration idle, std::stop_token stop) override;
    // Something new for watches of this kind.
    void event(const std::string& plural);

  private:
    struct Exchange {
        Threads::SleepPtr sleep;
        std::optional<ApiServer::Answer> answer;
        bool refused = false;
        bool answered = false;  // and the answer has come
    };
    struct Feed {
        ApiServer::Watch watch;
        std::deque<ApiServer::Event> events;
        Threads::SleepPtr sleep;
        bool pumping = false, expired = false;
    };

    void execute(const std::shared_ptr<Exchange>& exchange, const kube::Request& request,
                 const Json& body);
    void arrive(const std::shared_ptr<Exchange>& exchange);
    void try_json(const Json& message);
    void pump(const std::shared_ptr<Feed>& feed, Duration wait);
    Result<kube::Response> read_feed(const std::shared_ptr<Feed>& feed, const OnEvent& on_event,
                                     Duration idle);

    Threads& threads_;
    Network& net_;
    const HostId here_, there_;
    ApiServer& api_;
    const ApiWeather& weather_;
    std::vector<std::shared_ptr<Feed>> feeds_;
    std::uint64_t messages_ = 0;
};

// What an operator says to an agent, and what it hears.
using AgentRequest = std::variant<Poll, Order>;
using AgentAnswer = std::variant<Report, OrderAnswer>;

// The agents' order ports.
class AgentPorts {
  public:
    using Answer = std::function<void(Result<AgentAnswer>)>;
    virtual ~AgentPorts() = default;
    // The host that has this address; -1: nobody.
    virtual HostId host_of(const std::string& address) = 0;
    // At the host: false if nobody listens there.
    virtual bool serve(const std::string& address, const AgentRequest& request, Answer answer) = 0;
};

// Messages travel as values; now and then one goes through its JSON, and must come out as it was.
class AgentPosts final : public op::AgentWire {
  public:
    using LeadsUntil = std::function<TimePoint()>;
    AgentPosts(Threads& threads, Network& net, HostId here, AgentPorts& ports,
               LeadsUntil leads_until)
        : threads_(threads),
          net_(net),
          here_(here),
          ports_(ports),
          leads_until_(std::move(leads_until)) {}
    void poll(const op::AgentAddress& to, Lane lane, const Poll& poll, Duration timeout,
              OnReport callback) override;
    void order(const op::AgentAddress& to, const Order& order, Duration timeout,
               OnOrderAnswer callback) override;
    void forget(const op::AgentAddress&) override {}
    Status set_authority(const ClusterKey&, const StringMap&) override { return {}; }
    void drop_authority(const ClusterKey&) override {}

  private:
    using OnAnswer = std::function<void(Result<AgentAnswer>)>;
    struct Post;
    void post(const std::string& ip, Lane lane, AgentRequest request, Duration timeout,
              OnAnswer callback);
    void send(const std::shared_ptr<Post>& post, Lane lane);
    void end(const std::shared_ptr<Post>& post, Lane lane);
    void try_json(const Post& post);
    void check_grant(const op::AgentAddress& to, const std::optional<Grant>& grant) const;

    Threads& threads_;
    Network& net_;
    const HostId here_;
    AgentPorts& ports_;
    const LeadsUntil leads_until_;
    std::map<std::pair<std::string, Lane>, std::deque<std::shared_ptr<Post>>> lanes_;
    std::uint64_t posts_ = 0;
};

class OperatorProcess {
  public:
    struct Surroundings {
        World& world;
        Network& net;
        HostId host, api_host;
        ApiServer& api;
        const ApiWeather& weather;
        AgentPorts& ports;
        std::string name;
    };
    // `on_end`: it ended itself.
    OperatorProcess(Surroundings around, std::function<void()> on_end);
    ~OperatorProcess();

    void kill();
    void freeze() { process_->freeze(); }
    void thaw() { process_->thaw(); }
    // SIGTERM: what is begun is finished, then the Lease is released.
    void terminate();
    bool alive() const { return process_->alive(); }
    bool frozen() const { return process_->frozen(); }
    bool leads() const { return election_.leadership().leading; }
    void event(const std::string& plural) { transport_.event(plural); }
    // What runs now is this one's reconciler.
    bool works_here() const { return worker_ != nullptr && Fiber::current() == worker_; }
    // It dies where it is.
    [[noreturn]] void end_here();
    // It freezes where it is.
    void freeze_here();

  private:
    void leadership_changed(const kube::Leadership& now);
    void news(const ClusterKey& key, bool urgent);
    void work();
    void wind_down();
    void watch(const kube::Resource& resource, kube::WatchSink& sink, bool ours);

    const Surroundings around_;
    const std::function<void()> on_end_;
    SeededRandom random_;
    const std::shared_ptr<Process> process_;
    Threads threads_;
    ApiTransport transport_;
    kube::Client client_;
    FiberWaiter queue_waiter_, channel_waiter_, events_waiter_, election_waiter_;
    kube::WorkQueue queue_;
    AgentPosts wire_;
    op::AgentChannel agents_;
    kube::EventRecorder events_;
    kube::LeaderElection election_;
    std::vector<std::unique_ptr<op::Caches>> caches_;
    telemetry::Registry registry_;  // nobody asks
    op::ClusterMetrics metrics_{registry_};
    op::Reconciler reconciler_;
    bool was_leader_ = false, stopping_ = false;
    std::stop_source work_stop_, election_stop_;
    int working_ = 0, electing_ = 0;  // fibers
    const Fiber* worker_ = nullptr;
};

}  // namespace matriarch::sim
