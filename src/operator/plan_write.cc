#include "operator/plan_write.h"

#include <nlohmann/json.hpp>

#include "kube/json_access.h"
#include "operator/names.h"
#include "operator/object_meta.h"

namespace matriarch::op {
namespace {

using Json = nlohmann::json;

std::string name_of(const Json& object) {
    return kube::get_string(object, {"metadata", "name"});
}

bool same_content(const kube::Meta& held, const Json& object) {
    return held.annotation(std::string(kContentHashAnnotation)) == content_hash_of(object);
}

}  // namespace

void WritePlanner::write(WriteKind kind, const kube::Resource& resource, const std::string& name,
                         const std::string& uid, Json body) {
    out_.writes.push_back(
        {kind, resource, name, uid,
         body.is_null() ? nullptr : std::make_shared<const Json>(std::move(body))});
}

bool WritePlanner::ours(const kube::Resource& resource, const kube::Meta& held) {
    if (held.owner_uid == cluster_.uid) return !held.deleting();
    // A cluster of this name that was deleted a moment ago leaves objects for the garbage
    // collector.
    const bool passing = held.label(std::string(kManagedByLabel)) == kManagedBy &&
                         held.label(std::string(kClusterLabel)) == cluster_.key.name &&
                         !held.owner_uid.empty();
    out_.conflicts.push_back({std::string(resource.kind), held.name, held.owner_uid, passing});
    return false;
}

void WritePlanner::apply(const kube::Resource& resource, Json object) {
    const std::string name = name_of(object);
    const kube::Meta* held = held_.find(resource, name);
    if (!held) return write(WriteKind::Apply, resource, name, {}, std::move(object));
    if (ours(resource, *held) && !same_content(*held, object))
        apply_to(resource, *held, std::move(object));
}

void WritePlanner::create(const kube::Resource& resource, Json object) {
    const std::string name = name_of(object);  // before the move: arguments have no order
    write(WriteKind::Create, resource, name, {}, std::move(object));
}

void WritePlanner::apply_to(const kube::Resource& resource, const kube::Meta& held, Json object) {
    object["metadata"]["uid"] = held.uid;
    write(WriteKind::Apply, resource, held.name, held.uid, std::move(object));
}

void WritePlanner::replace(const kube::Resource& resource, Json object) {
    const kube::Meta* held = held_.find(resource, name_of(object));
    if (!held) return create(resource, std::move(object));
    if (ours(resource, *held) && !same_content(*held, object))
        replace(resource, *held, std::move(object));
}

void WritePlanner::replace(const kube::Resource& resource, const kube::Meta& held, Json object) {
    object["metadata"]["uid"] = held.uid;
    object["metadata"]["resourceVersion"] = held.resource_version;
    write(WriteKind::Replace, resource, held.name, held.uid, std::move(object));
}

void WritePlanner::remove(const kube::Resource& resource, const std::string& name) {
    if (const kube::Meta* held = held_.find(resource, name)) remove(resource, *held);
}

void WritePlanner::remove(const kube::Resource& resource, const kube::Meta& held) {
    if (held.owner_uid != cluster_.uid || held.deleting()) return;
    write(WriteKind::Delete, resource, held.name, held.uid, nullptr);
}

}  // namespace matriarch::op
