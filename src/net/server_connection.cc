#include "net/server_connection.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <exception>

namespace matriarch::net {

namespace {

constexpr std::size_t kPieceBytes = 128 * 1024;
// As much of a pipelined request as we keep while its predecessor is in work.
constexpr std::size_t kEarlyBytes = 16 * 1024;
// Long enough for a peer on the other side of the world to read our last words.
constexpr Duration kLinger = seconds(2);

// Empty if the peer is gone already.
std::string address_of_peer(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    char text[NI_MAXHOST];
    const auto* peer = reinterpret_cast<const sockaddr*>(&address);
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
        getnameinfo(peer, size, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0)
        return "";
    // An IPv4 peer of a socket for both families.
    const std::string_view mapped = "::ffff:";
    return std::string_view(text).starts_with(mapped) ? text + mapped.size() : text;
}

}  // namespace

Responder::State::~State() {
    // The last Responder went unanswered: a handler's mistake, which the peer must not wait for.
    if (!answered && !cancelled) deliver(text_response(500, "no answer\n"), nullptr);
}

bool Responder::State::is_answered() {
    const std::lock_guard lock(mutex);
    return answered;
}

bool Responder::State::deliver(HttpResponse response, std::unique_ptr<BodySource> source) {
    std::function<void()> unused;  // destroyed outside the lock
    {
        const std::lock_guard lock(mutex);
        if (answered || cancelled) return false;
        answered = true;
        unused.swap(on_cancel);
    }
    const auto to = loop.lock();
    if (!to) return false;
    // std::function wants copyable captures.
    auto box = std::make_shared<std::pair<HttpResponse, std::unique_ptr<BodySource>>>(
        std::move(response), std::move(source));
    to->post([connection = connection, number = number, box] {
        if (const auto live = connection.lock())
            live->deliver(number, std::move(box->first), std::move(box->second));
    });
    return true;
}

void Responder::State::cancel() {
    std::function<void()> call;
    {
        const std::lock_guard lock(mutex);
        if (answered || cancelled) return;
        cancelled = true;
        call.swap(on_cancel);
    }
    if (call) call();
}

Responder::Responder(std::shared_ptr<State> state) : state_(std::move(state)) {}

bool Responder::answer(HttpResponse response) {
    return state_ && state_->deliver(std::move(response), nullptr);
}

bool Responder::stream(HttpResponse response, std::unique_ptr<BodySource> source) {
    response.body.clear();
    return state_ && state_->deliver(std::move(response), std::move(source));
}

bool Responder::cancelled() const {
    if (!state_) return true;
    const std::lock_guard lock(state_->mutex);
    return state_->cancelled;
}

void Responder::on_cancel(std::function<void()> call) {
    {
        const std::lock_guard lock(state_->mutex);
        if (state_->answered) return;
        if (!state_->cancelled) {
            state_->on_cancel = std::move(call);
            return;
        }
    }
    call();
}

Connection::Connection(std::shared_ptr<ServerShared> shared, const std::shared_ptr<IoLoop>& loop,
                       int fd)
    : shared_(std::move(shared)), loop_(loop), channel_(*loop, fd), timer_(*loop) {
    ++shared_->connections;
}

Connection::~Connection() {
    close(false);
}

void Connection::wait(Step want, Method then) {
    channel_.wait(want, [self = shared_from_this(), then] { ((*self).*then)(); });
}

void Connection::limit(Duration time, Method then) {
    timer_.start(time, [weak = weak_from_this(), then] {
        if (const auto self = weak.lock()) ((*self).*then)();
    });
}

void Connection::begin() {
    self_ = shared_from_this();
    peer_address_ = address_of_peer(channel_.fd());
    const auto& options = shared_->options;
    if (!options.tls) return start_reading();
    limit(options.request_timeout, &Connection::give_up);
    const auto identity = options.tls->current();
    if (!identity) return close(false);
    auto session = make_server_session(**identity, options.client_certificate,
                                       options.accept_client, shared_->clock, channel_.fd());
    if (!session) return close(false);
    channel_.use_tls(std::move(*session));
    handshake();
}

void Connection::handshake() {
    if (state_ != State::Handshake) return;
    const auto result = channel_.handshake();
    switch (result.step) {
        case Step::Done:
            break;
        case Step::WantRead:
        case Step::WantWrite:
            return wait(result.step, &Connection::handshake);
        case Step::Eof:
            return close(false);
        // Closing at once would turn unread bytes into a reset, which could overtake our alert.
        case Step::Failed:
            return linger();
    }
    peer_name_ = peer_certificate(channel_.tls()).common_name;
    start_reading();
}

void Connection::start_reading() {
    state_ = State::Reading;
    limit(shared_->options.idle_timeout, &Connection::give_up);
    if (!early_.empty()) {
        const std::string early = std::exchange(early_, {});
        if (!feed(early.data(), early.size())) return;
    }
    read();
}

void Connection::read() {
    char* const scratch = scratch_buffer();
    while (state_ == State::Reading) {
        const auto result = channel_.read(scratch, kScratchBytes);
        if (result.step == Step::WantRead || result.step == Step::WantWrite)
            return wait(result.step, &Connection::read);
        if (result.step != Step::Done) return close(result.step == Step::Eof);
        if (!feed(scratch, result.bytes)) return;
    }
}

// False once the state is no longer Reading.
bool Connection::feed(const char* data, std::size_t size) {
    const auto& options = shared_->options;
    if (!reader_) {
        reader_ = MessageReader::for_request({options.max_header_bytes, options.max_body_bytes});
        limit(options.request_timeout, &Connection::give_up);
    }
    const bool had_head = reader_->head_done();
    const auto used = reader_->feed(data, size);
    if (!used) {
        using Fault = MessageReader::Fault;
        const auto fault = reader_->fault();
        refuse(fault == Fault::BodyTooLarge ? 413 : fault == Fault::HeaderTooLarge ? 431 : 400);
        return false;
    }
    if (reader_->done()) {
        early_.assign(data + *used, size - *used);
        handle();
        return false;
    }
    if (!had_head && reader_->head_done() && reader_->expects_continue()) {
        // Small enough for any socket buffer that has been idle; a peer that does not get it
        // sends its body anyway after a while.
        static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
        (void)channel_.write(kContinue.data(), kContinue.size());
    }
    return true;
}

void Connection::handle() {
    state_ = State::Handling;
    timer_.cancel();
    keep_alive_ = reader_->keep_alive();
    HttpRequest request = reader_->take_request();
    reader_.reset();
    request.peer_name = peer_name_;
    request.peer_address = peer_address_;
    head_only_ = request.method == "HEAD";
    const auto state = std::make_shared<Responder::State>(loop_, weak_from_this(), ++number_);
    pending_ = state;
    Responder responder(state);
    try {
        shared_->handler(std::move(request), responder);
    } catch (const std::exception&) {
        // No exception may reach the loop; a later answer of the handler's is ignored.
        responder.answer(text_response(500, "internal error\n"));
    }
    if (state_ == State::Handling) watch_peer();
}

// While a request is in work the only news can be that the peer left, or a pipelined request.
void Connection::watch_peer() {
    if (state_ != State::Handling || peer_watched_) return;
    // Answered already: a peer that only ended its own side still gets it.
    if (const auto waiting = pending_.lock(); !waiting || waiting->is_answered()) return;
    char* const scratch = scratch_buffer();
    while (early_.size() < kEarlyBytes) {
        const auto result = channel_.read(scratch, kEarlyBytes - early_.size());
        if (result.step == Step::WantRead || result.step == Step::WantWrite) {
            // Of a former request's wait we make use again.
            peer_watched_ = true;
            return wait(result.step, &Connection::peer_stirred);
        }
        if (result.step != Step::Done) return close(result.step == Step::Eof);
        early_.append(scratch, result.bytes);
    }
}

void Connection::peer_stirred() {
    peer_watched_ = false;
    watch_peer();
}

void Connection::refuse(int status) {
    reader_.reset();
    keep_alive_ = false;
    linger_after_ = true;
    head_only_ = false;
    state_ = State::Handling;
    deliver(++number_, text_response(status, std::string(reason_phrase(status)) + '\n'), nullptr);
}

void Connection::deliver(std::uint64_t number, HttpResponse response,
                         std::unique_ptr<BodySource> source) {
    if (state_ != State::Handling || number != number_) return;
    state_ = State::Writing;
    const std::uint64_t length = source ? source->length() : response.body.size();
    out_ = format_response_head(response, length, keep_alive_, shared_->clock.wall());
    out_done_ = 0;
    if (!head_only_) {
        out_ += response.body;
        source_left_ = source ? length : 0;
        source_ = std::move(source);
    }
    limit(shared_->options.write_timeout, &Connection::give_up);
    write();
}

void Connection::write() {
    if (state_ != State::Writing) return;
    bool progress = false;
    while (out_done_ < out_.size()) {
        const auto result = channel_.write(out_.data() + out_done_, out_.size() - out_done_);
        if (result.step == Step::WantRead || result.step == Step::WantWrite) {
            if (progress) limit(shared_->options.write_timeout, &Connection::give_up);
            return wait(result.step, &Connection::write);
        }
        if (result.step != Step::Done) return close(false);
        out_done_ += result.bytes;
        progress = true;
    }
    written();
}

void Connection::written() {
    // An idle connection keeps no buffer.
    std::string().swap(out_);
    out_done_ = 0;
    if (source_ && source_left_ > 0) return next_piece();
    source_.reset();
    if (linger_after_) return linger();
    if (!keep_alive_) return close(true);
    start_reading();
}

void Connection::next_piece() {
    state_ = State::Streaming;
    // A disk that stalls is not the peer's fault: the time limit starts again with the writing.
    timer_.cancel();
    shared_->worker.post([weak = weak_from_this(), loop = loop_, source = source_] {
        auto piece = std::make_shared<std::string>(kPieceBytes, '\0');
        const auto got = source->read(piece->data(), piece->size());
        piece->resize(got ? *got : 0);
        const auto to = loop.lock();
        if (!to) return;
        to->post([weak, piece, error = got ? std::optional<Error>() : got.error()] {
            if (const auto self = weak.lock())
                self->piece_read(error ? Result<std::string>(*error) : std::move(*piece));
        });
    });
}

void Connection::piece_read(Result<std::string> piece) {
    if (state_ != State::Streaming) return;
    // The head promised a length; to cut the connection is the only way to say that it was wrong.
    if (!piece || piece->empty() || piece->size() > source_left_) return close(false);
    source_left_ -= piece->size();
    out_ = std::move(*piece);
    out_done_ = 0;
    state_ = State::Writing;
    limit(shared_->options.write_timeout, &Connection::give_up);
    write();
}

// Ends our side and swallows what the peer still sends, so that it reads our answer and not a
// reset.
void Connection::linger() {
    if (state_ == State::Closed) return;
    if (state_ != State::Lingering) {
        state_ = State::Lingering;
        channel_.shutdown_write();
        channel_.use_tls(nullptr);
        limit(kLinger, &Connection::give_up);
    }
    char* const scratch = scratch_buffer();
    for (int reads = 0; reads < 64; ++reads) {
        const auto result = channel_.read(scratch, kScratchBytes);
        if (result.step == Step::WantRead) return wait(Step::WantRead, &Connection::linger);
        if (result.step != Step::Done) return close(false);
    }
    // A flood is not worth more of the loop's time.
    close(false);
}

void Connection::close(bool clean) {
    if (state_ == State::Closed) return;
    const bool handling = state_ == State::Handling;
    state_ = State::Closed;
    const auto until_the_end = std::move(self_);
    timer_.cancel();
    channel_.close(clean);
    reader_.reset();
    source_.reset();
    --shared_->connections;
    if (!handling) return;
    if (const auto waiting = pending_.lock()) waiting->cancel();
}

}  // namespace matriarch::net
