#include "telemetry/health.h"

#include <algorithm>

#include "telemetry/log.h"

namespace matriarch::telemetry {

HealthChecks::HealthChecks(std::string name) : name_(std::move(name)) {}

void HealthChecks::add(std::string check, HealthCheck probe) {
    checks_.emplace_back(std::move(check), std::move(probe));
}

namespace {

bool passes(const std::string& page, const std::string& check, const HealthCheck& probe) {
    const auto status = probe();
    if (!status)
        log::warn("health check failed", status.error(), {{"page", page}, {"check", check}});
    return status.ok();
}

std::string unknown_list(const std::vector<std::string>& names) {
    std::string out;
    for (const auto& name : names) out += (out.empty() ? "\"" : ", \"") + name + '"';
    return out;
}

}  // namespace

net::HttpResponse HealthChecks::answer(const net::HttpRequest& request) const {
    auto checks = checks_;
    if (checks.empty()) checks.emplace_back("ping", [] { return Status(); });

    const std::string root = '/' + name_;
    if (request.path.size() > root.size() + 1) {
        const auto wanted = request.path.substr(root.size() + 1);
        const auto it = std::find_if(checks.begin(), checks.end(),
                                     [&](const auto& check) { return check.first == wanted; });
        if (it == checks.end()) return net::text_response(404, "no such check\n");
        if (passes(name_, it->first, it->second)) return net::text_response(200, "ok");
        return net::text_response(500, "internal server error: reason withheld\n");
    }

    auto excluded = request.query_values("exclude");
    std::string lines;
    bool failed = false;
    for (const auto& [check, probe] : checks) {
        if (std::erase(excluded, check) > 0) {
            lines += "[+]" + check + " excluded: ok\n";
        } else if (passes(name_, check, probe)) {
            lines += "[+]" + check + " ok\n";
        } else {
            failed = true;
            lines += "[-]" + check + " failed: reason withheld\n";
        }
    }
    if (!excluded.empty())
        lines += "warn: some health checks cannot be excluded: no matches for " +
                 unknown_list(excluded) + '\n';
    if (failed) return net::text_response(500, lines + name_ + " check failed\n");
    if (!request.query_value("verbose")) return net::text_response(200, "ok");
    return net::text_response(200, lines + name_ + " check passed\n");
}

bool HealthChecks::healthy() const {
    return std::all_of(checks_.begin(), checks_.end(),
                       [](const auto& check) { return check.second().ok(); });
}

}  // namespace matriarch::telemetry
