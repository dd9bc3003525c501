// MasterWatch: a session of the pooler's own at the master, which ends at once when PostgreSQL
// does.
//
// The routes tell of a lost master only when another one serves. Until then PgBouncer refuses
// whoever logs in or asks ("server login has been failing"); a pooler that knows of the end at once
// lets them wait instead. A host that falls silent ends no session: of that the routes tell.
// The session asks nothing. Its own thread; follow() from any.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "postgres/connection.h"

namespace matriarch::pooler {

struct MasterSession {
    std::string host, address;  // the name that its certificate has, and where it is
    int port = 5432;
    std::string database, user, password;
    std::string ssl_mode, ca_file;  // by libpq's words
    friend bool operator==(const MasterSession&, const MasterSession&) = default;
};

class MasterWatch {
  public:
    // Whether the server at `address` takes clients: after each attempt to open a session, so
    // that who listens sees the same again and again while it is away. In the watch's thread.
    using OnLook = std::function<void(const std::string& address, bool takes_clients)>;

    MasterWatch(const Clock& clock, OnLook on_look);

    // From now on this one; nobody if it has no address.
    void follow(MasterSession session);

  private:
    void run(std::stop_token stop);
    bool followed(const MasterSession& session) const;

    const Clock& clock_;
    const OnLook on_look_;
    mutable std::mutex mutex_;
    std::condition_variable_any changed_;
    MasterSession wanted_;  // guarded by mutex_; nobody while it has no address
    std::jthread thread_;   // the last: it uses all of these
};

}  // namespace matriarch::pooler
