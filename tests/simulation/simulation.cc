#include "simulation.h"

#include <algorithm>

#include "operator/status.h"
#include "telemetry/log.h"
#include "wraps.h"
#include "writer.h"

namespace matriarch::sim {
namespace {

constexpr int kMostInstances = 4;
constexpr HostId kFirstInstance = 1;         // after the API's
constexpr Duration kFounding = seconds(60);  // until a new cluster serves with all its slaves
// From the last fault's end: a frozen operator's lease, a failover that must wait for an expiry, a
// clone, and the longest backoff of each.
constexpr Duration kRest = seconds(180);
constexpr Duration kDeletion = seconds(60);  // pods may take half of it to end
constexpr Duration kCalm = seconds(10);
constexpr std::uint64_t kCalmWrites = 60;  // of the API: leases are renewed each second
constexpr std::uint64_t kCalmReconciles = 120;

constexpr const char* kGivesUp = "lost commits given up";

class Run {
  public:
    explicit Run(const Options& options)
        : options_(options),
          profile_(profile()),
          world_(options.seed, options.story),
          net_(world_),
          api_(world_),
          contracts_(world_),
          checks_(world_, api_, contracts_),
          api_host_(net_.add("api")),
          access_{api_host_, api_, weather_},
          kubelet_(world_, net_, access_, checks_, contracts_, hosts("instance", kMostInstances)),
          client_host_(net_.add("client")) {
        checks_.look_at(kubelet_);
        contracts_.look_at(kubelet_);
        listen_to_log();
    }
    ~Run() {
        telemetry::log::Options silent;
        silent.level = telemetry::log::Level::Off;
        telemetry::log::configure(std::move(silent));
        watch_decide({});
    }

    Outcome run() {
        if (profile_ == Profile::PostgresOnly || replication() != "async") checks_.forbid_loss();
        if (profile_ == Profile::Clocks) checks_.expect_no_grants(kFirstInstance);
        make_cluster();
        Operators operators(world_, net_, access_, kubelet_, hosts("operator", 2));
        Writer by_route(world_, net_, client_host_, kubelet_, checks_, Writer::Dials::Route);
        Writer by_hosts(world_, net_, client_host_, kubelet_, checks_, Writer::Dials::EveryHost);
        by_route.begin();
        by_hosts.begin();
        rests_within(kFounding, "a new cluster");
        Faults faults(
            {world_, net_, api_, weather_, kubelet_, operators, checks_, api_host_, client_host_},
            profile_, options_.only);
        const TimePoint end = world_.now() + world_.between(seconds(20), seconds(120));
        faults.begin(options_.minutes > 0 ? TimePoint(std::chrono::minutes(options_.minutes))
                                          : end);
        while (!faults.over() && !world_.violation()) world_.run_until(world_.now() + seconds(1));
        operators.kill_at_step(0);
        operators.freeze_at_step(0, {});
        rests_within(kRest, "after the last fault");
        stays_calm();
        if (!world_.violation()) checks_.losses_as_reported();
        checks_.nobody_is_granted();
        is_deleted();
        return {options_.seed, world_.trace_hash(), world_.violation(),
                world_.now(),  world_.counts(),     faults.begun()};
    }

  private:
    std::vector<HostId> hosts(const std::string& name, int count) {
        std::vector<HostId> out;
        for (int n = 1; n <= count; ++n)
            out.push_back(net_.add(name + "-" + std::to_string(n),
                                   profile_ == Profile::Clocks && name == "instance" && n == 1));
        return out;
    }

    Profile profile() const {
        if (options_.profile) return *options_.profile;
        constexpr Profile kProfiles[] = {Profile::All,          Profile::All,     Profile::All,
                                         Profile::All,          Profile::Spec,    Profile::Spec,
                                         Profile::PostgresOnly, Profile::Network, Profile::Network,
                                         Profile::Operator,     Profile::Orders};
        return kProfiles[options_.seed % std::size(kProfiles)];
    }

    // Two of five seeds let commits wait, and then none may be lost (INV-5).
    std::string replication() const {
        const auto kind = options_.seed / 11 % 5;
        return kind == 0 ? "sync" : kind == 1 ? "quorum" : "async";
    }

    // The production code's own log is part of the story.
    void listen_to_log() {
        telemetry::log::Options log;
        log.level = options_.story ? telemetry::log::Level::Info : telemetry::log::Level::Off;
        log.format = telemetry::log::Format::Console;
        log.sink = [this](std::string_view line) { world_.murmur(line); };
        telemetry::log::configure(std::move(log));
        watch_decide(
            [this](const decide::Plan& plan) { world_.count("rule: " + std::string(plan.rule)); });
    }

    void make_cluster() {
        api_.put("postgresclusters",
                 {{"apiVersion", "matriarch.dev/v1alpha1"},
                  {"kind", "PostgresCluster"},
                  {"metadata", {{"name", "orders"}, {"namespace", "shop"}}},
                  {"spec",
                   {{"slaves", 2},
                    {"replication", {{"mode", replication()}}},
                    {"failover", {{"mandateSeconds", 2 + world_.random().below(4)}}}}}});
    }

