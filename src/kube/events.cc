#include "kube/events.h"

#include <algorithm>
#include <cstdio>

#include "kube/json_access.h"

namespace matriarch::kube {
namespace {

constexpr std::size_t kMaxNote = 1024;  // events.k8s.io/v1 validation
constexpr std::size_t kMaxReason = 128;
constexpr std::size_t kMaxName = 253;

void cut(std::string& text, std::size_t limit) {
    if (text.size() <= limit) return;
    while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
    text.resize(limit);
}

Json encode(const ObjectReference& object) {
    Json out = {{"apiVersion", object.api_version}, {"kind", object.kind}, {"name", object.name}};
    if (!object.ns.empty()) out["namespace"] = object.ns;
    if (!object.uid.empty()) out["uid"] = object.uid;
    return out;
}

std::string event_namespace(const Event& event) {
    return event.regarding.ns.empty() ? "default" : event.regarding.ns;
}

// `<regarding>.<hex of nanoseconds>`, as client-go has it; made once, so that a repeated POST
// answers AlreadyExists instead of making a second event.
std::string event_name(const Event& event, WallTime wall, Random& random) {
    const auto nanos =
        std::chrono::duration_cast<std::chrono::nanoseconds>(wall.time_since_epoch()).count();
    char suffix[40];
    std::snprintf(suffix, sizeof suffix, ".%llx%04x", static_cast<unsigned long long>(nanos),
                  static_cast<unsigned>(random.below(65536)));
    std::string name = event.regarding.name;
    name.resize(std::min(name.size(), kMaxName - std::string_view(suffix).size()));
    return name + suffix;
}

// Worth another try with the same content.
bool is_passing(ErrorKind kind) {
    return kind == ErrorKind::Unavailable || kind == ErrorKind::Timeout ||
           kind == ErrorKind::OutcomeUnknown || kind == ErrorKind::Throttled ||
           kind == ErrorKind::Conflict || kind == ErrorKind::Unauthorized;
}

}  // namespace

EventRecorder::EventRecorder(Client& client, const Clock& clock, Random& random, Waiter& waiter,
                             EventOptions options)
    : client_(client),
      clock_(clock),
      random_(random),
      waiter_(waiter),
      options_(std::move(options)) {}

bool EventRecorder::record(Event event) {
    cut(event.note, kMaxNote);
    cut(event.reason, kMaxReason);
    if (event.action.empty()) event.action = event.reason;  // required by the API
    cut(event.action, kMaxReason);
    {
        std::scoped_lock lock(mutex_);
        ++stats_.recorded;
        if (queue_.size() >= options_.queue) {
            ++stats_.dropped;
            return false;
        }
        queue_.push_back({std::move(event), clock_.wall(), clock_.now()});
    }
    waiter_.notify();
    return true;
}

void EventRecorder::run(std::stop_token stop) {
    while (!stop.stop_requested()) {
        const std::uint64_t ticket = waiter_.ticket();
        absorb();
        const TimePoint due = send_due({}, stop);
        waiter_.wait(ticket, {due}, stop);
    }
    absorb();
    send_due(Deadline::after(clock_, std::chrono::seconds(2)), {});
}

void EventRecorder::absorb() {
    for (;;) {
        Queued queued;
        {
            std::scoped_lock lock(mutex_);
            if (queue_.empty()) return;
            queued = std::move(queue_.front());
            queue_.pop_front();
        }
        const Event& event = queued.event;
        Identity identity{event.regarding, event.type, event.reason,
                          event.action,    event.note, event.related};
        auto found = series_.find(identity);
        if (found != series_.end() && queued.at - found->second.last_seen > options_.series_end) {
            series_.erase(found);
            found = series_.end();
        }
        if (found == series_.end()) {
            make_room();
            Series series;
            series.name = event_name(event, queued.wall, random_);
            series.first = queued.wall;
            series.count = 0;
            found = series_.emplace(std::move(identity), std::move(series)).first;
        }
        Series& series = found->second;
        if (series.written == 0) series.event = std::move(queued.event);
        ++series.count;
        series.last = queued.wall;
        series.last_seen = queued.at;
    }
}

void EventRecorder::make_room() {
    if (series_.size() < options_.series) return;
    const auto oldest = std::min_element(
        series_.begin(), series_.end(),
        [](const auto& a, const auto& b) { return a.second.last_seen < b.second.last_seen; });
    if (oldest->second.written == 0) count(false);
    series_.erase(oldest);
}

TimePoint EventRecorder::send_due(std::optional<Deadline> last_call, std::stop_token stop) {
    TimePoint next = TimePoint::max();
    for (auto entry = series_.begin(); entry != series_.end();) {
        if (stop.stop_requested() || (last_call && last_call->passed(clock_))) return next;
        Series& series = entry->second;
        const TimePoint now = clock_.now();
        TimePoint due = TimePoint::max();
        if (series.written < series.count) {
            // The first and second time at once, later ones gathered.
            due = series.written < 2 ? now : series.last_written + options_.refresh;
            due = std::max(due, series.not_before);
        }
        if (due > now && !last_call) {
            const TimePoint end = series.last_seen + options_.series_end;
            if (due == TimePoint::max() && end <= now) {
                entry = series_.erase(entry);
                continue;
            }
            next = std::min({next, due, std::max(end, now)});
            ++entry;
            continue;
        }
        if (due == TimePoint::max()) {  // last call, and nothing to say
            ++entry;
            continue;
        }
        const Duration timeout =
            last_call ? last_call->remaining(clock_) : std::chrono::seconds(10);
        const Status status = write(series, {.timeout = timeout, .stop = stop});
        if (status) {
            count(true);
            series.tries = 0;
            series.last_written = now;
            if (series.written < series.count) {
                if (!last_call) continue;  // the second write of a new series, or the refresh time
            } else if (!last_call) {
                next = std::min(next, series.last_seen + options_.series_end);
            }
            ++entry;
            continue;
        }
        if (is_passing(status.error().kind) && ++series.tries < options_.tries) {
            // 10 s ± 25 %.
            const auto quarter = static_cast<std::uint64_t>(options_.retry.count() / 4);
            series.not_before =
                now + options_.retry * 3 / 4 + Duration(random_.below(2 * quarter + 1));
            next = std::min(next, series.not_before);
            ++entry;
            continue;
        }
        count(false);
        entry = series_.erase(entry);
    }
    return next;
}

Status EventRecorder::write(Series& series, const Call& call) {
    const Event& event = series.event;
    if (series.written > 0) {
        // Absolute numbers: harmless when sent twice.
        const int total = series.count;
        const Json patch = {
            {"series", {{"count", total}, {"lastObservedTime", format_rfc3339(series.last)}}}};
        const Result<Json> answer =
            client_.merge_patch(kEvents, {event_namespace(event), series.name}, "", patch, call);
        if (answer) {
            series.written = total;
            return {};
        }
        if (answer.error().kind != ErrorKind::NotFound) return answer.error();
        // etcd forgets events after an hour: a new one, under a new name.
        series.name = event_name(event, clock_.wall(), random_);
        series.first = series.last;
        series.written = 0;
        series.count = 1;
    }
    Json body = {{"metadata", {{"name", series.name}, {"namespace", event_namespace(event)}}},
                 {"eventTime", format_rfc3339(series.first)},
                 {"type", event.type == EventType::Warning ? "Warning" : "Normal"},
                 {"reason", event.reason},
                 {"action", event.action},
                 {"note", event.note},
                 {"reportingController", options_.controller},
                 {"reportingInstance", options_.instance},
                 {"regarding", encode(event.regarding)}};
    if (event.related) body["related"] = encode(*event.related);
    const Result<Json> answer = client_.create(kEvents, body, call);
    if (!answer && answer.error().kind != ErrorKind::AlreadyExists) return answer.error();
    series.written = 1;
    return {};
}

void EventRecorder::count(bool sent) {
    std::scoped_lock lock(mutex_);
    ++(sent ? stats_.sent : stats_.dropped);
}

EventRecorder::Stats EventRecorder::stats() const {
    std::scoped_lock lock(mutex_);
    Stats out = stats_;
    out.queued = queue_.size();
    return out;
}

}  // namespace matriarch::kube
