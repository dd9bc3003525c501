#include "kube/json_access.h"

namespace matriarch::kube {

std::optional<Json> parse_json(std::string_view text) {
    Json json = Json::parse(text.begin(), text.end(), nullptr, false);
    if (json.is_discarded()) return std::nullopt;
    return json;
}

const Json* find_path(const Json& json, std::initializer_list<const char*> path) {
    const Json* at = &json;
    for (const char* key : path) {
        if (!at->is_object()) return nullptr;
        const auto found = at->find(key);
        if (found == at->end()) return nullptr;
        at = &*found;
    }
    return at;
}

std::string get_string(const Json& json, std::initializer_list<const char*> path,
                       std::string_view fallback) {
    const Json* value = find_path(json, path);
    const std::string* text = value ? value->get_ptr<const Json::string_t*>() : nullptr;
    return text ? *text : std::string(fallback);
}

std::int64_t get_int(const Json& json, std::initializer_list<const char*> path,
                     std::int64_t fallback) {
    const Json* value = find_path(json, path);
    return value && value->is_number_integer() ? value->get<std::int64_t>() : fallback;
}

bool get_bool(const Json& json, std::initializer_list<const char*> path, bool fallback) {
    const Json* value = find_path(json, path);
    return value && value->is_boolean() ? value->get<bool>() : fallback;
}

const Json& get_array(const Json& json, std::initializer_list<const char*> path) {
    static const Json kEmpty = Json::array();
    const Json* value = find_path(json, path);
    return value && value->is_array() ? *value : kEmpty;
}

}  // namespace matriarch::kube
