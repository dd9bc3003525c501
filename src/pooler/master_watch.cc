#include "pooler/master_watch.h"

#include <algorithm>

namespace matriarch::pooler {
namespace {

constexpr Duration kPatience = seconds(1);  // of an attempt
// Between two of them: soon while it is away, since writers wait for it, and less often the longer
// that lasts, since each one is a line in the log of a server that starts.
constexpr Duration kSoonest = milliseconds(20), kLatest = seconds(1);
constexpr int kGrowth = 4;  // each pause is longer by the last one's quarter
// Of the wait for its end: then wanted_ is looked at.
constexpr Duration kSlice = milliseconds(200);

postgres::ConnectionOptions options_of(const MasterSession& s) {
    postgres::ConnectionOptions out{{"host", s.host},
                                    {"hostaddr", s.address},
                                    {"port", std::to_string(s.port)},
                                    {"dbname", s.database},
                                    {"user", s.user},
                                    {"password", s.password},
                                    {"sslmode", s.ssl_mode},
                                    {"application_name", "matriarch-pooler"}};
    if (s.ssl_mode.starts_with("verify-")) out.emplace_back("sslrootcert", s.ca_file);
    return out;
}

}  // namespace

MasterWatch::MasterWatch(const Clock& clock, OnLook on_look)
    : clock_(clock),
      on_look_(std::move(on_look)),
      thread_([this](std::stop_token stop) { run(stop); }) {}

void MasterWatch::follow(MasterSession session) {
    const std::lock_guard lock(mutex_);
    wanted_ = std::move(session);
    changed_.notify_all();
}

bool MasterWatch::followed(const MasterSession& session) const {
    const std::lock_guard lock(mutex_);
    return wanted_ == session;
}

void MasterWatch::run(std::stop_token stop) {
    Duration pause = kSoonest;
    while (!stop.stop_requested()) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, stop, [this] { return !wanted_.address.empty(); });
        const MasterSession wanted = wanted_;
        lock.unlock();
        if (stop.stop_requested()) return;
        auto session = postgres::Connection::open(options_of(wanted),
                                                  Deadline::after(clock_, kPatience), clock_);
        const bool takes_clients = session || postgres::takes_clients(session.error());
        on_look_(wanted.address, takes_clients);
        if (session) {
            pause = kSoonest;
            while (!stop.stop_requested() && followed(wanted) && !session->ended_within(kSlice)) {
            }
            continue;  // at once: does it still take clients?
        }
        if (takes_clients) pause = kLatest;  // it refuses this session, not those that wait
        lock.lock();
        const bool other = changed_.wait_for(lock, stop, pause, [&] { return wanted_ != wanted; });
        pause = other ? kSoonest : std::min(pause + pause / kGrowth, kLatest);
    }
}

}  // namespace matriarch::pooler
