#include "net/router.h"

#include <memory>

namespace matriarch::net {

void Router::on(std::string method, std::string path, Handler handler) {
    routes_.push_back({std::move(method), std::move(path), false, std::move(handler)});
}

void Router::on_prefix(std::string method, std::string path, Handler handler) {
    routes_.push_back({std::move(method), std::move(path), true, std::move(handler)});
}

Handler Router::handler() const {
    return
        [routes = std::make_shared<const Router>(*this)](HttpRequest request, Responder responder) {
            routes->dispatch(std::move(request), std::move(responder));
        };
}

void Router::dispatch(HttpRequest request, Responder responder) const {
    const std::string& path = request.path;
    const auto matches = [&](const Route& route) {
        if (path == route.path) return true;
        return route.prefix && path.size() > route.path.size() && path.starts_with(route.path) &&
               (route.path.ends_with('/') || path[route.path.size()] == '/');
    };
    const auto better = [](const Route& a, const Route& b) {
        if (a.prefix != b.prefix) return !a.prefix;
        return a.path.size() > b.path.size();
    };
    const std::string& method = request.method == "HEAD" ? std::string("GET") : request.method;
    const Route* found = nullptr;
    std::string allowed;
    for (const auto& route : routes_) {
        if (!matches(route)) continue;
        if (route.method != method) {
            allowed += (allowed.empty() ? "" : ", ") + route.method;
        } else if (found == nullptr || better(route, *found)) {
            found = &route;
        }
    }
    if (found != nullptr) return found->handler(std::move(request), std::move(responder));
    auto refusal = allowed.empty() ? text_response(404, "no such path\n")
                                   : text_response(405, "another method is needed\n");
    if (!allowed.empty()) refusal.headers.set("Allow", allowed);
    responder.answer(std::move(refusal));
}

}  // namespace matriarch::net
