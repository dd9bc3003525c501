// What the socket tests share: identities of a throw-away CA, a server on loopback, a clock whose
// wall time can be moved, and waiting for a condition instead of sleeping.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "net/client.h"
#include "net/pki.h"
#include "net/router.h"
#include "net/server.h"

namespace matriarch::net::test {

constexpr auto kPatience = std::chrono::seconds(20);  // sanitizers on a busy machine are slow

// True as soon as the condition holds, false when it does not in kPatience.
inline bool eventually(const std::function<bool()>& condition) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > until) return false;
        std::this_thread::yield();
    }
    return true;
}

// A value that another thread sets once.
template <class T>
class Promised {
  public:
    void set(T value) {
        const std::lock_guard lock(mutex_);
        value_.emplace(std::move(value));
        ++times_;
        changed_.notify_all();
    }
    bool ready() const {
        const std::lock_guard lock(mutex_);
        return value_.has_value();
    }
    int times() const {
        const std::lock_guard lock(mutex_);
        return times_;
    }
    T get() {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, kPatience, [&] { return value_.has_value(); }))
            throw std::runtime_error("nothing came");
        return *value_;
    }

  private:
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<T> value_;
    int times_ = 0;
};

class MovableClock final : public Clock {
  public:
    TimePoint now() const override { return real_.now() + Duration(shift_.load()); }
    WallTime wall() const override {
        return real_.wall() +
               std::chrono::duration_cast<WallTime::duration>(Duration(shift_.load()));
    }
    void advance(Duration by) { shift_ += by.count(); }

  private:
    SystemClock real_;
    std::atomic<std::int64_t> shift_{0};
};

struct Authority {
    MovableClock& clock;
    SystemRandom random;
    KeyPair ca;

    explicit Authority(MovableClock& c, const std::string& name = "test ca") : clock(c) {
        ca = *create_ca(name, kCaLifetime, clock, random);
    }
    KeyPair issue(const std::string& name, std::vector<std::string> dns = {},
                  Duration lifetime = kCertificateLifetime,
                  CertificateUse use = CertificateUse::Both) {
        CertificateSpec spec;
        spec.common_name = name;
        spec.dns_names = std::move(dns);
        spec.use = use;
        spec.lifetime = lifetime;
        return *issue_certificate(ca, spec, clock, random);
    }
    std::shared_ptr<const TlsIdentity> identity(const KeyPair& pair,
                                                const std::string& ca_pem = {}) const {
        return *TlsIdentity::parse(pair.certificate_pem, pair.key_pem,
                                   ca_pem.empty() ? ca.certificate_pem : ca_pem);
    }
    std::shared_ptr<MemoryIdentity> source(const std::string& name,
                                           std::vector<std::string> dns = {}) {
        return std::make_shared<MemoryIdentity>(identity(issue(name, std::move(dns))));
    }
};

inline Handler echo() {
    return [](HttpRequest request, Responder responder) {
        responder.answer(text_response(200, request.peer_name + '|' + request.method + '|' +
                                                request.target + '|' + request.body));
    };
}

inline std::unique_ptr<HttpServer> serve(ServerOptions options, Handler handler,
                                         const Clock& clock) {
    if (options.bind_address.empty()) options.bind_address = "127.0.0.1";
    auto server = HttpServer::start(std::move(options), std::move(handler), clock);
    if (!server) throw std::runtime_error(server.error().message());
    return std::move(server).value();
}

inline HttpRequest get(std::string target) {
    HttpRequest request;
    request.target = std::move(target);
    return request;
}

inline HttpRequest post(std::string target, std::string body) {
    HttpRequest request;
    request.method = "POST";
    request.target = std::move(target);
    request.body = std::move(body);
    return request;
}

}  // namespace matriarch::net::test
