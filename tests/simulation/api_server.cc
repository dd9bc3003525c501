#include "api_server.h"

namespace matriarch::sim {
namespace {

constexpr std::size_t kHistory = 3000;  // events of a kind that are kept

std::string decoded(const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size()) {
            out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

std::vector<std::string> split(const std::string& text, char at) {
    std::vector<std::string> out;
    for (std::size_t begin = 0; begin <= text.size();) {
        const auto end = std::min(text.find(at, begin), text.size());
        if (end > begin) out.push_back(decoded(text.substr(begin, end - begin)));
        begin = end + 1;
    }
    return out;
}

ApiServer::Answer answer(int status, Json body) {
    return {status, std::make_shared<const Json>(std::move(body))};
}

ApiServer::Answer refuse(int code, const char* reason, const std::string& message) {
    return answer(code, {{"kind", "Status"},
                         {"status", "Failure"},
                         {"code", code},
                         {"reason", reason},
                         {"message", message}});
}

const std::string& text(const Json& object, const char* a, const char* b) {
    static const std::string kNone;
    const auto outer = object.find(a);
    if (outer == object.end() || !outer->is_object()) return kNone;
    const auto inner = outer->find(b);
    return inner == outer->end() || !inner->is_string() ? kNone
                                                        : inner->get_ref<const std::string&>();
}

const std::string& version_of(const Json& object) {
    return text(object, "metadata", "resourceVersion");
}

bool same_spec(const Json& a, const Json& b) {
    const auto mine = a.find("spec"), other = b.find("spec");
    if (mine == a.end() || other == b.end()) return (mine == a.end()) == (other == b.end());
    return *mine == *other;
}

}  // namespace

ApiServer::Path ApiServer::parse(const std::string& target) {
    Path out;
    const auto mark = std::min(target.find('?'), target.size());
    auto parts = split(target.substr(0, mark), '/');
    parts.erase(parts.begin(), parts.begin() + (parts[0] == "api" ? 2 : 3));
    if (parts.size() >= 2 && parts[0] == "namespaces") {
        out.name_space = parts[1];
        parts.erase(parts.begin(), parts.begin() + 2);
    }
    const auto part = [&](std::size_t i) { return i < parts.size() ? parts[i] : std::string(); };
    out.plural = part(0);
    out.name = part(1);
    out.subresource = part(2);
    if (mark == target.size()) return out;
    for (const auto& pair : split(target.substr(mark + 1), '&')) {
        const auto equals = pair.find('=');
        out.query[pair.substr(0, equals)] =
            equals == std::string::npos ? "" : pair.substr(equals + 1);
    }
    return out;
}

bool ApiServer::selected(const Json& object, const std::string& name_space,
                         const std::string& labels, const std::string& fields) {
    if (!name_space.empty() && text(object, "metadata", "namespace") != name_space) return false;
    if (fields.starts_with("metadata.name=") &&
        text(object, "metadata", "name") != fields.substr(14))
        return false;
    if (labels.empty()) return true;
    const auto metadata = object.find("metadata");
    return metadata->contains("labels") && (*metadata)["labels"].contains(labels);
}

kube::Response ApiServer::Answer::text() const {
    kube::Response out;
    out.status = status;
    if (object) out.body = object->dump();
    return out;
}

kube::Response ApiServer::handle(const kube::Request& request) {
    const auto body =
        request.body.empty() ? Json::object() : Json::parse(request.body, nullptr, false);
    return handle(request, body).text();
}

ApiServer::Answer ApiServer::handle(const kube::Request& request, const Json& body) {
    const Path path = parse(request.target);
    world_.count("api requests");
    if (request.method == "GET") {
        if (path.name.empty()) return list(path);
        const Stored found = stored(path.plural, path.key());
        if (!found) return refuse(404, "NotFound", path.key() + " not found");
        return {200, found};
    }
    world_.count("api writes");
    world_.count("api writes to " + path.plural);
    if (request.method == "POST") return create(path, body);
    if (request.method == "PUT") return update(path, body);
    if (request.method == "PATCH") return patch(path, body);
    return remove(path, body);
}

ApiServer::Stored ApiServer::stored(const std::string& plural, const std::string& key) const {
    const auto kind = kinds_.find(plural);
    if (kind == kinds_.end()) return nullptr;
    const auto found = kind->second.objects.find(key);
    return found == kind->second.objects.end() ? nullptr : found->second;
}

const Json* ApiServer::find(const std::string& plural, const std::string& key) const {
    return stored(plural, key).get();
}

ApiServer::Answer ApiServer::list(const Path& path) {
    const auto query = [&](const char* name) {
        const auto found = path.query.find(name);
        return found == path.query.end() ? std::string() : found->second;
    };
    Json items = Json::array();
    for (const auto& [key, object] : kinds_[path.plural].objects)
        if (selected(*object, path.name_space, query("labelSelector"), query("fieldSelector")))
            items.push_back(*object);
    return answer(200, {{"kind", "List"},
                        {"metadata", {{"resourceVersion", std::to_string(version_)}}},
                        {"items", std::move(items)}});
}

ApiServer::Answer ApiServer::create(const Path& path, Json object) {
    const std::string key = path.name_space + "/" + text(object, "metadata", "name");
    if (find(path.plural, key)) return refuse(409, "AlreadyExists", key + " already exists");
    object["metadata"]["namespace"] = path.name_space;
    return {201, store(path.plural, key, std::move(object), nullptr)};
}

ApiServer::Answer ApiServer::update(const Path& path, Json object) {
    const Stored before = stored(path.plural, path.key());
    if (!before) return refuse(404, "NotFound", path.key() + " not found");
    if (version_of(object) != version_of(*before))
        return refuse(409, "Conflict", path.key() + ": the object has been modified");
    return {200, store(path.plural, path.key(), std::move(object), before)};
}

ApiServer::Answer ApiServer::patch(const Path& path, const Json& patch) {
    const Stored before = stored(path.plural, path.key());
    const std::string &uid = text(patch, "metadata", "uid"), &version = version_of(patch);
    if (!before) {
        if (!uid.empty()) return refuse(409, "Conflict", path.key() + ": another uid");
        if (!path.subresource.empty()) return refuse(404, "NotFound", path.key() + " not found");
        return create(path, patch);
    }
    if (!uid.empty() && uid != text(*before, "metadata", "uid"))
        return refuse(409, "Conflict", path.key() + ": another uid");
    if (!version.empty() && version != version_of(*before))
        return refuse(409, "Conflict", path.key() + ": the object has been modified");
    Json object = Json::object();
    if (path.subresource == "status") {
        for (const auto& [key, value] : before->items())
            if (key != "status") object[key] = value;
        object["status"] = patch.value("status", Json::object());
    } else {
        object = *before;
        object.merge_patch(patch);
    }
    object["metadata"]["resourceVersion"] = version_of(*before);
    if (object == *before) return {200, before};
    return {200, store(path.plural, path.key(), std::move(object), before)};
}

ApiServer::Answer ApiServer::remove(const Path& path, const Json& options) {
    const Stored before = stored(path.plural, path.key());
    if (!before) return refuse(404, "NotFound", path.key() + " not found");
    const std::string& uid = text(options, "preconditions", "uid");
    if (!uid.empty() && uid != text(*before, "metadata", "uid"))
        return refuse(409, "Conflict", path.key() + ": another uid");
    if (path.plural == "pods") {  // its kubelet removes it when it has ended
        Json object = *before;
        object["metadata"]["deletionTimestamp"] = "2026-10-01T00:00:00Z";
        return {200, store(path.plural, path.key(), std::move(object), before)};
    }
    erase(path.plural, path.key());
    return answer(200, {{"kind", "Status"}, {"status", "Success"}});
}

// --- the store --------------------------------------------------------------------------------

ApiServer::Stored ApiServer::store(const std::string& plural, const std::string& key, Json object,
                                   const Stored& before) {
    Json& metadata = object["metadata"];
    if (before) {
        const Json& former = before->at("metadata");
        metadata["uid"] = former["uid"];
        metadata["creationTimestamp"] = former["creationTimestamp"];
        const auto generation = former.value("generation", std::int64_t{1});
        metadata["generation"] = same_spec(object, *before) ? generation : generation + 1;
    } else {
        if (!metadata.contains("uid")) metadata["uid"] = "uid-" + std::to_string(world_.fresh());
        metadata["generation"] = 1;
        const auto since = world_.now().time_since_epoch();
        metadata["creationTimestamp"] = format_rfc3339(WallTime(
            std::chrono::duration_cast<WallTime::duration>(std::chrono::hours(500'000) + since)));
    }
    metadata["resourceVersion"] = std::to_string(++version_);
    auto stored = std::make_shared<const Json>(std::move(object));
    kinds_[plural].objects[key] = stored;
    note(plural, before ? "MODIFIED" : "ADDED", stored);
    for (const auto& observer : observers_) observer(plural, before.get(), stored.get());
    return stored;
}

void ApiServer::put(const std::string& plural, Json object) {
    const std::string key =
        text(object, "metadata", "namespace") + "/" + text(object, "metadata", "name");
    store(plural, key, std::move(object), stored(plural, key));
}

void ApiServer::erase(const std::string& plural, const std::string& key) {
    auto& objects = kinds_[plural].objects;
    const auto found = objects.find(key);
    if (found == objects.end()) return;
    const auto before = found->second;
    objects.erase(found);
    Json last = *before;
    last["metadata"]["resourceVersion"] = std::to_string(++version_);
    note(plural, "DELETED", std::make_shared<const Json>(std::move(last)));
    for (const auto& observer : observers_) observer(plural, before.get(), nullptr);
}

std::vector<std::pair<std::string, std::string>> ApiServer::owned_by(const std::string& uid) const {
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& [plural, kind] : kinds_)
        for (const auto& [key, object] : kind.objects)
            for (const auto& owner : object->at("metadata").value("ownerReferences", Json::array()))
                if (owner.value("uid", "") == uid) out.emplace_back(plural, key);
    return out;
}

void ApiServer::note(const std::string& plural, const char* type, Stored object) {
    Kind& kind = kinds_[plural];
    kind.log.push_back({version_, {type, std::move(object)}});
    if (kind.log.size() > kHistory) {
        kind.compacted = kind.log.front().version;
        kind.log.pop_front();
    }
    if (event_) event_(plural);
}

void ApiServer::compact() {
    for (auto& [plural, kind] : kinds_) {
        kind.log.clear();
        kind.compacted = version_;
    }
}

ApiServer::Backup ApiServer::back_up() const {
    Backup out;
    for (const char* plural :
         {"leases", "configmaps", "secrets", "services", "endpointslices", "postgresclusters"})
        if (const auto kind = kinds_.find(plural); kind != kinds_.end())
            out[plural] = kind->second.objects;
    return out;
}

void ApiServer::restore(const Backup& backup) {
    version_ += kHistory;
    for (const auto& [plural, objects] : backup) {
        kinds_[plural].objects = objects;
        for (const auto& [key, object] : objects)
            for (const auto& observer : observers_) observer(plural, nullptr, object.get());
    }
    compact();
    for (const auto& [plural, objects] : backup) event_(plural);
}

// --- watches ----------------------------------------------------------------------------------

ApiServer::Answer ApiServer::begin(const kube::Request& request, Watch& watch) const {
    const Path path = parse(request.target);
    const auto query = [&](const char* name) {
        const auto found = path.query.find(name);
        return found == path.query.end() ? std::string() : found->second;
    };
    watch = {path.plural, path.name_space, query("labelSelector"), query("fieldSelector"),
             std::stoull(query("resourceVersion"))};
    const auto kind = kinds_.find(path.plural);
    if (kind != kinds_.end() && watch.cursor < kind->second.compacted)
        return refuse(410, "Expired", "too old resource version");
    return {200, nullptr};
}

std::optional<std::vector<ApiServer::Event>> ApiServer::next(Watch& watch) {
    std::vector<Event> out;
    Kind& kind = kinds_[watch.plural];
    if (watch.cursor < kind.compacted) return {};
    auto entry = std::upper_bound(kind.log.begin(), kind.log.end(), watch.cursor,
                                  [](auto version, const Entry& e) { return version < e.version; });
    for (; entry != kind.log.end(); ++entry) {
        watch.cursor = entry->version;
        if (selected(*entry->event.object, watch.name_space, watch.labels, watch.fields))
            out.push_back(entry->event);
    }
    return out;
}

ApiServer::Event ApiServer::bookmark(const Watch& watch) const {
    return {"BOOKMARK", std::make_shared<const Json>(Json{
                            {"metadata", {{"resourceVersion", std::to_string(watch.cursor)}}}})};
}

}  // namespace matriarch::sim
