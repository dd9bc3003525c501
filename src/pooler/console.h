// Console: what a pooler asks of its PgBouncer. An interface, so that tests follow routes without
// one; PgBouncerConsole is the real one.
//
// PgBouncer lets in the user that it runs as, over its Unix socket, as administrator. Each call
// blocks for a second at most and is safe to be repeated. One thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/server_pools.h"
#include "postgres/connection.h"

namespace matriarch::pooler {

// One database, over all users.
struct PoolFigures {
    int clients_active = 0, clients_waiting = 0;
    int servers_active = 0, servers_idle = 0;  // active: also those that log in or are tested
    double longest_wait = 0;                   // seconds
    std::uint64_t transactions = 0, queries = 0;
};
using Pools = std::map<std::string, PoolFigures>;

class Console {
  public:
    virtual ~Console() = default;
    virtual Status reload() = 0;
    // Of existing connections to servers those in a transaction end with it, new ones are not made.
    // Does not wait for that: pools() tells.
    virtual Status pause(const std::string& database) = 0;
    virtual Status resume(const std::string& database) = 0;
    virtual Result<std::vector<std::string>> paused() = 0;
    virtual Result<Pools> pools() = 0;  // but for their totals
    virtual Status add_totals(Pools& pools) = 0;
    // `pool_size` is what each database's pool may have.
    virtual Result<ServerPools> servers(int pool_size) = 0;
    // Takes no new clients, and ends when the last one went.
    virtual Status shut_down() = 0;
};

class PgBouncerConsole final : public Console {
  public:
    PgBouncerConsole(std::string socket_dir, int port, const Clock& clock);

    Status reload() override;
    Status pause(const std::string& database) override;
    Status resume(const std::string& database) override;
    Result<std::vector<std::string>> paused() override;
    Result<Pools> pools() override;
    Status add_totals(Pools& pools) override;
    Result<ServerPools> servers(int pool_size) override;
    Status shut_down() override;

  private:
    Result<postgres::Rows> ask(const std::string& command, Duration patience);
    Status tell(const std::string& command);

    const std::string socket_dir_;
    const int port_;
    const Clock& clock_;
    std::optional<postgres::Connection> connection_;
};

}  // namespace matriarch::pooler
