// Strong<Tag, T>: an id or a number that can't be mistaken for another one.
//
// Ids of Kubernetes and PostgreSQL are mostly strings and integers; a wrong argument order would
// compile. Ordered, hashable, printable by .value. A value type.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <utility>

namespace matriarch {

template <class Tag, class T>
struct Strong {
    T value{};

    Strong() = default;
    explicit Strong(T v) : value(std::move(v)) {}

    friend auto operator<=>(const Strong&, const Strong&) = default;
    friend bool operator==(const Strong&, const Strong&) = default;
};

// A string id. Empty means "none".
template <class Tag>
struct StringId : Strong<Tag, std::string> {
    using Strong<Tag, std::string>::Strong;
    bool empty() const { return this->value.empty(); }
    const std::string& str() const { return this->value; }
};

}  // namespace matriarch

template <class Tag, class T>
struct std::hash<matriarch::Strong<Tag, T>> {
    std::size_t operator()(const matriarch::Strong<Tag, T>& s) const {
        return std::hash<T>{}(s.value);
    }
};

template <class Tag>
struct std::hash<matriarch::StringId<Tag>> {
    std::size_t operator()(const matriarch::StringId<Tag>& s) const {
        return std::hash<std::string>{}(s.value);
    }
};
