// Dialer: gets a session with a server that accepts writes, whichever host that is just now.
//
// It calls all hosts at once and takes the first that is writable (neither in recovery nor with
// default_transaction_read_only). libpq's own multi-host rule calls one after the other and waits
// at least 2 s for a silent one. Each call has its own deadline; a host that is not writable yet
// is called again a little later. One thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "cli/connection.h"
#include "cli/resolver.h"
#include "cli/stop_signal.h"
#include "cli/target.h"

namespace matriarch::cli {

struct DialRules {
    Duration patience = milliseconds(400);      // for one host to answer
    Duration pause_refused = milliseconds(20);  // before a host that refused is called again
    Duration pause_reading = milliseconds(50);  // ... that is a slave: a login costs it 5 ms of CPU
    bool writable = true;                       // false: a slave will do
};

class Dialer {
  public:
    Dialer(Target target, DialRules rules, const Clock& clock, StopSignal& stop);

    // Calls until a session is there, `deadline` has passed (Timeout) or a stop is requested
    // (Cancelled). `failed` hears of every call that came to nothing.
    using Failed = std::function<void(const Host&, const std::string& why)>;
    Result<Connection> dial(Deadline deadline, const Failed& failed);

  private:
    struct Call;
    bool start(Call& call);
    void advance(Call& call, bool ready, const Failed& failed);
    Connection::Handle open(const Host& host, const std::string& address) const;

    Target target_;
    DialRules rules_;
    const Clock& clock_;
    StopSignal& stop_;
    Resolver resolver_;
};

}  // namespace matriarch::cli
