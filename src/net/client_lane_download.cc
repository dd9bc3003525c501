// How a Lane brings a download's body to the disk, piece by piece.
#include <algorithm>

#include "net/client_lane.h"

namespace matriarch::net {

namespace {

// How much of a refusal's text goes into an Error.
constexpr std::size_t kCauseBytes = 512;

}  // namespace

bool Lane::take_download_head() {
    if (head_) {
        piece_ += reader_->take_body();
    } else {
        head_ = reader_->take_response();
        piece_ = std::exchange(head_->body, {});
        const auto& exchange = queue_.front();
        const auto length = reader_->content_length();
        if (head_->success() && exchange->expected_length && length &&
            *length != *exchange->expected_length) {
            fail_current(net_error(ErrorKind::Invalid, Failure::Other,
                                   where() + exchange->request.target,
                                   "offers " + std::to_string(*length) + " bytes, expected are " +
                                       std::to_string(*exchange->expected_length)));
            return false;
        }
    }
    // Of a refusal's text only the beginning matters.
    if (!head_->success()) piece_.resize(std::min(piece_.size(), kCauseBytes));
    return true;
}

Error Lane::refused_download() const {
    ErrorKind kind = ErrorKind::Invalid;
    if (head_->status == 404) kind = ErrorKind::NotFound;
    if (head_->status == 401 || head_->status == 403) kind = ErrorKind::Forbidden;
    if (head_->status >= 500) kind = ErrorKind::Unavailable;
    return net_error(kind, Failure::Other, where() + queue_.front()->request.target,
                     std::to_string(head_->status) + ' ' + piece_);
}

// While the worker writes, nothing is read: that is the backpressure.
void Lane::save(bool last) {
    state_ = State::Saving;
    const auto exchange = queue_.front();
    shared_->worker.post([weak = weak_from_this(), exchange, last, client = shared_.get(),
                          sink = exchange->sink, piece = std::exchange(piece_, {})] {
        auto status = sink->write(piece);
        const auto& expected = exchange->expected_length;
        if (status && last && expected && sink->bytes() != *expected)
            status = make_error(ErrorKind::Invalid,
                                "a download of " + std::to_string(sink->bytes()) + " bytes where " +
                                    std::to_string(*expected) + " are expected");
        if (status && last) status = sink->finish();
        client->loop.post([weak, exchange, status, last] {
            if (const auto self = weak.lock()) self->saved(exchange, status, last);
        });
    });
}

void Lane::saved(const Exchange& exchange, const Status& status, bool last) {
    if (state_ != State::Saving || queue_.empty() || queue_.front() != exchange) return;
    if (!status) return fail_current(status.error());
    if (!last) {
        state_ = State::Receiving;
        return receive();
    }
    Downloaded downloaded{exchange->sink->bytes(), std::move(head_->headers)};
    release()->finish(std::move(downloaded));
    next();
}

}  // namespace matriarch::net
