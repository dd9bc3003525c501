#include "agent/service.h"

#include <algorithm>
#include <charconv>

#include "net/body.h"
#include "postgres/wal.h"
#include "telemetry/log.h"

namespace matriarch::agent {
namespace {

namespace log = telemetry::log;
using net::HttpRequest;
using net::HttpResponse;
using net::Responder;

constexpr std::chrono::milliseconds kLongestPoll{10000};
constexpr std::size_t kMostWaiting = 16;  // one operator polls once; a flood is a mistake
// The main loop goes round each second; a disk that stalls an fsync must not restart the container.
constexpr Duration kLoopPatience = seconds(60);

// Each piece of one response header is written by us, so no value needs escaping but reasons.
std::string json_text(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return out + "\"";
}

// A number in the query; `fallback` if it is absent, nothing if it is no number.
std::optional<std::uint64_t> number_of(const HttpRequest& request, std::string_view name,
                                       std::uint64_t fallback) {
    const auto text = request.query_value(name);
    if (!text) return fallback;
    std::uint64_t out = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), out);
    if (error != std::errc() || end != text->data() + text->size()) return {};
    return out;
}

}  // namespace

Health judge_health(const Report& r) {
    Health h{"none", false, ""};
    if (r.state != PostgresState::Running) {
        h.reason = "PostgreSQL is " + std::string(to_string(r.state));
    } else if (r.in_recovery == Known::Unknown) {
        h.reason = "PostgreSQL does not answer";
    } else if (r.in_recovery == Known::No) {
        h.role = "master";
        h.good = r.writable == Known::Yes;
        if (!h.good) h.reason = "not writable yet";
    } else {
        h.role = "slave";
        h.good = true;
        if (!r.receiving) h.reason = "no stream from a master";
    }
    if (!h.good && !r.trouble.empty()) h.reason += ": " + r.trouble;
    return h;
}

Service::Service(ServiceOptions options, Agent& agent, Loop& loop, const Clock& clock)
    : options_(std::move(options)), agent_(agent), loop_(loop), clock_(clock) {}

Service::~Service() {
    stop();
}

Status Service::start() {
    take_snapshot();
    net::ServerOptions orders;
    orders.bind_address = options_.bind_address;
    orders.port = options_.order_port;
    orders.tls = options_.tls;
    const std::string cluster = options_.cluster;
    orders.accept_client = [cluster](const net::PeerCertificate& peer) {
        return peer.common_name == kOperatorName ||
               ordinal_of(InstanceName(peer.common_name), cluster) > 0;
    };
    orders.max_connections = 64;
    auto started = net::HttpServer::start(
        std::move(orders),
        [this](HttpRequest request, Responder responder) {
            handle_order_port(std::move(request), std::move(responder));
        },
        clock_);
    if (!started) return started.error();
    orders_ = std::move(*started);

    net::ServerOptions plain;
    plain.bind_address = options_.bind_address;
    plain.port = options_.health_port;
    plain.max_connections = 64;
    plain.max_body_bytes = 4096;
    auto health_started = net::HttpServer::start(
        std::move(plain),
        [this](HttpRequest request, Responder responder) { responder.answer(health(request)); },
        clock_);
    if (!health_started) return health_started.error();
    health_ = std::move(*health_started);
    return {};
}

void Service::stop() {
    if (orders_) orders_->stop();
    if (health_) health_->stop();
    waiting_.clear();
}

std::uint16_t Service::order_port() const {
    return orders_->bound_port();
}

std::uint16_t Service::health_port() const {
    return health_->bound_port();
}

void Service::handle_order_port(HttpRequest request, Responder responder) {
    if (request.method == "GET" && request.path.starts_with(kWalPath))
        return send_wal(request, std::move(responder));
    if (request.method == "POST" && request.path == kPromisePath)
        return promise(request, std::move(responder));
    const bool is_poll = request.path == kPollPath, is_order = request.path == kOrderPath;
    if (!is_poll && !is_order) {
        responder.answer(net::text_response(404, "no such path\n"));
    } else if (request.method != "POST") {
        responder.answer(net::text_response(405, "POST only\n"));
    } else if (request.peer_name != kOperatorName) {
        responder.answer(net::text_response(403, "for the operator only\n"));
    } else if (is_poll) {
        auto parsed = poll_from_json(request.body);
        if (!parsed) {
            responder.answer(net::text_response(400, parsed.error().message() + "\n"));
            return;
        }
        loop_.post([this, p = std::move(*parsed), r = std::move(responder)] { poll(p, r); });
    } else {
        auto order = order_from_json(request.body);
        if (!order) {
            responder.answer(net::text_response(400, order.error().message() + "\n"));
            return;
        }
        loop_.post([this, o = std::move(*order), r = std::move(responder)]() mutable {
            r.answer(net::json_response(200, to_json(agent_.handle(o))));
        });
    }
}

