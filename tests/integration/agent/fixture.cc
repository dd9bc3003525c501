#include "fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "agent/files.h"
#include "agent/supervisor.h"
#include "net/crypto.h"

namespace matriarch::testing {
namespace {

std::string make_folder() {
    std::string path = "/tmp/matriarch-agent-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) std::abort();
    chmod(path.c_str(), 0755);
    return path;
}

void write_text(const std::string& path, const std::string& text, mode_t mode) {
    ASSERT_TRUE(agent::write_file(path, text, agent::Durable::No, mode));
}

}  // namespace

int free_port() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0) std::abort();
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    close(fd);
    return ntohs(address.sin_port);
}

void print_time(const char* what, Duration took) {
    printf("    %-46s %8.1f ms\n", what, std::chrono::duration<double, std::milli>(took).count());
    fflush(stdout);
}

// --- Lab ------------------------------------------------------------------------------------

Lab::Lab(int instances) : folder(make_folder()) {
    // Processes that an agent left behind become ours, so that they can be seen and ended.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (geteuid() == 0) {
        const passwd* user = getpwnam("postgres");
        if (user == nullptr) user = getpwnam("nobody");
        uid_ = user->pw_uid;
        gid_ = user->pw_gid;
        EXPECT_EQ(chown(folder.c_str(), uid_, gid_), 0);
    }
    ca_ = *net::create_ca("test", net::kCaLifetime, clock, random);
    verifier_ = *net::scram_verifier(password, "0123456789abcdef");
    const auto client = [&](const std::string& name) {
        net::CertificateSpec spec;
        spec.common_name = name;
        const auto pair = *net::issue_certificate(ca_, spec, clock, random);
        net::ClientOptions options;
        options.tls = std::make_shared<net::MemoryIdentity>(
            *net::TlsIdentity::parse(pair.certificate_pem, pair.key_pem, ca_.certificate_pem));
        return std::make_unique<net::HttpClient>(options, clock);
    };
    operator_ = client(std::string(kOperatorName));
    leader_ = client(std::string(kOperatorName));
    stranger_ = client("orders-9");
    for (int i = 1; i <= instances; ++i) nodes_.push_back(std::make_unique<Node>(*this, i));
    leading_ = std::thread([this] { lead(); });
}

Lab::~Lab() {
    stop_granting();
    {
        const std::lock_guard lock(mutex_);
        ended_ = true;
    }
    changed_.notify_all();
    leading_.join();
    const bool failed = ::testing::Test::HasFailure();
    for (auto& node : nodes_) {
        node->kill_container();
        if (failed)
            printf("--- log of %s ---\n%s\n", node->name.str().c_str(), node->log().c_str());
    }
    if (getenv("MATRIARCH_KEEP") != nullptr) {
        printf("kept: %s\n", folder.c_str());
        return;
    }
    EXPECT_TRUE(agent::remove_tree(folder));
}

InstanceConfig Lab::config(int ordinal) const {
    InstanceConfig c;
    c.parameters = {{"shared_buffers", "16MB"}, {"max_connections", "30"}, {"fsync", "on"}};
    c.parameters.erase("fsync");
    for (const auto& [name, value] : parameters) c.parameters[name] = value;
    c.database = c.owner = "app";
    c.roles = {{"app", verifier_, true, false}};
    for (std::size_t i = 1; i <= nodes_.size(); ++i)
        if (static_cast<int>(i) != ordinal)
            c.slots.push_back(slot_name(instance_name(cluster, static_cast<int>(i))));
    return c;
}

void Lab::next_epoch() {
    epoch = Epoch(epoch.value + 1);
    epoch_id = EpochId("epoch-" + std::to_string(epoch.value));
}

CandidateSet Lab::candidates(const Node& master) const {
    CandidateSet set;
    if (no_set) return set;
    set.version = epoch.value;
    for (const auto& node : nodes_)
        if (node->name != master.name)
            set.members.push_back({node->name, node->pod, Membership::Full});
    return set;
}

std::shared_ptr<net::TlsIdentitySource> Lab::server_identity() {
    net::CertificateSpec spec;
    spec.common_name = "server";
    spec.ip_addresses = {"127.0.0.1"};
    const auto pair = *net::issue_certificate(ca_, spec, clock, random);
    return std::make_shared<net::MemoryIdentity>(
        *net::TlsIdentity::parse(pair.certificate_pem, pair.key_pem, ca_.certificate_pem));
}

void Lab::grant_to(Node& master) {
    const std::lock_guard lock(mutex_);
    granted_ = &master;
    grants_.term = term;
    grants_.leader = "test";
    grants_.wait = milliseconds(100);
    grants_.grant = Grant{epoch, epoch_id, milliseconds(0), ttl, candidates(master)};
    changed_.notify_all();
}

