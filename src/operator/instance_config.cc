#include "operator/instance_config.h"

#include <algorithm>

#include "model/pooler.h"

namespace matriarch::op {

namespace {

constexpr std::uint64_t kMiB = 1u << 20;

// What WAL may take of a volume, where the user does not say it.
void limit_wal(const ClusterSpec& spec, StringMap& parameters) {
    const auto set = [&](const char* name, std::uint64_t mib) {
        parameters.try_emplace(name, std::to_string(mib) + "MB");
    };
    const auto volume = parse_quantity(spec.storage.size, "");
    // WAL that a dead slave's slot retains must never fill the master's volume: a third of it.
    const auto& keep = spec.replication.max_slot_wal_keep_size;
    if (const auto bytes = keep.empty() ? volume : parse_quantity(keep, ""))
        set("max_slot_wal_keep_size", (keep.empty() ? bytes->value / 3 : bytes->value) / kMiB);
    // Nor what is written between two checkpoints: an eighth, where PostgreSQL's own 1 GB is more.
    // Both limits must hold two segments.
    const auto eighth = volume ? volume->value / 8 / kMiB : 1024;
    if (eighth >= 1024) return;
    const auto least = 2 * static_cast<std::uint64_t>(spec.postgresql.wal_segment_size_mb);
    set("max_wal_size", std::max(eighth, least));
    set("min_wal_size", std::max(std::min<std::uint64_t>(eighth, 80), least));
}

}  // namespace

InstanceConfig instance_config(const ClusterSpec& spec, const InstanceName& instance,
                               const std::vector<InstanceName>& members,
                               const Verifiers& verifiers) {
    InstanceConfig c;
    c.parameters = spec.postgresql.parameters;
    c.master_parameters = spec.postgresql.master_parameters;
    c.slave_parameters = spec.postgresql.slave_parameters;
    c.hba = spec.postgresql.hba;
    c.encoding = spec.postgresql.encoding;
    c.locale = spec.postgresql.locale;
    c.wal_segment_size_mb = spec.postgresql.wal_segment_size_mb;
    c.database = spec.database;
    c.owner = spec.owner;
    c.roles.push_back({spec.owner, verifiers.owner, true, false});
    if (spec.pooler.wanted() && !verifiers.pooler.empty()) {
        c.pooler_role = kPoolerRole;
        c.roles.push_back({c.pooler_role, verifiers.pooler, true, false});
    }

    limit_wal(spec, c.parameters);
    std::vector<InstanceName> others;
    for (const auto& member : members)
        if (member != instance) others.push_back(member);
    std::sort(others.begin(), others.end());
    for (const auto& other : others) c.slots.push_back(slot_name(other));
    return c;
}

}  // namespace matriarch::op
