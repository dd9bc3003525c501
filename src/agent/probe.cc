#include "agent/probe.h"

#include <algorithm>

#include "agent/files.h"
#include "postgres/connection.h"

namespace matriarch::agent {
namespace {

constexpr Duration kInterval = milliseconds(150);
constexpr Duration kConnecting = milliseconds(10);  // until the first answer of a start
constexpr Duration kHurried = milliseconds(5), kHurryFor = milliseconds(1000);
constexpr Duration kPromotion = milliseconds(2);
constexpr Duration kAnswerIn = seconds(2);

}  // namespace

// Asking it by connections would fill its log with "the database system is starting up".
bool says_ready(const std::string& pid_file) {
    const auto text = read_file(pid_file);
    return text && text->find("\nready") != std::string::npos;
}

Probe::Probe(std::string socket_dir, int port, std::string pid_file, const Clock& clock,
             Deliver deliver)
    : socket_dir_(std::move(socket_dir)),
      port_(port),
      pid_file_(std::move(pid_file)),
      clock_(clock),
      deliver_(std::move(deliver)),
      thread_([this] { run(); }) {}

Probe::~Probe() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void Probe::watch(std::uint64_t generation) {
    const std::lock_guard lock(mutex_);
    generation_ = generation;
    changed_.notify_all();
}

void Probe::rest() {
    const std::lock_guard lock(mutex_);
    generation_ = 0;
    pace_ = Pace::Normal;
}

void Probe::pace(Pace pace) {
    const std::lock_guard lock(mutex_);
    pace_ = pace;
    poke_ = true;
    changed_.notify_all();
}

void Probe::hurry() {
    const std::lock_guard lock(mutex_);
    hurry_until_ = clock_.now() + kHurryFor;
    poke_ = true;
    changed_.notify_all();
}

Duration Probe::interval(TimePoint now, bool connected) const {
    if (!connected) return kConnecting;
    if (pace_ == Pace::Promotion) return kPromotion;
    return now < hurry_until_ ? kHurried : kInterval;
}

void Probe::run() {
    std::optional<postgres::Connection> connection;
    std::uint64_t generation = 0;
    bool in_recovery = true;
    const auto options = postgres::local_options(socket_dir_, port_, true, "matriarch-probe");
    while (true) {
        Pace pace;
        {
            std::unique_lock lock(mutex_);
            const auto wait = interval(clock_.now(), connection.has_value());
            changed_.wait_for(lock, wait,
                              [&] { return stop_ || poke_ || generation_ != generation; });
            poke_ = false;
            while (!stop_ && generation_ == 0) {
                generation = 0;
                connection.reset();
                changed_.wait(lock);
            }
            if (stop_) return;
            if (generation_ != generation) connection.reset();
            generation = generation_;
            pace = pace_;
        }
        const TimePoint asked = clock_.now();
        const Deadline deadline{asked + kAnswerIn};
        if (!connection) {
            if (!says_ready(pid_file_)) continue;
            auto opened = postgres::Connection::open(options, deadline, clock_);
            if (!opened) {
                deliver_({generation, asked, opened.error()});
                continue;
            }
            connection = std::move(*opened);
            in_recovery = true;
        }
        // During a promotion only the end of recovery matters, and every millisecond.
        if (pace == Pace::Promotion && in_recovery) {
            const auto still = read_in_recovery(*connection, deadline);
            if (still && *still) continue;
        }
        const TimePoint began = clock_.now();
        auto status = read_status(*connection, deadline);
        const auto took =
            std::chrono::duration_cast<std::chrono::microseconds>(clock_.now() - began);
        if (!status) connection.reset();
        if (status) in_recovery = status->in_recovery;
        deliver_({generation, asked, std::move(status), took});
    }
}

}  // namespace matriarch::agent
