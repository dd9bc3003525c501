#include "operator/pool_source.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "operator/names.h"
#include "telemetry/log.h"

namespace matriarch::op {
namespace {

constexpr Duration kAnswerIn = milliseconds(300);
constexpr int kLane = 0;
constexpr std::size_t kLargestAnswer = 64 * 1024;

net::ClientOptions quick() {
    net::ClientOptions out;
    out.connect_timeout = kAnswerIn;
    out.max_body_bytes = kLargestAnswer;
    return out;
}

// What came back, shared with callbacks that may come later than anybody waits.
struct Answers {
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t missing = 0;
    ServerPools sum;
};

}  // namespace

PoolSource::PoolSource(const std::vector<std::unique_ptr<Caches>>& caches, const Clock& clock)
    : caches_(caches), clock_(clock), client_(quick(), clock) {}

std::map<std::string, PoolFigures> PoolSource::pools(const ClusterKey& cluster,
                                                     const std::optional<Routes>& routes) {
    if (!routes) return {};
    std::vector<net::PeerAddress> poolers;
    for (const auto& set : caches_)
        for (const auto& pod : Caches::of(set->pods, cluster))
            if (pod->ready && pod->label("app.kubernetes.io/component") == kPoolerComponent)
                poolers.push_back({pod->ip, kPoolerHealthPort, ""});
    const auto answers = std::make_shared<Answers>();
    answers->missing = poolers.size();
    for (const auto& pooler : poolers) {
        net::HttpRequest request;
        request.target = std::string(kPoolsPath);
        client_.request(pooler, kLane, std::move(request), Deadline::after(clock_, kAnswerIn),
                        [answers, ip = pooler.ip](Result<net::HttpResponse> got) {
                            auto pools = got ? server_pools_from_json(got->body)
                                             : Result<ServerPools>(got.error());
                            if (!pools)
                                telemetry::log::warn("a pooler tells nothing of its pools",
                                                     pools.error(), {{"address", ip}});
                            const std::lock_guard lock(answers->mutex);
                            if (pools) add(answers->sum, *pools);
                            --answers->missing;
                            answers->changed.notify_all();
                        });
    }
    std::unique_lock lock(answers->mutex);
    answers->changed.wait(lock, [&] { return answers->missing == 0; });
    return by_instance(answers->sum, *routes);
}

std::map<std::string, PoolFigures> by_instance(const ServerPools& pools, const Routes& routes) {
    std::map<std::string, PoolFigures> out;
    const auto take = [&](const InstanceName& instance, const std::string& address) {
        const auto found = pools.find(address);
        if (found == pools.end()) return;
        const ServerPool& p = found->second;
        out[instance.value] = {p.size, p.idle, p.in_use, std::max(0, p.in_use + p.idle - p.size)};
    };
    if (routes.master) take(routes.master->instance, routes.master->address);
    for (const auto& slave : routes.slaves) take(slave.instance, slave.address);
    return out;
}

}  // namespace matriarch::op
