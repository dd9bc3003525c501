#include "kube/client.h"

#include "kube/json_access.h"
#include "kube/status.h"

namespace matriarch::kube {
namespace {

constexpr const char* kJson = "application/json";
constexpr const char* kMergePatch = "application/merge-patch+json";
// JSON is YAML; the server knows server-side apply by this name only.
constexpr const char* kApplyPatch = "application/apply-patch+yaml";

void add_query(std::string& target, std::string_view name, std::string_view value) {
    if (value.empty()) return;
    target += target.find('?') == std::string::npos ? '?' : '&';
    target.append(name).append("=").append(percent_encode(value));
}

ObjectKey key_of(const Json& object) {
    return {get_string(object, {"metadata", "namespace"}),
            get_string(object, {"metadata", "name"})};
}

std::string doing(std::string_view verb, const Resource& resource, const ObjectKey& key) {
    std::string text(verb);
    text.append(" ").append(resource.plural);
    if (const std::string name = key.str(); !name.empty()) text.append(" ").append(name);
    return text;
}

std::string_view to_string(Propagation propagation) {
    switch (propagation) {
        case Propagation::Background:
            return "Background";
        case Propagation::Foreground:
            return "Foreground";
        case Propagation::Orphan:
            return "Orphan";
    }
    return "Background";
}

std::shared_ptr<const Json> body_of(Json&& json) {
    return std::make_shared<const Json>(std::move(json));
}

}  // namespace

Client::Client(Transport& transport, const Clock& clock, OnRequest on_request)
    : transport_(transport), clock_(clock), on_request_(std::move(on_request)) {}

Result<Json> Client::exchange(Request request, std::string_view what, const Call& call,
                              std::shared_ptr<const Json> sent) {
    request.lane = call.lane;
    const bool write = request.method != "GET";
    const TimePoint start = clock_.now();
    const std::string method = request.method;
    Result<JsonResponse> response = transport_.send_json(
        std::move(request), std::move(sent), Deadline::after(clock_, call.timeout), call.stop);
    if (on_request_) {
        on_request_({response ? response->status : 0, method, clock_.now() - start});
    }
    if (!response) return error_from_transport(what, write, response.error());
    if (response->status < 200 || response->status > 299) {
        Error error = error_from_response(what, *response);
        // 504: the server stopped waiting for its own work.
        if (write && error.kind == ErrorKind::Timeout) error.kind = ErrorKind::OutcomeUnknown;
        return error;
    }
    if (!response->json) {
        // Something between us and the server: for a write we don't know who answered.
        return make_error(write ? ErrorKind::OutcomeUnknown : ErrorKind::Unavailable,
                          std::string(what), "the answer is not JSON");
    }
    return std::move(*response->json);
}

Result<Json> Client::get(const Resource& resource, const ObjectKey& key, const Call& call) {
    return exchange({.target = resource_path(resource, key.ns, key.name)},
                    doing("get", resource, key), call);
}

Result<Json> Client::get_path(const std::string& target, const Call& call) {
    return exchange({.target = target}, "get " + target, call);
}

Result<ListSummary> Client::list(const Resource& resource, const ListOptions& options,
                                 const OnItem& on_item, const Call& call) {
    ListSummary summary;
    std::string continue_token;
    do {
        std::string target = resource_path(resource, options.ns);
        add_query(target, "limit", std::to_string(options.page_size));
        add_query(target, "labelSelector", options.label_selector);
        add_query(target, "fieldSelector", options.field_selector);
        add_query(target, "continue", continue_token);
        Result<Json> page =
            exchange({.target = target}, doing("list", resource, {options.ns, ""}), call);
        if (!page) return page.error();
        for (const Json& item : get_array(*page, {"items"})) {
            on_item(item);
            ++summary.items;
        }
        continue_token = get_string(*page, {"metadata", "continue"});
        // Every page of one listing has the same version.
        summary.resource_version = get_string(*page, {"metadata", "resourceVersion"});
    } while (!continue_token.empty());
    return summary;
}

Result<Json> Client::create(const Resource& resource, const Json& object, const Call& call) {
    const ObjectKey key = key_of(object);
    const std::string what = doing("create", resource, key);
    // generateName would make a second object if the transport sends twice.
    if (key.name.empty()) return make_error(ErrorKind::Invalid, what, "metadata.name is missing");
    Json typed = object;
    typed["apiVersion"] = resource.api_version();
    typed["kind"] = resource.kind;
    return exchange(
        {.method = "POST", .target = resource_path(resource, key.ns), .content_type = kJson}, what,
        call, body_of(std::move(typed)));
}

Result<Json> Client::review(const Resource& resource, const Json& object, const Call& call) {
    Json typed = object;
    typed["apiVersion"] = resource.api_version();
    typed["kind"] = resource.kind;
    return exchange(
        {.method = "POST", .target = resource_path(resource, ""), .content_type = kJson},
        doing("review", resource, {}), call, body_of(std::move(typed)));
}

Result<Json> Client::apply(const Resource& resource, const Json& object,
                           const ApplyOptions& options, const Call& call) {
    const ObjectKey key = key_of(object);
    const std::string what = doing("apply", resource, key);
    if (key.name.empty()) return make_error(ErrorKind::Invalid, what, "metadata.name is missing");
    Json typed = object;
    typed["apiVersion"] = resource.api_version();
    typed["kind"] = resource.kind;
    typed["metadata"].erase("managedFields");  // the server refuses an apply that carries it
    std::string target = resource_path(resource, key.ns, key.name, options.subresource);
    add_query(target, "fieldManager", options.field_manager);
    add_query(target, "force", options.force ? "true" : "false");
    add_query(target, "fieldValidation", "Strict");
    return exchange({.method = "PATCH", .target = std::move(target), .content_type = kApplyPatch},
                    what, call, body_of(std::move(typed)));
}

Result<Json> Client::update(const Resource& resource, const Json& object, const Call& call,
                            std::string_view subresource) {
    const ObjectKey key = key_of(object);
    const std::string what = doing("update", resource, key);
    if (get_string(object, {"metadata", "resourceVersion"}).empty()) {
        return make_error(ErrorKind::Invalid, what, "metadata.resourceVersion is missing");
    }
    Json typed = object;
    typed["apiVersion"] = resource.api_version();
    typed["kind"] = resource.kind;
    return exchange({.method = "PUT",
                     .target = resource_path(resource, key.ns, key.name, subresource),
                     .content_type = kJson},
                    what, call, body_of(std::move(typed)));
}

Result<Json> Client::merge_patch(const Resource& resource, const ObjectKey& key,
                                 const std::string& resource_version, const Json& patch,
                                 const Call& call, std::string_view subresource) {
    Json body = patch;
    if (!resource_version.empty()) body["metadata"]["resourceVersion"] = resource_version;
    return exchange({.method = "PATCH",
                     .target = resource_path(resource, key.ns, key.name, subresource),
                     .content_type = kMergePatch},
                    doing("patch", resource, key), call, body_of(std::move(body)));
}

Status Client::remove(const Resource& resource, const ObjectKey& key, const RemoveOptions& options,
                      const Call& call) {
    Json body = {{"apiVersion", "v1"},
                 {"kind", "DeleteOptions"},
                 {"propagationPolicy", to_string(options.propagation)}};
    if (!options.uid.empty()) body["preconditions"]["uid"] = options.uid;
    if (!options.resource_version.empty()) {
        body["preconditions"]["resourceVersion"] = options.resource_version;
    }
    if (options.grace_period_seconds) body["gracePeriodSeconds"] = *options.grace_period_seconds;
    Result<Json> answer = exchange({.method = "DELETE",
                                    .target = resource_path(resource, key.ns, key.name),
                                    .content_type = kJson},
                                   doing("delete", resource, key), call, body_of(std::move(body)));
    if (!answer) return answer.error();
    return {};
}

}  // namespace matriarch::kube