bool Lab::eventually(Duration patience, const std::function<bool()>& condition) const {
    const Deadline deadline = Deadline::after(clock, patience);
    while (!condition()) {
        if (deadline.passed(clock)) return false;
        std::this_thread::sleep_for(milliseconds(2));
    }
    return true;
}

void Lab::stop_granting() {
    std::unique_lock lock(mutex_);
    granted_ = nullptr;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !polling_; });
}

// The leader's poll: each grants for the reading of the report before it.
void Lab::lead() {
    Node* polled = nullptr;
    std::optional<Report> last;
    std::unique_lock lock(mutex_);
    while (!ended_) {
        if (granted_ == nullptr) {
            changed_.wait(lock, [this] { return ended_ || granted_ != nullptr; });
            continue;
        }
        if (polled != granted_) last.reset();
        polled = granted_;
        Poll poll = grants_;
        if (last) {
            poll.seen = last->sequence;
            poll.incarnation = last->incarnation;
            poll.grant->reading = last->clock_reading;
        } else {
            poll.wait = milliseconds(0);
            poll.grant.reset();
        }
        polling_ = true;
        lock.unlock();
        auto answer = polled->post(*leader_, poll);
        lock.lock();
        polling_ = false;
        changed_.notify_all();
        last = answer ? std::optional(*answer) : std::nullopt;
        if (!answer) changed_.wait_for(lock, milliseconds(20));
    }
}

void Lab::bring_up() {
    for (auto& node : nodes_) node->start();
    const TimePoint begun = clock.now();
    Order first = (*this)[1].order(OrderKind::Initialize, "Initialize/1/first");
    first.config = config(1);
    const Report master = (*this)[1].obey(first);
    ASSERT_EQ(master.writable, Known::Yes);
    system_identifier = master.system_identifier;
    print_time("initialize: order to writable", clock.now() - begun);
    (*this)[1].wait_for("slots",
                        [&](const Report& r) { return r.slots.size() == nodes_.size() - 1; });
    for (std::size_t i = 2; i <= nodes_.size(); ++i) {
        Node& slave = (*this)[static_cast<int>(i)];
        const TimePoint cloning = clock.now();
        Order configure = slave.order(OrderKind::Configure, "Configure/" + slave.name.str());
        configure.config = config(static_cast<int>(i));
        ASSERT_TRUE(slave.send(configure).accepted);
        follow(slave, (*this)[1]);
        print_time("clone: order to streaming", clock.now() - cloning);
    }
}

void Lab::follow(Node& slave, Node& master) {
    Order order = slave.order(OrderKind::Follow,
                              "Follow/" + std::to_string(epoch.value) + "/" + master.name.str());
    order.upstream = master.as_upstream();
    const Report r = slave.obey(order);
    EXPECT_TRUE(r.receiving);
}

// --- Node -----------------------------------------------------------------------------------

Node::Node(Lab& lab, int ordinal)
    : name(instance_name(lab.cluster, ordinal)),
      root(lab.folder + "/" + name.str()),
      socket_dir(root + "/run"),
      tls_dir(root + "/tls"),
      order_port(free_port()),
      health_port(free_port()),
      port(free_port()),
      pod("pod-" + std::to_string(ordinal)),
      lab_(lab) {
    for (const auto& dir : {root, socket_dir, tls_dir}) {
        EXPECT_TRUE(agent::make_directory(dir, 0700));
        if (lab.uid_ != 0) {
            EXPECT_EQ(chown(dir.c_str(), lab.uid_, lab.gid_), 0);
        }
    }
    net::CertificateSpec spec;
    spec.common_name = name.str();
    spec.dns_names = {name.str(), "localhost"};
    spec.ip_addresses = {"127.0.0.1"};
    const auto pair = *net::issue_certificate(lab.ca_, spec, lab.clock, lab.random);
    // Readable by the group only, as a mounted Secret is.
    write_text(tls_dir + "/tls.crt", pair.certificate_pem, 0644);
    write_text(tls_dir + "/tls.key", pair.key_pem, 0644);
    write_text(tls_dir + "/ca.crt", lab.ca_.certificate_pem, 0644);
}

Node::~Node() {
    kill_container();
}

