#include "cli/target.h"

#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <memory>

namespace matriarch::cli {
namespace {

constexpr std::array<std::string_view, 6> kOwn = {
    "host", "hostaddr", "port", "target_session_attrs", "connect_timeout", "gssencmode"};

std::vector<std::string> split(std::string_view list) {
    std::vector<std::string> parts;
    for (;;) {
        const auto comma = list.find(',');
        parts.emplace_back(list.substr(0, comma));
        if (comma == std::string_view::npos) return parts;
        list.remove_prefix(comma + 1);
    }
}

// One element for every host, one for all, or none: as libpq reads its lists.
std::string element(const std::vector<std::string>& list, std::size_t i, std::string fallback) {
    if (list.empty()) return fallback;
    const std::string& value = list.size() == 1 ? list.front() : list[std::min(i, list.size() - 1)];
    return value.empty() ? fallback : value;
}

}  // namespace

Result<Target> parse_target(const std::string& uri) {
    char* problem = nullptr;
    const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> parsed(
        PQconninfoParse(uri.c_str(), &problem), &PQconninfoFree);
    if (!parsed) {
        Error error =
            make_error(ErrorKind::Invalid, "the connection URI is not one that libpq takes",
                       problem == nullptr ? "" : problem);
        PQfreemem(problem);
        return error;
    }

    Target target;
    std::vector<std::string> names, addresses, ports;
    for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
        if (option->val == nullptr) continue;
        const std::string_view key = option->keyword;
        if (key == "host") names = split(option->val);
        if (key == "hostaddr") addresses = split(option->val);
        if (key == "port") ports = split(option->val);
        if (std::find(kOwn.begin(), kOwn.end(), key) == kOwn.end())
            target.options.emplace_back(key, option->val);
    }
    const std::size_t count = std::max(names.size(), addresses.size());
    if (count == 0) return make_error(ErrorKind::Invalid, "the connection URI names no host");
    for (std::size_t i = 0; i < count; ++i) {
        Host host;
        host.address = element(addresses, i, "");
        host.name = element(names, i, host.address);
        host.port = element(ports, i, "5432");
        target.hosts.push_back(std::move(host));
    }
    return target;
}

Host parse_host(std::string_view text) {
    Host host;
    const auto colon = text.rfind(':');
    const bool bracketed = text.starts_with('[');
    const bool several = text.find(':') != colon;  // an IPv6 address without brackets
    if (!text.starts_with('/') && colon != std::string_view::npos && (bracketed || !several) &&
        !text.ends_with(']')) {
        host.port = std::string(text.substr(colon + 1));
        text = text.substr(0, colon);
    }
    if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
    host.name = std::string(text);
    return host;
}

}  // namespace matriarch::cli
