// The operator's edges: fibers' sleep, the API's transport, the posts to agents.
#include <algorithm>

#include "operator_process.h"

namespace matriarch::sim {
namespace {

constexpr Duration kResend = milliseconds(200);  // TCP
constexpr Duration kBookmarkEvery = seconds(60);
constexpr std::uint64_t kTryJson = 500;  // of so many messages one goes through its JSON
// keepalive and TCP_USER_TIMEOUT: kube/cpprest_transport
constexpr Duration kDeadPeer = seconds(30);

}  // namespace

// --- threads ----------------------------------------------------------------------------------

void Threads::begin(std::function<void()> body) {
    fibers_.push_back(std::make_unique<Fiber>(std::move(body)));
    process_->after(Duration::zero(), [fiber = fibers_.back().get()] { fiber->resume(); });
}

void Threads::kill_all() {
    for (auto& fiber : fibers_) fiber->kill();
    fibers_.clear();
}

void Threads::sleep(const SleepPtr& sleep, TimePoint deadline) {
    const auto end = [sleep] {
        if (std::exchange(sleep->over, true)) return;
        sleep->fiber->resume();
    };
    if (deadline != TimePoint::max()) process_->at(clock_.to_world(deadline), end);
    sleep->fiber->park();
}

void Threads::wake(const SleepPtr& sleep) {
    process_->after(Duration::zero(), [sleep] {
        if (std::exchange(sleep->over, true)) return;
        sleep->fiber->resume();
    });
}

void FiberWaiter::wait(std::uint64_t ticket, Deadline deadline, std::stop_token stop) {
    if (count_ != ticket || stop.stop_requested() || deadline.passed(threads_.clock())) return;
    const auto sleep = threads_.prepare();
    sleepers_.push_back(sleep);
    threads_.sleep(sleep, deadline.at);
    std::erase(sleepers_, sleep);
}

void FiberWaiter::notify() {
    ++count_;
    for (const auto& sleeper : sleepers_) threads_.wake(sleeper);
    sleepers_.clear();
}

// --- the API ----------------------------------------------------------------------------------

// At the server. An answer may be lost after the deed was done.
void ApiTransport::execute(const std::shared_ptr<Exchange>& exchange, const kube::Request& request,
                           const Json& body) {
    World& world = threads_.world();
    if (weather_.down) {
        exchange->refused = true;
        return;
    }
    auto answer = api_.handle(request, body);
    if (request.method != "GET" && world.chance(weather_.sent_twice))
        answer = api_.handle(request, body);
    if (!world.chance(weather_.lost_answers)) exchange->answer = std::move(answer);
}

void ApiTransport::arrive(const std::shared_ptr<Exchange>& exchange) {
    exchange->answered = true;
    threads_.wake(exchange->sleep);
}

void ApiTransport::try_json(const Json& message) {
    if (++messages_ % kTryJson == 0 && Json::parse(message.dump(), nullptr, false) != message)
        threads_.world().violate("messages", "one is another after its JSON");
}

Result<kube::Response> ApiTransport::send(const kube::Request&, Deadline, std::stop_token) {
    return make_error(ErrorKind::Bug, "text is not sent here");
}

Result<kube::Response> ApiTransport::stream(const kube::Request&, const OnChunk&, Duration,
                                            std::stop_token) {
    return make_error(ErrorKind::Bug, "text is not sent here");
}

Result<kube::JsonResponse> ApiTransport::send_json(kube::Request request,
                                                   std::shared_ptr<const Json> body,
                                                   Deadline deadline, std::stop_token) {
    if (body) try_json(*body);
    auto exchange = std::make_shared<Exchange>();
    exchange->sleep = threads_.prepare();
    net_.send(here_, there_,
              [this, exchange, request = std::move(request), body = std::move(body)] {
                  static const Json kNothing = Json::object();
                  execute(exchange, request, body ? *body : kNothing);
                  if (!exchange->answer && !exchange->refused) return;
                  net_.send(there_, here_, [this, exchange] { arrive(exchange); });
              });
    threads_.sleep(exchange->sleep, std::min(deadline.at, threads_.clock().now() + kDeadPeer));
    if (!exchange->answered) return make_error(ErrorKind::Timeout, "no answer in time");
    if (exchange->refused) return make_error(ErrorKind::Unavailable, "connection refused");
    const auto& [status, object] = *exchange->answer;
    if (status >= 300) return kube::JsonResponse{exchange->answer->text(), nullptr};
    try_json(*object);
    return kube::JsonResponse{{.status = status}, std::make_shared<Json>(*object)};
}

Result<kube::Response> ApiTransport::stream_events(const kube::Request& request,
                                                   const OnEvent& on_event, Duration idle,
                                                   std::stop_token) {
    auto exchange = std::make_shared<Exchange>();
    auto feed = std::make_shared<Feed>();
    exchange->sleep = threads_.prepare();
    net_.send(here_, there_, [this, exchange, feed, request] {
        if (weather_.down)
            exchange->refused = true;
        else
            exchange->answer = api_.begin(request, feed->watch);
        net_.send(there_, here_, [this, exchange] { arrive(exchange); });
    });
    threads_.sleep(exchange->sleep, threads_.clock().now() + std::min(idle, kube::kAnswerWithin));
    if (!exchange->answered) return make_error(ErrorKind::Timeout, "no answer in time");
    if (exchange->refused) return make_error(ErrorKind::Unavailable, "connection refused");
    if (exchange->answer->status != 200) return exchange->answer->text();
    feeds_.push_back(feed);
    pump(feed, Duration::zero());
    struct Leave {
        std::vector<std::shared_ptr<Feed>>& feeds;
        const std::shared_ptr<Feed>& feed;
        ~Leave() { std::erase(feeds, feed); }
    } leave{feeds_, feed};
    return read_feed(feed, on_event, idle);
}

Result<kube::Response> ApiTransport::read_feed(const std::shared_ptr<Feed>& feed,
                                               const OnEvent& on_event, Duration idle) {
    const auto tell = [&](const ApiServer::Event& event) {
        try_json(*event.object);
        return on_event({event.type, event.object.get()});
    };
    kube::Response ended;
    ended.status = 200;
    TimePoint heard = threads_.clock().now(), bookmark = heard + kBookmarkEvery;
    while (true) {
        while (!feed->events.empty()) {
            heard = threads_.clock().now();
            const ApiServer::Event event = std::move(feed->events.front());
            feed->events.pop_front();
            if (!tell(event)) return ended;
        }
        if (feed->expired) return ended;  // the next watch is told of the compaction
        if (threads_.clock().now() >= bookmark) {
            bookmark += kBookmarkEvery;
            if (!weather_.down && net_.open(there_, here_)) {
                heard = threads_.clock().now();
                if (!tell(api_.bookmark(feed->watch))) return ended;
            }
        }
        if (threads_.clock().now() >= heard + idle)
            return make_error(ErrorKind::Timeout, "nothing came");
        feed->sleep = threads_.prepare();
        threads_.sleep(feed->sleep, std::min(heard + idle, bookmark));
        feed->sleep.reset();
    }
}

void ApiTransport::event(const std::string& plural) {
    for (const auto& feed : feeds_)
        if (feed->watch.plural == plural) pump(feed, weather_.watch_delay);
}

// One at a time for each feed, so that events keep their order.
void ApiTransport::pump(const std::shared_ptr<Feed>& feed, Duration wait) {
    if (std::exchange(feed->pumping, true)) return;
    World& world = threads_.world();
    const Duration delay =
        net_.delay() +
        (wait > Duration::zero() ? world.between(Duration::zero(), wait) : Duration::zero());
    threads_.process()->after(delay, [this, feed] {
        feed->pumping = false;
        if (weather_.down || !net_.open(there_, here_)) return pump(feed, kResend);
        auto events = api_.next(feed->watch);
        if (!events) {
            feed->expired = true;
        } else {
            for (auto& event : *events) feed->events.push_back(std::move(event));
        }
        if (feed->events.empty() && !feed->expired) return;
        if (feed->sleep) threads_.wake(feed->sleep);
    });
}

// --- the agents -------------------------------------------------------------------------------

struct AgentPosts::Post {
    std::string ip;
    AgentRequest request;
    OnAnswer callback;
    Result<AgentAnswer> answer = make_error(ErrorKind::Timeout, "no answer in time");
    bool over = false;
};

void AgentPosts::poll(const op::AgentAddress& to, Lane lane, const Poll& poll, Duration timeout,
                      OnReport callback) {
    check_grant(to, poll.grant);
    post(to.ip, lane, poll, timeout, [callback = std::move(callback)](Result<AgentAnswer> answer) {
        callback(answer ? std::get<Report>(std::move(*answer)) : Result<Report>(answer.error()));
    });
}

void AgentPosts::order(const op::AgentAddress& to, const Order& order, Duration timeout,
                       OnOrderAnswer callback) {
    check_grant(to, order.grant);
    post(to.ip, kOrderLane, order, timeout,
         [callback = std::move(callback)](Result<AgentAnswer> answer) {
             callback(answer ? std::get<OrderAnswer>(std::move(*answer))
                             : Result<OrderAnswer>(answer.error()));
         });
}

// "No grant outlives the leader's own leadership", however clocks run.
void AgentPosts::check_grant(const op::AgentAddress& to, const std::optional<Grant>& grant) const {
    const HostId there = ports_.host_of(to.ip);
    if (!grant || there < 0) return;
    const TimePoint ends = net_.host(there).clock->to_world(TimePoint(grant->reading + grant->ttl));
    const TimePoint leads = threads_.clock().to_world(leads_until_());
    if (ends > leads + grant->ttl / 25 + milliseconds(5))
        threads_.world().violate("mandate", "a grant to " + to.instance.value +
                                                " outlives the leadership of who gave it by " +
                                                std::to_string(to_ms(ends) - to_ms(leads)) + " ms");
}

// Requests of one lane go one after the other, each within its own time.
void AgentPosts::post(const std::string& ip, Lane lane, AgentRequest request, Duration timeout,
                      OnAnswer callback) {
    auto post = std::make_shared<Post>();
    post->ip = ip;
    post->request = std::move(request);
    post->callback = std::move(callback);
    auto& queue = lanes_[{ip, lane}];
    queue.push_back(post);
    const auto& clock = threads_.clock();
    threads_.process()->at(clock.to_world(clock.now() + timeout),
                           [this, post, lane] { end(post, lane); });
    if (queue.size() == 1) send(post, lane);
}

void AgentPosts::end(const std::shared_ptr<Post>& post, Lane lane) {
    if (std::exchange(post->over, true)) return;
    auto& queue = lanes_[{post->ip, lane}];
    const bool next = queue.front() == post;
    std::erase(queue, post);
    if (next && !queue.empty()) send(queue.front(), lane);
    if (++posts_ % kTryJson == 0) try_json(*post);
    post->callback(std::move(post->answer));
}

void AgentPosts::send(const std::shared_ptr<Post>& post, Lane lane) {
    const HostId there = ports_.host_of(post->ip);
    if (there < 0) return;
    const auto back = [this, post, lane, there,
                       process = threads_.process()](Result<AgentAnswer> answer) {
        auto kept = std::make_shared<Result<AgentAnswer>>(std::move(answer));
        net_.send(there, here_, [=, this] {
            process->post([=, this] {
                if (!post->over) post->answer = std::move(*kept);
                end(post, lane);
            });
        });
    };
    net_.send(here_, there, [this, post, back] {
        if (!ports_.serve(post->ip, post->request, back))
            back(make_error(ErrorKind::Unavailable, "connection refused"));
    });
    if (!net_.repeats()) return;
    const int copies = std::holds_alternative<Order>(post->request) ? 3 : 1;
    for (int i = 0; i < copies; ++i)
        net_.perhaps_again(there, [this, ip = post->ip, request = post->request] {
            ports_.serve(ip, request, [](const Result<AgentAnswer>&) {});
        });
}

namespace {

// The same, after a way through its JSON.
Result<Poll> through_json(const Poll& poll) {
    return poll_from_json(to_json(poll));
}
Result<Order> through_json(const Order& order) {
    return order_from_json(to_json(order));
}
Result<Report> through_json(const Report& report) {
    return report_from_json(to_json(report));
}
Result<OrderAnswer> through_json(const OrderAnswer& answer) {
    return order_answer_from_json(to_json(answer));
}

}  // namespace

void AgentPosts::try_json(const Post& post) {
    const auto same = [](const auto& message) {
        const auto out = through_json(message);
        return out && *out == message;
    };
    const bool kept =
        std::visit(same, post.request) && (!post.answer || std::visit(same, *post.answer));
    if (!kept) threads_.world().violate("messages", "one is another after its JSON");
}

}  // namespace matriarch::sim
