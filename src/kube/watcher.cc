#include "kube/watcher.h"

#include "kube/json_access.h"
#include "kube/status.h"

namespace matriarch::kube {
namespace {

std::string key_of(const Json& object) {
    return ObjectKey{get_string(object, {"metadata", "namespace"}),
                     get_string(object, {"metadata", "name"})}
        .str();
}

void add_selectors(std::string& target, const WatchTarget& what) {
    // A list and its watch must select alike.
    if (!what.label_selector.empty()) {
        target += "&labelSelector=" + percent_encode(what.label_selector);
    }
    if (!what.field_selector.empty()) {
        target += "&fieldSelector=" + percent_encode(what.field_selector);
    }
}

}  // namespace

Watcher::Watcher(Client& client, const Clock& clock, Random& random, Waiter& waiter,
                 WatchTarget target, WatchSink& sink, WatchTuning tuning, OnError on_error)
    : client_(client),
      clock_(clock),
      waiter_(waiter),
      target_(std::move(target)),
      sink_(sink),
      tuning_(tuning),
      on_error_(std::move(on_error)),
      machine_(random, tuning) {}

void Watcher::run(std::stop_token stop) {
    while (!stop.stop_requested()) {
        const WatchMachine::Step step = machine_.next(clock_.now());
        {
            std::scoped_lock lock(mutex_);
            health_.state = step.state;
        }
        switch (step.state) {
            case WatchState::List:
                list(stop);
                break;
            case WatchState::Watch:
                watch(step, stop);
                break;
            case WatchState::Backoff:
                waiter_.sleep(clock_, {step.until}, stop);
                break;
        }
    }
}

void Watcher::list(std::stop_token stop) {
    {
        std::scoped_lock lock(mutex_);
        ++health_.lists;
    }
    sink_.list_begin();
    const ListOptions options{target_.ns, target_.label_selector, target_.field_selector,
                              target_.page_size};
    Result<ListSummary> summary = client_.list(
        target_.resource, options, [&](const Json& item) { sink_.list_item(key_of(item), item); },
        {.timeout = std::chrono::seconds(60), .stop = stop});
    if (!summary) {
        if (stop.stop_requested()) return;
        report(summary.error());
        machine_.list_failed(summary.error(), clock_.now());
        return;
    }
    sink_.list_end(summary->resource_version);
    machine_.listed(summary->resource_version, clock_.now());
    std::scoped_lock lock(mutex_);
    health_.last_contact = clock_.now();
    health_.last_error.clear();
}

void Watcher::watch(const WatchMachine::Step& step, std::stop_token stop) {
    Request request;
    request.target = resource_path(target_.resource, target_.ns) +
                     "?watch=1&allowWatchBookmarks=true&resourceVersion=" +
                     percent_encode(step.resource_version) +
                     "&timeoutSeconds=" + std::to_string(step.timeout.count());
    add_selectors(request.target, target_);
    {
        std::scoped_lock lock(mutex_);
        ++health_.watches;
    }
    machine_.watch_started(clock_.now());
    Result<Response> end = client_.transport().stream_events(
        request,
        [&](const WatchEvent& event) {
            {
                std::scoped_lock lock(mutex_);
                health_.last_contact = clock_.now();
            }
            return on_event(event) && !stop.stop_requested();
        },
        tuning_.idle, stop);
    if (stop.stop_requested()) return;
    const TimePoint now = clock_.now();
    if (end && end->status == 200) {
        machine_.watch_ended(now);
        return;
    }
    const Error error = end ? error_from_response(doing("watch"), *end)
                            : error_from_transport(doing("watch"), false, end.error());
    report(error);
    const bool was_open = !end && (end.error().kind == ErrorKind::OutcomeUnknown ||
                                   end.error().kind == ErrorKind::Timeout);
    if (was_open) {
        machine_.watch_broken(error, now);
    } else {
        machine_.watch_failed(error, now);
    }
}

bool Watcher::on_event(const WatchEvent& event) {
    const auto& [type, object] = event;
    if (object == nullptr) {
        // Skipping it could lose a change for ever; a new list can't.
        const Error error = make_error(ErrorKind::Invalid, doing("watch"), "unreadable event");
        report(error);
        return machine_.error_event(error, clock_.now()) == WatchVerdict::Continue;
    }
    if (type == "ERROR") {
        const Error error = error_from_status(doing("watch"), *object);
        report(error);
        return machine_.error_event(error, clock_.now()) == WatchVerdict::Continue;
    }
    const std::string version = get_string(*object, {"metadata", "resourceVersion"});
    if (type == "ADDED" || type == "MODIFIED") {
        sink_.changed(key_of(*object), version, *object);
    } else if (type == "DELETED") {
        sink_.removed(key_of(*object), version);
    } else if (type == "BOOKMARK") {
        sink_.bookmark(version);
    } else {
        report(make_error(ErrorKind::Invalid, doing("watch"),
                          "unknown event type " + std::string(type)));
        return true;
    }
    // Only now that it is stored: a version must not run ahead of the cache.
    machine_.event(version);
    std::scoped_lock lock(mutex_);
    ++health_.events;
    health_.last_error.clear();
    return true;
}

WatchHealth Watcher::health() const {
    std::scoped_lock lock(mutex_);
    return health_;
}

void Watcher::report(const Error& error) {
    {
        std::scoped_lock lock(mutex_);
        health_.last_error = error.message();
    }
    if (on_error_) on_error_(error);
}

std::string Watcher::doing(std::string_view verb) const {
    std::string text(verb);
    text.append(" ").append(target_.resource.plural);
    if (!target_.ns.empty()) text.append(" in ").append(target_.ns);
    return text;
}

}  // namespace matriarch::kube
