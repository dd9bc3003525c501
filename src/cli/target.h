// Target: where a client connects to. The hosts of a (multi-host) connection URI, apart from the
// options that are the same for all of them.
//
// Apart, because libpq waits at least two seconds for each silent host before it tries the next;
// Dialer calls all of them at once instead. A value type.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace matriarch::cli {

struct Host {
    std::string name;     // for TLS and for people; a path means a unix socket
    std::string address;  // hostaddr of the URI; empty: to be resolved
    std::string port = "5432";
    bool is_socket() const { return name.starts_with('/'); }
    std::string str() const { return name + ":" + port; }
    friend bool operator==(const Host&, const Host&) = default;
};

struct Target {
    std::vector<Host> hosts;
    std::vector<std::pair<std::string, std::string>> options;  // user, dbname, sslmode, ...
    friend bool operator==(const Target&, const Target&) = default;
};

// Invalid for what libpq does not take. target_session_attrs and connect_timeout are dropped: the
// dialer has its own rules for both.
Result<Target> parse_target(const std::string& uri);

// "name", "name:port", "[::1]:port".
Host parse_host(std::string_view text);

}  // namespace matriarch::cli
