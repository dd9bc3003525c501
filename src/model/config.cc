#include "model/config.h"

#include "model/config_json.h"

namespace matriarch {
namespace {

// FNV-1a, 64 bits: a name for a content, no protection against an adversary. Every text is followed
// by a byte that no text has, so that equal hashes mean equal members in their order.
class Hash {
  public:
    void add(std::string_view text) {
        for (const char c : text) add(static_cast<unsigned char>(c));
        add(static_cast<unsigned char>(0xff));
    }
    void add(const StringMap& map) {
        for (const auto& [key, value] : map) {
            add(key);
            add(value);
        }
        add("");
    }
    void add(const std::vector<std::string>& list) {
        for (const auto& text : list) add(text);
        add("");
    }
    std::string str() const {
        char out[17];
        snprintf(out, sizeof out, "%016llx", static_cast<unsigned long long>(hash_));
        return out;
    }

  private:
    void add(unsigned char byte) { hash_ = (hash_ ^ byte) * 1099511628211u; }
    std::uint64_t hash_ = 14695981039346656037u;
};

}  // namespace

// Of the members, not of the JSON: agents ask at every report.
std::string InstanceConfig::hash() const {
    Hash hash;
    hash.add(parameters);
    hash.add(master_parameters);
    hash.add(slave_parameters);
    hash.add(hba);
    hash.add(encoding);
    hash.add(locale);
    hash.add(std::to_string(wal_segment_size_mb));
    hash.add(database);
    hash.add(owner);
    for (const auto& role : roles) {
        hash.add(role.name);
        hash.add(role.verifier);
        hash.add(role.login ? "login" : "");
        hash.add(role.replication ? "replication" : "");
    }
    hash.add("");
    hash.add(slots);
    // Agents that do not know this field count the same without it.
    if (!pooler_role.empty()) hash.add(pooler_role);
    return hash.str();
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
            {"poolerRole", c.pooler_role},
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
    read(object, "poolerRole", c.pooler_role);
    read_list(object, "slots", c.slots, read_one<std::string>);
    return c;
}

}  // namespace json
}  // namespace matriarch
