#include "operator/health_api.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "telemetry/log.h"

namespace matriarch::op {

namespace log = telemetry::log;

namespace {

using Page = HealthApi::Page;

// A test connects to every endpoint of a cluster.
constexpr double kTestCost = 5;
constexpr std::size_t kMaxToken = 8192;
constexpr std::string_view kScheme = "bearer ";

bool is_token(std::string_view text) {
    // RFC 6750, 2.1: b64token.
    return !text.empty() && text.size() <= kMaxToken &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                      std::string_view("-._~+/=").find(c) != std::string_view::npos;
           });
}

// What an object's name may consist of: nothing else goes any further.
bool is_dns_name(std::string_view text) {
    return text.size() <= 253 && std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '.';
           });
}

bool names_scheme(std::string_view text) {
    return text.size() >= kScheme.size() &&
           std::equal(kScheme.begin(), kScheme.end(), text.begin(),
                      [](char a, char b) { return a == b || a == (b | 0x20); });
}

// Nothing without the header; an Error if it holds no token.
Result<std::optional<std::string>> bearer_token(const net::HttpRequest& request) {
    const std::string* header = request.headers.find("Authorization");
    if (header == nullptr) return std::optional<std::string>();
    if (!names_scheme(*header) || !is_token(std::string_view(*header).substr(kScheme.size())))
        return make_error(ErrorKind::Unauthorized, "Authorization must be: Bearer <token>");
    return std::optional(header->substr(kScheme.size()));
}

int status_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::Unauthorized:
            return 401;
        case ErrorKind::Forbidden:
            return 403;
        case ErrorKind::NotFound:
            return 404;
        case ErrorKind::Invalid:
            return 400;
        case ErrorKind::Throttled:
            return 429;
        case ErrorKind::Unavailable:
            return 503;
        default:
            return 500;
    }
}

// `cause` is for the log: it may be the words of the API server.
net::HttpResponse refusal(const Error& error) {
    auto out = net::json_response(status_of(error.kind),
                                  nlohmann::json{{"error", error.what}}.dump() + '\n');
    if (error.kind == ErrorKind::Unauthorized) out.headers.set("WWW-Authenticate", "Bearer");
    if (error.retry_after) {
        const double wait = static_cast<double>(error.retry_after->count()) / 1000;
        out.headers.set("Retry-After",
                        std::to_string(std::max(1, static_cast<int>(std::ceil(wait)))));
    }
    return out;
}

// The two that the first applications could always ask.
bool may_be_anonymous(Page page) {
    return page == Page::DatabaseHealth || page == Page::OverallHealth;
}

}  // namespace

const std::vector<HealthApi::PagePath>& HealthApi::pages() {
    static const std::vector<PagePath> all = {
        {Page::DatabaseHealth, "GET", "/health/database"},
        {Page::OverallHealth, "GET", "/api/v2/database/health"},
        {Page::PoolMetrics, "GET", "/api/v2/database/pool-metrics"},
        {Page::ReplicaLag, "GET", "/api/v2/database/replica-lag"},
        {Page::TestConnection, "POST", "/api/v2/database/test-connection"},
    };
    return all;
}

HealthApi::HealthApi(World world, RateLimit rate, bool anonymous)
    : world_(std::move(world)),
      anonymous_(anonymous),
      access_(world_.reviews, world_.clock),
      limiter_(rate, world_.clock) {}

Status HealthApi::pay(const std::string& caller, double cost) {
    const auto wait = limiter_.refuse(caller, cost);
    if (!wait) return {};
    Error error = make_error(ErrorKind::Throttled, "too many requests");
    error.retry_after = std::chrono::duration_cast<milliseconds>(*wait);
    return error;
}

Result<std::optional<Identity>> HealthApi::caller(Page page, const net::HttpRequest& request) {
    const auto token = bearer_token(request);
    const bool known = token && *token && access_.knows(**token);
    if (!known)
        if (auto paid = pay("address " + request.peer_address, 1); !paid) return paid.error();
    if (!token) return token.error();
    if (!*token) {
        if (anonymous_ && may_be_anonymous(page)) return std::optional<Identity>();
        return make_error(ErrorKind::Unauthorized, "a bearer token is needed");
    }
    auto who = access_.who(**token);
    if (!who) return who.error();
    const double cost = page == Page::TestConnection ? kTestCost : 1;
    if (auto paid = pay("user " + who->user, cost); !paid) return paid.error();
    return std::optional(std::move(*who));
}

Result<ClusterKey> HealthApi::chosen(const net::HttpRequest& request) const {
    const auto named = request.query_value("cluster");
    if (named) {
        const auto key = ClusterKey::parse(*named);
        if (key && is_dns_name(key->name_space) && is_dns_name(key->name)) return *key;
        return make_error(ErrorKind::Invalid, "cluster must be namespace/name");
    }
    const auto all = world_.clusters();
    if (all.size() == 1) return all.front();
    return make_error(
        ErrorKind::Invalid,
        all.empty() ? "there is no PostgresCluster; name one by ?cluster=namespace/name"
                    : "there are several PostgresClusters: ?cluster=namespace/name is needed");
}

Result<std::string> HealthApi::body(Page page, const net::HttpRequest& request) {
    const auto who = caller(page, request);
    if (!who) return who.error();
    const auto cluster = chosen(request);
    if (!cluster) return cluster.error();
    if (*who) {
        const char* verb = page == Page::TestConnection ? "create" : "get";
        if (auto may = access_.may(**who, *cluster, verb); !may) return may.error();
    }
    const auto type = parse_database_type(request.query_value("database_type").value_or("all"));
    if (page == Page::TestConnection && !type) return type.error();
    auto facts = world_.facts(*cluster);
    if (!facts)
        return make_error(ErrorKind::NotFound, "there is no PostgresCluster " + cluster->str());
    if (page == Page::OverallHealth || page == Page::PoolMetrics)
        facts->pools = world_.pools(*cluster, facts->routes);
    nlohmann::json out;
    switch (page) {
        case Page::DatabaseHealth:
            out = database_health(*facts);
            break;
        case Page::OverallHealth:
            out = overall_health(*facts);
            break;
        case Page::PoolMetrics:
            out = pool_metrics(*facts);
            break;
        case Page::ReplicaLag:
            out = replica_lag(*facts);
            break;
        case Page::TestConnection: {
            const auto endpoints = endpoints_to_test(*facts, *type);
            out = connection_tests(*type, endpoints, world_.test(endpoints), world_.clock.wall());
            break;
        }
    }
    return out.dump() + '\n';
}

net::HttpResponse HealthApi::answer(Page page, const net::HttpRequest& request) {
    const auto text = body(page, request);
    if (!text && text.error().kind == ErrorKind::Unavailable)
        log::warn("health API", {{"why", text.error().message()}});
    auto out = text ? net::json_response(200, *text) : refusal(text.error());
    out.headers.set("Cache-Control", "no-store");
    return out;
}

}  // namespace matriarch::op
