// WatchMachine: what a list+watch does next, as a state machine without I/O.
//
// The rules are client-go's reflector's (tools/cache/reflector.go), with three differences. Every
// list is a quorum read in pages: it can never go back in time and bounds our memory; we are at
// most two clients, so etcd does not mind. And any broken connection resumes the watch from the
// last version: only the server's word (410, or an error that watching again can't mend) costs a
// list. A server that is away is asked every few seconds, however long that lasts: what a failover
// rests on may not be unread for a minute after the server is back. Time and randomness are
// arguments. Not thread-safe.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"

namespace matriarch::kube {

enum class WatchState {
    List,     // nothing usable known: read everything
    Watch,    // follow from resource_version()
    Backoff,  // wait, then List or Watch
};

std::string_view to_string(WatchState state);

struct WatchTuning {
    // client-go reflector.go L57-67.
    Duration backoff_first = std::chrono::milliseconds(800);
    Duration backoff_cap = std::chrono::seconds(30);
    Duration away_cap = std::chrono::seconds(2);  // while nobody answers; jitter doubles it
    Duration backoff_reset = std::chrono::minutes(2);
    // The server ends each watch after a random time in this range, so that load spreads.
    std::chrono::seconds timeout_min{300};
    std::chrono::seconds timeout_max{600};
    // Bookmarks come every 60 s; a peer silent for this long is taken for dead. HTTP/1.1 has no
    // PING, which Go's clients rely on.
    Duration idle = std::chrono::seconds(90);
    // A watch that ended sooner, without an event, is an error: else a broken proxy makes a hot
    // loop.
    Duration too_short = std::chrono::seconds(1);
};

// What an event of the stream means for the watch.
enum class WatchVerdict {
    Continue,
    Leave,  // end this stream and ask next()
};

class WatchMachine {
  public:
    struct Step {
        WatchState state = WatchState::List;
        TimePoint until{};               // Backoff: when it is over
        std::string resource_version;    // Watch: from where
        std::chrono::seconds timeout{};  // Watch: timeoutSeconds
    };

    WatchMachine(Random& random, WatchTuning tuning = {}) : random_(random), tuning_(tuning) {}

    // What to do now. Asking twice gives the same state (but another random timeout).
    Step next(TimePoint now);

    // The complete list has been stored.
    void listed(std::string resource_version, TimePoint now);
    void list_failed(const Error& error, TimePoint now);

    void watch_started(TimePoint now);
    // An ADDED, MODIFIED, DELETED or BOOKMARK has been stored.
    void event(std::string resource_version);
    // An ERROR event.
    WatchVerdict error_event(const Error& error, TimePoint now);
    // The server ended the stream in good order, or error_event() said Leave.
    void watch_ended(TimePoint now);
    // The open stream broke, or fell silent: like an end, since nothing of what we know is wrong.
    void watch_broken(const Error& error, TimePoint now);
    // It could not be opened: an HTTP error, or no connection.
    void watch_failed(const Error& error, TimePoint now);

    const std::string& resource_version() const { return resource_version_; }
    const std::optional<Error>& last_error() const { return last_error_; }

  private:
    void back_off(const Error& error, WatchState then, TimePoint now);

    Random& random_;
    const WatchTuning tuning_;
    WatchState state_ = WatchState::List;
    WatchState after_backoff_ = WatchState::List;
    std::string resource_version_;
    TimePoint backoff_until_{};
    Duration backoff_{};         // the last delay without jitter; zero: none yet
    TimePoint last_backoff_{};   // when it was chosen
    bool expired_once_ = false;  // a list that answered 410 is repeated at once, but only once
    TimePoint watch_started_{};
    bool got_event_ = false;
    bool left_ = false;  // error_event() chose the next state already
    std::optional<Error> last_error_;
};

}  // namespace matriarch::kube
