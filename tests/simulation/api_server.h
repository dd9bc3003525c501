// ApiServer: the model of the Kubernetes API: objects with resourceVersions, compare-and-swap,
// server-side apply, selectors, watches from a version, and a history that can be compacted (410).
//
// It answers whole requests at one moment; delays, losses and re-sent requests are its clients'
// transport's. Apply is a merge: nothing here tests field ownership.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "kube/transport.h"
#include "world.h"

namespace matriarch::sim {

using Json = nlohmann::json;

class ApiServer {
  public:
    // After each change; null: it did not exist before, or does not any more.
    using OnChange =
        std::function<void(const std::string& plural, const Json* before, const Json* after)>;

    explicit ApiServer(World& world) : world_(world) {}
    void on_change(OnChange call) { observers_.push_back(std::move(call)); }

    struct Answer {
        int status = 0;
        std::shared_ptr<const Json> object;  // shared with the store: one copy of each version
        kube::Response text() const;
    };
    Answer handle(const kube::Request& request, const Json& body);
    // Of the request's text.
    kube::Response handle(const kube::Request& request);

    // What a watch's request asks for. Its owner keeps the cursor and asks for `next`.
    struct Watch {
        std::string plural, name_space, labels, fields;
        std::uint64_t cursor = 0;  // entries up to this version were seen
    };
    struct Event {
        const char* type = "";
        std::shared_ptr<const Json> object;
    };
    // Status 200: the watch begins.
    Answer begin(const kube::Request& request, Watch& watch) const;
    // The events that are new to the watch; nothing if its version was compacted meanwhile.
    std::optional<std::vector<Event>> next(Watch& watch);
    Event bookmark(const Watch& watch) const;
    // Called whenever there may be something new for watches of this kind.
    void on_event(std::function<void(const std::string& plural)> call) { event_ = std::move(call); }
    void compact();
    // What a backup has of everything but pods and what makes them, and what is there after it was
    // restored: the versions go on, and no watch does.
    using Backup = std::map<std::string, std::map<std::string, std::shared_ptr<const Json>>>;
    Backup back_up() const;
    void restore(const Backup& backup);

    // The world's own hand, without a request.
    const Json* find(const std::string& plural, const std::string& key) const;
    void put(const std::string& plural, Json object);
    void erase(const std::string& plural, const std::string& key);
    // (plural, key) of the objects that have this owner.
    std::vector<std::pair<std::string, std::string>> owned_by(const std::string& uid) const;

  private:
    struct Path {
        std::string plural, name_space, name, subresource;
        std::map<std::string, std::string> query;
        std::string key() const { return name_space + "/" + name; }
    };
    using Stored = std::shared_ptr<const Json>;
    struct Entry {
        std::uint64_t version = 0;
        Event event;
    };
    struct Kind {
        std::map<std::string, Stored> objects;
        std::deque<Entry> log;
        std::uint64_t compacted = 0;  // versions below are gone
    };

    static Path parse(const std::string& target);
    static bool selected(const Json& object, const std::string& name_space,
                         const std::string& labels, const std::string& fields);
    Stored stored(const std::string& plural, const std::string& key) const;
    Answer list(const Path& path);
    Answer create(const Path& path, Json object);
    Answer update(const Path& path, Json object);
    Answer patch(const Path& path, const Json& patch);
    Answer remove(const Path& path, const Json& options);
    Stored store(const std::string& plural, const std::string& key, Json object,
                 const Stored& before);
    void note(const std::string& plural, const char* type, Stored object);

    World& world_;
    std::map<std::string, Kind> kinds_;
    std::uint64_t version_ = 100;
    std::vector<OnChange> observers_;
    std::function<void(const std::string&)> event_;
};

}  // namespace matriarch::sim
