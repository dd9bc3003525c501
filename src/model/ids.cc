#include "model/ids.h"

#include <charconv>
#include <cstdio>

namespace matriarch {
namespace {

template <class Int>
std::optional<Int> parse_int(std::string_view text, int base) {
    Int out{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
    if (error != std::errc() || end != text.data() + text.size() || text.empty()) return {};
    return out;
}

}  // namespace

std::string Lsn::str() const {
    char out[24];
    snprintf(out, sizeof out, "%X/%X", static_cast<unsigned>(value >> 32),
             static_cast<unsigned>(value));
    return out;
}

std::optional<Lsn> Lsn::parse(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return {};
    const auto high = parse_int<std::uint32_t>(text.substr(0, slash), 16);
    const auto low = parse_int<std::uint32_t>(text.substr(slash + 1), 16);
    if (!high || !low) return {};
    return Lsn((std::uint64_t{*high} << 32) | *low);
}

Bytes distance(Lsn earlier, Lsn later) {
    return Bytes(later > earlier ? later.value - earlier.value : 0);
}

std::optional<ClusterKey> ClusterKey::parse(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos || slash == 0 || slash + 1 == text.size()) return {};
    return ClusterKey{std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
}

std::string_view to_string(Known known) {
    switch (known) {
        case Known::Unknown:
            return "unknown";
        case Known::No:
            return "no";
        case Known::Yes:
            return "yes";
    }
    return "unknown";
}

int ordinal_of(const InstanceName& instance, std::string_view cluster) {
    std::string_view name = instance.value;
    if (!name.starts_with(cluster) || name.size() < cluster.size() + 2) return 0;
    if (name[cluster.size()] != '-') return 0;
    const auto ordinal = parse_int<int>(name.substr(cluster.size() + 1), 10);
    return ordinal && *ordinal > 0 ? *ordinal : 0;
}

InstanceName instance_name(std::string_view cluster, int ordinal) {
    return InstanceName(std::string(cluster) + "-" + std::to_string(ordinal));
}

std::string slot_name(const InstanceName& instance) {
    std::string out = instance.value;
    for (char& c : out)
        if (c == '-' || c == '.') c = '_';
    return out;
}

std::string pod_name(const InstanceName& instance) {
    return instance.value + "-0";
}

}  // namespace matriarch