void Node::start() {
    std::vector<std::string> args{AGENT_BINARY, "--log-format", "console", "run"};
    const auto add = [&](const char* flag, const std::string& value) {
        args.emplace_back(flag);
        args.push_back(value);
    };
    add("--cluster", lab_.cluster);
    add("--instance", name.str());
    add("--pod-uid", pod.value);
    add("--data-root", root);
    add("--tls-dir", tls_dir);
    add("--socket-dir", socket_dir);
    add("--pod-dir", root + "-pod");
    add("--order-port", std::to_string(order_port));
    add("--health-port", std::to_string(health_port));
    add("--port", std::to_string(port));
    add("--listen", "127.0.0.1");
    add("--bind", "127.0.0.1");
    add("--bin-dir", "/usr/lib/postgresql/15/bin");
    for (const auto& node : lab_.nodes_)
        if (node->name != name)
            add("--peer", node->name.str() + "=127.0.0.1:" + std::to_string(node->order_port));
    for (const auto& flag : lab_.agent_flags) args.push_back(flag);
    std::vector<char*> argv;
    for (auto& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    const std::string log_path = lab_.folder + "/" + name.str() + ".log";
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
        setsid();
        const int out = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
        if (lab_.uid_ != 0 &&
            (setgroups(0, nullptr) != 0 || setgid(lab_.gid_) != 0 || setuid(lab_.uid_) != 0))
            _exit(126);
        // A test that is ended from outside must not leave servers behind.
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        execv(argv[0], argv.data());
        _exit(127);
    }
    agent_ = pid;
    const bool up = lab_.eventually(seconds(10), [&] { return poll().ok(); });
    ASSERT_TRUE(up) << name.str() << " does not answer\n" << log();
}

pid_t Node::postmaster() const {
    std::ifstream file(root + "/pgdata/postmaster.pid");
    pid_t pid = 0;
    file >> pid;
    return pid;
}

pid_t Node::warden() const {
    const auto task = "/proc/" + std::to_string(agent_) + "/task/" + std::to_string(agent_);
    std::ifstream children(task + "/children");
    for (pid_t pid = 0; children >> pid;) {
        std::ifstream comm("/proc/" + std::to_string(pid) + "/comm");
        std::string text;
        if (std::getline(comm, text) && text == "warden") return pid;
    }
    return 0;
}

void Node::kill_agent() {
    if (agent_ <= 0) return;
    kill(agent_, SIGKILL);
    waitpid(agent_, nullptr, 0);
    agent_ = 0;
}

// Whoever holds the instance's lock file belongs to it.
std::vector<pid_t> Node::processes() const {
    agent::Supervisor finder(socket_dir + "/processes.lock");
    std::vector<pid_t> out;
    struct stat lock {};
    if (stat((socket_dir + "/processes.lock").c_str(), &lock) != 0) return out;
    for (const pid_t pid : finder.alive(agent::Supervisor::Whom::All, true)) {
        for (int fd = 0; fd < 64 && pid != agent_; ++fd) {
            struct stat st {};
            const auto link = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd);
            if (stat(link.c_str(), &st) != 0 || st.st_ino != lock.st_ino ||
                st.st_dev != lock.st_dev)
                continue;
            out.push_back(pid);
            break;
        }
    }
    return out;
}

void Node::kill_container() {
    kill_agent();
    const bool gone = lab_.eventually(seconds(10), [&] {
        const auto pids = processes();
        for (const pid_t pid : pids) kill(pid, SIGKILL);
        for (const pid_t pid : pids) waitpid(pid, nullptr, WNOHANG);
        return pids.empty();
    });
    EXPECT_TRUE(gone) << "processes of " << name.str() << " are left";
}

std::optional<int> Node::terminate(Duration patience) {
    kill(agent_, SIGTERM);
    int status = 0;
    const bool ended =
        lab_.eventually(patience, [&] { return waitpid(agent_, &status, WNOHANG) == agent_; });
    if (!ended) return {};
    agent_ = 0;
    return status;
}

Result<Report> Node::poll(std::uint64_t seen, milliseconds wait, Incarnation incarnation) {
    Poll poll;
    poll.term = lab_.term;
    poll.leader = "test";
    poll.seen = seen;
    poll.wait = wait;
    poll.incarnation = std::move(incarnation);
    auto answer = post(*lab_.operator_, poll);
    if (!answer) last_failure = net::failure_of(answer.error());
    return answer;
}

Result<Report> Node::post(net::HttpClient& client, const Poll& poll) const {
    net::HttpRequest request;
    request.method = "POST";
    request.target = std::string(kPollPath);
    request.body = to_json(poll);
    const net::PeerAddress peer{"127.0.0.1", static_cast<std::uint16_t>(order_port), name.str()};
    const auto answer = client.request_and_wait(
        peer, 0, std::move(request), Deadline::after(lab_.clock, poll.wait + seconds(2)));
    if (!answer) return answer.error();
    if (answer->status != 200) return make_error(ErrorKind::Unavailable, answer->body);
    return report_from_json(answer->body);
}

Report Node::report() {
    auto r = poll();
    EXPECT_TRUE(r) << (r ? "" : r.error().message());
    return r ? *r : Report{};
}

