#include "operator/uri.h"

#include <cstdlib>

#include "kube/resource.h"

namespace matriarch::op {
namespace {

using kube::percent_encode;

std::string host_port(const std::string& host, int port) {
    const bool brings_port = host.find(':') != std::string::npos;
    return brings_port ? host : host + ":" + std::to_string(port);
}

// "?a=b&c=d"
std::string query(const std::vector<std::string>& terms) {
    std::string out;
    for (const std::string& term : terms) out += (out.empty() ? "?" : "&") + term;
    return out;
}

// libpq >= 14, and asyncpg >= 0.28 by the same words.
std::string session_term(Session session) {
    return "target_session_attrs=" + std::string(session_attrs(session));
}

std::string_view jdbc_server_type(Session session) {
    switch (session) {
        case Session::ReadWrite:
            return "primary";
        case Session::PreferStandby:
            return "preferSecondary";
        case Session::Standby:
            return "secondary";
        case Session::Any:
            break;
    }
    return "any";
}

std::string host_list(const UriParts& parts) {
    std::string out;
    for (const std::string& host : parts.hosts)
        out += (out.empty() ? "" : ",") + host_port(host, parts.port);
    return out;
}

std::string credentials(const UriParts& parts) {
    return percent_encode(parts.user) + ":" + percent_encode(parts.password) + "@";
}

// Without connect_timeout: asyncpg takes these too, and hands a term that it does not know to the
// server, which refuses it.
std::string libpq_uri(const UriParts& parts) {
    std::vector<std::string> terms;
    if (parts.session != Session::Any) terms.push_back(session_term(parts.session));
    return "postgresql://" + credentials(parts) + host_list(parts) + "/" +
           percent_encode(parts.database) + query(terms);
}

// SQLAlchemy has no host list in the authority: several hosts are query terms.
std::string asyncpg_uri(const UriParts& parts) {
    std::vector<std::string> terms;
    std::string authority;
    if (parts.hosts.size() == 1) {
        authority = host_port(parts.hosts.front(), parts.port);
    } else {
        for (const std::string& host : parts.hosts)
            terms.push_back("host=" + host_port(host, parts.port));
    }
    if (parts.session != Session::Any) terms.push_back(session_term(parts.session));
    return "postgresql+asyncpg://" + credentials(parts) + authority + "/" +
           percent_encode(parts.database) + query(terms);
}

std::string jdbc_uri(const UriParts& parts) {
    std::vector<std::string> terms = {"user=" + percent_encode(parts.user),
                                      "password=" + percent_encode(parts.password)};
    if (parts.session != Session::Any)
        terms.push_back("targetServerType=" + std::string(jdbc_server_type(parts.session)));
    if (parts.hosts.size() > 1) {
        if (parts.session != Session::ReadWrite) terms.push_back("loadBalanceHosts=true");
        terms.push_back("connectTimeout=" + std::to_string(kConnectTimeoutSeconds));
    }
    return "jdbc:postgresql://" + host_list(parts) + "/" + percent_encode(parts.database) +
           query(terms);
}

}  // namespace

Session read_session(const RoutingSpec& routing) {
    if (routing.master_weight() > 0) return Session::Any;
    return routing.fallback_to_master ? Session::PreferStandby : Session::Standby;
}

std::string_view session_attrs(Session session) {
    switch (session) {
        case Session::ReadWrite:
            return "read-write";
        case Session::PreferStandby:
            return "prefer-standby";
        case Session::Standby:
            return "standby";
        case Session::Any:
            break;
    }
    return "any";
}

std::pair<std::string, int> split_port(const std::string& host, int port) {
    const auto colon = host.rfind(':');
    if (colon == std::string::npos) return {host, port};
    std::string name = host.substr(0, colon);
    if (name.starts_with('[')) name = name.substr(1, name.size() - 2);
    return {name, std::atoi(host.c_str() + colon + 1)};
}

std::string make_uri(std::string_view scheme, const UriParts& parts) {
    if (scheme == kAsyncpgScheme) return asyncpg_uri(parts);
    if (scheme == kJdbcScheme) return jdbc_uri(parts);
    return libpq_uri(parts);
}

}  // namespace matriarch::op
