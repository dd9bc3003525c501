// InstanceConfig: how one instance's PostgreSQL is to be set up; sent by the operator as a whole,
// kept by the agent on disk. Level-based: the agent makes its instance look like this.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "model/ids.h"
#include "model/spec.h"

namespace matriarch {

struct RoleConfig {
    std::string name;
    std::string verifier;  // SCRAM-SHA-256$...: the password itself never travels
    bool login = true, replication = false;
    friend bool operator==(const RoleConfig&, const RoleConfig&) = default;
};

struct InstanceConfig {
    StringMap parameters;          // as master and as slave
    StringMap master_parameters;   // on top, as master
    StringMap slave_parameters;    // on top, as slave
    std::vector<std::string> hba;  // lines of the user, before ours
    std::string encoding = "UTF8", locale = "C.UTF-8";
    int wal_segment_size_mb = 16;
    std::string database, owner;
    std::vector<RoleConfig> roles;   // made and kept on the master
    std::string pooler_role;         // of `roles`; empty: no pooler looks up users in `database`
    std::vector<std::string> slots;  // physical slots: one per other instance

    // Names a content: equal configurations have equal hashes on all machines.
    std::string hash() const;
    friend bool operator==(const InstanceConfig&, const InstanceConfig&) = default;
};

}  // namespace matriarch
