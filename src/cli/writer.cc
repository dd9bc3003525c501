#include "cli/writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/table.h"

namespace matriarch::cli {
namespace {

using Json = nlohmann::json;

// Errors after which another server may do better: read-only, shutting down, starting up.
bool of_the_server(const std::string& sqlstate) {
    return sqlstate == "25006" || sqlstate.starts_with("57P");
}

TimePoint after(TimePoint from, Duration wait) {
    return wait > TimePoint::max() - from ? TimePoint::max() : from + wait;
}

}  // namespace

Writer::Writer(WriterRules rules, Dialer& dialer, Book& book, Journal& journal, const Clock& clock,
               StopSignal& stop)
    : rules_(rules), dialer_(dialer), book_(book), journal_(journal), clock_(clock), stop_(stop) {}

bool Writer::over() const {
    return stop_.requested() || clock_.now() >= end_;
}

void Writer::failed(const std::string& code, const std::string& why) {
    ++errors_[code];
    if (outages_.failure(clock_.now(), why)) journal_.note("outage-began", {{"error", why}});
}

void Writer::acknowledged(const Connection& session, const Answer& answer, RowId id) {
    if (const Status kept = book_.acknowledge(id); !kept)
        journal_.note("book-failed", {{"error", kept.error().message()}});
    const TimePoint now = clock_.now();
    if (acknowledged_++ == 0) end_ = after(now, rules_.run_for);
    if (const auto outage = outages_.acknowledgement(now)) {
        const std::string timeline = answer.rows.empty() ? "" : answer.rows.front().front();
        journal_.note("outage-ended", {{"ms", to_ms(outage->length())},
                                       {"host", session.host()},
                                       {"timeline", timeline},
                                       {"error", outage->error}});
    }
}

void Writer::report_progress() {
    if (clock_.now() < next_progress_) return;
    next_progress_ = after(clock_.now(), rules_.progress);
    if (next_progress_ != TimePoint::max())
        journal_.note("progress", {{"acknowledged", acknowledged_}, {"unknown", unknown_}});
}

Status Writer::prepare(Connection& session) {
    if (next_ != 0) return {};
    const Answer made = make_table(session, clock_, rules_.patience);
    if (made.kind != Answer::Kind::Acknowledged)
        return make_error(ErrorKind::Unavailable, "cannot make matriarch_writes", made.message);
    const Result<RowId> highest = highest_id(session, clock_, rules_.ids, rules_.patience);
    if (!highest) return highest.error();
    RowId known = *highest;
    for (const RowId id : book_.acknowledged()) known = std::max(known, id);
    next_ = known + 1;
    journal_.note("started", {{"writer", rules_.ids.writer},
                              {"host", session.host()},
                              {"firstId", next_},
                              {"everyMs", to_ms(rules_.every)}});
    return {};
}

void Writer::write_until_broken(Connection& session) {
    while (!over()) {
        stop_.wait(clock_, std::min(next_write_, end_));
        if (over()) return;
        // No catching up after a pause: the rate is the rate.
        next_write_ = std::max(next_write_ + rules_.every, clock_.now());
        const RowId id = next_++;
        const Answer answer =
            session.execute(clock_, kInsertRow, {std::to_string(id)}, rules_.patience);
        switch (answer.kind) {
            case Answer::Kind::Acknowledged:
                acknowledged(session, answer, id);
                break;
            case Answer::Kind::Refused:
                ++refused_;
                failed(answer.sqlstate, answer.message);
                if (of_the_server(answer.sqlstate)) return;
                break;
            case Answer::Kind::Unknown:
                ++unknown_;
                failed(answer.sqlstate.empty() ? answer.message : answer.sqlstate, answer.message);
                return;
        }
        report_progress();
    }
}

Status Writer::run() {
    began_ = next_write_ = next_progress_ = clock_.now();
    const TimePoint give_up = after(began_, rules_.give_up);
    Status last;
    while (!over()) {
        const Deadline deadline{acknowledged_ == 0 ? give_up : end_};
        Result<Connection> session =
            dialer_.dial(deadline, [this](const Host& host, const std::string& why) {
                failed("connect", host.str() + ": " + why);
                report_progress();
            });
        if (!session) {
            last = session.error();
        } else if (last = prepare(*session); last.ok()) {
            write_until_broken(*session);
        } else {
            stop_.wait(clock_, clock_.now() + milliseconds(100));
        }
        if (acknowledged_ == 0 && clock_.now() >= give_up) break;
    }
    if (const auto outage = outages_.finish(clock_.now()))
        journal_.note("outage-lasts", {{"ms", to_ms(outage->length())}, {"error", outage->error}});
    if (acknowledged_ == 0 && !stop_.requested())
        return last.ok() ? make_error(ErrorKind::Timeout, "no write was acknowledged") : last;
    return {};
}

Json Writer::summary() const {
    Json list = Json::array();
    for (const Outage& outage : outages_.all())
        list.push_back({{"ms", to_ms(outage.length())},
                        {"afterMs", to_ms(outage.began - began_)},
                        {"error", outage.error}});
    return {{"writer", rules_.ids.writer},
            {"acknowledged", acknowledged_},
            {"unknown", unknown_},
            {"refused", refused_},
            {"errors", errors_},
            {"outages", list},
            {"seconds", to_ms(clock_.now() - began_) / 1000},
            {"longestOutageMs", to_ms(outages_.longest())}};
}

}  // namespace matriarch::cli
