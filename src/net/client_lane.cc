#include "net/client_lane.h"

#include <algorithm>

namespace matriarch::net {

namespace {

// A download's piece: large enough that the change of threads does not show.
constexpr std::size_t kPieceBytes = 256 * 1024;

}  // namespace

Error net_error(ErrorKind kind, Failure failure, const std::string& where,
                const std::string& cause) {
    // failure_of() reads the word before the colon.
    return make_error(kind, where, std::string(to_string(failure)) + ": " + cause);
}

void RequestHandle::State::finish(HttpResponse response) {
    timer.reset();
    if (const auto call = std::exchange(callback, nullptr)) call(std::move(response));
}

void RequestHandle::State::finish(Downloaded downloaded) {
    timer.reset();
    sink.reset();
    if (const auto call = std::exchange(download_callback, nullptr)) call(std::move(downloaded));
}

void RequestHandle::State::fail(Error error) {
    timer.reset();
    // The sink removes its file, which may block: not on the loop.
    if (const auto owner = shared.lock(); owner && sink)
        owner->worker.post([abandoned = std::move(sink)] {});
    if (const auto call = std::exchange(callback, nullptr)) return call(std::move(error));
    if (const auto call = std::exchange(download_callback, nullptr)) call(std::move(error));
}

Lane::Lane(std::shared_ptr<ClientShared> shared, PeerAddress peer, OnEmpty on_empty)
    : shared_(std::move(shared)),
      peer_(std::move(peer)),
      on_empty_(std::move(on_empty)),
      timer_(shared_->loop) {}

Lane::~Lane() {
    disconnect(false);
}

std::string Lane::where() const {
    return peer_.server_name + (peer_.server_name.empty() ? "" : " at ") + '[' + peer_.ip +
           "]:" + std::to_string(peer_.port);
}

void Lane::wait(Step want, Method then) {
    channel_->wait(want, [weak = weak_from_this(), then] {
        if (const auto self = weak.lock()) ((*self).*then)();
    });
}

void Lane::limit(Duration time, Method then) {
    timer_.start(time, [weak = weak_from_this(), then] {
        if (const auto self = weak.lock()) ((*self).*then)();
    });
}

bool Lane::in_flight() const {
    return state_ == State::Sending || state_ == State::Receiving || state_ == State::Saving;
}

void Lane::add(const Exchange& exchange) {
    exchange->lane = weak_from_this();
    if (queue_.size() >= shared_->options.max_queue)
        return exchange->fail(net_error(ErrorKind::Unavailable, Failure::Other, where(),
                                        "too many requests wait on this lane"));
    if (exchange->deadline.passed(shared_->clock)) {
        exchange->fail(net_error(ErrorKind::Unavailable, Failure::ConnectTimeout, where(),
                                 "the deadline passed before anything was sent"));
        return next();
    }
    exchange->timer = std::make_unique<IoTimer>(shared_->loop);
    if (exchange->deadline.at != TimePoint::max())
        exchange->timer->start(exchange->deadline.remaining(shared_->clock),
                               [lane = weak_from_this(), weak = std::weak_ptr(exchange)] {
                                   const auto self = lane.lock();
                                   const auto late = weak.lock();
                                   if (self && late) self->expire(late);
                               });
    queue_.push_back(exchange);
    if (queue_.size() == 1) next();
}

// Starts what there is to do. Called whenever the state or the queue changed.
void Lane::next() {
    if (state_ == State::Idle && !queue_.empty() && identity_changed()) disconnect(true);
    if (state_ == State::Closed) {
        if (!queue_.empty()) return ask_for_slot();
        return on_empty_(this);
    }
    if (state_ != State::Idle) return;
    if (queue_.empty()) return limit(shared_->options.idle_timeout, &Lane::idle_too_long);
    timer_.cancel();
    const auto& request = queue_.front()->request;
    const bool v6 = peer_.ip.find(':') != std::string::npos;
    const std::string host = !peer_.server_name.empty() ? peer_.server_name
                             : v6                       ? '[' + peer_.ip + ']'
                                                        : peer_.ip;
    out_ = format_request(request, host + ':' + std::to_string(peer_.port));
    out_done_ = 0;
    ReadLimits limits;
    if (!queue_.front()->sink) limits.body_bytes = shared_->options.max_body_bytes;
    reader_ = MessageReader::for_response(limits, request.method == "HEAD");
    head_.reset();
    piece_.clear();
    state_ = State::Sending;
    send();
}

// A renewed certificate is shown on a new connection; the old one ends between two requests.
bool Lane::identity_changed() const {
    const auto& source = peer_.tls ? peer_.tls : shared_->options.tls;
    if (!source || !identity_) return false;
    const auto fresh = source->current();
    return fresh && *fresh != identity_;
}

// One read wait stands as long as the connection lives. In the idle state its news is that the
// server closed: learnt now, it costs the next request nothing.
void Lane::watch_idle() {
    if (!channel_) return;
    if (state_ == State::Receiving || state_ == State::Sending) return receive();
    if (state_ != State::Idle) return;
    const auto result = channel_->read(scratch_buffer(), kScratchBytes);
    if (result.step == Step::WantRead || result.step == Step::WantWrite)
        return wait(result.step, &Lane::watch_idle);
    // Data that nobody asked for is as bad as an end.
    disconnect(result.step == Step::Eof);
    next();
}

void Lane::idle_too_long() {
    if (state_ != State::Idle || !queue_.empty()) return;
    disconnect(true);
    next();
}

void Lane::send() {
    if (state_ != State::Sending) return;
    while (out_done_ < out_.size()) {
        const auto result = channel_->write(out_.data() + out_done_, out_.size() - out_done_);
        if (result.step == Step::WantWrite) return wait(result.step, &Lane::send);
        // A request that did not leave whole can't have been acted on. (WantRead would mean a
        // renegotiation, which tls_session.cc forbids.)
        if (result.step != Step::Done) {
            const auto failure = result.certificate_refused ? Failure::Tls : Failure::Other;
            return fail_current(net_error(ErrorKind::Unavailable, failure, where(),
                                          "while sending: " + result.error));
        }
        out_done_ += result.bytes;
    }
    std::string().swap(out_);
    state_ = State::Receiving;
}

void Lane::receive() {
    // An answer that begins before the request has left whole (413, say) waits for it, unless the
    // server ended the connection.
    char* const scratch = scratch_buffer();
    while (state_ == State::Receiving || state_ == State::Sending) {
        const auto result = channel_->read(scratch, kScratchBytes);
        if (result.step == Step::WantRead || result.step == Step::WantWrite)
            return wait(result.step, &Lane::watch_idle);
        if (result.step == Step::Done) {
            if (!feed(scratch, result.bytes)) return;
            continue;
        }
        if (reader_->feed_eof()) {
            // Complete by the end of the connection.
            disconnect(true);
            return answered();
        }
        if (result.certificate_refused && reader_->untouched())
            return fail_current(
                net_error(ErrorKind::Unavailable, Failure::Tls, where(), result.error));
        if (state_ == State::Sending)
            return fail_current(net_error(ErrorKind::Unavailable, Failure::Other, where(),
                                          "while sending: " + result.error));
        return fail_current(sent_error(Failure::Lost, result.error));
    }
}

// False if reading has to stop for now.
bool Lane::feed(const char* data, std::size_t size) {
    const auto used = reader_->feed(data, size);
    if (!used) {
        fail_current(sent_error(Failure::BadAnswer, used.error().message()));
        return false;
    }
    const bool download = queue_.front()->sink != nullptr;
    if (download && reader_->head_done() && !take_download_head()) return false;
    if (reader_->done()) {
        // More than the answer, or an answer before the request's end: the connection's state is no
        // longer known.
        if (*used < size || !reader_->keep_alive() || state_ == State::Sending) disconnect(true);
        answered();
        return false;
    }
    if (piece_.size() < kPieceBytes) return true;
    save(false);
    return false;
}

// The first request is over and the connection, if it is left, idle.
Lane::Exchange Lane::release() {
    const auto exchange = queue_.front();
    queue_.pop_front();
    reader_.reset();
    state_ = channel_ ? State::Idle : State::Closed;
    watch_idle();
    return exchange;
}

void Lane::answered() {
    if (!queue_.front()->sink) {
        auto response = reader_->take_response();
        release()->finish(std::move(response));
        return next();
    }
    if (head_->success()) return save(true);
    auto error = refused_download();
    release()->fail(std::move(error));
    next();
}

void Lane::fail_current(Error error) {
    disconnect(false);
    if (queue_.empty()) return next();
    const auto exchange = queue_.front();
    queue_.pop_front();
    reader_.reset();
    exchange->fail(std::move(error));
    next();
}

void Lane::fail_all(Failure failure, const std::string& cause) {
    disconnect(false);
    const auto all = std::exchange(queue_, {});
    for (const auto& exchange : all)
        exchange->fail(net_error(ErrorKind::Unavailable, failure, where(), cause));
    next();
}

Error Lane::sent_error(Failure failure, const std::string& cause) const {
    ErrorKind kind = ErrorKind::OutcomeUnknown;
    const auto& method = queue_.front()->request.method;
    if (failure == Failure::AnswerTimeout && (method == "GET" || method == "HEAD"))
        kind = ErrorKind::Timeout;
    return net_error(kind, failure, where(), cause);
}

void Lane::expire(const Exchange& exchange) {
    if (!exchange->waiting()) return;
    if (!queue_.empty() && queue_.front() == exchange) {
        if (state_ == State::Receiving || state_ == State::Saving)
            return fail_current(sent_error(Failure::AnswerTimeout, "no answer by the deadline"));
        // The attempt to connect ends too: the next request's SYN should not wait for the back-off
        // of this one's (1, 2, 4 s… in Linux) when a cut network heals.
        return fail_current(net_error(ErrorKind::Unavailable, Failure::ConnectTimeout, where(),
                                      "not sent by the deadline"));
    }
    std::erase(queue_, exchange);
    exchange->fail(net_error(ErrorKind::Unavailable, Failure::ConnectTimeout, where(),
                             "not sent by the deadline: others were before it"));
}

void Lane::cancel(const Exchange& exchange, const std::string& why) {
    if (!exchange->waiting()) return;
    auto error = net_error(ErrorKind::Cancelled, Failure::Cancelled, where(), why);
    if (!queue_.empty() && queue_.front() == exchange && in_flight())
        return fail_current(std::move(error));
    std::erase(queue_, exchange);
    exchange->fail(std::move(error));
    const bool opening =
        state_ == State::Waiting || state_ == State::Connecting || state_ == State::Handshake;
    if (queue_.empty() && opening) {
        disconnect(false);
        next();
    }
}

void Lane::close_all(const std::string& why) {
    disconnect(true);
    const auto all = std::exchange(queue_, {});
    for (const auto& exchange : all)
        exchange->fail(net_error(ErrorKind::Cancelled, Failure::Cancelled, where(), why));
    next();
}

void Lane::disconnect(bool clean) {
    timer_.cancel();
    release_slot();
    state_ = State::Closed;
    identity_.reset();
    out_.clear();
    if (!race_ && !channel_) return;
    race_.reset();
    if (channel_) channel_->close(clean);
    channel_.reset();
    --shared_->connections;
}

}  // namespace matriarch::net
