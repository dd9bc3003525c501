// A TCP proxy on 127.0.0.1 in front of the API server, which loses what the server says on demand.
// It knows nothing of TLS: it forwards, or swallows, bytes. Thread-safe.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace matriarch::kube::testing {

class TcpProxy {
  public:
    // `target`: "https://127.0.0.1:6443".
    explicit TcpProxy(const std::string& target);
    ~TcpProxy();

    // "https://127.0.0.1:<port>"
    std::string url() const { return "https://127.0.0.1:" + std::to_string(port_); }

    // From now on nothing of the server reaches clients, whose words still reach the server. A new
    // connection can finish its TLS handshake: swallowing begins with the client's second turn.
    void swallow_answers(bool on) { swallow_ = on; }
    // Nothing passes in either direction: a network that went away without a word.
    void black_hole(bool on) { black_hole_ = on; }
    // Closes all connections.
    void cut();
    int connections() const { return connections_; }

  private:
    struct Pair;
    void accept();
    void forward(const std::shared_ptr<Pair>& pair, bool to_server);

    int listener_ = -1;
    int port_ = 0;
    int target_port_ = 0;
    std::atomic<bool> swallow_{false};
    std::atomic<bool> black_hole_{false};
    std::atomic<bool> stopping_{false};
    std::atomic<int> connections_{0};
    std::mutex mutex_;
    std::list<std::shared_ptr<Pair>> pairs_;  // guarded by mutex_
    std::list<std::thread> threads_;          // guarded by mutex_
    std::thread acceptor_;
};

}  // namespace matriarch::kube::testing
