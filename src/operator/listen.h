// [IP]:PORT, as the operator's flags name an address to serve on. Pure.
#pragma once

#include <cstdlib>
#include <string>

#include "net/server.h"

namespace matriarch::op {

inline net::ServerOptions listen_on(const std::string& address) {
    const auto colon = address.rfind(':');
    net::ServerOptions options;
    options.bind_address = colon == std::string::npos ? "" : address.substr(0, colon);
    options.port = static_cast<std::uint16_t>(
        std::atoi(colon == std::string::npos ? address.c_str() : address.c_str() + colon + 1));
    return options;
}

}  // namespace matriarch::op
