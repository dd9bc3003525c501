// A small cluster of real agents for tests: a CA, an operator's client certificate, instances with
// volumes under one temporary folder, ports that were free a moment ago.
//
// Everything that a Lab started is ended by it, by process id. Agents run as user `postgres` when
// the test runs as root, since PostgreSQL refuses root. The tests play the operator: they send real
// orders; a thread of the Lab polls the master and grants, as the operator's leader does, from the
// first order that makes a master until stop_granting(). All else is for one thread.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "model/order.h"
#include "model/report.h"
#include "net/client.h"
#include "net/pki.h"
#include "postgres/connection.h"

namespace matriarch::testing {

class Lab;

// One instance: a volume and, while it runs, an agent.
class Node {
  public:
    Node(Lab& lab, int ordinal);
    ~Node();

    const InstanceName name;
    const std::string root, socket_dir, tls_dir;
    const int order_port, health_port, port;
    PodUid pod;

    void start();
    bool running() const { return agent_ > 0; }
    pid_t agent() const { return agent_; }
    pid_t postmaster() const;
    pid_t warden() const;  // of the agent; 0 if there is none
    // SIGKILL to the agent alone: a crashed process supervisor.
    void kill_agent();
    // All processes that hold the instance's lock: PostgreSQL's.
    std::vector<pid_t> processes() const;
    // SIGKILL to the agent and to all that it started: a crashed container.
    void kill_container();
    // SIGTERM; the exit status, or nothing if it did not end by the deadline.
    std::optional<int> terminate(Duration patience = seconds(30));

    Result<Report> poll(std::uint64_t seen = 0, milliseconds wait = milliseconds(0),
                        Incarnation incarnation = {});
    // Long polls until the condition holds; fails the test with the last report otherwise.
    Report wait_for(const char* what, const std::function<bool(const Report&)>& condition,
                    Duration patience = seconds(30));
    Report report();  // now

    // The order with the header of the newest report. One that makes a master carries a grant and
    // the candidate set, and the leader goes on granting to this node.
    Order order(OrderKind kind, const std::string& id);
    OrderAnswer send(const Order& order);
    // Sends, expects acceptance, and waits until it is done.
    Report obey(const Order& order, Duration patience = seconds(60));

    Upstream as_upstream() const;
    // As the application's role, or another one with its password, over TCP and TLS.
    Result<postgres::Connection> connect(Duration patience = seconds(5),
                                         const std::string& user = "app");
    // Whether it takes a connection within that time.
    bool connects(Duration patience);
    // One value as text; fails the test if the statement fails.
    std::string sql(const std::string& statement);
    // The same over the server's own socket; only for what an administrator would do by hand.
    std::string as_superuser(const std::string& statement);
    Lsn written();  // a master's position now; a report's is up to a sample old
    std::string log() const;
    net::Failure last_failure = net::Failure::Other;

  private:
    friend class Lab;
    Result<Report> post(net::HttpClient& client, const Poll& poll) const;
    Lab& lab_;
    pid_t agent_ = 0;
};

class Lab {
  public:
    explicit Lab(int instances);
    ~Lab();
    Lab(const Lab&) = delete;
    Lab& operator=(const Lab&) = delete;

    Node& operator[](int ordinal) { return *nodes_.at(static_cast<std::size_t>(ordinal - 1)); }
    InstanceConfig config(int ordinal) const;

    // instance 1 as master of epoch 1, the others streaming from it.
    void bring_up();
    // Order 1 to be master, all others to follow: what a promotion of `master` needs afterwards.
    void follow(Node& slave, Node& master);

    // What the operator's record would say.
    Term term{1};
    Epoch epoch{1};
    EpochId epoch_id{"epoch-1"};
    SystemIdentifier system_identifier;
    void next_epoch();
    milliseconds ttl{3000};
    std::optional<SyncRule> sync;  // goes with every order
    bool no_set = false;           // a master of old: no candidate set was ever stored
    CandidateSet candidates(const Node& master) const;
    std::vector<std::string> agent_flags;  // more of them
    StringMap parameters;                  // of PostgreSQL, more of them

    void grant_to(Node& master);
    void stop_granting();  // no grant is on its way when it returns

    // For what tells nobody of its changes: looks again every 2 ms.
    bool eventually(Duration patience, const std::function<bool()>& condition) const;

    // For a server on loopback that the agents shall trust.
    const std::string& ca_pem() const { return ca_.certificate_pem; }
    std::shared_ptr<net::TlsIdentitySource> server_identity();

    SystemClock clock;
    SystemRandom random;
    const std::string folder;
    const std::string cluster = "orders", password = "for-tests-only";

  private:
    friend class Node;
    void lead();
    net::KeyPair ca_;
    std::string verifier_;
    std::unique_ptr<net::HttpClient> operator_, leader_, stranger_;
    std::vector<std::unique_ptr<Node>> nodes_;
    uid_t uid_ = 0;
    gid_t gid_ = 0;
    std::map<std::string, int> milliseconds_;

    std::mutex mutex_;
    std::condition_variable changed_;
    Node* granted_ = nullptr;  // guarded by mutex_, like all below
    Poll grants_;              // with its term and candidate set
    bool polling_ = false, ended_ = false;
    std::thread leading_;
};

// A port that nothing listened on a moment ago.
int free_port();
// Prints a measured time, for people who read test logs.
void print_time(const char* what, Duration took);

}  // namespace matriarch::testing
