#include "operator/cluster.h"

#include <nlohmann/json.hpp>

#include "kube/json_access.h"
#include "kube/objects.h"
#include "operator/names.h"

namespace matriarch::op {

Result<Cluster> decode_cluster(const nlohmann::json& object) {
    const auto meta = kube::decode_meta(object);
    if (!meta) return meta.error();
    if (meta->name.empty() || meta->ns.empty() || meta->uid.empty())
        return make_error(ErrorKind::Invalid,
                          "a PostgresCluster needs metadata.name, .namespace and .uid");
    Cluster out;
    out.key = {meta->ns, meta->name};
    out.uid = meta->uid;
    out.resource_version = meta->resource_version;
    out.created = meta->creation_timestamp;
    out.generation = meta->generation;
    out.deleting = meta->deleting();
    out.labels = meta->labels;
    out.annotations = meta->annotations;
    out.finalizers = meta->finalizers;

    const nlohmann::json none = nlohmann::json::object();
    const nlohmann::json* spec = kube::find_path(object, {"spec"});
    auto parsed = parse_spec(spec ? *spec : none);
    if (parsed) {
        out.spec = std::move(*parsed);
    } else {
        out.spec_problem = parsed.error();
    }
    if (auto problem = name_problem(out.key.name))
        out.spec_problem = make_error(ErrorKind::Invalid, std::move(*problem));
    const nlohmann::json* status = kube::find_path(object, {"status"});
    out.status = decode_status(status ? *status : none);
    return out;
}

nlohmann::json owner_reference(const Cluster& cluster) {
    return {{"apiVersion", kClusterApiVersion},
            {"kind", kClusterKind},
            {"name", cluster.key.name},
            {"uid", cluster.uid},
            {"controller", true},
            {"blockOwnerDeletion", true}};
}

}  // namespace matriarch::op
