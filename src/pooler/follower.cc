#include "pooler/follower.h"

#include <algorithm>

#include "telemetry/log.h"

namespace matriarch::pooler {
namespace {

namespace log = telemetry::log;

constexpr Duration kAgain = milliseconds(20);   // after a command that failed
constexpr Duration kDrained = milliseconds(5);  // between two looks whether transactions are over
constexpr Duration kCalm = seconds(5);
// A planned change is over by then, and a master that ended is back or replaced. If nobody says so
// the operator is gone, or nothing can be done: clients are to hear that.
constexpr Duration kLongestPause = seconds(15);

bool older(const Routes& a, const Routes& b) {
    return a.epoch < b.epoch || (a.epoch == b.epoch && a.sequence < b.sequence);
}

bool contains(const std::vector<std::string>& all, const std::string& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

Follower::Follower(Place place, Console& console, Hands hands, const Clock& clock)
    : place_(std::move(place)), console_(console), hands_(std::move(hands)), clock_(clock) {}

bool Follower::see(const Routes& routes, const std::string& settings) {
    if (routes_ && older(routes, *routes_)) return false;
    if (!routes_ || routes.pause != routes_->pause) pause_seen_ = clock_.now();
    if (!routes_ || routes.master != routes_->master) away_since_.reset();
    routes_ = routes;
    if (routes.master) last_master_ = routes.master;
    settings_ = settings;
    seen_ = clock_.now();
    return true;
}

bool Follower::see_master(bool takes_clients) {
    if (takes_clients == !away_since_) return false;
    if (takes_clients)
        away_since_.reset();
    else
        away_since_ = clock_.now();
    return true;
}

std::string Follower::why_hold() const {
    const TimePoint now = clock_.now();
    if (!routes_->master) return "there is no master";
    if (!routes_->pause.empty() && now - pause_seen_ < kLongestPause) return routes_->pause;
    if (away_since_ && now - *away_since_ < kLongestPause) return "the master takes no clients";
    return {};
}

Status Follower::write() {
    Routes routes = *routes_;
    routes.master = last_master_;
    std::string ini = pgbouncer_ini(place_, settings_, routes);
    if (ini == ini_ && !reload_due_) return {};
    if (auto written = hands_.write_ini(ini); !written) return written;
    if (auto reloaded = console_.reload(); !reloaded) return reloaded;
    if (ini != ini_) {
        hands_.followed(clock_.now() - seen_);
        log::info("follows", {{"epoch", routes.epoch},
                              {"sequence", routes.sequence},
                              {"master", routes.master->instance},
                              {"took", clock_.now() - seen_}});
    }
    ini_ = std::move(ini);
    reload_due_ = false;
    return {};
}

void Follower::say(const std::string& word) {
    if (said_ == word) return;
    hands_.tell(word);
    said_ = word;
}

Status Follower::hold() {
    const std::string why = why_hold();
    const bool wanted = !why.empty();
    if (!wanted) say("");  // before: nobody may rely on it any more
    const auto paused = console_.paused();
    if (!paused) return paused.error();
    for (const auto& database : place_.writing()) {
        if (contains(*paused, database) == wanted) continue;
        auto done = wanted ? console_.pause(database) : console_.resume(database);
        if (!done) return done;
    }
    if (wanted && !holding_since_) {
        holding_since_ = clock_.now();
        log::info("holds writers back", {{"why", why}});
    } else if (!wanted && holding_since_) {
        hands_.held(clock_.now() - *holding_since_);
        log::info("lets writers go", {{"held", clock_.now() - *holding_since_}});
        holding_since_.reset();
    }
    if (!wanted || routes_->pause.empty() || said_ == routes_->pause) return {};
    const auto pools = console_.pools();
    if (!pools) return pools.error();
    for (const auto& database : place_.writing())
        if (const auto pool = pools->find(database); pool != pools->end())
            if (pool->second.servers_active > 0) return {};
    say(routes_->pause);
    return {};
}

TimePoint Follower::step() {
    const TimePoint now = clock_.now();
    if (!routes_ || !last_master_) return now + kCalm;
    // The new master first: who is let go meets it.
    auto done = write();
    if (done) done = hold();
    if (!done) {
        log::warn("PgBouncer does not follow yet", done.error());
        return clock_.now() + kAgain;
    }
    const bool waits = !routes_->pause.empty() && !why_hold().empty();
    return clock_.now() + (waits && said_ != routes_->pause ? kDrained : kCalm);
}

}  // namespace matriarch::pooler
