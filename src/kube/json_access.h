// Reading JSON of others without exceptions: nlohmann's own accessors throw on a missing key or a
// wrong type.
//
// Missing and null are the fallback; a wrong type too, unless the caller asks with type_error().
// For .cc files only: json.hpp takes 2.7 s to compile. Pure.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace matriarch::kube {

using Json = nlohmann::json;

// Null if the text is not JSON.
std::optional<Json> parse_json(std::string_view text);

// The value at a path of keys, or null.
const Json* find_path(const Json& json, std::initializer_list<const char*> path);

std::string get_string(const Json& json, std::initializer_list<const char*> path,
                       std::string_view fallback = {});
std::int64_t get_int(const Json& json, std::initializer_list<const char*> path,
                     std::int64_t fallback = 0);
bool get_bool(const Json& json, std::initializer_list<const char*> path, bool fallback = false);
// An empty array if there is none.
const Json& get_array(const Json& json, std::initializer_list<const char*> path);

}  // namespace matriarch::kube
