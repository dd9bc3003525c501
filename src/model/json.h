// Reading and writing our own JSON without exceptions: missing or mistyped members give defaults.
//
// Wire formats are read by older and newer versions of ourselves, so an unknown member is ignored
// and an absent one is the type's default. Private to the .cc files that include nlohmann/json.hpp.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/strong.h"

namespace matriarch::json {

using Json = nlohmann::json;

template <class T>
struct IsDuration : std::false_type {};
template <class R, class P>
struct IsDuration<std::chrono::duration<R, P>> : std::true_type {};
template <class T>
concept HasValue = requires(T t) {
    t.value;
};

// The member, or null when `object` is no object or has none.
inline const Json& at(const Json& object, const char* key) {
    static const Json kNull;
    if (!object.is_object()) return kNull;
    const auto found = object.find(key);
    return found == object.end() ? kNull : *found;
}

template <class T>
void read(const Json& value, T& out) {
    if constexpr (std::is_same_v<T, std::string>) {
        if (const auto* text = value.get_ptr<const std::string*>()) out = *text;
    } else if constexpr (std::is_same_v<T, bool>) {
        if (value.is_boolean()) out = value.get<bool>();
    } else if constexpr (std::is_arithmetic_v<T>) {
        if (value.is_number()) out = value.get<T>();
    } else if constexpr (IsDuration<T>::value) {
        if (value.is_number()) out = T(value.get<typename T::rep>());
    } else {
        static_assert(HasValue<T>);
        read(value, out.value);
    }
}

template <class T>
void read(const Json& object, const char* key, T& out) {
    read(at(object, key), out);
}

template <class T>
Json write(const T& value) {
    if constexpr (HasValue<T>) {
        return value.value;
    } else if constexpr (IsDuration<T>::value) {
        return value.count();
    } else {
        return value;
    }
}

// An enum by its to_string; `out` stays as it is for an unknown name.
template <class Enum>
void read_enum(const Json& object, const char* key, Enum& out, Enum last) {
    const auto* text = at(object, key).get_ptr<const std::string*>();
    if (text == nullptr) return;
    for (int i = 0; i <= static_cast<int>(last); ++i)
        if (*text == to_string(static_cast<Enum>(i))) out = static_cast<Enum>(i);
}

// A list whose elements are read by `element(json) -> T`.
template <class T, class Read>
void read_list(const Json& object, const char* key, std::vector<T>& out, Read element) {
    const Json& list = at(object, key);
    if (!list.is_array()) return;
    out.clear();
    for (const Json& item : list) out.push_back(element(item));
}

template <class T>
T read_one(const Json& value) {
    T out{};
    read(value, out);
    return out;
}

// Nothing if `text` is not a JSON object.
inline std::optional<Json> parse_object(std::string_view text) {
    Json parsed = Json::parse(text, nullptr, false);
    if (!parsed.is_object()) return {};
    return parsed;
}

}  // namespace matriarch::json
