#include "pooler/routes_watch.h"

#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "kube/client.h"
#include "kube/cpprest_transport.h"
#include "kube/objects.h"
#include "kube/watcher.h"
#include "model/pooler.h"
#include "telemetry/log.h"

namespace matriarch::pooler {
namespace {

namespace log = telemetry::log;

constexpr Duration kTellAgain = milliseconds(100);
constexpr Duration kTellTimeout = seconds(2);

class Sink final : public kube::WatchSink {
  public:
    explicit Sink(RoutesWatch::OnNews on_news) : on_news_(std::move(on_news)) {}

    void list_begin() override {}
    void list_item(const std::string&, const nlohmann::json& object) override { take(object); }
    void list_end(const std::string&) override {}
    void changed(const std::string&, const std::string&, const nlohmann::json& object) override {
        take(object);
    }
    // The operator writes it anew; until then the last word counts.
    void removed(const std::string&, const std::string&) override {}
    void bookmark(const std::string&) override {}

  private:
    void take(const nlohmann::json& object) {
        const auto map = kube::decode_config_map(object);
        if (!map) return log::warn("the routing ConfigMap can't be read", map.error());
        const auto text = map->data.find("routes.json");
        const auto settings = map->data.find(std::string(kPoolerSettingsKey));
        if (text == map->data.end() || settings == map->data.end()) return;
        const auto routes = routes_from_json(text->second);
        if (!routes) return log::warn("routes.json can't be read", routes.error());
        on_news_(*routes, settings->second);
    }

    const RoutesWatch::OnNews on_news_;
};

}  // namespace

struct RoutesWatch::Impl {
    Impl(kube::CredentialSource& credentials, std::string name_space_, std::string cluster,
         std::string pod_, const Clock& clock_, Random& random_, OnNews on_news)
        : name_space(std::move(name_space_)),
          words(pooler_words(cluster)),
          pod(std::move(pod_)),
          clock(clock_),
          transport(credentials, clock_, {.user_agent = "matriarch-pooler"}),
          client(transport, clock_),
          waiter(clock_),
          sink(std::move(on_news)),
          watcher(client, clock_, random_, waiter,
                  {.resource = kube::kConfigMaps,
                   .ns = name_space,
                   .field_selector = "metadata.name=" + routing_config_map(cluster)},
                  sink, {}, [](const Error& error) { log::warn("watching the routes", error); }) {}

    void send_words(std::stop_token stop) {
        std::unique_lock lock(mutex);
        while (!stop.stop_requested()) {
            changed.wait(lock, stop, [&] { return word.has_value(); });
            if (!word) continue;
            const std::string now = *word;
            lock.unlock();
            const nlohmann::json value = now.empty() ? nlohmann::json() : nlohmann::json(now);
            const auto sent =
                client.merge_patch(kube::kConfigMaps, {name_space, words}, "",
                                   {{"data", {{pod, value}}}}, {.timeout = kTellTimeout});
            lock.lock();
            if (sent) {
                if (word == now) word.reset();
                continue;
            }
            log::warn("can't tell the operator", sent.error());
            changed.wait_for(lock, stop, kTellAgain, [&] { return word && *word != now; });
        }
    }

    const std::string name_space, words, pod;
    const Clock& clock;
    kube::CpprestTransport transport;
    kube::Client client;
    kube::ThreadWaiter waiter;
    Sink sink;
    kube::Watcher watcher;
    std::mutex mutex;
    std::condition_variable_any changed;
    std::optional<std::string> word;  // guarded by mutex: not sent yet
    std::jthread watching, telling;   // last: they end first
};

RoutesWatch::RoutesWatch(kube::CredentialSource& credentials, std::string name_space,
                         std::string cluster, std::string pod, const Clock& clock, Random& random,
                         OnNews on_news)
    : impl_(std::make_unique<Impl>(credentials, std::move(name_space), std::move(cluster),
                                   std::move(pod), clock, random, std::move(on_news))) {}

RoutesWatch::~RoutesWatch() = default;

void RoutesWatch::start() {
    impl_->watching = std::jthread([i = impl_.get()](std::stop_token s) { i->watcher.run(s); });
    impl_->telling = std::jthread([i = impl_.get()](std::stop_token s) { i->send_words(s); });
}

void RoutesWatch::tell(std::string word) {
    const std::lock_guard lock(impl_->mutex);
    impl_->word = std::move(word);
    impl_->changed.notify_all();
}

}  // namespace matriarch::pooler
