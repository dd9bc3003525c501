// ServerPools: a pooler's connections to servers, by the servers' addresses; what it answers to
// GET /pools. Those of several poolers add up. A value type.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/error.h"

namespace matriarch {

struct ServerPool {
    int size = 0;  // connections that it may have
    int in_use = 0, idle = 0;
    friend bool operator==(const ServerPool&, const ServerPool&) = default;
};
using ServerPools = std::map<std::string, ServerPool>;

inline constexpr std::string_view kPoolsPath = "/pools";

void add(ServerPools& to, const ServerPools& from);
std::string to_json(const ServerPools& pools);
Result<ServerPools> server_pools_from_json(std::string_view text);

}  // namespace matriarch
