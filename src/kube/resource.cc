#include "kube/resource.h"

namespace matriarch::kube {

std::string Resource::api_version() const {
    if (group.empty()) return std::string(version);
    return std::string(group) + "/" + std::string(version);
}

std::string ObjectKey::str() const {
    return ns.empty() ? name : ns + "/" + name;
}

ObjectKey ObjectKey::parse(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return {"", std::string(text)};
    return {std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
}

std::string resource_path(const Resource& resource, std::string_view ns, std::string_view name,
                          std::string_view subresource) {
    std::string path = resource.group.empty() ? "/api/" : "/apis/";
    path += resource.api_version();
    if (!ns.empty()) path += "/namespaces/" + percent_encode(ns);
    path += "/" + std::string(resource.plural);
    if (!name.empty()) path += "/" + percent_encode(name);
    if (!subresource.empty()) path += "/" + percent_encode(subresource);
    return path;
}

std::string percent_encode(std::string_view text) {
    static constexpr char kHex[] = "0123456789ABCDEF";
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            out += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out += '%';
            out += kHex[byte >> 4];
            out += kHex[byte & 15];
        }
    }
    return out;
}

}  // namespace matriarch::kube
