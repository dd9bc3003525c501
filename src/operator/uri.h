// Connection URIs for applications: libpq's, SQLAlchemy's for asyncpg, and JDBC's.
//
// User, password and database may hold any character; all but the unreserved ones of RFC 3986 are
// percent-encoded, which also keeps comma lists of URIs unambiguous. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/spec.h"

namespace matriarch::op {

inline constexpr std::string_view kLibpqScheme = "postgresql";
inline constexpr std::string_view kAsyncpgScheme = "postgresql+asyncpg";
inline constexpr std::string_view kJdbcScheme = "jdbc:postgresql";

// For each of several hosts. libpq knows no fraction, and takes 1 for 2.
inline constexpr int kConnectTimeoutSeconds = 3;

// Which of several hosts to take. Any: whichever; or a Service has chosen already.
enum class Session { Any, ReadWrite, PreferStandby, Standby };

// For reads: the master too only where the spec says so.
Session read_session(const RoutingSpec& routing);
// libpq's word for it, in target_session_attrs.
std::string_view session_attrs(Session session);

struct UriParts {
    // In the order in which they are tried. One may bring its own port: "db.example:6000".
    std::vector<std::string> hosts;
    int port = 5432;
    std::string user, password, database;
    Session session = Session::Any;
};

// A host and the port that it brings, or `port`. Brackets around an IPv6 address go.
std::pair<std::string, int> split_port(const std::string& host, int port);

// An unknown scheme is taken for libpq's.
std::string make_uri(std::string_view scheme, const UriParts& parts);

}  // namespace matriarch::op
