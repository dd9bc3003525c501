// Stand-ins for the tests of kube: a clock that tests move, a scripted API server, a waiter that
// turns waiting into the passing of time. All single-threaded.
#pragma once

#include <deque>
#include <functional>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "kube/transport.h"
#include "kube/waiter.h"
#include "kube/watcher.h"

namespace matriarch::kube::testing {

using nlohmann::json;

class FakeClock final : public Clock {
  public:
    TimePoint now() const override { return now_; }
    WallTime wall() const override {
        return WallTime(std::chrono::seconds(1700000000)) +
               std::chrono::duration_cast<WallTime::duration>(now_.time_since_epoch());
    }
    void advance(Duration by) { now_ += by; }
    void set(TimePoint to) {
        if (to > now_) now_ = to;
    }

  private:
    TimePoint now_{std::chrono::seconds(1000)};
};

// splitmix64.
class SeededRandom final : public Random {
  public:
    explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next() override {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31);
    }

  private:
    std::uint64_t state_;
};

// Always the smallest: delays without jitter.
class ZeroRandom final : public Random {
  public:
    std::uint64_t next() override { return 0; }
};

// Waiting moves the clock to the deadline; without one it stops the test.
class FakeWaiter final : public Waiter {
  public:
    FakeWaiter(FakeClock& clock, std::stop_source& stop) : clock_(clock), stop_(stop) {}
    std::uint64_t ticket() override { return count_; }
    void wait(std::uint64_t ticket, Deadline deadline, std::stop_token) override {
        if (ticket != count_) return;
        waits.push_back(deadline.at == TimePoint::max() ? Duration::max()
                                                        : deadline.at - clock_.now());
        if (on_wait && on_wait()) return;
        if (deadline.at == TimePoint::max()) {
            stop_.request_stop();
        } else {
            clock_.set(deadline.at);
        }
    }
    void notify() override { ++count_; }

    std::vector<Duration> waits;
    std::function<bool()> on_wait;  // true: time does not pass

  private:
    FakeClock& clock_;
    std::stop_source& stop_;
    std::uint64_t count_ = 0;
};

// Answers the requests in the order of the script, and stops the test when it is used up.
class ScriptedTransport final : public Transport {
  public:
    using Send = std::function<Result<Response>(const Request&)>;
    using Stream = std::function<Result<Response>(const Request&, const OnChunk&)>;

    explicit ScriptedTransport(std::stop_source* stop = nullptr) : stop_(stop) {}

    void on_send(Send send) { script_.push_back({std::move(send), nullptr}); }
    void on_stream(Stream stream) { script_.push_back({nullptr, std::move(stream)}); }
    void answer(int status, const json& body) {
        on_send([=](const Request&) { return Response{status, body.dump()}; });
    }
    void fail(ErrorKind kind) {
        on_send([=](const Request&) { return make_error(kind, "scripted"); });
    }
    // A watch that delivers these pieces and ends.
    void chunks(std::vector<std::string> pieces) {
        on_stream([=](const Request&, const OnChunk& on_chunk) -> Result<Response> {
            for (const std::string& piece : pieces) {
                if (!on_chunk(piece)) break;
            }
            return Response{200};
        });
    }

    Result<Response> send(const Request& request, Deadline, std::stop_token) override {
        requests.push_back(request);
        if (script_.empty()) return finished();
        Step step = std::move(script_.front());
        script_.pop_front();
        if (!step.send) return make_error(ErrorKind::Bug, "a watch was expected");
        return step.send(request);
    }
    Result<Response> stream(const Request& request, const OnChunk& on_chunk, Duration,
                            std::stop_token) override {
        requests.push_back(request);
        if (script_.empty()) return finished();
        Step step = std::move(script_.front());
        script_.pop_front();
        if (!step.stream) return make_error(ErrorKind::Bug, "a request was expected");
        return step.stream(request, on_chunk);
    }
    bool used_up() const { return script_.empty(); }

    std::vector<Request> requests;

  private:
    struct Step {
        Send send;
        Stream stream;
    };
    Result<Response> finished() {
        if (stop_) stop_->request_stop();
        return make_error(ErrorKind::Cancelled, "the script is used up");
    }
    std::deque<Step> script_;
    std::stop_source* stop_;
};

inline json pod_json(const std::string& name, int version, const std::string& ns = "db") {
    return {{"metadata",
             {{"name", name}, {"namespace", ns}, {"resourceVersion", std::to_string(version)}}}};
}

inline std::string event_line(const std::string& type, const json& object) {
    return json{{"type", type}, {"object", object}}.dump() + "\n";
}

inline json status_json(int code, const std::string& reason, const std::string& message = "no") {
    return {{"kind", "Status"},
            {"status", "Failure"},
            {"code", code},
            {"reason", reason},
            {"message", message}};
}

inline json list_json(const std::vector<json>& items, int version,
                      const std::string& continue_token = "") {
    json list = {{"metadata", {{"resourceVersion", std::to_string(version)}}}, {"items", items}};
    if (!continue_token.empty()) list["metadata"]["continue"] = continue_token;
    return list;
}

}  // namespace matriarch::kube::testing
