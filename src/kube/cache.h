// Cache<T>: a typed copy of a set of objects, kept by a Watcher.
//
// Holds one small immutable T per object, never its JSON. One writer (the watcher's thread), any
// readers. It lags behind the server: absence here is not absence there, and before synced() it
// means nothing at all; before a disruptive step read the object live. Objects that do not decode
// keep their last good value and are reported.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "kube/resource_version.h"
#include "kube/watcher.h"

namespace matriarch::kube {

template <class T>
class Cache final : public WatchSink {
  public:
    using Ptr = std::shared_ptr<const T>;
    using Decode = std::function<Result<T>(const nlohmann::json& object)>;
    // (before, after): null means that it did not, or does not, exist. Called by the writer after
    // the change is visible and outside of the lock; should only enqueue keys.
    using OnChange = std::function<void(const Ptr& before, const Ptr& after)>;
    using OnDecodeError = std::function<void(const std::string& key, const Error& error)>;
    // The values under which an object is found by find(); for example its owner's uid.
    using IndexFunction = std::function<std::vector<std::string>(const T& object)>;

    explicit Cache(Decode decode, OnDecodeError on_decode_error = {})
        : decode_(std::move(decode)), on_decode_error_(std::move(on_decode_error)) {}

    // Both before the watcher runs.
    void on_change(OnChange handler) { handlers_.push_back(std::move(handler)); }
    void add_index(std::string name, IndexFunction function) {
        indexes_[std::move(name)].function = std::move(function);
    }

    // The first complete list has been delivered to the handlers.
    bool synced() const { return synced_.load(std::memory_order_acquire); }

    std::string resource_version() const {
        std::shared_lock lock(mutex_);
        return resource_version_;
    }
    // True once the cache has seen our own write that answered with this version.
    bool has_seen(const std::string& resource_version) const {
        std::shared_lock lock(mutex_);
        return at_least_as_new(resource_version_, resource_version);
    }

    Ptr get(const std::string& key) const {
        std::shared_lock lock(mutex_);
        const auto found = objects_.find(key);
        return found == objects_.end() ? nullptr : found->second;
    }
    std::vector<Ptr> all() const {
        std::shared_lock lock(mutex_);
        std::vector<Ptr> out;
        out.reserve(objects_.size());
        for (const auto& [key, object] : objects_) out.push_back(object);
        return out;
    }
    // By secondary index, ordered by key.
    std::vector<Ptr> find(const std::string& index, const std::string& value) const {
        std::shared_lock lock(mutex_);
        std::vector<Ptr> out;
        const auto& keys = indexes_.at(index).keys;
        if (const auto found = keys.find(value); found != keys.end()) {
            for (const std::string& key : found->second) out.push_back(objects_.at(key));
        }
        return out;
    }
    std::size_t size() const {
        std::shared_lock lock(mutex_);
        return objects_.size();
    }

    // WatchSink, for the watcher's thread only.
    void list_begin() override { incoming_.clear(); }
    void list_item(const std::string& key, const nlohmann::json& object) override {
        incoming_[key] = decode(key, object);
    }
    void list_end(const std::string& resource_version) override;
    void changed(const std::string& key, const std::string& resource_version,
                 const nlohmann::json& object) override;
    void removed(const std::string& key, const std::string& resource_version) override;
    void bookmark(const std::string& resource_version) override {
        std::unique_lock lock(mutex_);
        resource_version_ = resource_version;
    }

  private:
    using Objects = std::unordered_map<std::string, Ptr>;
    struct Index {
        IndexFunction function;
        std::unordered_map<std::string, std::set<std::string>> keys;  // value -> keys
    };

    // Null if it does not decode.
    Ptr decode(const std::string& key, const nlohmann::json& object) const {
        Result<T> decoded = decode_(object);
        if (decoded) return std::make_shared<const T>(std::move(*decoded));
        if (on_decode_error_) on_decode_error_(key, decoded.error());
        return nullptr;
    }
    // Requires the lock.
    void index(const std::string& key, const Ptr& before, const Ptr& after);
    void tell(const Ptr& before, const Ptr& after) const {
        for (const OnChange& handler : handlers_) handler(before, after);
    }

    const Decode decode_;
    const OnDecodeError on_decode_error_;
    std::vector<OnChange> handlers_;
    Objects incoming_;  // the writer's own: a list that is not complete yet
    mutable std::shared_mutex mutex_;
    Objects objects_;                       // guarded by mutex_, like all below
    std::map<std::string, Index> indexes_;  // the functions are fixed before the first write
    std::string resource_version_;
    std::atomic<bool> synced_{false};
};

template <class T>
void Cache<T>::list_end(const std::string& resource_version) {
    std::vector<std::pair<Ptr, Ptr>> changes;
    {
        std::unique_lock lock(mutex_);
        for (auto& [key, after] : incoming_) {
            const auto old = objects_.find(key);
            const Ptr before = old == objects_.end() ? nullptr : old->second;
            if (!after) after = before;  // it exists but does not decode
            index(key, before, after);
            if (before || after) changes.emplace_back(before, after);
        }
        for (const auto& [key, before] : objects_) {
            if (incoming_.contains(key)) continue;
            index(key, before, nullptr);
            changes.emplace_back(before, nullptr);
        }
        std::erase_if(incoming_, [](const auto& entry) { return entry.second == nullptr; });
        objects_ = std::exchange(incoming_, {});
        resource_version_ = resource_version;
    }
    for (const auto& [before, after] : changes) tell(before, after);
    synced_.store(true, std::memory_order_release);
}

template <class T>
void Cache<T>::changed(const std::string& key, const std::string& resource_version,
                       const nlohmann::json& object) {
    const Ptr after = decode(key, object);
    Ptr before;
    {
        std::unique_lock lock(mutex_);
        resource_version_ = resource_version;
        if (!after) return;
        Ptr& slot = objects_[key];
        before = std::exchange(slot, after);
        index(key, before, after);
    }
    tell(before, after);
}

template <class T>
void Cache<T>::removed(const std::string& key, const std::string& resource_version) {
    Ptr before;
    {
        std::unique_lock lock(mutex_);
        resource_version_ = resource_version;
        const auto old = objects_.find(key);
        if (old == objects_.end()) return;
        before = std::move(old->second);
        objects_.erase(old);
        index(key, before, nullptr);
    }
    tell(before, nullptr);
}

template <class T>
void Cache<T>::index(const std::string& key, const Ptr& before, const Ptr& after) {
    if (before == after) return;
    for (auto& [name, index] : indexes_) {
        if (before) {
            for (const std::string& value : index.function(*before)) {
                const auto found = index.keys.find(value);
                if (found == index.keys.end()) continue;
                found->second.erase(key);
                // Empty sets would pile up for ever (kubernetes#84959).
                if (found->second.empty()) index.keys.erase(found);
            }
        }
        if (after) {
            for (const std::string& value : index.function(*after)) index.keys[value].insert(key);
        }
    }
}

}  // namespace matriarch::kube
