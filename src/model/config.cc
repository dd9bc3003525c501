#include "model/config.h"

#include "model/config_json.h"

namespace matriarch {
namespace {

// FNV-1a, 64 bits: a name for a content, no protection against an adversary.
std::string fnv1a(std::string_view text) {
    std::uint64_t hash = 14695981039346656037u;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
    char out[17];
    snprintf(out, sizeof out, "%016llx", static_cast<unsigned long long>(hash));
    return out;
}

}  // namespace

std::string InstanceConfig::hash() const {
    return fnv1a(json::write_config(*this).dump());
}

namespace json {

Json write_config(const InstanceConfig& c) {
    Json roles = Json::array();
    for (const auto& r : c.roles)
        roles.push_back({{"name", r.name},
                         {"verifier", r.verifier},
                         {"login", r.login},
                         {"replication", r.replication}});
    return {{"parameters", c.parameters},
            {"masterParameters", c.master_parameters},
            {"slaveParameters", c.slave_parameters},
            {"hba", c.hba},
            {"encoding", c.encoding},
            {"locale", c.locale},
            {"walSegmentSizeMB", c.wal_segment_size_mb},
            {"database", c.database},
            {"owner", c.owner},
            {"roles", roles},
            {"slots", c.slots}};
}

StringMap read_string_map(const Json& object) {
    StringMap out;
    if (!object.is_object()) return out;
    for (const auto& [key, value] : object.items())
        out[key] = value.is_string() ? value.get<std::string>() : value.dump();
    return out;
}

InstanceConfig read_config(const Json& object) {
    InstanceConfig c;
    c.parameters = read_string_map(at(object, "parameters"));
    c.master_parameters = read_string_map(at(object, "masterParameters"));
    c.slave_parameters = read_string_map(at(object, "slaveParameters"));
    read_list(object, "hba", c.hba, read_one<std::string>);
    read(object, "encoding", c.encoding);
    read(object, "locale", c.locale);
    read(object, "walSegmentSizeMB", c.wal_segment_size_mb);
    read(object, "database", c.database);
    read(object, "owner", c.owner);
    read_list(object, "roles", c.roles, [](const Json& item) {
        RoleConfig r;
        read(item, "name", r.name);
        read(item, "verifier", r.verifier);
        read(item, "login", r.login);
        read(item, "replication", r.replication);
        return r;
    });
    read_list(object, "slots", c.slots, read_one<std::string>);
    return c;
}

}  // namespace json
}  // namespace matriarch
