#include "operator/instance_config.h"

#include <algorithm>

namespace matriarch::op {

InstanceConfig instance_config(const ClusterSpec& spec, const InstanceName& instance,
                               const std::vector<InstanceName>& members,
                               const std::string& verifier) {
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
    c.roles.push_back({spec.owner, verifier, true, false});

    // WAL that a dead slave's slot retains must never fill the master's volume: a third of it.
    const auto& keep = spec.replication.max_slot_wal_keep_size;
    const auto bytes = parse_quantity(keep.empty() ? spec.storage.size : keep, "");
    if (bytes && !c.parameters.contains("max_slot_wal_keep_size")) {
        const auto share = keep.empty() ? bytes->value / 3 : bytes->value;
        c.parameters["max_slot_wal_keep_size"] = std::to_string(share >> 20) + "MB";
    }
    std::vector<InstanceName> others;
    for (const auto& member : members)
        if (member != instance) others.push_back(member);
    std::sort(others.begin(), others.end());
    for (const auto& other : others) c.slots.push_back(slot_name(other));
    return c;
}

}  // namespace matriarch::op
