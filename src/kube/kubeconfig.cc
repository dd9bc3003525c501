// load_kubeconfig of credentials.h: the rules of client-go's tools/clientcmd.
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <vector>

#include "kube/base64.h"
#include "kube/credentials.h"
#include "kube/file.h"

namespace matriarch::kube {
namespace {

namespace fs = std::filesystem;

// One entry of clusters, users or contexts, and the file that it came from.
struct Entry {
    YAML::Node node;
    std::string file;
    std::string section;  // "user"
    std::string name;

    std::string at(const char* field) const {
        return file + ": " + section + " \"" + name + "\": " + field;
    }
    std::string text(const char* field) const {
        const YAML::Node value = node[field];
        return value && value.IsScalar() ? value.as<std::string>() : std::string();
    }
};

struct Merged {
    std::string files;  // for messages
    std::string current_context;
    std::map<std::string, Entry> clusters, users, contexts;
};

Error invalid(std::string what, std::string cause = {}) {
    return make_error(ErrorKind::Invalid, "kubeconfig " + std::move(what), std::move(cause));
}

std::vector<std::string> candidate_files(const Surroundings& surroundings,
                                         const KubeconfigChoice& choice) {
    if (!choice.path.empty()) return {choice.path};
    std::vector<std::string> out;
    std::string list = surroundings.get("KUBECONFIG");
    while (!list.empty()) {
        const std::size_t colon = list.find(':');
        if (const std::string one = list.substr(0, colon); !one.empty()) out.push_back(one);
        list = colon == std::string::npos ? "" : list.substr(colon + 1);
    }
    if (out.empty()) out.push_back(surroundings.get("HOME") + "/.kube/config");
    return out;
}

// First file wins, entry by entry.
Status merge_section(const YAML::Node& root, const std::string& file, const char* list,
                     const char* section, std::map<std::string, Entry>& into) {
    const YAML::Node entries = root[list];
    if (!entries || entries.IsNull()) return {};
    if (!entries.IsSequence()) return invalid(file + ": " + list + " is not a list");
    for (const YAML::Node& entry : entries) {
        if (!entry.IsMap() || !entry["name"] || !entry["name"].IsScalar()) {
            return invalid(file + ": an entry of " + list + " has no name");
        }
        const auto name = entry["name"].as<std::string>();
        const YAML::Node body = entry[section];
        if (!body || !body.IsMap()) {
            return invalid(file + ": " + list + " \"" + name + "\" has no \"" + section + "\"");
        }
        into.try_emplace(name, Entry{body, file, section, name});
    }
    return {};
}

Status merge_file(const std::string& file, Merged& merged) {
    const Result<std::string> text = read_file(file);
    if (!text) return text.error();
    const YAML::Node root = YAML::Load(*text);
    if (root.IsNull()) return {};  // an empty file is a valid one
    if (!root.IsMap()) return invalid(file + ": not a YAML map");
    if (merged.current_context.empty() && root["current-context"] &&
        root["current-context"].IsScalar()) {
        merged.current_context = root["current-context"].as<std::string>();
    }
    if (Status s = merge_section(root, file, "clusters", "cluster", merged.clusters); !s) return s;
    if (Status s = merge_section(root, file, "users", "user", merged.users); !s) return s;
    return merge_section(root, file, "contexts", "context", merged.contexts);
}

// `<field>-data` in base64, else the file named by `<field>`, relative to the kubeconfig.
Result<std::string> data_or_file(const Entry& entry, const char* field) {
    const std::string data_field = std::string(field) + "-data";
    if (const std::string data = entry.text(data_field.c_str()); !data.empty()) {
        std::optional<std::string> bytes = base64_decode(data);
        if (!bytes) return invalid(entry.at(data_field.c_str()), "not base64");
        return std::move(*bytes);
    }
    const std::string path = entry.text(field);
    if (path.empty()) return std::string();
    Result<std::string> text = read_file((fs::path(entry.file).parent_path() / path).string());
    if (!text) return make_error(text.error().kind, entry.at(field), text.error().message());
    return text;
}

Status apply_cluster(const Entry& cluster, Credentials& out) {
    out.server = cluster.text("server");
    if (out.server.empty()) return invalid(cluster.at("server"), "missing");
    if (!out.server.starts_with("https://") && !out.server.starts_with("http://")) {
        return invalid(cluster.at("server"), "\"" + out.server + "\" has no https://");
    }
    if (!cluster.text("proxy-url").empty()) {
        return invalid(cluster.at("proxy-url"), "proxies are not supported");
    }
    out.tls_server_name = cluster.text("tls-server-name");
    out.insecure_skip_tls_verify = cluster.text("insecure-skip-tls-verify") == "true";
    Result<std::string> ca = data_or_file(cluster, "certificate-authority");
    if (!ca) return ca.error();
    out.ca_pem = std::move(*ca);
    return {};
}

Status apply_user(const Entry& user, Credentials& out) {
    Result<std::string> cert = data_or_file(user, "client-certificate");
    if (!cert) return cert.error();
    Result<std::string> key = data_or_file(user, "client-key");
    if (!key) return key.error();
    out.client_cert_pem = std::move(*cert);
    out.client_key_pem = std::move(*key);
    if (out.client_cert_pem.empty() != out.client_key_pem.empty()) {
        return invalid(user.at("client-certificate"), "certificate and key need each other");
    }
    // tokenFile beats token.
    if (const std::string path = user.text("tokenFile"); !path.empty()) {
        Result<std::string> token = read_file((fs::path(user.file).parent_path() / path).string());
        if (!token) {
            return make_error(token.error().kind, "kubeconfig " + user.at("tokenFile"),
                              token.error().message());
        }
        out.token = trim(*token);
    } else {
        out.token = user.text("token");
    }
    if (!out.token.empty() || !out.client_cert_pem.empty()) return {};
    // Silently going on as somebody else (anonymous) would only fail later and more obscurely.
    for (const char* field : {"exec", "auth-provider", "username", "as"}) {
        if (user.node[field]) {
            return invalid(user.at(field),
                           "not supported; use a client certificate, a token or a tokenFile");
        }
    }
    return {};
}

Result<const Entry*> find(const std::map<std::string, Entry>& entries, const std::string& name,
                          const std::string& where) {
    const auto found = entries.find(name);
    if (found != entries.end()) return &found->second;
    std::string known;
    for (const auto& [key, entry] : entries) known += (known.empty() ? "" : ", ") + key;
    return invalid(
        where, "\"" + name + "\" does not exist; there are: " + (known.empty() ? "none" : known));
}

Result<Credentials> load(const Surroundings& surroundings, const KubeconfigChoice& choice) {
    Merged merged;
    std::size_t missing = 0;
    const std::vector<std::string> files = candidate_files(surroundings, choice);
    for (const std::string& file : files) {
        merged.files += (merged.files.empty() ? "" : ":") + file;
        std::error_code ignored;
        if (!fs::exists(file, ignored)) {
            ++missing;
            continue;
        }
        try {
            if (Status status = merge_file(file, merged); !status) return status.error();
        } catch (const YAML::Exception& error) {
            return invalid(file + ": not YAML", error.what());
        }
    }
    if (missing == files.size()) {
        return make_error(ErrorKind::Unavailable, "kubeconfig " + merged.files + " does not exist");
    }
    const std::string context = choice.context.empty() ? merged.current_context : choice.context;
    if (context.empty()) {
        return invalid(merged.files + ": current-context is not set; name a context");
    }
    const Result<const Entry*> found = find(merged.contexts, context, merged.files + ": context");
    if (!found) return found.error();
    const Entry& chosen = **found;
    const Result<const Entry*> cluster =
        find(merged.clusters, chosen.text("cluster"), chosen.at("cluster"));
    if (!cluster) return cluster.error();

    Credentials out;
    if (const std::string ns = chosen.text("namespace"); !ns.empty()) out.default_namespace = ns;
    if (Status status = apply_cluster(**cluster, out); !status) return status.error();
    if (const std::string name = chosen.text("user"); !name.empty()) {
        const Result<const Entry*> user = find(merged.users, name, chosen.at("user"));
        if (!user) return user.error();
        if (Status status = apply_user(**user, out); !status) return status.error();
    }
    return out;
}

}  // namespace

Result<Credentials> load_kubeconfig(const Surroundings& surroundings,
                                    const KubeconfigChoice& choice) {
    try {
        return load(surroundings, choice);
    } catch (const std::exception& error) {
        return invalid("can't be read", error.what());
    }
}

}  // namespace matriarch::kube
