// Watcher: keeps a WatchSink equal to a set of objects of the API server.
//
// The runner of WatchMachine: lists in pages, watches with bookmarks, for ever, until stopped.
// run() blocks (give it a thread or a fiber); it sleeps only in Transport and Waiter. It never
// fails: trouble is reported through on_error and health(), and tried again with backoff.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "kube/client.h"
#include "kube/resource.h"
#include "kube/waiter.h"
#include "kube/watch_machine.h"

namespace matriarch::kube {

// Where the objects go. Called by the watcher's thread only. The json is dropped afterwards: keep a
// small typed value of it (a DOM costs 52 times as much).
class WatchSink {
  public:
    virtual ~WatchSink() = default;
    // A full list begins; a list that failed half-way is simply begun again.
    virtual void list_begin() = 0;
    virtual void list_item(const std::string& key, const nlohmann::json& object) = 0;
    // The list is complete: what it did not contain exists no more.
    virtual void list_end(const std::string& resource_version) = 0;
    virtual void changed(const std::string& key, const std::string& resource_version,
                         const nlohmann::json& object) = 0;
    // Deleted, or no longer selected: it does not mean that a process is dead.
    virtual void removed(const std::string& key, const std::string& resource_version) = 0;
    virtual void bookmark(const std::string& resource_version) = 0;
};

struct WatchTarget {
    Resource resource;
    std::string ns = {};  // empty: all namespaces
    std::string label_selector = {};
    std::string field_selector = {};  // "metadata.name=orders"
    int page_size = kPageSize;
};

struct WatchHealth {
    WatchState state = WatchState::List;
    std::uint64_t lists = 0;
    std::uint64_t watches = 0;
    std::uint64_t events = 0;  // bookmarks too
    TimePoint last_contact{};  // the last byte or answer of the server
    std::string last_error;
};

class Watcher {
  public:
    using OnError = std::function<void(const Error&)>;

    Watcher(Client& client, const Clock& clock, Random& random, Waiter& waiter, WatchTarget target,
            WatchSink& sink, WatchTuning tuning = {}, OnError on_error = {});

    void run(std::stop_token stop);

    // Any thread.
    WatchHealth health() const;

  private:
    void list(std::stop_token stop);
    void watch(const WatchMachine::Step& step, std::stop_token stop);
    // False: leave the stream.
    bool on_event(const WatchEvent& event);
    void report(const Error& error);
    std::string doing(std::string_view verb) const;

    Client& client_;
    const Clock& clock_;
    Waiter& waiter_;
    const WatchTarget target_;
    WatchSink& sink_;
    const WatchTuning tuning_;
    const OnError on_error_;
    WatchMachine machine_;
    mutable std::mutex mutex_;
    WatchHealth health_;  // guarded by mutex_
};

}  // namespace matriarch::kube
