// Knocking: asks whether a server accepts and forks, without credentials: an encryption request and
// its one byte of answer.
//
// The request is GSSENC, which unlike an SSLRequest writes no line into the server's log. It sees a
// frozen postmaster, to which an established connection is blind. Errors: Timeout (nobody answers),
// Unavailable (refused, or no server of PostgreSQL), Invalid (no address).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace matriarch::postgres {

Status knock(const std::string& socket_path, Deadline deadline, const Clock& clock);

struct TcpAddress {
    std::string ip;  // never a name: to resolve one may block
    std::uint16_t port = 5432;
};

// At all of them at the same time: how long each took to answer.
std::vector<Result<Duration>> knock_all(const std::vector<TcpAddress>& servers, Deadline deadline,
                                        const Clock& clock);

}  // namespace matriarch::postgres
