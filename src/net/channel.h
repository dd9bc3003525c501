// Channel: a connected socket, plain or TLS, with non-blocking steps. Internal to src/net.
//
// Server and client differ in what they do with bytes, not in how these move. Used on its loop's
// thread only. Nothing is buffered here: an idle channel costs a descriptor and its TLS state.
#pragma once

#include <functional>
#include <string>

#include "net/io_loop.h"
#include "net/tls_session.h"

namespace matriarch::net {

class Channel {
  public:
    // Takes a non-blocking descriptor of a TCP socket.
    Channel(IoLoop& loop, int fd);
    void use_tls(SslPtr ssl) { ssl_ = std::move(ssl); }
    bool has_tls() const { return ssl_ != nullptr; }
    const SslPtr& tls() const { return ssl_; }
    int fd() const { return socket_.fd(); }

    StepResult handshake();
    StepResult read(char* out, std::size_t size);
    StepResult write(const char* data, std::size_t size);

    // Calls when the step that answered WantRead or WantWrite can go on. One call for each
    // direction at a time; none after close().
    void wait(Step want, std::function<void()> call);
    // Our side is done; the peer may still send.
    void shutdown_write();
    // With a TLS goodbye if `clean`.
    void close(bool clean);
    bool closed() const { return socket_.closed(); }

  private:
    IoSocket socket_;
    SslPtr ssl_;
};

// A buffer for reading that all channels of a thread share; its content is used up before the next
// read.
inline constexpr std::size_t kScratchBytes = 32 * 1024;
char* scratch_buffer();

}  // namespace matriarch::net
