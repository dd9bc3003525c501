// RoutesWatch: the routing ConfigMap as the API says it, and the pooler's word back.
//
// Watches one object in a thread of its own (a mounted ConfigMap can be a minute old) and hands
// each version to `on_news`, on that thread. tell() is sent by another thread, the last word wins,
// and is repeated until the API took it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "kube/credentials.h"
#include "model/routes.h"

namespace matriarch::pooler {

class RoutesWatch {
  public:
    using OnNews = std::function<void(const Routes& routes, const std::string& settings)>;

    RoutesWatch(kube::CredentialSource& credentials, std::string name_space, std::string cluster,
                std::string pod, const Clock& clock, Random& random, OnNews on_news);
    ~RoutesWatch();  // ends the threads
    RoutesWatch(const RoutesWatch&) = delete;
    RoutesWatch& operator=(const RoutesWatch&) = delete;

    void start();
    // Routes::pause that this pooler holds its writers back for; empty: it holds nobody.
    void tell(std::string word);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace matriarch::pooler
