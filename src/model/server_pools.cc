#include "model/server_pools.h"

#include "model/json.h"

namespace matriarch {

using json::Json;
using json::read;

void add(ServerPools& to, const ServerPools& from) {
    for (const auto& [address, pool] : from) {
        ServerPool& sum = to[address];
        sum.size += pool.size;
        sum.in_use += pool.in_use;
        sum.idle += pool.idle;
    }
}

std::string to_json(const ServerPools& pools) {
    Json out = Json::object();
    for (const auto& [address, pool] : pools)
        out[address] = {{"size", pool.size}, {"inUse", pool.in_use}, {"idle", pool.idle}};
    return out.dump();
}

Result<ServerPools> server_pools_from_json(std::string_view text) {
    const auto body = json::parse_object(text);
    if (!body) return make_error(ErrorKind::Invalid, "pools must be a JSON object");
    ServerPools out;
    for (const auto& [address, item] : body->items()) {
        ServerPool& pool = out[address];
        read(item, "size", pool.size);
        read(item, "inUse", pool.in_use);
        read(item, "idle", pool.idle);
    }
    return out;
}

}  // namespace matriarch
