#include "contracts.h"

#include <algorithm>

#include "kubelet.h"

namespace matriarch::sim {

void Contracts::promised(const PodUid& pod, TimePoint until) {
    TimePoint& known = promises_[pod];
    known = std::max(known, until);
}

TimePoint Contracts::promised_until(const PodUid& pod) const {
    const auto found = promises_.find(pod);
    return found == promises_.end() ? TimePoint() : found->second;
}

// --- the record -------------------------------------------------------------------------------

void Contracts::record_changed(const AuthorityRecord* before, const AuthorityRecord& after) {
    if (before == nullptr || restored_ || before->system_identifier.empty()) return;
    if (after.epoch != before->epoch) return check_successor(*before, after);
    check_members(*before, after);
    check_rules(*before, after);
}

// "joining -> full: CAS after the master, in this epoch, has synced to disk and acknowledged that
// addition": who counts as full must be asked by the master from now on.
void Contracts::check_members(const AuthorityRecord& before, const AuthorityRecord& after) {
    if (after.candidates != before.candidates &&
        after.candidates.members != before.candidates.members &&
        after.candidates.version < before.candidates.version)
        world_.violate("record", "the candidate set's version fell");
    const Kubelet::Machine* master = kubelet_->find(after.holder);
    if (master == nullptr || !master->volume.state) return;
    const auto& stored = *master->volume.state;
    for (const auto& member : after.candidates.members) {
        const Member* was = before.candidates.find(member.pod);
        const bool news = was == nullptr || was->membership != Membership::Full;
        if (!news || member.membership != Membership::Full) continue;
        if (stored.epoch != after.epoch || stored.candidates.find(member.pod) == nullptr)
            world_.violate("record", member.instance.value + " is a full candidate, and " +
                                         after.holder.value + " does not know it");
    }
}

// "A former set and its W stay in the record until W members of the new one have flushed past the
// point from which it holds."
void Contracts::check_rules(const AuthorityRecord& before, const AuthorityRecord& after) {
    if (before.former_sync.empty() || !after.former_sync.empty()) return;
    const Container* master = kubelet_->container_of(after.holder);
    if (master == nullptr || !after.sync.waits()) return;
    const auto& server = master->postgres();
    if (server.server() && server.sync_text() != synchronous_standby_names(after.sync))
        return world_.violate("record", "a former rule is dropped, and " + after.holder.value +
                                            " waits for \"" + server.sync_text() + "\"");
    if (holding(after.sync, server.data(), by_another_rule_) < after.sync.wait_for)
        world_.violate("record", "a former rule is dropped, and the new one's members lack " +
                                     by_another_rule_.str());
}

// How many of its members have on disk all that the master has up to there, or had before their
// volume was lost.
long Contracts::holding(const SyncRule& rule, const DataDirectory& master, Lsn end) const {
    const auto count = master.count_until(end);
    if (count == 0) return static_cast<long>(rule.members.size());
    const auto& last = master.wal[count - 1];
    return std::count_if(rule.members.begin(), rule.members.end(), [&](const auto& name) {
        const Kubelet::Machine* machine = kubelet_->find(name);
        if (machine == nullptr || machine->lost_volume) return machine != nullptr;
        const auto& data = machine->volume.data;
        return data.synced >= count && data.wal[count - 1] == last;
    });
}

// --- a change of master -----------------------------------------------------------------------

// "Only the holder's pod UID can confirm."
bool Contracts::fence_is_on_disk(const AuthorityRecord& over) const {
    const Kubelet::Machine* machine = kubelet_->find(over.holder);
    if (machine == nullptr) return true;  // it was scaled away
    const auto confirms = [&](const agent::State& s) {
        return s.fenced >= over.epoch && s.fenced_by == over.holder_pod;
    };
    const auto& volume = machine->volume;
    return (volume.state && confirms(*volume.state)) ||
           (volume.beside && confirms(volume.beside->second));
}

// By whoever holds the record, if it runs.
Duration Contracts::mandate_left(const AuthorityRecord& over) const {
    const Container* container = kubelet_->container_of(over.holder);
    if (container == nullptr || container->place().pod != over.holder_pod) return {};
    const auto& state = container->agent().state();
    const bool fenced = state.fenced >= over.epoch || state.epoch != over.epoch;
    return fenced ? Duration::zero() : container->ledger().right_left();
}

void Contracts::check_successor(const AuthorityRecord& before, const AuthorityRecord& after) {
    const Kubelet::Machine* next = kubelet_->find(after.holder);
    if (next == nullptr || !after.proof) return;
    by_another_rule_ = next->volume.data.end();
    const std::string what = "epoch " + std::to_string(after.epoch.value) + ": ";
    if (*after.proof == ProofKind::ConfirmedFence && !fence_is_on_disk(before))
        world_.violate("proof", what + before.holder.value + " (" + before.holder_pod.value +
                                    ") has confirmed no fence");
    const Member* member = before.candidates.find(after.holder_pod);
    const bool full = member != nullptr && member->membership == Membership::Full;
    if (*after.proof == ProofKind::Expiry && !full && after.holder != before.holder)
        world_.violate("proof",
                       what + after.holder.value + " follows an expiry, and is no full candidate");
    // Cut off, a slave believes in a stream of which the other end is fenced.
    const Container* old = kubelet_->container_of(before.holder);
    const bool sends = *after.proof != ProofKind::ConfirmedFence ||
                       (old != nullptr && old->postgres().server() != nullptr);
    if (sends && next->container && next->name != before.holder &&
        next->container->postgres().streams_from(before.holder))
        world_.violate("proof", what + after.holder.value + " is chosen, and receives from " +
                                    before.holder.value + " still");
    // "Positions must stand still before they are compared"; whom a user names is compared to
    // nobody.
    const bool named = *after.proof == ProofKind::ConfirmedFence &&
                       after.handled_request != before.handled_request;
    if (!named && next->container && next->name != before.holder &&
        !next->container->postgres().stands_still())
        world_.violate("proof", what + after.holder.value + " is chosen, and does not stand still");
    if (*after.proof == ProofKind::Expiry && mandate_left(before) > Duration::zero())
        world_.violate("proof", what + "the mandate of " + before.holder.value + " lasts for " +
                                    std::to_string(mandate_left(before).count() / 1'000'000) +
                                    " ms more");
    if (next->volume.data.timeline() < before.timeline && !next->lost_volume)
        world_.violate("INV-5", what + after.holder.value + " never had timeline " +
                                    std::to_string(before.timeline.value));
}

// --- commits ----------------------------------------------------------------------------------

// By one of the rules that are recorded enough slaves have it: "a rule is recorded before the
// master loads it, and a new epoch's is in force before its first commit".
void Contracts::acknowledges(const Postgres& server, const AuthorityRecord& record, Lsn end) {
    if (restored_) return;
    if (server.sync_text() != synchronous_standby_names(record.sync)) by_another_rule_ = end;
    const auto kept = [&](const SyncRule& rule) {
        return !rule.waits() || holding(rule, server.data(), end) >= rule.wait_for;
    };
    if (kept(record.sync) ||
        std::any_of(record.former_sync.begin(), record.former_sync.end(), kept))
        return;
    world_.violate("INV-5", server.place().name.value + " acknowledges a commit that " +
                                synchronous_standby_names(record.sync) + " lack");
}

}  // namespace matriarch::sim
