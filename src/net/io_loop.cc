#include "net/io_loop.h"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <thread>

namespace matriarch::net {

namespace asio = boost::asio;

struct IoLoop::Impl {
    // The hint of 1 spares the locks of a pool of threads.
    asio::io_context context{1};
    std::thread thread;
    std::atomic<bool> stopped{false};
    std::atomic<std::thread::id> thread_id{};
};

IoLoop::IoLoop() : impl_(std::make_unique<Impl>()) {}

IoLoop::~IoLoop() {
    stop();
}

void IoLoop::start() {
    impl_->thread = std::thread([this] {
        impl_->thread_id = std::this_thread::get_id();
        const auto work = asio::make_work_guard(impl_->context);
        impl_->context.run();
    });
}

void IoLoop::post(std::function<void()> task) {
    if (impl_->stopped) return;
    asio::post(impl_->context, std::move(task));
}

void IoLoop::stop() {
    impl_->stopped = true;
    impl_->context.stop();
    if (impl_->thread.joinable()) impl_->thread.join();
}

bool IoLoop::on_thread() const {
    return impl_->thread_id.load() == std::this_thread::get_id();
}

struct IoSocket::Impl {
    Impl(IoLoop& loop, int fd) : descriptor(loop.impl().context, fd) {}
    asio::posix::stream_descriptor descriptor;

    static void wait(const std::shared_ptr<Impl>& self, asio::posix::stream_descriptor::wait_type w,
                     std::function<void()> call) {
        // A handler that is due when close() is called comes with success: look again.
        self->descriptor.async_wait(
            w, [self, call = std::move(call)](const boost::system::error_code& error) {
                if (self->descriptor.is_open() && error != asio::error::operation_aborted) call();
            });
    }
};

IoSocket::IoSocket(IoLoop& loop, int fd) : impl_(std::make_shared<Impl>(loop, fd)) {}

IoSocket::~IoSocket() {
    close();
}

int IoSocket::fd() const {
    return impl_->descriptor.native_handle();
}

void IoSocket::wait_readable(std::function<void()> call) {
    Impl::wait(impl_, asio::posix::stream_descriptor::wait_read, std::move(call));
}

void IoSocket::wait_writable(std::function<void()> call) {
    Impl::wait(impl_, asio::posix::stream_descriptor::wait_write, std::move(call));
}

void IoSocket::close() {
    boost::system::error_code ignored;
    if (impl_->descriptor.is_open()) impl_->descriptor.close(ignored);
}

bool IoSocket::closed() const {
    return !impl_->descriptor.is_open();
}

struct IoTimer::Impl {
    explicit Impl(IoLoop& loop) : timer(loop.impl().context) {}
    asio::steady_timer timer;
    std::uint64_t generation = 0;
};

IoTimer::IoTimer(IoLoop& loop) : impl_(std::make_shared<Impl>(loop)) {}

IoTimer::~IoTimer() {
    cancel();
}

void IoTimer::start(Duration wait, std::function<void()> call) {
    // Beyond a day the sum with now() could overflow; nothing of ours waits so long.
    constexpr Duration kLongest = std::chrono::hours(24);
    impl_->timer.expires_after(std::min(wait, kLongest));
    const auto generation = ++impl_->generation;
    impl_->timer.async_wait(
        [impl = impl_, generation, call = std::move(call)](const boost::system::error_code& error) {
            if (!error && impl->generation == generation) call();
        });
}

void IoTimer::cancel() {
    ++impl_->generation;
    impl_->timer.cancel();
}

}  // namespace matriarch::net