Report Node::wait_for(const char* what, const std::function<bool(const Report&)>& condition,
                      Duration patience) {
    const Deadline deadline = Deadline::after(lab_.clock, patience);
    Report last;
    while (!deadline.passed(lab_.clock)) {
        // Positions do not raise the sequence, so a wait is short.
        auto r = poll(last.sequence, milliseconds(50), last.incarnation);
        if (!r) continue;
        last = std::move(*r);
        if (condition(last)) return last;
    }
    ADD_FAILURE() << name.str() << ": waited in vain for " << what << "\n" << to_json(last);
    return last;
}

Order Node::order(OrderKind kind, const std::string& id) {
    const Report r = report();
    Order o;
    o.id = OrderId(id);
    o.kind = kind;
    o.term = lab_.term;
    o.epoch = lab_.epoch;
    o.epoch_id = lab_.epoch_id;
    o.incarnation = r.incarnation;
    o.clock_reading = r.clock_reading;
    o.valid_for = milliseconds(3000);
    if (kind != OrderKind::Initialize) o.system_identifier = lab_.system_identifier;
    o.ttl = lab_.ttl;
    o.sync = lab_.sync;
    if (kind == OrderKind::Initialize || kind == OrderKind::Lead || kind == OrderKind::Promote) {
        o.candidates = lab_.candidates(*this);
        o.grant = Grant{o.epoch, o.epoch_id, r.clock_reading, lab_.ttl, o.candidates};
        lab_.grant_to(*this);
    }
    return o;
}

OrderAnswer Node::send(const Order& order) {
    net::HttpRequest request;
    request.method = "POST";
    request.target = std::string(kOrderPath);
    request.body = to_json(order);
    const net::PeerAddress peer{"127.0.0.1", static_cast<std::uint16_t>(order_port), name.str()};
    const auto answer = lab_.operator_->request_and_wait(peer, 1, std::move(request),
                                                         Deadline::after(lab_.clock, seconds(5)));
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message());
    if (!answer) return {};
    EXPECT_EQ(answer->status, 200) << answer->body;
    auto parsed = order_answer_from_json(answer->body);
    return parsed ? *parsed : OrderAnswer{};
}

Report Node::obey(const Order& order, Duration patience) {
    const OrderAnswer answer = send(order);
    EXPECT_TRUE(answer.accepted) << to_string(order.kind) << ": " << answer.reason;
    if (!answer.accepted) return answer.report;
    return wait_for(
        "an order to be done",
        [&](const Report& r) {
            return r.order.id == order.id && r.order.state == OrderState::Done;
        },
        patience);
}

Upstream Node::as_upstream() const {
    return {name, name.str(), "127.0.0.1", port};
}

Result<postgres::Connection> Node::connect(Duration patience, const std::string& user) {
    return postgres::Connection::open({{"host", "127.0.0.1"},
                                       {"port", std::to_string(port)},
                                       {"user", user},
                                       {"password", lab_.password},
                                       {"dbname", "app"},
                                       {"sslmode", "require"}},
                                      Deadline::after(lab_.clock, patience), lab_.clock);
}

bool Node::connects(Duration patience) {
    return lab_.eventually(patience, [&] { return connect(seconds(1)).ok(); });
}

std::string Node::sql(const std::string& statement) {
    auto connection = connect();
    EXPECT_TRUE(connection) << (connection ? "" : connection.error().message());
    if (!connection) return {};
    const auto rows = connection->query(statement, Deadline::after(lab_.clock, seconds(30)));
    EXPECT_TRUE(rows) << statement << ": " << (rows ? "" : rows.error().message());
    if (!rows || rows->empty() || rows->back().count() == 0) return {};
    return std::string(rows->back().text(0, 0));
}

std::string Node::as_superuser(const std::string& statement) {
    // Its peer must be the user that runs PostgreSQL.
    const std::string as_user =
        lab_.uid_ == 0 ? ""
                       : "setpriv --clear-groups --reuid=" + std::to_string(lab_.uid_) +
                             " --regid=" + std::to_string(lab_.gid_) + " ";
    const std::string command = "cd / && " + as_user + "psql -X -At -h " + socket_dir + " -p " +
                                std::to_string(port) + " -U postgres -d postgres -c \"" +
                                statement + "\"";
    FILE* pipe = popen(command.c_str(), "r");
    std::string said;
    char buffer[512];
    while (fgets(buffer, sizeof buffer, pipe) != nullptr) said += buffer;
    EXPECT_EQ(pclose(pipe), 0) << command;
    return said;
}

Lsn Node::written() {
    return Lsn::parse(sql("SELECT pg_current_wal_lsn()")).value_or(Lsn());
}

std::string Node::log() const {
    std::ifstream file(lab_.folder + "/" + name.str() + ".log");
    std::stringstream out;
    out << file.rdbuf();
    return out.str();
}

}  // namespace matriarch::testing