    void rests_within(Duration limit, std::string when) {
        std::string unrest = waits_for_rest(limit);
        const auto broken = [&] { return !unrest.empty() && !world_.violation(); };
        if (broken() && checks_.needs_a_person()) {
            const PodUid pod = checks_.record()->holder_pod;
            if (!asks_for("confirmDead.podUid: " + pod.value))
                return world_.violate(
                    "rest", when + ": " + unrest + "; nobody is asked about " + pod.value);
            world_.count(kNeedsPerson);
            give_word(pod);
            unrest = waits_for_rest(limit);
            when = "after an administrator's word about " + pod.value;
        }
        if (const auto best = broken() ? checks_.left_with_most() : std::nullopt;
            best && asks_for("acceptDataLoss")) {
            world_.count(kGivesUp);
            give_up_commits(*best);
            unrest = waits_for_rest(limit);
            when = "after what was lost was given up for " + best->value;
        }
        if (broken()) world_.violate("rest", when + ": " + unrest);
    }

    // What stops a person who looks at the cluster.
    bool asks_for(const std::string& words) const {
        const Json* cluster = api_.find("postgresclusters", "shop/orders");
        const auto status = op::decode_status(cluster->value("status", Json::object()));
        return std::any_of(status.conditions.begin(), status.conditions.end(),
                           [&](const auto& condition) {
                               return condition.status == kube::ConditionStatus::False &&
                                      condition.message.find(words) != std::string::npos;
                           });
    }

    // What is missing at the end of that time.
    std::string waits_for_rest(Duration limit) {
        const TimePoint end = world_.now() + limit;
        std::string unrest = checks_.unrest();
        while (!unrest.empty() && world_.now() < end && !world_.violation()) {
            world_.run_until(world_.now() + milliseconds(500));
            unrest = checks_.unrest();
        }
        return unrest;
    }

    void give_word(const PodUid& pod) {
        world_.tell("user", "says that " + pod.value + " is dead");
        Json cluster = *api_.find("postgresclusters", "shop/orders");
        cluster["spec"]["failover"]["confirmDead"]["podUid"] = pod.value;
        api_.put("postgresclusters", std::move(cluster));
    }

    void give_up_commits(const InstanceName& leads) {
        world_.tell("user", "gives up what was lost, " + leads.value + " is to lead");
        Json cluster = *api_.find("postgresclusters", "shop/orders");
        auto& failover = cluster["spec"]["failover"];
        failover["target"] = leads.value;
        failover["requestId"] = "what-is-left";
        failover["acceptDataLoss"] = true;
        api_.put("postgresclusters", std::move(cluster));
    }

    // Nothing happens, so nearly nothing is done.
    void stays_calm() {
        if (world_.violation()) return;
        world_.run_until(world_.now() + seconds(5));
        const auto counted = [this](const char* name) {
            const auto found = world_.counts().find(name);
            return found == world_.counts().end() ? 0 : found->second;
        };
        const auto writes = counted("api writes"), looks = counted("reconciles");
        const auto epochs = counted("epochs");
        world_.run_until(world_.now() + kCalm);
        if (world_.violation()) return;
        if (counted("epochs") != epochs) world_.violate("calm", "the master changed");
        if (counted("api writes") - writes > kCalmWrites)
            world_.violate("calm", std::to_string(counted("api writes") - writes) + " API writes");
        if (counted("reconciles") - looks > kCalmReconciles)
            world_.violate("calm", std::to_string(counted("reconciles") - looks) + " reconciles");
        if (const auto unrest = checks_.unrest(); !unrest.empty()) world_.violate("calm", unrest);
    }

    // Kubernetes removes what the cluster owned, the volumes stay, and the operator lets it go.
    void is_deleted() {
        if (world_.violation()) return;
        const Json cluster = *api_.find("postgresclusters", "shop/orders");
        const std::string uid = cluster["metadata"]["uid"];
        world_.tell("user", "deletes the cluster");
        checks_.note_deletion();
        if (world_.chance(50)) {  // in the foreground: its objects go first
            Json ending = cluster;
            ending["metadata"]["deletionTimestamp"] = "2026-10-01T00:00:00Z";
            api_.put("postgresclusters", std::move(ending));
            collect_garbage(uid);
        }
        api_.erase("postgresclusters", "shop/orders");
        const TimePoint end = world_.now() + kDeletion;
        do collect_garbage(uid);
        while ((pods_are_left() || !api_.owned_by(uid).empty()) && world_.now() < end &&
               !world_.violation());
        if (world_.violation()) return;
        for (const auto& [name, machine] : kubelet_.machines())
            if (machine.pod_exists) world_.violate("deletion", name.value + " is still there");
        if (!api_.owned_by(uid).empty())
            world_.violate("deletion", api_.owned_by(uid).front().second + " is made anew");
    }

    bool pods_are_left() {
        const auto& all = kubelet_.machines();
        return std::any_of(all.begin(), all.end(),
                           [](const auto& entry) { return entry.second.pod_exists; });
    }

    void collect_garbage(const std::string& uid) {
        for (const auto& [plural, key] : api_.owned_by(uid)) {
            api_.erase(plural, key);
            world_.run_until(world_.now() + world_.between(milliseconds(1), milliseconds(100)));
        }
        world_.run_until(world_.now() + seconds(1));
    }

    const Options options_;
    const Profile profile_;
    World world_;
    Network net_;
    ApiWeather weather_;
    ApiServer api_;
    Contracts contracts_;
    Checks checks_;
    const HostId api_host_;
    const ApiAccess access_;
    Kubelet kubelet_;
    const HostId client_host_;
};

}  // namespace

Outcome simulate(const Options& options) {
    return Run(options).run();
}

}  // namespace matriarch::sim
