#include "writer.h"

namespace matriarch::sim {
namespace {

constexpr Duration kPause = milliseconds(25), kRedial = milliseconds(60);
constexpr Duration kPatience = seconds(2);

}  // namespace

void Writer::next() {
    const bool session = session_ != nullptr && server_->alive();
    world_.after(session ? kPause : kRedial, [this, session] {
        if (!session) dial();
        send();
    });
}

void Writer::dial() {
    session_ = nullptr;
    Container* container = nullptr;
    if (dials_ == Dials::Route) {
        const auto& routes = checks_.routes();
        if (!routes || !routes->master) return;
        session_ = kubelet_.server_at(routes->master->address);
    } else {
        auto& machines = kubelet_.machines();
        if (machines.empty()) return;
        auto machine = machines.begin();
        std::advance(machine, static_cast<std::ptrdiff_t>(tried_++ % machines.size()));
        container = machine->second.container.get();
        if (container != nullptr) session_ = &container->postgres();
    }
    server_ = session_ ? session_->server() : nullptr;
    if (!server_) session_ = nullptr;
}

void Writer::send() {
    if (session_ == nullptr) return next();
    attempt_ = std::make_shared<Attempt>();
    const HostId there = session_->place().host;
    const auto end = [this, attempt = attempt_](bool acknowledged) {
        if (!std::exchange(attempt->over, true)) ended(acknowledged);
    };
    world_.after(kPatience, [end] { end(false); });
    net_.send(host_, there, [this, there, end, server = server_, session = session_] {
        server->post([this, there, end, session] {
            session->write(world_.fresh(), [this, there, end](bool acknowledged) {
                net_.send(there, host_, [end, acknowledged] { end(acknowledged); });
            });
        });
        if (!server->alive()) net_.send(there, host_, [end] { end(false); });
    });
}

void Writer::ended(bool acknowledged) {
    if (!acknowledged) session_ = nullptr;
    next();
}

}  // namespace matriarch::sim