// For the instances of the cluster; Agent compares the name in the certificate with the holder's.
void Service::promise(const HttpRequest& request, Responder responder) {
    auto parsed = promise_request_from_json(request.body);
    if (!parsed) {
        responder.answer(net::text_response(400, parsed.error().message() + "\n"));
        return;
    }
    loop_.post([this, p = std::move(*parsed), name = request.peer_name,
                r = std::move(responder)]() mutable {
        r.answer(net::json_response(200, to_json(agent_.promise(p, name))));
    });
}

void Service::poll(Poll poll, Responder responder) {
    agent_.hear(poll);
    poll.wait = std::clamp(poll.wait, std::chrono::milliseconds(0), kLongestPoll);
    const TimePoint until = clock_.now() + poll.wait;
    Waiting waiting{std::move(responder), std::move(poll)};
    if (answer_if_due(waiting, false)) return;
    waiting_.remove_if([](const Waiting& w) { return w.responder.cancelled(); });
    if (waiting_.size() >= kMostWaiting) waiting_.pop_front();
    waiting_.push_back(std::move(waiting));
    loop_.at(until, [this, until] {
        // Whatever waits is answered at its own end: all waits are equal in practice.
        (void)until;
        waiting_.remove_if([this](Waiting& w) { return answer_if_due(w, true); });
    });
}

// Until the volume was looked at, nobody may be told that there is no data.
bool Service::answer_if_due(Waiting& w, bool at_end) {
    const bool news = agent_.sequence() > w.poll.seen || w.poll.incarnation != agent_.incarnation();
    if (!agent_.knows_volume()) {
        if (!at_end) return false;
        w.responder.answer(net::text_response(503, "the volume has not been looked at yet\n"));
        return true;
    }
    if (!news && !at_end) return false;
    w.responder.answer(net::json_response(200, to_json(agent_.report())));
    return true;
}

void Service::changed() {
    waiting_.remove_if([this](Waiting& w) { return answer_if_due(w, false); });
    take_snapshot();
}

void Service::send_wal(const HttpRequest& request, Responder responder) const {
    const auto file = std::string_view(request.path).substr(kWalPath.size());
    if (!postgres::is_wal_file_name(file)) {
        responder.answer(net::text_response(400, "no name of a WAL file\n"));
        return;
    }
    const auto from = number_of(request, "from", 0);
    const auto length = number_of(request, "length", net::kToEnd);
    if (!from || !length) {
        responder.answer(net::text_response(400, "from and length are numbers of bytes\n"));
        return;
    }
    auto source = net::open_file_range(options_.pg_wal + "/" + std::string(file), *from, *length);
    if (!source) {
        const int status = source.error().kind == ErrorKind::NotFound ? 404 : 400;
        responder.answer(net::text_response(status, source.error().what + "\n"));
        return;
    }
    HttpResponse head;
    head.content_type = "application/octet-stream";
    responder.stream(std::move(head), std::move(*source));
}

void Service::take_snapshot() {
    Snapshot next;
    next.report = agent_.report();
    const std::lock_guard lock(mutex_);
    snapshot_ = std::move(next);
}

HttpResponse Service::health(const HttpRequest& request) const {
    if (request.method != "GET" && request.method != "HEAD")
        return net::text_response(405, "GET only\n");
    if (request.path == "/healthz") {
        const bool alive = clock_.now() - loop_.last_round() < kLoopPatience;
        return net::text_response(alive ? 200 : 503, alive ? "ok\n" : "the main loop is stuck\n");
    }
    Report report;
    {
        const std::lock_guard lock(mutex_);
        report = snapshot_.report;
    }
    const Health h = judge_health(report);
    if (request.path == "/readyz")
        return net::text_response(h.good ? 200 : 503, h.good ? "ok\n" : h.reason + "\n");
    if (request.path == "/metrics") {
        auto out = net::text_response(200, metrics_text(report, options_.cluster));
        out.content_type = "text/plain; version=0.0.4; charset=utf-8";
        return out;
    }
    if (request.path != "/health") return net::text_response(404, "no such path\n");
    std::string body = "{\"role\":" + json_text(h.role) +
                       ",\"lag\":" + std::to_string(report.lag.count()) +
                       ",\"epoch\":" + std::to_string(report.epoch.value) +
                       ",\"reason\":" + json_text(h.reason) + "}\n";
    return net::json_response(h.good ? 200 : 503, std::move(body));
}

