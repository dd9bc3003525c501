// How a Lane gets its connection: a slot, TCP, TLS.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <cerrno>
#include <cstring>

#include "net/client_lane.h"

namespace matriarch::net {

namespace {

// A slot is for the work of connecting. A peer that has not answered by then costs none: it may go
// on without the slot, so a dead node's agents do not keep the living ones waiting.
constexpr Duration kSlotTime = milliseconds(250);

std::optional<SocketAddress> target_of(const PeerAddress& peer) {
    SocketAddress out;
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
    if (inet_pton(AF_INET, peer.ip.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(peer.port);
        out.size = sizeof *v4;
        return out;
    }
    out.storage = {};
    if (inet_pton(AF_INET6, peer.ip.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(peer.port);
        out.size = sizeof *v6;
        return out;
    }
    return std::nullopt;
}

Failure failure_of_errno(int error) {
    switch (error) {
        case ECONNREFUSED:
            return Failure::Refused;
        case EHOSTUNREACH:
        case ENETUNREACH:
        case EHOSTDOWN:
        case ENETDOWN:
            return Failure::Unreachable;
        case ETIMEDOUT:
            return Failure::ConnectTimeout;
        default:
            return Failure::Other;
    }
}

}  // namespace

void Lane::ask_for_slot() {
    if (shared_->connecting < shared_->options.max_connecting) {
        ++shared_->connecting;
        return slot_given();
    }
    state_ = State::Waiting;
    if (!std::exchange(in_slot_queue_, true)) shared_->slot_queue.push_back(weak_from_this());
}

void Lane::slot_given() {
    has_slot_ = true;
    slot_timer_ = std::make_unique<IoTimer>(shared_->loop);
    slot_timer_->start(kSlotTime, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->release_slot();
    });
    connect();
}

void Lane::release_slot() {
    if (!std::exchange(has_slot_, false)) return;
    slot_timer_.reset();
    --shared_->connecting;
    offer_slots(*shared_);
}

void Lane::offer_slots(ClientShared& shared) {
    auto& queue = shared.slot_queue;
    while (!queue.empty() && shared.connecting < shared.options.max_connecting) {
        const auto weak = queue.front();
        queue.pop_front();
        const auto waiting = weak.lock();
        if (!waiting) continue;
        waiting->in_slot_queue_ = false;
        if (waiting->state_ != State::Waiting) continue;
        ++shared.connecting;
        // Posted: a connect that fails at once would release the slot again, ever deeper.
        shared.loop.post([&shared, weak] {
            const auto self = weak.lock();
            if (self && self->state_ == State::Waiting) return self->slot_given();
            --shared.connecting;
            offer_slots(shared);
        });
    }
}

void Lane::connect() {
    const auto target = target_of(peer_);
    if (!target) {
        disconnect(false);
        const auto bad = std::exchange(queue_, {});
        for (const auto& exchange : bad)
            exchange->fail(net_error(ErrorKind::Invalid, Failure::Other, where(), "no IP address"));
        return next();
    }
    ++shared_->connects;
    ++shared_->connections;
    state_ = State::Connecting;
    limit(shared_->options.connect_timeout, &Lane::connect_timed_out);
    race_ = std::make_unique<ConnectRace>(
        shared_->loop, *target,
        [weak = weak_from_this()](std::unique_ptr<Channel> channel, int error) {
            if (const auto self = weak.lock()) self->connected(std::move(channel), error);
        });
    if (const int error = race_->start(); error != 0)
        fail_all(failure_of_errno(error), strerror(error));
}

void Lane::connect_timed_out() {
    if (state_ == State::Connecting || state_ == State::Handshake)
        fail_all(Failure::ConnectTimeout, "no connection within the connect timeout");
}

void Lane::connected(std::unique_ptr<Channel> channel, int error) {
    if (!channel) return fail_all(failure_of_errno(error), strerror(error));
    race_.reset();
    channel_ = std::move(channel);
    const auto& source = peer_.tls ? peer_.tls : shared_->options.tls;
    if (!source) return ready();
    const auto identity = source->current();
    if (!identity) return fail_all(Failure::Tls, identity.error().message());
    identity_ = *identity;
    auto session = make_client_session(*identity_, peer_.server_name, peer_.ip, shared_->clock,
                                       channel_->fd());
    if (!session) return fail_all(Failure::Tls, session.error().message());
    channel_->use_tls(std::move(*session));
    state_ = State::Handshake;
    handshake();
}

void Lane::handshake() {
    if (state_ != State::Handshake) return;
    const auto result = channel_->handshake();
    switch (result.step) {
        case Step::Done:
            return ready();
        case Step::WantRead:
        case Step::WantWrite:
            return wait(result.step, &Lane::handshake);
        case Step::Eof:
        case Step::Failed:
            return fail_all(result.certificate_refused ? Failure::Tls : Failure::Other,
                            "TLS handshake: " + result.error);
    }
}

void Lane::ready() {
    ++shared_->handshakes;
    timer_.cancel();
    release_slot();
    state_ = State::Idle;
    // The request goes out before the first read: a server that closes every new connection must
    // cost a request each time, or we would connect again and again.
    wait(Step::WantRead, &Lane::watch_idle);
    next();
}

}  // namespace matriarch::net
