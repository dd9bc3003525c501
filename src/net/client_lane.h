// One lane of HttpClient: the connection to a peer and the requests that take turns on it. Internal
// to src/net.
//
// Closed → Waiting (for a slot) → Connecting → Handshake → Idle ⇄ Sending → Receiving (→ Saving,
// for downloads). Everything here runs on the client's loop.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>

#include "net/channel.h"
#include "net/client.h"
#include "net/connect_race.h"
#include "net/file_sink.h"
#include "net/http_codec.h"
#include "net/worker.h"

namespace matriarch::net {

class Lane;

// What all lanes share. Outlives the loop's thread.
struct ClientShared {
    ClientOptions options;
    const Clock& clock;
    IoLoop loop;
    Worker worker;  // writes downloads
    std::atomic<std::size_t> connections{0};
    std::atomic<std::uint64_t> connects{0};
    std::atomic<std::uint64_t> handshakes{0};

    // On the loop's thread only.
    int connecting = 0;                          // slots taken
    std::deque<std::weak_ptr<Lane>> slot_queue;  // lanes that wait for one
};

// A request from request() to its callback. After the callback it holds nothing of the client's, so
// a handle may outlive the client.
struct RequestHandle::State {
    HttpRequest request;
    Deadline deadline;
    HttpClient::Callback callback;  // empty once called
    std::unique_ptr<IoTimer> timer;
    std::weak_ptr<Lane> lane;
    std::weak_ptr<ClientShared> shared;  // the way to the loop, for cancel()

    // Downloads only.
    std::shared_ptr<FileSink> sink;
    std::optional<std::uint64_t> expected_length;
    HttpClient::DownloadCallback download_callback;

    bool waiting() const { return callback || download_callback; }
    void finish(HttpResponse response);
    void finish(Downloaded downloaded);
    void fail(Error error);
};

class Lane : public std::enable_shared_from_this<Lane> {
  public:
    using Exchange = std::shared_ptr<RequestHandle::State>;

    // `on_empty` is called when neither a connection nor a request is left, perhaps repeatedly.
    using OnEmpty = std::function<void(const Lane*)>;
    Lane(std::shared_ptr<ClientShared> shared, PeerAddress peer, OnEmpty on_empty);
    ~Lane();

    void add(const Exchange& exchange);
    // Ends one request with the error that its deadline or its handle calls for.
    void expire(const Exchange& exchange);
    void cancel(const Exchange& exchange, const std::string& why);
    // Ends everything.
    void close_all(const std::string& why);

  private:
    enum class State { Closed, Waiting, Connecting, Handshake, Idle, Sending, Receiving, Saving };
    using Method = void (Lane::*)();

    void wait(Step want, Method then);
    void limit(Duration time, Method then);

    void next();
    void ask_for_slot();
    void slot_given();
    void release_slot();
    static void offer_slots(ClientShared& shared);
    void connect();
    // The end of the race: the winner, or null and the errno.
    void connected(std::unique_ptr<Channel> channel, int error);
    void connect_timed_out();
    void handshake();
    void ready();
    bool identity_changed() const;
    void watch_idle();
    void idle_too_long();
    void send();
    void receive();
    bool feed(const char* data, std::size_t size);
    void answered();
    Exchange release();
    // The head of a download's answer is complete. False if it ended the exchange.
    bool take_download_head();
    void save(bool last);
    void saved(const Exchange& exchange, const Status& status, bool last);
    Error refused_download() const;

    void disconnect(bool clean);
    // The connection never came up: nothing was sent, so every request of the lane fails at once.
    void fail_all(Failure failure, const std::string& cause);
    // Ends the first request, which was on the connection, and that connection.
    void fail_current(Error error);
    bool in_flight() const;
    Error sent_error(Failure failure, const std::string& cause) const;
    std::string where() const;

    const std::shared_ptr<ClientShared> shared_;
    const PeerAddress peer_;
    const OnEmpty on_empty_;
    std::deque<Exchange> queue_;         // the first one is on the connection, or about to be
    std::unique_ptr<ConnectRace> race_;  // while Connecting
    std::unique_ptr<Channel> channel_;   // after it
    std::shared_ptr<const TlsIdentity> identity_;  // of the connection
    IoTimer timer_;
    State state_ = State::Closed;
    bool has_slot_ = false;
    bool in_slot_queue_ = false;
    std::unique_ptr<IoTimer> slot_timer_;
    std::string out_;
    std::size_t out_done_ = 0;
    std::unique_ptr<MessageReader> reader_;
    std::optional<HttpResponse> head_;  // of a download's answer
    std::string piece_;                 // of a download's body, not yet given to the worker
};

Error net_error(ErrorKind kind, Failure failure, const std::string& where,
                const std::string& cause);

}  // namespace matriarch::net
