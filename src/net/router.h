// Router: which handler serves which path.
//
// Few, fixed routes (orders, polls, WAL, health, metrics), so a list is enough. Filled before the
// server starts and constant afterwards, hence usable from all its threads. 404 for an unknown
// path, 405 for a known one with another method; HEAD goes where GET goes.
#pragma once

#include <string>
#include <vector>

#include "net/server.h"

namespace matriarch::net {

class Router {
  public:
    // Exactly this path.
    void on(std::string method, std::string path, Handler handler);
    // The path itself and everything below it: "/healthz" also takes "/healthz/ping". The longest
    // match wins; an exact route wins over it.
    void on_prefix(std::string method, std::string path, Handler handler);

    // What HttpServer::start takes: a copy of the routes as they are now.
    Handler handler() const;

    void dispatch(HttpRequest request, Responder responder) const;

  private:
    struct Route {
        std::string method;
        std::string path;
        bool prefix = false;
        Handler handler;
    };
    std::vector<Route> routes_;
};

}  // namespace matriarch::net
