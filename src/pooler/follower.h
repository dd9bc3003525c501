// Follower: makes PgBouncer do what the routes say.
//
// Level-based: step() compares what is wanted with what PgBouncer says of itself and does what is
// missing, so a command that failed is simply due again. Writers are held back (PAUSE) while there
// is no master, or it takes no clients, and while the operator prepares a planned change
// (Routes::pause); it is told when no transaction of theirs is left. An answer older than one that
// was followed is not looked at (INV-4). One thread.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "model/routes.h"
#include "pooler/console.h"
#include "pooler/pgbouncer_ini.h"

namespace matriarch::pooler {

// What the follower does to the world, but for PgBouncer's console.
struct Hands {
    // The file is complete; PgBouncer is started if it does not run yet.
    std::function<Status(const std::string& ini)> write_ini;
    // To the operator: Routes::pause while all writers are held back for it, or empty.
    std::function<void(const std::string& word)> tell;
    // For metrics: from see() to PgBouncer's new configuration; how long writers were held back.
    std::function<void(Duration)> followed, held;
};

class Follower {
  public:
    Follower(Place place, Console& console, Hands hands, const Clock& clock);

    // What the API says now; false: it is older than what is followed.
    bool see(const Routes& routes, const std::string& settings);
    // Whether PostgreSQL at the master's address takes clients; until that is known, it does. Says
    // whether that is news.
    bool see_master(bool takes_clients);
    // Certificates or passwords changed.
    void reload_files() { reload_due_ = true; }
    // Does what is due; says when to be called again at the latest.
    TimePoint step();

    bool holding() const { return holding_since_.has_value(); }

  private:
    // Why writers must wait now; empty: they need not.
    std::string why_hold() const;
    Status write();
    Status hold();
    void say(const std::string& word);

    const Place place_;
    Console& console_;
    const Hands hands_;
    const Clock& clock_;
    std::optional<Routes> routes_;
    std::optional<MasterRoute> last_master_;
    std::string settings_, ini_;
    bool reload_due_ = false;
    TimePoint seen_{}, pause_seen_{};
    std::optional<TimePoint> away_since_;  // it takes no clients
    std::optional<TimePoint> holding_since_;
    std::string said_;
};

}  // namespace matriarch::pooler
