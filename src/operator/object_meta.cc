#include "operator/object_meta.h"

#include <nlohmann/json.hpp>

#include "kube/json_access.h"
#include "net/crypto.h"
#include "operator/names.h"

namespace matriarch::op {

using Json = nlohmann::json;

Json kept_object(const Cluster& cluster, const kube::Resource& resource, const std::string& name,
                 const StringMap& labels) {
    return {
        {"apiVersion", resource.api_version()},
        {"kind", resource.kind},
        {"metadata", {{"name", name}, {"namespace", cluster.key.name_space}, {"labels", labels}}}};
}

Json owned_object(const Cluster& cluster, const kube::Resource& resource, const std::string& name,
                  const StringMap& labels) {
    Json out = kept_object(cluster, resource, name, labels);
    out["metadata"]["ownerReferences"] = Json::array({owner_reference(cluster)});
    return out;
}

std::string hash_json(const Json& value) {
    // Texts of users may hold invalid UTF-8; a replaced character is good enough for a hash.
    const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    return net::sha256_hex(text).substr(0, 32);
}

void seal(Json& object) {
    Json& metadata = object["metadata"];
    if (metadata.contains("annotations"))
        metadata["annotations"].erase(std::string(kContentHashAnnotation));
    const std::string hash = hash_json(object);
    metadata["annotations"][std::string(kContentHashAnnotation)] = hash;
}

std::string content_hash_of(const Json& object) {
    return kube::get_string(
        object, {"metadata", "annotations", std::string(kContentHashAnnotation).c_str()});
}

}  // namespace matriarch::op
