// One connection of HttpServer, from its first byte to its last. Internal to src/net.
//
// States: Handshake → Reading → Handling → Writing (→ Streaming) → Reading …, and Lingering at the
// end of a refused one. All calls come on the loop's thread, except those of Responder::State,
// which posts to it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "net/channel.h"
#include "net/http_codec.h"
#include "net/server.h"
#include "net/worker.h"

namespace matriarch::net {

class Connection;

// What the connections of a server share. Outlives the loops' threads.
struct ServerShared {
    ServerOptions options;
    Handler handler;
    const Clock& clock;
    std::atomic<std::size_t> connections{0};
    Worker worker;  // reads the files of streams
};

// The link between a handler's answer and the connection that waits for it; either may go first.
struct Responder::State {
    State(std::weak_ptr<IoLoop> l, std::weak_ptr<Connection> c, std::uint64_t n)
        : loop(std::move(l)), connection(std::move(c)), number(n) {}
    ~State();

    bool deliver(HttpResponse response, std::unique_ptr<BodySource> source);
    void cancel();
    bool is_answered();

    const std::weak_ptr<IoLoop> loop;
    const std::weak_ptr<Connection> connection;
    const std::uint64_t number;  // of the request in its connection

    std::mutex mutex;
    bool answered = false;
    bool cancelled = false;
    std::function<void()> on_cancel;
};

class Connection : public std::enable_shared_from_this<Connection> {
  public:
    Connection(std::shared_ptr<ServerShared> shared, const std::shared_ptr<IoLoop>& loop, int fd);
    ~Connection();

    void begin();
    // The answer to request `number`; ignored if that is no longer the one in work.
    void deliver(std::uint64_t number, HttpResponse response, std::unique_ptr<BodySource> source);
    // Cancels the request in work.
    void close(bool clean);

  private:
    enum class State { Handshake, Reading, Handling, Writing, Streaming, Lingering, Closed };
    using Method = void (Connection::*)();

    void wait(Step want, Method then);
    void limit(Duration time, Method then);
    void give_up() { close(false); }

    void handshake();
    void start_reading();
    void read();
    bool feed(const char* data, std::size_t size);
    void handle();
    void refuse(int status);
    void watch_peer();
    void peer_stirred();
    void write();
    void written();
    void next_piece();
    void piece_read(Result<std::string> piece);
    void linger();

    const std::shared_ptr<ServerShared> shared_;
    const std::weak_ptr<IoLoop> loop_;
    // Until closed: while a handler thinks, or a disk is read, nobody else may hold us.
    std::shared_ptr<Connection> self_;
    Channel channel_;
    IoTimer timer_;
    State state_ = State::Handshake;
    std::unique_ptr<MessageReader> reader_;
    std::string peer_name_, peer_address_;
    std::string early_;  // arrived before its turn (pipelined)
    std::string out_;
    std::size_t out_done_ = 0;
    std::shared_ptr<BodySource> source_;  // shared: a read may outlive us on the worker
    std::uint64_t source_left_ = 0;
    std::weak_ptr<Responder::State> pending_;
    std::uint64_t number_ = 0;
    bool peer_watched_ = false;
    bool keep_alive_ = true;
    bool head_only_ = false;
    bool linger_after_ = false;
};

}  // namespace matriarch::net
