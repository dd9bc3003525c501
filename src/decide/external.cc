#include "decide/external.h"

#include <algorithm>

#include "decide/text.h"

namespace matriarch::decide {
namespace {

constexpr const char* kType = "OneMaster";

const EndpointSight* find(const std::vector<EndpointSight>& seen, const InstanceName& name) {
    const auto found =
        std::find_if(seen.begin(), seen.end(), [&](const auto& e) { return e.name == name; });
    return found == seen.end() ? nullptr : &*found;
}

bool writes(const EndpointSight& e) {
    return e.reachable && e.writable == Known::Yes;
}

bool same_database(const MasterMemory& memory, const EndpointSight& e) {
    return memory.system.empty() || e.system.empty() || memory.system == e.system;
}

// A promotion opens a higher timeline; a provider that fails over by storage keeps the same.
bool behind(const MasterMemory& memory, const EndpointSight& e) {
    return e.timeline.value != 0 && e.timeline < memory.timeline;
}

class Chooser {
  public:
    Chooser(const MasterMemory& before, const std::vector<EndpointSight>& seen,
            const InstanceName& named, const MasterPolicy& policy, TimePoint now)
        : seen_(seen), named_(named), policy_(policy), now_(now) {
        out_.memory = before;
        out_.memory.since.clear();
        for (const auto& e : seen)
            if (writes(e)) {
                const auto known = before.since.find(e.name);
                out_.memory.since[e.name] = known == before.since.end() ? now : known->second;
            }
    }

    MasterChoice choose() {
        const auto* master = find(seen_, out_.memory.master);
        if (master != nullptr && writes(*master)) return stay(*master);
        if (!out_.memory.lost) out_.memory.lost = now_;
        const auto candidates = successors();
        if (candidates.size() == 1) return become(*candidates.front());
        if (candidates.size() > 1) return several(candidates);
        return nobody(master);
    }

  private:
    bool settled(const EndpointSight& e) {
        const Duration so_far = now_ - out_.memory.since.at(e.name);
        if (so_far >= policy_.settle) return true;
        const Duration left = policy_.settle - so_far;
        out_.wait = out_.wait ? std::min(*out_.wait, left) : left;
        return false;
    }

    // It began to accept writes when the former master had stopped, or just before.
    bool succeeds(const EndpointSight& e) const {
        const auto& memory = out_.memory;
        if (memory.master.empty() || find(seen_, memory.master) == nullptr) return true;
        return same_database(memory, e) && !behind(memory, e) &&
               memory.since.at(e.name) + policy_.overlap > memory.writable_at;
    }

    std::vector<const EndpointSight*> successors() {
        std::vector<const EndpointSight*> out;
        for (const auto& e : seen_)
            if (writes(e) && settled(e) && succeeds(e)) out.push_back(&e);
        // Nothing is known of the past: the user's word decides.
        if (out.size() > 1 && out_.memory.master.empty())
            for (const auto* e : out)
                if (e->name == named_) return {e};
        return out;
    }

    MasterChoice stay(const EndpointSight& master) {
        auto& memory = out_.memory;
        memory.writable_at = now_;
        memory.lost.reset();
        if (!master.system.empty()) memory.system = master.system;
        if (master.timeline.value != 0) memory.timeline = master.timeline;
        out_.serves = true;
        tell_of_rivals();
        return out_;
    }

    MasterChoice become(const EndpointSight& master) {
        out_.memory.master = master.name;
        out_.memory.system = master.system;
        out_.memory.timeline = master.timeline;
        return stay(master);
    }

    MasterChoice several(const std::vector<const EndpointSight*>& candidates) {
        std::vector<std::string> names;
        for (const auto* e : candidates) names.push_back(e->name.value);
        out_.one_master = {kType, false, "SeveralAcceptWrites",
                           join(names) +
                               ": all accept writes, and none of them was the master: writes are "
                               "routed to none; make all but one read-only"};
        return out_;
    }

    MasterChoice nobody(const EndpointSight* master) {
        const std::string rivals = rivals_text();
        const std::string& name = out_.memory.master.value;
        if (name.empty() && !rivals.empty()) {
            out_.one_master = {kType, false, "Settling",
                               "an endpoint is master once it has accepted writes for a moment"};
            return out_;
        }
        std::string why =
            name.empty()        ? "no endpoint accepts writes"
            : master == nullptr ? name + " is no endpoint any more, and no other one has taken over"
            : master->reachable ? name + " accepts no writes, and no other endpoint has taken over"
                                : name + " does not answer, and no other endpoint has taken over";
        if (!rivals.empty()) why += "; " + rivals;
        out_.one_master = {kType, false, rivals.empty() ? "NoneAcceptsWrites" : "NoSuccessor",
                           why + ": the provider's failover, or a promotion, ends this"};
        return out_;
    }

    void tell_of_rivals() {
        const std::string& name = out_.memory.master.value;
        const std::string rivals = rivals_text();
        if (rivals.empty())
            out_.one_master = {kType, true, "OneAcceptsWrites", name + " alone accepts writes"};
        else
            out_.one_master = {kType, false, "SeveralAcceptWrites",
                               rivals + ": writes go to " + name + " alone, who was first"};
    }

    // Those who accept writes and are not the master.
    std::string rivals_text() const {
        std::vector<std::string> out;
        for (const auto& e : seen_) {
            if (!writes(e) || e.name == out_.memory.master) continue;
            out.push_back(e.name.value + (!same_database(out_.memory, e)
                                              ? " accepts writes and is another database"
                                          : behind(out_.memory, e)
                                              ? " accepts writes too, on an older timeline"
                                              : " accepts writes too"));
        }
        return join(out);
    }

    const std::vector<EndpointSight>& seen_;
    const InstanceName& named_;
    const MasterPolicy& policy_;
    const TimePoint now_;
    MasterChoice out_;
};

}  // namespace

MasterChoice choose_master(const MasterMemory& before, const std::vector<EndpointSight>& seen,
                           const InstanceName& named, const MasterPolicy& policy, TimePoint now) {
    return Chooser(before, seen, named, policy, now).choose();
}

}  // namespace matriarch::decide