std::string metrics_text(const Report& r, const std::string& cluster) {
    const std::string labels = "cluster=\"" + cluster + "\",instance=\"" + r.instance.value + "\"";
    std::string out;
    const auto sample = [&](const char* name, const std::string& more, double value) {
        char number[32];
        snprintf(number, sizeof number, "%.17g", value);
        out += std::string(name) + "{" + labels + more + "} " + number + "\n";
    };
    const auto family = [&](const char* name, const char* help) {
        out += std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " gauge\n";
    };
    const auto gauge = [&](const char* name, const char* help, double value) {
        family(name, help);
        sample(name, "", value);
    };
    const auto as_double = [](std::uint64_t value) { return static_cast<double>(value); };
    gauge("matriarch_agent_postgres_running", "1 while PostgreSQL accepts connections.",
          r.state == PostgresState::Running);
    gauge("matriarch_agent_is_master", "1 while PostgreSQL is out of recovery.",
          r.in_recovery == Known::No);
    gauge("matriarch_agent_receiving", "1 while a slave streams.", r.receiving);
    gauge("matriarch_agent_replay_lag_seconds", "Replay lag; 0 when caught up.",
          static_cast<double>(r.lag.count()) / 1000);
    gauge("matriarch_agent_replay_conflict_seconds",
          "For so long replay has waited for queries on this slave.",
          static_cast<double>(r.conflict.count()) / 1000);
    gauge("matriarch_agent_epoch", "The epoch that this instance has stored.",
          as_double(r.epoch.value));
    gauge("matriarch_agent_fenced_epoch", "The epoch at which it was fenced; 0: never.",
          as_double(r.fenced.value));
    const auto as_seconds = [](milliseconds ms) { return static_cast<double>(ms.count()) / 1000; };
    gauge("matriarch_agent_mandate_left_seconds",
          "What is left of a master's mandate; 0: none, or it is alone and needs none.",
          as_seconds(r.mandate_left));
    gauge("matriarch_agent_promised_seconds",
          "For so long a promise forbids this slave a promotion after an expiry.",
          as_seconds(r.promised));
    gauge("matriarch_agent_postmaster_silent_seconds",
          "For so long the postmaster has taken no connection though it should.",
          as_seconds(r.frozen));
    gauge("matriarch_agent_disk_stalled_seconds",
          "For so long the master's volume has taken no write.", as_seconds(r.disk_stalled));
    gauge("matriarch_agent_timeline", "PostgreSQL's timeline.", r.timeline.value);
    gauge("matriarch_agent_wal_position_bytes", "The newest WAL here, as a byte position.",
          as_double(std::max(r.flushed, r.position()).value));
    gauge("matriarch_agent_restart_pending", "1 while a parameter waits for a restart.",
          r.restart_pending);
    gauge("matriarch_agent_volume_bytes", "Size of the data volume; 0: not measured yet.",
          as_double(r.volume_size.value));
    gauge("matriarch_agent_volume_free_bytes", "What is free of it.",
          as_double(r.volume_free.value));
    gauge("matriarch_agent_wal_bytes", "What pg_wal takes of it.", as_double(r.wal_size.value));
    constexpr const char* kRetained = "matriarch_agent_slot_retained_bytes";
    constexpr const char* kLost = "matriarch_agent_slot_lost";
    const Lsn end = std::max(r.written, r.position());
    family(kRetained, "WAL that a replication slot keeps.");
    for (const auto& slot : r.slots)
        if (slot.restart.known())
            sample(kRetained, ",slot=\"" + slot.name + "\"",
                   as_double(distance(slot.restart, end).value));
    family(kLost, "1 while a slot's WAL is gone: its slave must be cloned anew.");
    for (const auto& slot : r.slots)
        sample(kLost, ",slot=\"" + slot.name + "\"", slot.wal_status == "lost");
    gauge("process_resident_memory_bytes", "Resident memory of the agent.",
          as_double(r.memory.value));
    return out;
}

}  // namespace matriarch::agent
