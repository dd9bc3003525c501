#include "cli/dialer.h"

#include <libpq-fe.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace matriarch::cli {
namespace {

constexpr Duration kResolving = milliseconds(5);  // how often an unanswered lookup is looked at

// Servers from version 14 on report both without being asked.
bool accepts_writes(const PGconn* session) {
    const auto is_off = [session](const char* parameter) {
        const char* value = PQparameterStatus(session, parameter);
        return value == nullptr || std::string_view(value) == "off";
    };
    return is_off("in_hot_standby") && is_off("default_transaction_read_only");
}

}  // namespace

// One host: not called (no handle), being called, or connected and good (done).
struct Dialer::Call {
    std::size_t index = 0;
    Connection::Handle handle;
    PostgresPollingStatusType wants = PGRES_POLLING_WRITING;
    TimePoint deadline;    // of the call under way
    TimePoint not_before;  // of the next one
    std::size_t count = 0;
    bool done = false;
};

Dialer::Dialer(Target target, DialRules rules, const Clock& clock, StopSignal& stop)
    : target_(std::move(target)),
      rules_(rules),
      clock_(clock),
      stop_(stop),
      resolver_(target_.hosts) {}

Connection::Handle Dialer::open(const Host& host, const std::string& address) const {
    std::vector<const char*> keys{"host", "port", "gssencmode", "client_encoding"};
    std::vector<const char*> values{host.name.c_str(), host.port.c_str(), "disable", "UTF8"};
    if (!address.empty()) {
        keys.push_back("hostaddr");
        values.push_back(address.c_str());
    }
    for (const auto& [key, value] : target_.options) {
        keys.push_back(key.c_str());
        values.push_back(value.c_str());
    }
    keys.push_back(nullptr);
    values.push_back(nullptr);
    return Connection::Handle(PQconnectStartParams(keys.data(), values.data(), 0));
}

bool Dialer::start(Call& call) {
    const std::vector<std::string> known = resolver_.addresses(call.index);
    resolver_.refresh(call.index);
    const TimePoint now = clock_.now();
    if (known.empty()) {
        call.not_before = now + kResolving;
        return false;
    }
    // A name may have several addresses (localhost is ::1 and 127.0.0.1): each in its turn.
    call.handle = open(target_.hosts[call.index], known[call.count++ % known.size()]);
    call.wants = PGRES_POLLING_WRITING;
    call.deadline = now + rules_.patience;
    return true;
}

void Dialer::advance(Call& call, bool ready, const Failed& failed) {
    const Host& host = target_.hosts[call.index];
    const auto give_up = [&](const std::string& why, Duration pause) {
        call.handle.reset();
        call.not_before = clock_.now() + pause;
        if (failed) failed(host, why);
    };
    PGconn* const session = call.handle.get();
    if (PQstatus(session) == CONNECTION_BAD)
        return give_up(first_line(PQerrorMessage(session)), rules_.pause_refused);
    if (ready) call.wants = PQconnectPoll(session);
    if (call.wants == PGRES_POLLING_FAILED) {
        give_up(first_line(PQerrorMessage(session)), rules_.pause_refused);
    } else if (call.wants == PGRES_POLLING_OK) {
        if (rules_.writable && !accepts_writes(session)) {
            give_up("accepts no writes", rules_.pause_reading);
        } else {
            call.done = true;
        }
    } else if (clock_.now() >= call.deadline) {
        give_up("did not answer in time", Duration::zero());
    }
}

Result<Connection> Dialer::dial(Deadline deadline, const Failed& failed) {
    std::vector<Call> calls(target_.hosts.size());
    for (std::size_t i = 0; i < calls.size(); ++i) calls[i].index = i;

    while (!stop_.requested()) {
        TimePoint wake = deadline.at;
        std::vector<pollfd> sockets;
        std::vector<Call*> waiting;
        for (Call& call : calls) {
            if (!call.handle && clock_.now() >= call.not_before && start(call))
                advance(call, false, failed);  // some calls fail before they begin
            if (!call.handle) {
                wake = std::min(wake, call.not_before);
                continue;
            }
            wake = std::min(wake, call.deadline);
            const short events = call.wants == PGRES_POLLING_READING ? POLLIN : POLLOUT;
            sockets.push_back({PQsocket(call.handle.get()), events, 0});
            waiting.push_back(&call);
        }
        stop_.wait(clock_, wake, sockets);
        for (std::size_t i = 0; i < waiting.size(); ++i) {
            Call& call = *waiting[i];
            advance(call, sockets[i].revents != 0, failed);
            if (!call.done) continue;
            PQsetnonblocking(call.handle.get(), 1);
            return Connection(std::move(call.handle), target_.hosts[call.index].name);
        }
        if (deadline.passed(clock_))
            return make_error(ErrorKind::Timeout, "no host accepted a session in time");
    }
    return make_error(ErrorKind::Cancelled, "stopped while connecting");
}

}  // namespace matriarch::cli
